// agent/images/image_source.h -- where the reconciler gets images from.
//
// Threads: blocking; call from worker threads, several at once.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "agent/engine/container_engine.h"
#include "contract/manifest.h"

namespace verge::agent {

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// The image as it lies in the engine, ready for a container; nothing when it has to be fetched.
  virtual std::optional<EngineImage> find(const std::string& reference) = 0;
  /// Brings it into the engine. Errors: not_found (also when the policy is `never`), unavailable, corrupt, limit.
  virtual Result<EngineImage> fetch(const contract::ModuleSpec& spec,
                                    const std::map<std::string, contract::RegistryCredential>& registries) = 0;
  /// The manifest's digest as the registry gave it; the engine's id for images that somebody loaded by hand; or "".
  virtual std::string digest_of(const std::string& reference) = 0;
  /// Removes the images that it once brought and that neither `wanted` nor one of the last two good sets names.
  /// `is_good`: the wanted images run, so they are such a set from now on. `is_current` is asked before each removal;
  /// false ends it. Errors: conflict (a container still uses one), unavailable; what could be removed is.
  virtual Status prune(const std::set<std::string>& wanted, bool is_good, const std::function<bool()>& is_current) = 0;
};

}  // namespace verge::agent
