// agent/upstream/hub_api.h -- the hub's REST calls that a device makes with its own key.
//
// Source: wire contract §4.6. Threads: blocking; call from worker threads.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "agent/settings.h"
#include "base/result.h"
#include "base/time.h"

namespace verge::agent {

/// A module's proof of who it is.
struct ModuleIdentity {
  std::string primary_key, secondary_key;  ///< base64
  std::string generation;
  bool is_managed = true;  ///< By us ("IotEdge"), so that we may remove it.
  bool operator==(const ModuleIdentity&) const = default;
};
using ModuleIdentities = std::map<std::string, ModuleIdentity>;

class HubApi {
 public:
  /// is_cancelled: asked twice a second while a call waits; may be empty.
  HubApi(const Settings& settings, const Clock& clock, std::function<bool()> is_cancelled = {})
      : settings_(settings), clock_(clock), is_cancelled_(std::move(is_cancelled)) {}

  /// All modules of this device, system modules included. Errors: unavailable, timeout; not_found when the hub does
  /// not know the device.
  Result<ModuleIdentities> list_modules() const;
  /// Creates it; one that is there already is returned.
  Result<ModuleIdentity> create_module(const std::string& module) const;
  Status remove_module(const std::string& module) const;
  /// "SharedAccessSignature …" of the device, good for an hour.
  Result<std::string> device_token() const;

 private:
  const Settings& settings_;
  const Clock& clock_;
  const std::function<bool()> is_cancelled_;
};

/// Kept on disk with mode 0600, so that modules can prove who they are while the hub is away.
Status save_identities(const std::filesystem::path& path, const ModuleIdentities& identities);
/// Empty when there is no file. Errors: corrupt.
Result<ModuleIdentities> load_identities(const std::filesystem::path& path);

}  // namespace verge::agent
