// packaging/runtime.h -- the layers below every module: base, ONNX Runtime, the program, media (FFmpeg).
//
// Built once per release and architecture; a module's image names them by digest and adds only its own layer. The base
// has every library that the program is linked with, so that a new program is a small layer; media, which the program
// opens at run time and only for films, goes only into images whose pipelines need it. Each layer holds the copyright
// file of every package in it and a list at /usr/share/verge/licences/LAYER.json. Threads: pure functions over the
// store.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "packaging/blob_store.h"
#include "packaging/closure.h"
#include "packaging/layer_writer.h"

namespace verge::packaging {

inline constexpr std::uint32_t module_user = 1000;  ///< "verge" in the image's /etc/passwd.
inline constexpr std::string_view program_path = "/usr/bin/verge-infer";

struct RuntimeLayer {
  std::string name;  ///< "base", "onnxruntime", "program", "media"
  Layer layer;
  std::vector<std::string> provides;  ///< Names of the shared libraries in it.
  std::vector<std::string> needs;     ///< Names of the libraries that its files need from other layers.
  /// Not empty: only images go on it whose pipeline has a source of one of these kinds, or that ask for it by name.
  std::vector<std::string> for_sources;
  Json notices() const;  ///< [{"name", "version", "licence"}]
  std::vector<PackageNotice> packages;
};

struct Runtime {
  Platform platform;
  std::vector<RuntimeLayer> layers;  ///< Lowest first.

  const RuntimeLayer* find(std::string_view name) const;
};

struct RuntimeOptions {
  std::filesystem::path program;  ///< verge-infer
  std::string program_version = "0";
  std::filesystem::path program_licence;  ///< Our LICENSE file.
  std::filesystem::path onnxruntime;      ///< libonnxruntime.so.1; opened at run time, so it is in no closure.
  std::string onnxruntime_version = "1.28.0";
  /// Its licence and third-party notices, or the folder of them.
  std::vector<std::filesystem::path> onnxruntime_licences;
  /// What the program opens by name for films; all they need and the base lacks goes with them. None: no media layer.
  std::vector<std::string> media_libraries{"libavformat.so.59", "libavcodec.so.59", "libavutil.so.57",
                                           "libswscale.so.6"};
  std::vector<std::string> media_sources{"camera"};  ///< Kinds of sources that open them.
  std::filesystem::path certificates = "/etc/ssl/certs/ca-certificates.crt";
  std::filesystem::path time_zone = "/usr/share/zoneinfo/Etc/UTC";
  int compression = 9;  ///< zlib's 1..9; another value gives other digests.
  ClosureOptions search;
};

/// Builds the layers. Reproducible: the same files give the same digests.
/// Errors: not_found (a file or library), limit, unavailable.
Result<Runtime> build_runtime(BlobStore& store, const RuntimeOptions& options);

Json to_json(const Runtime& runtime);
/// Errors: invalid_argument naming the member.
Result<Runtime> parse_runtime(std::string_view text);
/// FOLDER/runtime-ARCHITECTURE.json of the store.
Status save_runtime(const BlobStore& store, const Runtime& runtime);
/// Errors: not_found: says to build the layers first.
Result<Runtime> load_runtime(const BlobStore& store, const Platform& platform);

}  // namespace verge::packaging
