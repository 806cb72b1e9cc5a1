// inference/library_places.h -- finds an engine's library and opens it; engines only.
//
// Looks at the path in an environment variable (then nowhere else), beside the program, in ../lib, and where the system
// looks. Threads: pure function.
#pragma once

#include <string>

#include "base/result.h"

namespace verge::inference {

struct LibraryWanted {
  std::string product;   ///< "ONNX Runtime 1.28.0", for messages.
  std::string file;      ///< "libonnxruntime.so.1"
  std::string variable;  ///< "VERGE_ONNXRUNTIME"
};

/// What dlopen gave; never closed, because engines' own threads and allocators do not survive that.
/// Errors: unavailable; the message lists where it looked and why each place failed.
Result<void*> open_library(const LibraryWanted& wanted);

}  // namespace verge::inference
