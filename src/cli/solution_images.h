// cli/solution_images.h -- packages a solution's images and brings them to the hub's image store.
//
// Threads: calls block.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/hub_client.h"
#include "cli/solution_models.h"
#include "packaging/blob_store.h"
#include "packaging/package.h"
#include "packaging/registry_client.h"

namespace verge::cli {

/// Adds a file, or a folder with all it holds, to what goes into an image at `path`. A model's report stays out: it is
/// for people and says when the model was learned, while the same model must give the same image.
void place_files(std::map<std::string, std::filesystem::path>& files, const std::string& path,
                 const std::filesystem::path& source);

/// Packages what is not there yet: an image is made again when its pipeline, a file, a model or the runtime changed.
/// What earlier calls made and no image needs any more is removed from the folder. Returns the manifests' digests by
/// image name. Errors: those of packaging with the image's name.
Result<std::map<std::string, std::string>> package_images(const Solution& solution,
                                                          const std::map<std::string, std::filesystem::path>& models,
                                                          packaging::BlobStore& store, const Progress& progress);
/// The same on runtime layers that are in the store. Hold the store's lock.
Result<std::map<std::string, std::string>> package_images_on(const packaging::Runtime& runtime,
                                                             const Solution& solution,
                                                             const std::map<std::string, std::filesystem::path>& models,
                                                             packaging::BlobStore& store, const Progress& progress);

/// The layers of a packaged image with their names, lowest first. Errors: as reading the image.
Result<std::vector<packaging::PackagedModule::Part>> image_parts(const packaging::BlobStore& store,
                                                                 const packaging::Runtime& runtime,
                                                                 const std::string& manifest_digest);
/// "base 8.1 MB, …, module 20 kB": every layer's compressed size.
std::string layer_sizes(const std::vector<packaging::PackagedModule::Part>& parts);

/// "HOST:PORT/REPOSITORY:TAG"; the tag is the first 12 hex digits of the manifest's digest.
std::string image_reference(const HubAddress& hub, const std::string& repository, const std::string& digest);

/// A client of the hub's image store that signs with the service policy.
packaging::RegistryClient registry_of(const HubClient& hub);

/// Pushes every image as SOLUTION/IMAGE. Returns the full references by image name.
Result<std::map<std::string, std::string>> push_images(const HubClient& hub, const Solution& solution,
                                                       const std::map<std::string, std::string>& digests,
                                                       const packaging::BlobStore& store, const Progress& progress);

}  // namespace verge::cli
