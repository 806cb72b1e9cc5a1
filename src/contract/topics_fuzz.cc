#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "contract/sas.h"
#include "contract/topics.h"

using namespace verge::contract;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto published = parse_published_topic(text)) {
    // What was understood is written in one form, and that form means the same.
    if (const auto* telemetry = std::get_if<TelemetryTopic>(&*published)) {
      const auto again = parse_published_topic(telemetry_topic(telemetry->sender, telemetry->properties));
      VERGE_ASSERT(again && std::get<TelemetryTopic>(*again).properties.all() == telemetry->properties.all());
    }
  }
  static_cast<void>(static_cast<bool>(parse_received_topic(text)));
  static_cast<void>(parse_subscription(text, Identity{"d", "m"}));
  static_cast<void>(static_cast<bool>(parse_connect_username(text)));
  static_cast<void>(static_cast<bool>(parse_sas(text)));
  static_cast<void>(static_cast<bool>(parse_connection_string(text)));
  return 0;
}
