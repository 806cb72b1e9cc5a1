// agent/settings.h -- what one agent is told at start: HOME/agent.json.
//
// {"hub": {"host", "mqtt_port", "https_port", "ca_pem_file"}, "device", "key_file", …} joins a Verge hub. With
// {"connection_string_file"} or {"connection_string"} instead, the hub is an Azure IoT Hub: MQTT 8883, REST 443, and
// live view and image store are unavailable. File names are relative to HOME.
// Threads: a plain value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include "base/result.h"

namespace verge::agent {

struct HubAddress {
  std::string host;  ///< Also the host in SAS tokens and user names.
  std::uint16_t mqtt_port = 8883;
  std::uint16_t https_port = 8443;
  std::string ca_pem;     ///< Empty: the system's bundle.
  bool is_verge = true;   ///< False: Azure's contract only (no /api/v1, no image store).
  bool is_plain = false;  ///< No TLS. Never set from the file: tests talk to a hub in their own process.
};

struct NetworkSettings {
  std::string name = "azure-iot-edge";
  std::string subnet = "172.31.77.0/24";
  std::string gateway = "172.31.77.1";
};

/// What a module gets, and what no createOptions can exceed.
struct ModuleLimits {
  std::int64_t memory_bytes_default = 512LL << 20;
  std::int64_t memory_bytes_max = 4LL << 30;
  std::int64_t pids_default = 256;
  std::int64_t pids_max = 4096;
  double cpus_max = 0;  ///< Processors per module; 0: all of the machine.
  std::int64_t log_bytes_max = 10LL << 20;
  std::int64_t tmp_bytes = 64LL << 20;
};

struct OutboxSettings {
  std::uint64_t disk_bytes_max = 512ULL << 20;
  std::uint64_t free_bytes_min = 64ULL << 20;  ///< Left on the file system; below it modules are refused.
  std::size_t window = 64;                     ///< Messages on the wire per module without an acknowledgement.
};

/// Rest before a module's restart, doubled with each one.
struct RestartSettings {
  std::int64_t cool_off_s = 10;
  std::int64_t cool_off_s_max = 300;
};

struct Settings {
  std::filesystem::path home;
  HubAddress hub;
  std::string device;
  std::string key;           ///< The device's symmetric key, base64.
  std::string gateway_host;  ///< How modules call the router; default "<device>.edge.internal" in host-name letters.
  std::filesystem::path engine_socket = "/var/run/docker.sock";
  NetworkSettings network;
  std::uint16_t router_mqtt_port = 8883;
  std::uint16_t router_https_port = 443;
  std::uint16_t metrics_port = 9600;
  ModuleLimits limits;
  OutboxSettings outbox;
  RestartSettings restart;
  /// createOptions that this device's owner permits: "Privileged", "CapAdd", "SecurityOpt", "Devices", "Binds",
  /// "HostNetwork", "HostNamespaces", "WritableRoot", "Sysctls". Anything else of that kind is left out, and reported.
  std::set<std::string> allowed;
  std::string label_prefix = "verge";

  /// Eight hex digits that tell the containers of two agents on one machine apart.
  std::string home_tag() const;
  std::filesystem::path state_folder() const { return home / "state"; }
  /// Where the modules' sockets lie; short enough for a socket address (107 bytes) whatever HOME is.
  std::filesystem::path socket_folder() const;
};

/// Reads HOME/agent.json and the files it names. Errors: not_found, invalid_argument naming the member.
Result<Settings> load_settings(const std::filesystem::path& home);

/// True when `address` ("10.0.0.7" or "10.0.0.7:5000") lies in `subnet` ("10.0.0.0/24"). IPv4 only.
bool is_in_subnet(std::string_view address, std::string_view subnet);

}  // namespace verge::agent
