#include "cli/runtime_layers.h"

#include <chrono>
#include <cstdlib>
#include <fmt/format.h>

#include "base/disk.h"
#include "base/process.h"
#include "cli/content_digest.h"
#include "cli/home.h"

namespace verge::cli {
namespace {

using std::filesystem::path;

constexpr std::chrono::seconds kCheckMax{20};
constexpr int kFoldersUp = 4;  // build/release/bin lies three below the sources.

/// LICENSE of the tree that holds the program, or the copyright file of an installed package.
Result<path> find_licence() {
  path folder = program_folder();
  for (int up = 0; up <= kFoldersUp && folder.has_relative_path(); ++up, folder = folder.parent_path()) {
    if (std::filesystem::is_regular_file(folder / "LICENSE")) return folder / "LICENSE";
  }
  const path installed = "/usr/share/doc/verge/copyright";
  if (std::filesystem::is_regular_file(installed)) return installed;
  return Error{ErrorCode::not_found,
               "our own LICENSE file is neither above " + program_folder().string() + " nor at " + installed.string()};
}

Result<std::string> key_of(const RuntimeParts& parts) {
  ContentDigest digest;
  VERGE_CHECK(digest.add_tree("verge", "/proc/self/exe"));
  VERGE_CHECK(digest.add_tree("program", parts.program));
  VERGE_CHECK(digest.add_tree("licence", parts.licence));
  VERGE_CHECK(digest.add_tree("onnxruntime", parts.onnxruntime));
  return digest.short_hex();
}

bool has_all_layers(const packaging::BlobStore& store, const packaging::Runtime& runtime) {
  for (const auto& layer : runtime.layers) {
    if (!store.has(layer.layer.descriptor.digest)) return false;
  }
  return !runtime.layers.empty();
}

}  // namespace

path find_onnxruntime() {
  if (const char* given = std::getenv("VERGE_ONNXRUNTIME"); given != nullptr && *given != '\0') return given;
  auto cached = find_cache() / "onnxruntime" / "lib" / "libonnxruntime.so.1";
  if (!std::filesystem::exists(cached)) return {};
  setenv("VERGE_ONNXRUNTIME", cached.c_str(), 0);
  return cached;
}

Status check_pipeline(const path& program, const path& pipeline) {
  VERGE_TRY(auto checked,
            run_process({.arguments = {program.string(), "--check", "--pipeline", pipeline.string()}}, kCheckMax));
  if (checked.exit_code == 0) return Done{};
  auto& said = checked.output;
  said.erase(said.find_last_not_of(" \n") + 1);
  const std::string name = program.filename().string() + ": ";
  if (said.starts_with(name)) said.erase(0, name.size());
  for (const auto code : {ErrorCode::invalid_argument, ErrorCode::not_found}) {
    if (checked.exit_code == exit_code_of(code)) return Error{code, said};
  }
  return Error{ErrorCode::internal, fmt::format("{} ended with code {} when it read {}: {}", program.string(),
                                                checked.exit_code, pipeline.string(), said)};
}

Result<RuntimeParts> find_runtime_parts() {
  RuntimeParts parts;
  parts.program = program_folder() / "verge-infer";
  if (!std::filesystem::exists(parts.program)) {
    return Error{ErrorCode::not_found, parts.program.string() + " is not there; images need it: ./dev build"};
  }
  VERGE_TRY(parts.licence, find_licence());
  parts.onnxruntime = find_onnxruntime();
  if (parts.onnxruntime.empty() || !std::filesystem::exists(parts.onnxruntime)) {
    return Error{
        ErrorCode::not_found,
        fmt::format("ONNX Runtime is not there ({}); fetch it with tools/fetch.sh, or name libonnxruntime.so.1 in "
                    "VERGE_ONNXRUNTIME",
                    parts.onnxruntime.string())};
  }
  const auto folder = parts.onnxruntime.parent_path().parent_path();
  for (const char* name : {"LICENSE", "ThirdPartyNotices.txt"}) {
    if (std::filesystem::exists(folder / name)) parts.onnxruntime_licences.push_back(folder / name);
  }
  return parts;
}

Result<packaging::Runtime> ensure_runtime(packaging::BlobStore& store, const RuntimeParts& parts,
                                          const Progress& progress) {
  VERGE_TRY(const auto key, key_of(parts));
  const auto key_file = store.folder() / "runtime.key";
  if (const auto known = read_file(key_file); known && *known == key) {
    auto runtime = packaging::load_runtime(store, packaging::this_platform());
    if (runtime && has_all_layers(store, *runtime)) return runtime;
  }
  progress("runtime layers: building them, once for all images");
  packaging::RuntimeOptions options;
  options.program = parts.program;
  options.program_licence = parts.licence;
  options.onnxruntime = parts.onnxruntime;
  options.onnxruntime_licences = parts.onnxruntime_licences;
  VERGE_TRY(auto runtime, packaging::build_runtime(store, options));
  VERGE_CHECK(packaging::save_runtime(store, runtime));
  VERGE_CHECK(write_file(key_file, key));
  return runtime;
}

}  // namespace verge::cli
