// Files that claim to be sound: no crash, and every sample that comes out is a number.
#include <cmath>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "audio/recording/recording.h"
#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const int file = memfd_create("recording", 0);
  VERGE_ASSERT(file >= 0 && ftruncate(file, 0) == 0);
  VERGE_ASSERT(pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  const auto recording = verge::audio::read_recording("/proc/self/fd/" + std::to_string(file), 16'000, 30);
  if (!recording) {
    VERGE_ASSERT(!recording.error().message.empty());
    return 0;
  }
  VERGE_ASSERT(recording->samples.size() <= 31U * 16'000);
  for (const float sample : recording->samples) VERGE_ASSERT(std::isfinite(sample));
  return 0;
}
