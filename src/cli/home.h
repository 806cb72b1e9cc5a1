// cli/home.h -- where Verge keeps its things on this machine, and how to reach the hub from here.
//
// Threads: plain values and pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace verge::cli {

/// Folders below VERGE_HOME (default: $XDG_DATA_HOME/verge, else ~/.local/share/verge).
struct Home {
  std::filesystem::path root;
  std::filesystem::path hub() const { return root / "hub"; }
  std::filesystem::path agent() const { return root / "agent"; }
  std::filesystem::path engine() const { return root / "engine"; }
  std::filesystem::path images() const { return root / "images"; }  ///< Blobs made by `verge package`.
  std::filesystem::path models() const { return root / "models"; }  ///< Imported and trained models.
  std::filesystem::path logs() const { return root / "log"; }
  std::filesystem::path supervisor_file() const { return root / "supervisor.json"; }
  std::filesystem::path machine_file() const { return root / "machine.json"; }  ///< How this machine was started.
};
Home find_home();
/// $VERGE_CACHE, else $XDG_CACHE_HOME/verge, else ~/.cache/verge: what set-up fetched.
std::filesystem::path find_cache();

/// How to reach a hub: the file that verge-hub writes, or one given with --connection.
struct HubAddress {
  std::string host;
  std::uint16_t mqtt_port = 8883, https_port = 8443, http_port = 8080;
  std::string trust_pem;                ///< The hub's authority.
  std::filesystem::path password_file;  ///< Holds the first administrator's password until it is changed.
  bool is_plain = false;  ///< No TLS on https_port. Never set from a file: tests talk to a server in their own process.
  std::string connection_string;  ///< A service policy: HostName=…;SharedAccessKeyName=…;SharedAccessKey=….
};
/// Errors: not_found with the next step ("run verge up, or name a hub with --connection"), corrupt.
Result<HubAddress> load_hub_address(const std::filesystem::path& file);

}  // namespace verge::cli
