#include "agent/outbox/record.h"

#include <type_traits>

namespace verge::agent {
namespace {

constexpr char kVersionWithoutRank = 1, kVersion = 2;

void put_number(std::string& bytes, std::uint64_t number, int size) {
  for (int i = 0; i < size; ++i) bytes += static_cast<char>(number >> (8 * i));
}

void put_text(std::string& bytes, std::string_view text) {
  put_number(bytes, text.size(), 4);
  bytes += text;
}

/// Takes values off the front; after the first that is not there, everything is empty and is_whole() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number(std::size_t size) {
    const auto raw = take(size);
    std::uint64_t number = 0;
    for (std::size_t i = raw.size(); i-- > 0;) number = number << 8U | static_cast<unsigned char>(raw[i]);
    return number;
  }
  std::string text() { return std::string(take(number(4))); }
  bool is_whole() const { return !is_short_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      is_short_ = true;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  bool is_short_ = false;
};

}  // namespace

std::string to_bytes(const OutboxRecord& record) {
  std::string bytes;
  bytes.reserve(64 + record.target.size() + record.sender.size() + record.properties.size() + record.payload.size());
  bytes += kVersion;
  put_number(bytes, static_cast<std::uint64_t>(record.time_to_live_s), 8);
  put_number(bytes, static_cast<std::uint64_t>(record.monotonic_us), 8);
  put_number(bytes, record.sequence, 8);
  put_number(bytes, record.rank, 1);
  put_text(bytes, record.target);
  put_text(bytes, record.sender);
  put_text(bytes, record.properties);
  put_text(bytes, record.boot);
  put_text(bytes, record.payload);
  return bytes;
}

Result<OutboxRecord> outbox_record_from(std::string_view bytes) {
  if (bytes.empty() || (bytes[0] != kVersion && bytes[0] != kVersionWithoutRank)) {
    return Error{ErrorCode::corrupt, "read an outbox record: unknown version; a newer agent wrote it"};
  }
  Reader reader(bytes.substr(1));
  OutboxRecord record;
  record.time_to_live_s = static_cast<std::int64_t>(reader.number(8));
  record.monotonic_us = static_cast<std::int64_t>(reader.number(8));
  record.sequence = reader.number(8);
  if (bytes[0] == kVersion) record.rank = static_cast<std::uint8_t>(reader.number(1));
  record.target = reader.text();
  record.sender = reader.text();
  record.properties = reader.text();
  record.boot = reader.text();
  record.payload = reader.text();
  if (!reader.is_whole()) return Error{ErrorCode::corrupt, "read an outbox record: its lengths do not fit its size"};
  return record;
}

}  // namespace verge::agent
