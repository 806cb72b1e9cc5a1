#include "hub/message_record.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"

namespace verge::hub {
namespace {

constexpr char kVersion = 1;
constexpr char kProbeVersion = 0;
constexpr std::size_t kFixedBytes = 5;

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\';
  });
}

void append_number(std::string& target, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  target.append(digits, end);
}

void append_properties(std::string& target, const std::vector<std::pair<std::string, std::string>>& properties) {
  target += "\"properties\":[";
  bool is_first = true;
  for (const auto& [name, value] : properties) {
    target += is_first ? "[" : ",[";
    is_first = false;
    append_json_string(target, name);
    target += ',';
    append_json_string(target, value);
    target += ']';
  }
  target += ']';
}

Error broken(std::string_view why) {
  return Error{ErrorCode::corrupt, "read a record of the message log: " + std::string(why)};
}

Status read_properties(const Json& header, MessageRecord& record) {
  const Json* list = find_member(header, {"properties"});
  if (list == nullptr || !list->is_array()) return broken("no properties");
  for (const Json& item : *list) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_string()) {
      return broken("a property is not a pair of texts");
    }
    record.properties.emplace_back(item[0].get<std::string>(), item[1].get<std::string>());
  }
  return Done{};
}

}  // namespace

void append_json_string(std::string& target, std::string_view text) {
  if (!is_plain(text)) {
    target += to_text(Json(std::string(text)));
    return;
  }
  target += '"';
  target += text;
  target += '"';
}

std::string record_prefix(const contract::Identity& sender, std::string_view generation_id,
                          std::string_view auth_method) {
  std::string text = "{\"device\":";
  append_json_string(text, sender.device);
  if (!sender.module.empty()) {
    text += ",\"module\":";
    append_json_string(text, sender.module);
  }
  text += ",\"generation\":";
  append_json_string(text, generation_id);
  text += ",\"auth\":";
  append_json_string(text, auth_method);
  text += ',';
  return text;
}

std::string encode_record(std::string_view prefix, std::string_view epoch, std::uint64_t sequence,
                          const std::vector<std::pair<std::string, std::string>>& properties, std::string_view body) {
  std::size_t guess = kFixedBytes + prefix.size() + epoch.size() + 64 + body.size();
  for (const auto& [name, value] : properties) guess += name.size() + value.size() + 8;
  std::string bytes;
  bytes.reserve(guess);
  bytes.append(kFixedBytes, '\0');
  bytes += prefix;
  if (!epoch.empty()) {
    bytes += "\"epoch\":";
    append_json_string(bytes, epoch);
    bytes += ",\"seq\":";
    append_number(bytes, sequence);
    bytes += ',';
  }
  append_properties(bytes, properties);
  bytes += '}';
  const std::size_t header_bytes = bytes.size() - kFixedBytes;
  bytes[0] = kVersion;
  for (std::size_t i = 0; i < 4; ++i) bytes[1 + i] = static_cast<char>((header_bytes >> (8 * i)) & 0xFF);
  bytes += body;
  return bytes;
}

std::string probe_record() { return std::string(1, kProbeVersion); }

bool is_probe(std::string_view bytes) { return !bytes.empty() && bytes[0] == kProbeVersion; }

Result<MessageRecord> decode_record(std::string_view bytes) {
  if (bytes.size() < kFixedBytes || bytes[0] != kVersion) return broken("unknown version");
  std::size_t header_bytes = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    header_bytes |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[1 + i])) << (8 * i);
  }
  if (header_bytes > bytes.size() - kFixedBytes) return broken("the header is longer than the record");
  VERGE_TRY(const Json header, parse_json(bytes.substr(kFixedBytes, header_bytes)));
  if (!header.is_object()) return broken("the header is not an object");
  MessageRecord record;
  VERGE_TRY(record.sender.device, string_member(header, "device"));
  VERGE_TRY(record.sender.module, string_member(header, "module"));
  VERGE_TRY(record.generation_id, string_member(header, "generation"));
  VERGE_TRY(record.auth_method, string_member(header, "auth"));
  VERGE_TRY(record.epoch, string_member(header, "epoch"));
  VERGE_TRY(const std::int64_t sequence, integer_member(header, "seq"));
  if (sequence < 0) return broken("a negative sequence number");
  record.sequence = static_cast<std::uint64_t>(sequence);
  VERGE_CHECK(read_properties(header, record));
  record.body = bytes.substr(kFixedBytes + header_bytes);
  return record;
}

}  // namespace verge::hub
