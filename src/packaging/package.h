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

/// The kinds of the sources of a pipeline, each once, sorted. Errors: as find_named_files.
Result<std::vector<std::string>> find_source_kinds(std::string_view yaml, std::string_view file_name);

struct PackageOptions {
  std::filesystem::path pipeline;  ///< The YAML file; what it names is looked up beside it and added by itself.
  /// Further files or folders, or another place for a named one: path beside the pipeline in the image → source.
  std::map<std::string, std::filesystem::path> files;
  std::string reference;  ///< "verge/vision:1"; the name in the store.
  /// Optional runtime layers besides those that the pipeline's sources need: "media", for a source that comes with the
  /// module's twin.
  std::vector<std::string> needs;
  Annotations labels;
  std::vector<std::string> environment;
  std::vector<std::string> arguments;  ///< Appended to the entry point's own.
};

struct PackagedModule {
  Descriptor manifest;
  Layer layer;                    ///< The module's own.
  std::uint64_t image_bytes = 0;  ///< All layers, compressed.
  struct Part {
    std::string name;  ///< "base", …, "module"
    std::string digest;
    std::uint64_t bytes = 0;  ///< Compressed.
  };
  std::vector<Part> parts;  ///< Its layers, lowest first.
};

/// Errors: not_found: a file that the pipeline names is not there ("vision.yaml:7:14: model "door" …; beside it are:
/// …"); invalid_argument: `needs` names a layer that does not exist; others as the store's.
Result<PackagedModule> package_module(BlobStore& store, const Runtime& runtime, const PackageOptions& options);

}  // namespace verge::packaging
