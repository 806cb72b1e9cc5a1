// inference/openvino_cache_for_tests.h -- where `tools/fetch.sh openvino` puts OpenVINO; tests only.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "inference/session.h"

namespace verge::inference {

/// Names the cache's library in $VERGE_OPENVINO when that is not set, and says whether OpenVINO can be opened.
inline bool find_openvino_for_tests() {
  const auto folder_of = [](const char* variable) -> std::filesystem::path {
    const char* value = std::getenv(variable);
    return value == nullptr ? "" : value;
  };
  auto cache = folder_of("VERGE_CACHE");
  if (cache.empty()) cache = folder_of("HOME") / ".cache" / "verge";
  const auto library = cache / "openvino" / "lib" / "libopenvino_c.so.2641";
  if (std::filesystem::exists(library)) setenv("VERGE_OPENVINO", library.c_str(), 0);
  return static_cast<bool>(openvino_version());
}

}  // namespace verge::inference
