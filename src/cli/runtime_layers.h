// cli/runtime_layers.h -- the layers below every module image, built from this installation once and kept in the image
// folder.
//
// Threads: calls block (building takes up to a minute).
#pragma once

#include <filesystem>

#include "base/result.h"
#include "cli/solution_models.h"
#include "packaging/runtime.h"

namespace verge::cli {

/// Where this installation has its parts.
struct RuntimeParts {
  std::filesystem::path program;      ///< verge-infer
  std::filesystem::path licence;      ///< Ours.
  std::filesystem::path onnxruntime;  ///< libonnxruntime.so.1
  std::vector<std::filesystem::path> onnxruntime_licences;
};
/// Beside the running program, in $VERGE_ONNXRUNTIME and in the cache. Errors: not_found naming the part and what
/// brings it.
Result<RuntimeParts> find_runtime_parts();
/// Lets verge-infer read the pipeline file, so that a mistake is said here and not by a container. Errors:
/// invalid_argument with file, line, column and what is allowed; not_found.
Status check_pipeline(const std::filesystem::path& program, const std::filesystem::path& pipeline);
/// $VERGE_ONNXRUNTIME, else the cache's, if it is there; sets the variable for this process and its children when it is
/// not set.
std::filesystem::path find_onnxruntime();

/// The layers of the store if they were made from these parts; else builds and stores them.
Result<packaging::Runtime> ensure_runtime(packaging::BlobStore& store, const RuntimeParts& parts,
                                          const Progress& progress);

}  // namespace verge::cli
