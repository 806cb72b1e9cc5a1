#include "hub/history/event_row.h"

#include <optional>

#include "base/bytes.h"
#include "base/json.h"
#include "contract/event.h"

namespace verge::hub {
namespace {

std::optional<contract::Event> event_of(const Json& body) {
  if (!body.is_object() || !body.contains("v") || !body.contains("type")) return std::nullopt;
  auto event = contract::event_from_json(body);
  if (!event) return std::nullopt;
  return *std::move(event);
}

void fill_from_event(contract::Event event, EventRow& row) {
  event.device = row.device;
  event.module = row.module;
  row.captured_us = event.captured_us;
  row.family = event.family;
  row.type = event.type;
  row.stream = event.stream;
  row.severity = event.severity;
  row.rule = event.rule;
  row.score = event.score;
  Json json = contract::to_json(event);
  json["received_us"] = row.received_us;
  row.json = to_text(json);
}

bool is_text(std::string_view bytes) {
  for (const char c : bytes) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') return false;
  }
  return true;
}

void fill_from_message(const MessageRecord& message, const Result<Json>& body, EventRow& row) {
  row.captured_us = row.received_us;
  row.type = "message";
  row.severity = "info";
  Json json{{"type", row.type},
            {"device", row.device},
            {"module", row.module},
            {"stream", ""},
            {"family", ""},
            {"severity", row.severity},
            {"captured_us", row.captured_us},
            {"received_us", row.received_us},
            {"sequence", row.sequence}};
  Json properties = Json::object();
  for (const auto& [name, value] : message.properties) properties[name] = value;
  json["properties"] = std::move(properties);
  if (body) {
    json["body"] = *body;
  } else if (is_text(message.body)) {
    json["body"] = message.body;
  } else {
    json["body_base64"] = to_base64(message.body);
  }
  row.json = to_text(json);
}

}  // namespace

EventRow event_row(const MessageRecord& message, std::uint32_t partition, const storage::LogRecord& record) {
  EventRow row;
  row.device = message.sender.device;
  row.module = message.sender.module;
  row.received_us = record.received_us;
  const bool is_plain = message.epoch.empty();
  row.epoch = is_plain ? "log-" + std::to_string(partition) : message.epoch;
  row.sequence = static_cast<std::int64_t>(is_plain ? record.offset : message.sequence);
  const auto body = parse_json(message.body);
  if (auto event = body ? event_of(*body) : std::nullopt) {
    fill_from_event(*std::move(event), row);
  } else {
    fill_from_message(message, body, row);
  }
  return row;
}

}  // namespace verge::hub
