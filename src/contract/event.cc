#include "contract/event.h"

#include <array>
#include <cmath>
#include <fmt/core.h>
#include <utility>

#include "base/json.h"

namespace verge::contract {
namespace {

constexpr int kVersion = 1;
constexpr std::array<std::string_view, 3> kFamilies{"vision", "audio", "telemetry"};
constexpr std::array<std::string_view, 3> kSeverities{"info", "warning", "alarm"};

Error bad(std::string_view member, std::string_view why) {
  return Error{ErrorCode::invalid_argument, fmt::format("read an event: \"{}\" {}", member, why)};
}

void add(Json& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}
void add(Json& json, const char* key, std::int64_t value) {
  if (value != 0) json[key] = value;
}
void add(Json& json, const char* key, const std::vector<std::string>& value) {
  if (!value.empty()) json[key] = value;
}

/// A text that is not a JSON object is a mistake of a stage; it is shown rather than lost.
Json extension_of(const Event& event) {
  auto extension = parse_json(event.extension_json);
  if (extension && extension->is_object()) return *std::move(extension);
  return Json{{"unreadable", event.extension_json}};
}

Json region_to_json(const Region& region) {
  return Json{{"left", region.left}, {"top", region.top}, {"right", region.right}, {"bottom", region.bottom}};
}

/// Takes known members out of an event's JSON; what is left in the end is unknown.
class Reader {
 public:
  explicit Reader(Json json) : rest_(std::move(json)) {}

  /// Nothing when the member is absent or null.
  std::optional<Json> take(const char* key) {
    const auto found = rest_.find(key);
    if (found == rest_.end()) return std::nullopt;
    Json value = std::move(*found);
    rest_.erase(found);
    return value.is_null() ? std::nullopt : std::optional(std::move(value));
  }

  Status text(const char* key, std::string& target, bool is_required = false) {
    auto value = take(key);
    if (!value) return is_required ? Status(bad(key, "is missing")) : Status(Done{});
    if (!value->is_string()) return bad(key, "must be a text");
    target = std::move(value->get_ref<std::string&>());
    return Done{};
  }

  Status name(const char* key, std::string& target) {
    VERGE_CHECK(text(key, target, true));
    return target.empty() ? Status(bad(key, "must not be empty")) : Status(Done{});
  }

  Status integer(const char* key, std::int64_t& target, bool is_required = false) {
    const auto value = take(key);
    if (!value) return is_required ? Status(bad(key, "is missing")) : Status(Done{});
    const bool fits = value->is_number_integer() && (!value->is_number_unsigned() || value->get<std::int64_t>() >= 0);
    if (!fits) return bad(key, "must be an integer of 64 bits");
    target = value->get<std::int64_t>();
    return Done{};
  }

  Status sequence(const char* key, std::uint64_t& target) {
    const auto value = take(key);
    if (!value) return bad(key, "is missing");
    if (!value->is_number_integer() || (!value->is_number_unsigned() && value->get<std::int64_t>() < 0)) {
      return bad(key, "must be an integer from 0");
    }
    target = value->get<std::uint64_t>();
    return Done{};
  }

  Status number(const char* key, double& target, bool is_required = false) {
    const auto value = take(key);
    if (!value) return is_required ? Status(bad(key, "is missing")) : Status(Done{});
    if (!value->is_number()) return bad(key, "must be a number");
    target = value->get<double>();
    return Done{};
  }

  Status texts(const char* key, std::vector<std::string>& target) {
    const auto value = take(key);
    if (!value) return Done{};
    if (!value->is_array()) return bad(key, "must be a list of texts");
    for (const Json& item : *value) {
      if (!item.is_string()) return bad(key, "must be a list of texts");
      target.push_back(item.get<std::string>());
    }
    return Done{};
  }

  const Json& rest() const { return rest_; }

 private:
  Json rest_;
};

Status read_version(Reader& reader, Event& event) {
  std::int64_t version = 0;
  VERGE_CHECK(reader.integer("v", version, true));
  if (version != kVersion) {
    return bad("v", fmt::format("is {}; this program reads version {}: update it", version, kVersion));
  }
  event.version = kVersion;
  return Done{};
}

template <std::size_t N>
Status check_choice(std::string_view member, const std::string& value, const std::array<std::string_view, N>& choices) {
  std::string names;
  for (const std::string_view choice : choices) {
    if (value == choice) return Done{};
    names += fmt::format("{}{}", names.empty() ? "" : ", ", choice);
  }
  return bad(member, fmt::format("is \"{}\"; allowed are {}", value, names));
}

Status read_region(Reader& reader, Event& event) {
  auto json = reader.take("region");
  if (!json) return Done{};
  if (!json->is_object()) return bad("region", "must be an object");
  Reader inner(*std::move(json));
  Region region;
  VERGE_CHECK(inner.number("left", region.left, true));
  VERGE_CHECK(inner.number("top", region.top, true));
  VERGE_CHECK(inner.number("right", region.right, true));
  VERGE_CHECK(inner.number("bottom", region.bottom, true));
  const bool is_inside = region.left >= 0 && region.top >= 0 && region.right <= 1 && region.bottom <= 1;
  if (!is_inside || region.left > region.right || region.top > region.bottom) {
    return bad("region", "must have 0 <= left <= right <= 1 and 0 <= top <= bottom <= 1");
  }
  event.region = region;
  return Done{};
}

Status read_span(Reader& reader, Event& event) {
  auto json = reader.take("span");
  if (!json) return Done{};
  if (!json->is_object()) return bad("span", "must be an object");
  Reader inner(*std::move(json));
  Span span;
  VERGE_CHECK(inner.integer("from_us", span.from_us, true));
  VERGE_CHECK(inner.integer("to_us", span.to_us, true));
  if (span.from_us > span.to_us) return bad("span", "ends before it begins");
  event.span = span;
  return Done{};
}

Status read_extension(Reader& reader, Event& event) {
  Json extension = Json::object();
  if (auto json = reader.take("extension")) {
    if (!json->is_object()) return bad("extension", "must be an object");
    extension = *std::move(json);
  }
  for (const auto& [key, value] : reader.rest().items()) {
    if (!extension.contains(key)) extension[key] = value;
  }
  event.extension_json = to_text(extension);
  return Done{};
}

}  // namespace

Json to_json(const Event& event) {
  Json json{{"v", event.version},        {"id", event.id},
            {"type", event.type},        {"family", event.family},
            {"device", event.device},    {"module", event.module},
            {"stream", event.stream},    {"captured_us", event.captured_us},
            {"sequence", event.sequence}};
  add(json, "source", event.source);
  add(json, "boot_id", event.boot_id);
  add(json, "monotonic_us", event.monotonic_us);
  add(json, "duration_us", event.duration_us);
  add(json, "label", event.label);
  // JSON has no infinity; a score that is none is left out as unknown.
  if (event.score != 0 && std::isfinite(event.score)) json["score"] = event.score;
  add(json, "severity", event.severity);
  if (event.region) json["region"] = region_to_json(*event.region);
  if (event.span) json["span"] = Json{{"from_us", event.span->from_us}, {"to_us", event.span->to_us}};
  add(json, "channels", event.channels);
  add(json, "track", event.track);
  add(json, "rule", event.rule);
  add(json, "model", event.model);
  add(json, "pipeline", event.pipeline);
  add(json, "evidence", event.evidence);
  add(json, "explanation", event.explanation);
  if (Json extension = extension_of(event); !extension.empty()) json["extension"] = std::move(extension);
  return json;
}

Result<Event> event_from_json(const Json& json) {
  if (!json.is_object()) return Error{ErrorCode::invalid_argument, "read an event: must be a JSON object"};
  Reader reader(json);
  Event event;
  VERGE_CHECK(read_version(reader, event));
  VERGE_CHECK(reader.name("id", event.id));
  VERGE_CHECK(reader.name("type", event.type));
  VERGE_CHECK(reader.name("family", event.family));
  VERGE_CHECK(check_choice("family", event.family, kFamilies));
  VERGE_CHECK(reader.text("device", event.device, true));
  VERGE_CHECK(reader.text("module", event.module, true));
  VERGE_CHECK(reader.text("stream", event.stream, true));
  VERGE_CHECK(reader.text("source", event.source));
  VERGE_CHECK(reader.integer("captured_us", event.captured_us, true));
  VERGE_CHECK(reader.text("boot_id", event.boot_id));
  VERGE_CHECK(reader.integer("monotonic_us", event.monotonic_us));
  VERGE_CHECK(reader.sequence("sequence", event.sequence));
  VERGE_CHECK(reader.integer("duration_us", event.duration_us));
  VERGE_CHECK(reader.text("label", event.label));
  VERGE_CHECK(reader.number("score", event.score));
  VERGE_CHECK(reader.text("severity", event.severity));
  VERGE_CHECK(check_choice("severity", event.severity, kSeverities));
  VERGE_CHECK(read_region(reader, event));
  VERGE_CHECK(read_span(reader, event));
  VERGE_CHECK(reader.texts("channels", event.channels));
  VERGE_CHECK(reader.text("track", event.track));
  VERGE_CHECK(reader.text("rule", event.rule));
  VERGE_CHECK(reader.text("model", event.model));
  VERGE_CHECK(reader.text("pipeline", event.pipeline));
  VERGE_CHECK(reader.texts("evidence", event.evidence));
  VERGE_CHECK(reader.text("explanation", event.explanation));
  VERGE_CHECK(read_extension(reader, event));
  return event;
}

}  // namespace verge::contract
