#include "contract/topics.h"

#include <algorithm>
#include <charconv>
#include <fmt/core.h>

#include "base/bytes.h"

namespace verge::contract {
namespace {

constexpr std::size_t kPropertiesMax = 1024;  // Look-up is linear, so this bounds what one topic can cost.
constexpr std::size_t kIdCharactersMax = 128;

constexpr std::string_view kDevices = "devices/";
constexpr std::string_view kModules = "modules/";
constexpr std::string_view kEvents = "messages/events";
constexpr std::string_view kDeviceBound = "messages/devicebound";
constexpr std::string_view kInputs = "inputs/";
constexpr std::string_view kTwinGet = "$iothub/twin/GET/?";
constexpr std::string_view kTwinPatch = "$iothub/twin/PATCH/properties/reported/?";
constexpr std::string_view kTwinResponse = "$iothub/twin/res/";
constexpr std::string_view kDesiredPatch = "$iothub/twin/PATCH/properties/desired/";
constexpr std::string_view kMethodRequest = "$iothub/methods/POST/";
constexpr std::string_view kMethodResponse = "$iothub/methods/res/";

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Takes what stands before `separator` and drops the separator; nothing is taken when there is none.
std::optional<std::string_view> take_until(std::string_view& text, std::string_view separator) {
  const std::size_t end = text.find(separator);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end + separator.size());
  return taken;
}

/// Takes one piece; the last one has no separator behind it.
std::string_view take_segment(std::string_view& text, std::string_view separator = "/") {
  if (const auto segment = take_until(text, separator)) return *segment;
  return std::exchange(text, std::string_view{});
}

Error not_a_topic(std::string_view topic, std::string_view why) {
  return Error{ErrorCode::invalid_argument,
               fmt::format("topic \"{}\": {}; use a topic of the IoT Hub set", topic.substr(0, 256), why)};
}

template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The value of `name` ("$rid", "$version") in "a=b&c=d", as sent: the peer compares it byte for byte.
std::string_view parameter(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view pair = take_segment(text, "&");
    const auto key = take_until(pair, "=");
    if (!key) continue;
    if (const auto decoded = percent_decode(*key); decoded && *decoded == name) return pair;
  }
  return {};
}

Result<std::string> request_id_of(std::string_view topic, std::string_view parameters) {
  const std::string_view id = parameter(parameters, "$rid");
  if (id.empty()) return not_a_topic(topic, "no request id; end it with ?$rid=<id>");
  return std::string(id);
}

/// A name as one topic segment. Only what would break the topic is escaped: some clients do not decode it.
std::string segment_text(std::string_view name) {
  std::string text;
  for (const char c : name) {
    const bool breaks =
        static_cast<unsigned char>(c) < 0x21 || std::string_view("/#+?%").find(c) != std::string_view::npos;
    text += breaks ? percent_encode(std::string_view(&c, 1)) : std::string(1, c);
  }
  return text;
}

/// "devices/D/[modules/M/]", taken off the front.
std::optional<Identity> take_identity(std::string_view& rest) {
  if (!take_prefix(rest, kDevices)) return std::nullopt;
  Identity identity;
  identity.device = take_segment(rest);
  if (take_prefix(rest, kModules)) {
    identity.module = take_segment(rest);
    if (!is_valid_id(identity.module)) return std::nullopt;
  }
  if (!is_valid_id(identity.device)) return std::nullopt;
  return identity;
}

std::string identity_prefix(const Identity& identity) {
  std::string text = "devices/" + identity.device + "/";
  if (!identity.module.empty()) text += "modules/" + identity.module + "/";
  return text;
}

/// Some clients append one slash to the bag; more than that is not a bag.
Result<PropertyBag> bag_from_tail(std::string_view topic, std::string_view tail) {
  if (tail.ends_with('/')) tail.remove_suffix(1);
  if (tail.find('/') != std::string_view::npos) return not_a_topic(topic, "a raw slash in the properties; write %2F");
  return PropertyBag::from_text(tail);
}

Result<PublishedTopic> parse_telemetry(std::string_view topic) {
  std::string_view rest = topic;
  const auto sender = take_identity(rest);
  if (!sender || !take_prefix(rest, kEvents)) return not_a_topic(topic, "not a telemetry topic of a device or module");
  if (!rest.empty() && !take_prefix(rest, "/")) return not_a_topic(topic, "a slash is missing after messages/events");
  VERGE_TRY(auto properties, bag_from_tail(topic, rest));
  return PublishedTopic(TelemetryTopic{*sender, std::move(properties)});
}

Result<PublishedTopic> parse_method_response(std::string_view topic, std::string_view rest) {
  const auto status_text = take_until(rest, "/?");
  const auto status = status_text ? whole_number<int>(*status_text) : std::nullopt;
  if (!status) return not_a_topic(topic, "no status; write $iothub/methods/res/<status>/?$rid=<id>");
  VERGE_TRY(auto id, request_id_of(topic, rest));
  return PublishedTopic(MethodResponseTopic{*status, std::move(id)});
}

Result<ReceivedTopic> parse_twin_response(std::string_view topic, std::string_view rest) {
  const auto status_text = take_until(rest, "/?");
  const auto status = status_text ? whole_number<int>(*status_text) : std::nullopt;
  if (!status) return not_a_topic(topic, "a twin response without a status");
  VERGE_TRY(auto id, request_id_of(topic, rest));
  TwinResponse response{*status, std::move(id), std::nullopt};
  if (const auto version = parameter(rest, "$version"); !version.empty()) {
    response.version = whole_number<std::int64_t>(version);
    if (!response.version) return not_a_topic(topic, "$version is not a number");
  }
  return ReceivedTopic(std::move(response));
}

Result<ReceivedTopic> parse_method_request(std::string_view topic, std::string_view rest) {
  const auto name_text = take_until(rest, "/?");
  if (!name_text || name_text->empty()) return not_a_topic(topic, "a method request without a name");
  VERGE_TRY(auto name, percent_decode(*name_text));
  VERGE_TRY(auto id, request_id_of(topic, rest));
  return ReceivedTopic(MethodRequest{std::move(name), std::move(id)});
}

Result<ReceivedTopic> parse_incoming_message(std::string_view topic) {
  std::string_view rest = topic;
  const auto receiver = take_identity(rest);
  if (!receiver) return not_a_topic(topic, "nothing that a hub sends");
  if (!receiver->module.empty() && take_prefix(rest, kInputs)) {
    VERGE_TRY(auto input, percent_decode(take_segment(rest)));
    if (input.empty()) return not_a_topic(topic, "an input message without an input name");
    VERGE_TRY(auto properties, bag_from_tail(topic, rest));
    return ReceivedTopic(InputMessage{std::move(input), std::move(properties)});
  }
  if (receiver->module.empty() && take_prefix(rest, kDeviceBound) && (rest.empty() || take_prefix(rest, "/"))) {
    VERGE_TRY(auto properties, bag_from_tail(topic, rest));
    return ReceivedTopic(C2dMessage{std::move(properties)});
  }
  return not_a_topic(topic, "nothing that a hub sends");
}

bool is_property_segment(std::string_view segment) {
  return segment.starts_with('?') || segment.find("api-version=") != std::string_view::npos;
}

}  // namespace

void PropertyBag::set(std::string_view name, std::string_view value) {
  for (auto& [key, held] : items_) {
    if (key == name) {
      held = value;
      return;
    }
  }
  items_.emplace_back(name, value);
}

std::string_view PropertyBag::get(std::string_view name) const {
  for (const auto& [key, value] : items_) {
    if (key == name) return value;
  }
  return {};
}

bool PropertyBag::has(std::string_view name) const {
  return std::any_of(items_.begin(), items_.end(), [&](const auto& item) { return item.first == name; });
}

std::string PropertyBag::to_text() const {
  std::string text;
  for (const auto& [key, value] : items_) {
    if (!text.empty()) text += '&';
    text += percent_encode(key) + "=" + percent_encode(value);
  }
  return text;
}

Result<PropertyBag> PropertyBag::from_text(std::string_view text) {
  PropertyBag bag;
  while (!text.empty()) {
    std::string_view pair = take_segment(text, "&");
    if (pair.empty()) continue;
    VERGE_TRY(const auto key, percent_decode(take_segment(pair, "=")));
    VERGE_TRY(const auto value, percent_decode(pair));
    if (key.empty()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("message property \"={}\" has no name", pair.substr(0, 64))};
    }
    bag.set(key, value);
    if (bag.items_.size() > kPropertiesMax) {
      return Error{ErrorCode::limit, fmt::format("a message has more than {} properties", kPropertiesMax)};
    }
  }
  return bag;
}

Identity Identity::from_text(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  return Identity{std::string(text.substr(0, slash)), std::string(text.substr(std::min(slash + 1, text.size())))};
}

Result<PublishedTopic> parse_published_topic(std::string_view topic) {
  std::string_view rest = topic;
  if (take_prefix(rest, kTwinGet)) {
    VERGE_TRY(auto id, request_id_of(topic, rest));
    return PublishedTopic(TwinGetTopic{std::move(id)});
  }
  if (take_prefix(rest, kTwinPatch)) {
    VERGE_TRY(auto id, request_id_of(topic, rest));
    return PublishedTopic(TwinPatchTopic{std::move(id)});
  }
  if (take_prefix(rest, kMethodResponse)) return parse_method_response(topic, rest);
  return parse_telemetry(topic);
}

std::optional<Subscription> parse_subscription(std::string_view filter, const Identity& who) {
  if (filter == "$iothub/twin/res/#") return Subscription::twin_responses;
  if (filter == "$iothub/twin/PATCH/properties/desired/#") return Subscription::desired_patches;
  if (filter == "$iothub/methods/POST/#") return Subscription::methods;
  if (!take_prefix(filter, identity_prefix(who))) return std::nullopt;
  if (who.module.empty()) {
    return filter == "messages/devicebound/#" ? std::optional(Subscription::c2d_messages) : std::nullopt;
  }
  // The C SDK subscribes to all below its module; only inputs are there.
  return filter == "inputs/#" || filter == "#" ? std::optional(Subscription::inputs) : std::nullopt;
}

std::string telemetry_topic(const Identity& sender, const PropertyBag& properties) {
  return identity_prefix(sender) + "messages/events/" + properties.to_text();
}

std::string twin_response_topic(int status, std::string_view request_id, std::optional<std::int64_t> version) {
  std::string topic = fmt::format("{}{}/?$rid={}", kTwinResponse, status, request_id);
  if (version) topic += fmt::format("&$version={}", *version);
  return topic;
}

std::string desired_patch_topic(std::int64_t version) { return fmt::format("{}?$version={}", kDesiredPatch, version); }

std::string method_request_topic(std::string_view name, std::string_view request_id) {
  return fmt::format("{}{}/?$rid={}", kMethodRequest, segment_text(name), request_id);
}

std::string method_response_topic(int status, std::string_view request_id) {
  return fmt::format("{}{}/?$rid={}", kMethodResponse, status, request_id);
}

std::string input_topic(const Identity& receiver, std::string_view input, const PropertyBag& properties) {
  return identity_prefix(receiver) + "inputs/" + segment_text(input) + "/" + properties.to_text();
}

std::string c2d_topic(const Identity& receiver, const PropertyBag& properties) {
  return identity_prefix(receiver) + "messages/devicebound/" + properties.to_text();
}

Result<ReceivedTopic> parse_received_topic(std::string_view topic) {
  std::string_view rest = topic;
  if (take_prefix(rest, kTwinResponse)) return parse_twin_response(topic, rest);
  if (take_prefix(rest, kMethodRequest)) return parse_method_request(topic, rest);
  if (take_prefix(rest, kDesiredPatch)) {
    if (!take_prefix(rest, "?")) return not_a_topic(topic, "a desired patch without parameters");
    const auto version = whole_number<std::int64_t>(parameter(rest, "$version"));
    if (!version) return not_a_topic(topic, "a desired patch without a $version");
    return ReceivedTopic(DesiredPatch{*version});
  }
  return parse_incoming_message(topic);
}

Result<ConnectUsername> parse_connect_username(std::string_view text) {
  const auto refused = [&](std::string_view why) {
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("user name \"{}\": {}; the form is host/device[/module]/?api-version=…", text.substr(0, 256), why)};
  };
  ConnectUsername name;
  std::string_view rest = text;
  name.host = take_segment(rest);
  name.identity.device = take_segment(rest);
  if (!is_property_segment(rest)) return refused("no api-version");
  if (!is_property_segment(rest.substr(0, rest.find('/')))) {
    name.identity.module = take_segment(rest);
    if (!is_valid_id(name.identity.module)) return refused("not a module id");
  }
  if (name.host.empty()) return refused("no host");
  if (!is_valid_id(name.identity.device)) return refused("not a device id");

  take_prefix(rest, "?");
  VERGE_TRY(const auto properties, PropertyBag::from_text(rest));
  for (const auto& [key, value] : properties.all()) name.properties.insert_or_assign(key, value);
  name.api_version = properties.get("api-version");
  if (name.api_version.empty()) return refused("no api-version");
  return name;
}

std::string connect_username(std::string_view host, const Identity& identity, std::string_view client_type) {
  return fmt::format("{}/{}/?api-version=2021-04-12&DeviceClientType={}", host, identity.to_text(),
                     percent_encode(client_type));
}

bool is_valid_id(std::string_view id) {
  constexpr std::string_view kPunctuation = "-.+%_#*?!(),:=@$'";
  return !id.empty() && id.size() <= kIdCharactersMax && std::all_of(id.begin(), id.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kPunctuation.find(c) != std::string_view::npos;
  });
}

}  // namespace verge::contract
