#include "connectors/home/broker_url.h"

#include <charconv>
#include <fmt/format.h>

#include "base/bytes.h"

namespace verge::connectors {
namespace {

Result<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc() && end == text.data() + text.size() && port != 0) return port;
  return Error{ErrorCode::invalid_argument, fmt::format("the port is \"{}\"; give 1 to 65535", text)};
}

Status read_login(std::string_view login, BrokerUrl& broker) {
  const auto colon = login.find(':');
  auto user = percent_decode(login.substr(0, colon));
  auto password =
      colon == std::string_view::npos ? Result<std::string>(std::string()) : percent_decode(login.substr(colon + 1));
  if (!user || !password) {
    return Error{ErrorCode::invalid_argument,
                 "its user or password has a % that begins no %XX; put the password into an environment variable"};
  }
  broker.user = *std::move(user);
  broker.password = *std::move(password);
  return Done{};
}

Status read_place(std::string_view place, BrokerUrl& broker) {
  if (place.ends_with('/')) place.remove_suffix(1);
  if (place.find_first_of("/?#") != std::string_view::npos) {
    return Error{ErrorCode::invalid_argument, "nothing may follow host and port; topics are set by the option prefix"};
  }
  std::string_view port;
  if (place.starts_with('[')) {  // IPv6
    const auto end = place.find(']');
    if (end == std::string_view::npos) return Error{ErrorCode::invalid_argument, "a [ lacks its ]"};
    broker.host = place.substr(1, end - 1);
    port = place.substr(end + 1);
  } else {
    const auto colon = place.find(':');
    broker.host = place.substr(0, colon);
    if (colon != std::string_view::npos) port = place.substr(colon);
  }
  if (broker.host.empty()) return Error{ErrorCode::invalid_argument, "it has no host"};
  if (port.empty()) return Done{};
  if (!port.starts_with(':')) return Error{ErrorCode::invalid_argument, "its host is no name or address"};
  VERGE_TRY(broker.port, read_port(port.substr(1)));
  return Done{};
}

Result<BrokerUrl> read_filled(std::string_view url) {
  BrokerUrl broker;
  const UrlParts parts = split_url(url);
  if (parts.scheme != "mqtt" && parts.scheme != "mqtts") {
    return Error{ErrorCode::invalid_argument, "its scheme is unknown; a broker is mqtt://HOST or mqtts://HOST"};
  }
  broker.is_tls = parts.scheme == "mqtts";
  broker.port = broker.is_tls ? 8883 : 1883;
  if (parts.has_user) VERGE_CHECK(read_login(parts.user, broker));
  VERGE_CHECK(read_place(parts.rest, broker));
  return broker;
}

}  // namespace

Result<BrokerUrl> read_broker_url(std::string_view text, const Environment& environment) {
  const std::string shown = hide_secrets(text);
  const auto within = [&](Error error) { return std::move(error).within(fmt::format("use broker {}", shown)); };
  auto url = fill_in(text, environment);
  if (!url) return within(std::move(url).error());
  auto broker = read_filled(*url);
  if (!broker) return within(std::move(broker).error());
  broker->shown = shown;
  return broker;
}

}  // namespace verge::connectors
