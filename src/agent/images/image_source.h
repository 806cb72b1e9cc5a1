// agent/images/image_source.h -- where the reconciler gets images from.
//
// Threads: blocking; call from worker threads, several at once.
#pragma once

#include <optional>
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
};

}  // namespace verge::agent
