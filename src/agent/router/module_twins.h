// agent/router/module_twins.h -- the modules' twins, served with and without the hub.
//
// With the hub: reads and reports go there, and the answer is kept. Without: reads come from what is kept; reports are
// merged, stored durably, answered, and sent when the hub is back; what changed in the desired properties meanwhile
// reaches the module as one patch.
// Source: wire contract §4.2. Threads: everything on the loop's thread; `workers` write the files: give them one
// thread, so that an older state never replaces a newer one.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/loop.h"
#include "base/result.h"

namespace verge::agent {

struct ModuleTwinsOptions {
  /// How long a read waits for the hub when nothing is kept: a module's own connection to the hub is opened when the
  /// module connects, and stock SDKs read the twin right then.
  std::chrono::milliseconds first_read_wait{5000};
  std::size_t waiting_max = 16;  ///< Such reads of one module; more are refused at once.
};

class ModuleTwins {
 public:
  /// The way to the hub; see HubLink.
  struct Upstream {
    std::function<bool(const std::string& module)> is_online;
    std::function<void(const std::string& module, std::function<void(Result<Json>)>)> get_twin;
    std::function<void(const std::string& module, const Json& patch, std::function<void(Result<std::int64_t>)>)> report;
  };
  using OnDesired = std::function<void(const std::string& module, std::int64_t version, const Json& patch)>;

  ModuleTwins(Loop& loop, Workers& workers, std::filesystem::path folder, Upstream upstream, OnDesired on_desired,
              ModuleTwinsOptions options = {});
  ~ModuleTwins();

  /// {"desired": {…, "$version"}, "reported": {…, "$version"}}. Errors: unavailable when the twin was
  /// never read and the hub stays away for first_read_wait.
  void get(const std::string& module, std::function<void(Result<Json>)> done);
  /// Gives the new version of the reported properties. Errors: invalid_argument, limit (Azure's words).
  void report(const std::string& module, const Json& patch, std::function<void(Result<std::int64_t>)> done);

  void upstream_connected(const std::string& module);
  /// A patch from the hub; passed on to the module. A gap in the versions makes us read the whole twin.
  void upstream_desired(const std::string& module, std::int64_t version, const Json& patch);
  /// Reports that the hub has not got yet.
  bool has_pending(const std::string& module) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::agent
