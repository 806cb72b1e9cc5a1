// cli/solution_images.h -- packages a solution's images and brings them to the hub's image store.
//
// Threads: calls block.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "cli/hub_client.h"
#include "cli/solution_models.h"
#include "packaging/blob_store.h"
#include "packaging/registry_client.h"

namespace verge::cli {

/// Packages what is not there yet: an image is made again when its pipeline, a file, a model or the runtime changed.
/// Returns the manifests' digests by image name. Errors: those of packaging with the image's name.
Result<std::map<std::string, std::string>> package_images(const Solution& solution,
                                                          const std::map<std::string, std::filesystem::path>& models,
                                                          packaging::BlobStore& store, const Progress& progress);

/// "HOST:PORT/REPOSITORY:TAG"; the tag is the first 12 hex digits of the manifest's digest.
std::string image_reference(const HubAddress& hub, const std::string& repository, const std::string& digest);

/// A client of the hub's image store that signs with the service policy.
packaging::RegistryClient registry_of(const HubClient& hub);

/// Pushes every image as SOLUTION/IMAGE. Returns the full references by image name.
Result<std::map<std::string, std::string>> push_images(const HubClient& hub, const Solution& solution,
                                                       const std::map<std::string, std::string>& digests,
                                                       const packaging::BlobStore& store, const Progress& progress);

}  // namespace verge::cli
