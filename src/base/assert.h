// base/assert.h -- stops the program where a bug of ours is found, in release builds too.
#pragma once

namespace verge {

/// Prints the condition and its place, then aborts; the supervisor restarts us.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace verge

#define VERGE_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::verge::assertion_failed(#condition, __FILE__, __LINE__))
