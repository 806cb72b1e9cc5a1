// agent/workload/workload_api.h -- the socket every module gets: the trust bundle, signatures with its own key.
//
// One unix socket per module, in a folder of its own that is mounted into the container (read-only): the folder is
// what tells modules apart. Keys never leave the agent.
// Encryption: counter mode over HMAC-SHA-256 with a tag over initialization vector and ciphertext; key = HMAC of
// the device's secret with the module's name.
// Source: wire contract §4.5. Threads: everything on the loop's thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "agent/upstream/hub_api.h"
#include "base/certificates.h"
#include "base/loop.h"
#include "base/result.h"

namespace verge::agent {

class WorkloadApi {
 public:
  /// secret: 32 bytes or more that stay the same over restarts.
  WorkloadApi(Loop& loop, std::filesystem::path folder, KeyAndCertificate device_authority, std::string secret);
  ~WorkloadApi();

  /// Exactly these modules have a socket from now on; those of others are removed.
  Status serve(const ModuleIdentities& modules);
  std::filesystem::path socket_of(const std::string& module) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All are raw bytes; `vector` is the initialization vector, as the module chose it.
std::string seal(const std::string& key, const std::string& vector, const std::string& plain);
/// Errors: corrupt when the tag does not fit.
Result<std::string> unseal(const std::string& key, const std::string& vector, const std::string& sealed);

}  // namespace verge::agent
