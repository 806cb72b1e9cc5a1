#include "connectors/event_stamp.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crypto.h"

namespace verge::connectors {
namespace {

/// A UUID of version 8 (RFC 9562: own way of making it) from the hash of a name.
std::string name_uuid(std::string_view name) {
  std::string bytes = sha256(name).substr(0, 16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0F) | 0x80);
  bytes[8] = static_cast<char>((bytes[8] & 0x3F) | 0x80);
  const std::string hex = to_hex(bytes);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20));
}

}  // namespace

EventStamp::EventStamp(std::string device, std::string module, const Clock& clock)
    : device_(std::move(device)),
      module_(std::move(module)),
      boot_(boot_id()),
      // Two starts in one microsecond of a clock that was set back are told apart by the random part.
      seed_(fmt::format("{}/{}/{}/{}/{}", device_, module_, boot_, clock.now_us(), to_hex(random_bytes(8)))) {}

void EventStamp::stamp(contract::Event& event) {
  event.sequence = ++last_sequence_;
  event.boot_id = boot_;
  if (event.device.empty()) event.device = device_;
  if (event.module.empty()) event.module = module_;
  event.id = name_uuid(fmt::format("{}/{}", seed_, event.sequence));
}

}  // namespace verge::connectors
