// packaging/package.h -- a pipeline file and its models become a module image.
//
// Image: /module/pipeline.yaml and, beside it, every file under the path by which the pipeline names it; entry point
// /usr/bin/verge-infer /module/pipeline.yaml; user 1000, works with a read-only root and without network.
// Threads: pure functions over the store.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "packaging/image_builder.h"
#include "packaging/runtime.h"

namespace verge::packaging {

inline constexpr std::string_view module_folder = "/module";

/// A local file or folder that a pipeline names.
struct NamedFile {
  std::string key;           ///< "model"
  std::string path;          ///< As written.
  int line = 0, column = 0;  ///< From 1.
};
/// Every relative path in a pipeline under one of the keys model, models, path, file, files, folder, url, tokenizer,
/// card. Addresses (with "://") and absolute paths (mounts, devices) are left out. Errors: invalid_argument
/// "file:line:column: …".
Result<std::vector<NamedFile>> find_named_files(std::string_view yaml, std::string_view file_name);

struct PackageOptions {
  std::filesystem::path pipeline;  ///< The YAML file; what it names is looked up beside it and added by itself.
  /// Further files or folders, or another place for a named one: path beside the pipeline in the image → source.
  std::map<std::string, std::filesystem::path> files;
  std::string reference;           ///< "verge/vision:1"; the name in the store.
  std::vector<std::string> needs;  ///< Optional runtime layers: "media".
  Annotations labels;
  std::vector<std::string> environment;
  std::vector<std::string> arguments;  ///< Appended to the entry point's own.
};

struct PackagedModule {
  Descriptor manifest;
  Layer layer;                           ///< The module's own.
  std::uint64_t image_bytes = 0;         ///< All layers, compressed.
  std::vector<std::string> layer_names;  ///< "base", …, "module"
};

/// Errors: not_found: a file that the pipeline names is not there ("vision.yaml:7:14: model "door" …; beside it are:
/// …"); invalid_argument: the program needs a library of an optional layer that `needs` leaves out; others as the
/// store's.
Result<PackagedModule> package_module(BlobStore& store, const Runtime& runtime, const PackageOptions& options);

}  // namespace verge::packaging
