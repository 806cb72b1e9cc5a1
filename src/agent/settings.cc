#include "agent/settings.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <charconv>
#include <fmt/format.h>
#include <optional>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "contract/sas.h"
#include "contract/topics.h"

namespace verge::agent {
namespace {

constexpr std::size_t kSocketFolderMax = 55;  // Leaves room for the module's name and "/workload.sock" in 107 bytes.

Error bad_member(std::string_view member, std::string_view why) {
  return Error{ErrorCode::invalid_argument, fmt::format("agent.json: \"{}\" {}", member, why)};
}

Status read_port(const Json& object, std::string_view key, std::uint16_t& port) {
  VERGE_TRY(const auto value, integer_member(object, key, port));
  if (value < 0 || value > 65535) return bad_member(key, fmt::format("is {}; give a port from 0 to 65535", value));
  port = static_cast<std::uint16_t>(value);
  return Done{};
}

template <class Number>
Status read_count(const Json& object, std::string_view key, Number& number) {
  VERGE_TRY(const auto value, integer_member(object, key, static_cast<std::int64_t>(number)));
  if (value <= 0) return bad_member(key, fmt::format("is {}; give a number above 0", value));
  number = static_cast<Number>(value);
  return Done{};
}

Status read_text(const Json& object, std::string_view key, std::string& text) {
  VERGE_TRY(text, string_member(object, key, text));
  return Done{};
}

const Json& member_or_empty(const Json& object, std::string_view key) {
  static const Json empty = Json::object();
  const Json* found = find_member(object, {key});
  return found != nullptr && found->is_object() ? *found : empty;
}

Result<std::string> read_secret(const std::filesystem::path& path) {
  VERGE_TRY(const std::string text, read_file(path, 64U << 10U));
  return std::string(trimmed(text, " \t\r\n\v\f"));
}

Status read_hub(const Json& file, Settings& settings) {
  const Json& hub = member_or_empty(file, "hub");
  VERGE_CHECK(read_text(hub, "host", settings.hub.host));
  if (settings.hub.host.empty()) return bad_member("hub.host", "is missing; join a hub first (verge join HUB TOKEN)");
  VERGE_CHECK(read_port(hub, "mqtt_port", settings.hub.mqtt_port));
  VERGE_CHECK(read_port(hub, "https_port", settings.hub.https_port));
  std::string ca_file;
  VERGE_CHECK(read_text(hub, "ca_pem_file", ca_file));
  if (!ca_file.empty()) {
    VERGE_TRY(settings.hub.ca_pem, read_file(settings.home / ca_file, 1U << 20U));
  }
  VERGE_CHECK(read_text(file, "device", settings.device));
  std::string key_file;
  VERGE_CHECK(read_text(file, "key_file", key_file));
  if (key_file.empty()) return bad_member("key_file", "is missing; it holds the device's key");
  VERGE_TRY(settings.key, read_secret(settings.home / key_file));
  return Done{};
}

Status read_connection_string(const std::string& text, Settings& settings) {
  VERGE_TRY(const auto parts, contract::parse_connection_string(text));
  if (!parts.module.empty()) return bad_member("connection_string", "belongs to a module; give the device's");
  settings.hub = HubAddress{};
  settings.hub.host = parts.host;
  settings.hub.https_port = 443;
  settings.hub.is_verge = false;
  settings.device = parts.device;
  settings.key = parts.key;
  return Done{};
}

Status read_who(const Json& file, Settings& settings) {
  std::string text;
  std::string text_file;
  VERGE_CHECK(read_text(file, "connection_string", text));
  VERGE_CHECK(read_text(file, "connection_string_file", text_file));
  if (!text_file.empty()) {
    VERGE_TRY(text, read_secret(settings.home / text_file));
  }
  return text.empty() ? read_hub(file, settings) : read_connection_string(text, settings);
}

/// A device id may hold letters that a host name may not.
std::string as_host_name(const std::string& device) {
  std::string host;
  for (const char c : device) {
    const auto letter = static_cast<unsigned char>(c);
    host += std::isalnum(letter) != 0 ? static_cast<char>(std::tolower(letter)) : '-';
  }
  const auto first = host.find_first_not_of('-');
  if (first == std::string::npos) return "device.edge.internal";
  host = host.substr(first, std::min<std::size_t>(host.find_last_not_of('-') - first + 1, 60));
  return host + ".edge.internal";
}

Status read_limits(const Json& file, ModuleLimits& limits) {
  const Json& object = member_or_empty(file, "limits");
  VERGE_CHECK(read_count(object, "memory_bytes_default", limits.memory_bytes_default));
  VERGE_CHECK(read_count(object, "memory_bytes_max", limits.memory_bytes_max));
  VERGE_CHECK(read_count(object, "pids_default", limits.pids_default));
  VERGE_CHECK(read_count(object, "pids_max", limits.pids_max));
  VERGE_CHECK(read_count(object, "log_bytes_max", limits.log_bytes_max));
  VERGE_CHECK(read_count(object, "tmp_bytes", limits.tmp_bytes));
  VERGE_TRY(limits.cpus_max, number_member(object, "cpus_max", limits.cpus_max));
  return Done{};
}

Status read_places(const Json& file, Settings& settings) {
  std::string socket = settings.engine_socket;
  VERGE_CHECK(read_text(member_or_empty(file, "engine"), "socket", socket));
  settings.engine_socket = socket;
  const Json& network = member_or_empty(file, "network");
  VERGE_CHECK(read_text(network, "name", settings.network.name));
  VERGE_CHECK(read_text(network, "subnet", settings.network.subnet));
  VERGE_CHECK(read_text(network, "gateway", settings.network.gateway));
  if (!is_in_subnet(settings.network.gateway, settings.network.subnet)) {
    return bad_member("network.gateway", fmt::format("is {}, which is not inside network.subnet {}",
                                                     settings.network.gateway, settings.network.subnet));
  }
  const Json& router = member_or_empty(file, "router");
  VERGE_CHECK(read_port(router, "mqtt_port", settings.router_mqtt_port));
  VERGE_CHECK(read_port(router, "https_port", settings.router_https_port));
  VERGE_CHECK(read_port(file, "metrics_port", settings.metrics_port));
  VERGE_CHECK(read_text(file, "gateway_host", settings.gateway_host));
  VERGE_CHECK(read_text(file, "label_prefix", settings.label_prefix));
  return Done{};
}

Status read_outbox(const Json& file, OutboxSettings& outbox) {
  const Json& object = member_or_empty(file, "outbox");
  VERGE_CHECK(read_count(object, "disk_bytes_max", outbox.disk_bytes_max));
  VERGE_CHECK(read_count(object, "free_bytes_min", outbox.free_bytes_min));
  VERGE_CHECK(read_count(object, "window", outbox.window));
  return Done{};
}

Status read_restart(const Json& file, RestartSettings& restart) {
  const Json& object = member_or_empty(file, "restart");
  VERGE_CHECK(read_count(object, "cool_off_s", restart.cool_off_s));
  VERGE_CHECK(read_count(object, "cool_off_s_max", restart.cool_off_s_max));
  constexpr std::int64_t kDay_s = 86'400;
  if (restart.cool_off_s > kDay_s || restart.cool_off_s_max > kDay_s) {
    return bad_member("restart", "has a rest of more than a day");
  }
  return Done{};
}

Status read_allowed(const Json& file, std::set<std::string>& allowed) {
  static const std::set<std::string> known = {"Privileged",  "CapAdd",         "SecurityOpt",  "Devices", "Binds",
                                              "HostNetwork", "HostNamespaces", "WritableRoot", "Sysctls"};
  const Json* list = find_member(file, {"allowed"});
  if (list == nullptr) return Done{};
  if (!list->is_array()) return bad_member("allowed", "is not a list of texts");
  for (const Json& item : *list) {
    if (!item.is_string() || known.count(item.get<std::string>()) == 0) {
      return bad_member("allowed", fmt::format("holds {}; known are {}", to_text(item), fmt::join(known, ", ")));
    }
    allowed.insert(item.get<std::string>());
  }
  return Done{};
}

std::optional<std::uint32_t> ipv4_of(std::string_view text) {
  text = text.substr(0, text.find(':'));
  in_addr parsed{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1) return std::nullopt;
  return ntohl(parsed.s_addr);
}

}  // namespace

std::string Settings::home_tag() const {
  return sha256_digest(std::filesystem::weakly_canonical(home).string() + "\n" + device).substr(7, 8);
}

std::filesystem::path Settings::socket_folder() const {
  const auto near = std::filesystem::absolute(home) / "run" / "wl";
  if (near.string().size() <= kSocketFolderMax) return near;
  return std::filesystem::path("/run/verge") / home_tag();
}

Result<Settings> load_settings(const std::filesystem::path& home) {
  Settings settings;
  settings.home = std::filesystem::absolute(home);
  VERGE_TRY(const std::string text, read_file(settings.home / "agent.json", 1U << 20U));
  auto parsed = parse_json(text);
  if (!parsed) return std::move(parsed).error().within("read agent.json");
  const Json& file = *parsed;
  if (!file.is_object()) return Error{ErrorCode::invalid_argument, "agent.json: is not a JSON object"};

  VERGE_CHECK(read_who(file, settings));
  if (!contract::is_valid_id(settings.device)) return bad_member("device", "is missing or not a device id");
  if (!from_base64(settings.key)) return bad_member("key_file", "does not hold a base64 key");
  VERGE_CHECK(read_places(file, settings));
  if (settings.gateway_host.empty()) settings.gateway_host = as_host_name(settings.device);
  VERGE_CHECK(read_limits(file, settings.limits));
  VERGE_CHECK(read_outbox(file, settings.outbox));
  VERGE_CHECK(read_restart(file, settings.restart));
  VERGE_CHECK(read_allowed(file, settings.allowed));
  return settings;
}

bool is_in_subnet(std::string_view address, std::string_view subnet) {
  const auto slash = subnet.find('/');
  const auto host = ipv4_of(address);
  const auto base = ipv4_of(subnet.substr(0, slash));
  int bits = 32;
  if (slash != std::string_view::npos) {
    const auto digits = subnet.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size()) return false;
  }
  if (!host || !base || bits < 0 || bits > 32) return false;
  const std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
  return (*host & mask) == (*base & mask);
}

}  // namespace verge::agent
