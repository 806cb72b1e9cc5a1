#include "inference/library_places.h"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <vector>

#include "base/process.h"

namespace verge::inference {
namespace {

std::vector<std::string> places_to_look(const LibraryWanted& wanted) {
  const char* given = std::getenv(wanted.variable.c_str());
  if (given != nullptr && *given != '\0') return {given};
  const auto folder = program_folder();
  return {(folder / wanted.file).string(), (folder / ".." / "lib" / wanted.file).lexically_normal().string(),
          wanted.file};
}

}  // namespace

Result<void*> open_library(const LibraryWanted& wanted) {
  std::string looked;
  for (const std::string& place : places_to_look(wanted)) {
    if (void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* reason = dlerror();
    looked += fmt::format("\n  {}: {}", place, reason == nullptr ? "cannot be opened" : reason);
  }
  return Error{ErrorCode::unavailable, fmt::format("open {}: not found; set {} to {}. Looked at:{}", wanted.product,
                                                   wanted.variable, wanted.file, looked)};
}

}  // namespace verge::inference
