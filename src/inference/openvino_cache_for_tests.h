// inference/openvino_cache_for_tests.h -- where `tools/fetch.sh openvino` puts OpenVINO; tests only.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "inference/session.h"

// OpenVINO opens libraries of its own with RTLD_DEEPBIND, at which the address sanitizer ends the program.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VERGE_WITHOUT_OPENVINO
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define VERGE_WITHOUT_OPENVINO
#endif

namespace verge::inference {

/// Names the cache's library in $VERGE_OPENVINO when that is not set, and says whether OpenVINO can be opened.
inline bool find_openvino_for_tests() {
#ifdef VERGE_WITHOUT_OPENVINO
  return false;
#else
  const auto folder_of = [](const char* variable) -> std::filesystem::path {
    const char* value = std::getenv(variable);
    return value == nullptr ? "" : value;
  };
  auto cache = folder_of("VERGE_CACHE");
  if (cache.empty()) cache = folder_of("HOME") / ".cache" / "verge";
  const auto library = cache / "openvino" / "lib" / "libopenvino_c.so.2641";
  if (std::filesystem::exists(library)) setenv("VERGE_OPENVINO", library.c_str(), 0);
  return static_cast<bool>(openvino_version());
#endif
}

}  // namespace verge::inference
