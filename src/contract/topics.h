// contract/topics.h -- the MQTT topics of Azure IoT Hub and IoT Edge, as values.
//
// Source: wire contract §1.3, §1.4. Keys and values of a bag are percent-encoded separately.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace verge::contract {

/// Message properties in their order; system properties keep their wire names ("$.mid", "$.ct", "$.on").
class PropertyBag {
 public:
  void set(std::string_view name, std::string_view value);
  std::string_view get(std::string_view name) const;  ///< Empty when absent.
  bool has(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return items_; }
  /// "%24.on=out1&a%20b=c%2Fd": no raw slash, no leading or trailing separator.
  std::string to_text() const;
  static Result<PropertyBag> from_text(std::string_view text);

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

/// Who speaks: a device, or a module of it. "d" or "d/m" as text, also the MQTT client id.
struct Identity {
  std::string device, module;
  std::string to_text() const { return module.empty() ? device : device + "/" + module; }
  static Identity from_text(std::string_view text);
  auto operator<=>(const Identity&) const = default;
};

/// What a client published.
struct TelemetryTopic {
  Identity sender;
  PropertyBag properties;
};  ///< Output name: property "$.on".
struct TwinGetTopic {
  std::string request_id;
};
struct TwinPatchTopic {
  std::string request_id;
};
struct MethodResponseTopic {
  int status = 0;
  std::string request_id;
};
using PublishedTopic = std::variant<TelemetryTopic, TwinGetTopic, TwinPatchTopic, MethodResponseTopic>;
/// Errors: invalid_argument for any topic outside the closed set.
Result<PublishedTopic> parse_published_topic(std::string_view topic);

/// The subscriptions of the closed set.
enum class Subscription : std::uint8_t { twin_responses, desired_patches, methods, c2d_messages, inputs };
/// Nothing when `filter` is not one that `who` may subscribe to.
std::optional<Subscription> parse_subscription(std::string_view filter, const Identity& who);

std::string telemetry_topic(const Identity& sender, const PropertyBag& properties);
std::string twin_response_topic(int status, std::string_view request_id, std::optional<std::int64_t> version = {});
std::string desired_patch_topic(std::int64_t version);
std::string method_request_topic(std::string_view name, std::string_view request_id);
std::string method_response_topic(int status, std::string_view request_id);
std::string input_topic(const Identity& receiver, std::string_view input, const PropertyBag& properties);
std::string c2d_topic(const Identity& receiver, const PropertyBag& properties);

/// The client's side: what arrives at a device or module.
struct TwinResponse {
  int status = 0;
  std::string request_id;
  std::optional<std::int64_t> version;
};
struct DesiredPatch {
  std::int64_t version = 0;
};
struct MethodRequest {
  std::string name, request_id;
};
struct InputMessage {
  std::string input;
  PropertyBag properties;
};
struct C2dMessage {
  PropertyBag properties;
};
using ReceivedTopic = std::variant<TwinResponse, DesiredPatch, MethodRequest, InputMessage, C2dMessage>;
Result<ReceivedTopic> parse_received_topic(std::string_view topic);

/// "{host}/{device}[/{module}]/?api-version=…&DeviceClientType=…" of a CONNECT packet.
struct ConnectUsername {
  std::string host;
  Identity identity;
  std::string api_version;
  std::map<std::string, std::string, std::less<>> properties;
};
Result<ConnectUsername> parse_connect_username(std::string_view text);
std::string connect_username(std::string_view host, const Identity& identity, std::string_view client_type);

/// True for 1..128 characters of Azure's set for device and module ids ('$edgeAgent' included).
bool is_valid_id(std::string_view id);

}  // namespace verge::contract
