#include "agent/preflight.h"

#include <bit>
#include <charconv>
#include <fmt/format.h>
#include <sstream>

#include "agent/upstream/hub_api.h"
#include "base/disk.h"
#include "base/loop.h"
#include "base/net.h"

namespace verge::agent {
namespace {

using Verdict = CheckResult::Verdict;

constexpr std::uint64_t kFreeBytesMin = 512ULL << 20;

CheckResult check_engine(ContainerEngine& engine, const Settings& settings) {
  const auto info = engine.info();
  if (!info) {
    return {"engine", Verdict::bad,
            fmt::format("{} (socket {}); start Podman's service or Docker, or set engine.socket in agent.json",
                        info.error().message, settings.engine_socket.string())};
  }
  const auto text = fmt::format("{} {}, API {}", info->name, info->version, info->api_version);
  if (!info->limits_memory || !info->limits_pids) {
    return {
        "engine", Verdict::warning,
        text + "; this machine's control groups cannot limit memory or processes: modules run without these limits"};
  }
  return {"engine", Verdict::good, text};
}

CheckResult check_disk(const Settings& settings) {
  const auto free = system_disk().free_bytes(settings.home);
  if (!free) return {"disk", Verdict::bad, free.error().message};
  const auto text = fmt::format("{} MiB free under {}", *free >> 20, settings.home.string());
  if (*free < kFreeBytesMin)
    return {"disk", Verdict::bad, text + "; at least 512 MiB are needed for images and messages"};
  return {"disk", Verdict::good, text};
}

CheckResult check_network(const Settings& settings) {
  const auto routes = read_file("/proc/net/route", 1U << 20U);
  if (!routes) return {"network", Verdict::warning, "the routing table cannot be read"};
  const auto interface = overlapping_interface(*routes, settings.network.subnet);
  // The module network's own bridge is there while modules run.
  if (interface.empty() || interface.starts_with("podman") || interface.starts_with("br-") ||
      interface.starts_with("cni-")) {
    return {"network", Verdict::good, fmt::format("subnet {} is free for modules", settings.network.subnet)};
  }
  return {
      "network", Verdict::bad,
      fmt::format("subnet {} overlaps the network of {}; set another network.subnet and network.gateway in agent.json",
                  settings.network.subnet, interface)};
}

CheckResult check_port(const Settings& settings, std::uint16_t port, const char* purpose) {
  Loop loop;
  ListenOptions options;
  options.address = settings.network.gateway;
  options.port = port;
  options.bind_before_address_exists = true;
  const auto listener = listen_tcp(loop, options, [](const ConnectionPointer& connection) { connection->abort(); });
  const std::string name = fmt::format("port {}", port);
  if (listener) return {name, Verdict::good, fmt::format("free on {} for {}", settings.network.gateway, purpose)};
  return {name, Verdict::bad, fmt::format("{}: {}", purpose, listener.error().message)};
}

CheckResult check_clock(const Clock& clock) {
  const auto text = to_iso8601(clock.now_us());
  if (clock.now_us() < kClockIsSet_us) {
    return {"clock", Verdict::warning, text + " is in the past; tokens are refused until the clock is set"};
  }
  return {"clock", Verdict::good, text};
}

CheckResult check_hub(const Settings& settings, const Clock& clock) {
  const auto modules = HubApi(settings, clock).list_modules();
  if (modules)
    return {"hub", Verdict::good,
            fmt::format("{} knows this device ({} identities)", settings.hub.host, modules->size())};
  return {"hub", Verdict::warning, modules.error().message + "; the agent starts all the same and keeps trying"};
}

std::uint32_t address_from(const std::string& hexadecimal) {
  std::uint32_t value = 0;
  std::from_chars(hexadecimal.data(), hexadecimal.data() + hexadecimal.size(), value, 16);
  return value;
}

std::string dotted(std::uint32_t little_endian) {
  return fmt::format("{}.{}.{}.{}", little_endian & 255U, little_endian >> 8U & 255U, little_endian >> 16U & 255U,
                     little_endian >> 24U);
}

}  // namespace

std::vector<CheckResult> run_checks(ContainerEngine& engine, const Settings& settings, const Clock& clock) {
  return {check_engine(engine, settings),
          check_disk(settings),
          check_network(settings),
          check_port(settings, settings.router_mqtt_port, "MQTT for modules"),
          check_port(settings, settings.router_https_port, "HTTPS for modules"),
          check_clock(clock),
          check_hub(settings, clock)};
}

std::string overlapping_interface(std::string_view routes, std::string_view subnet) {
  std::istringstream lines{std::string(routes)};
  std::string line;
  std::getline(lines, line);  // The heading.
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string interface, destination, gateway, flags, references, uses, metric, mask;
    fields >> interface >> destination >> gateway >> flags >> references >> uses >> metric >> mask;
    if (mask.empty() || address_from(mask) == 0) continue;  // The default route overlaps everything and matters not.
    const auto route = fmt::format("{}/{}", dotted(address_from(destination)), std::popcount(address_from(mask)));
    const auto own = std::string(subnet.substr(0, subnet.find('/')));
    if (is_in_subnet(own, route) || is_in_subnet(dotted(address_from(destination)), subnet)) return interface;
  }
  return {};
}

}  // namespace verge::agent
