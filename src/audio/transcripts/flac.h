// audio/transcripts/flac.h -- mono sound as the bytes of a FLAC file: lossless, half of WAV, played by every browser.
//
// Threads: pure function.
#pragma once

#include <span>
#include <string>

#include "base/result.h"

namespace verge::audio {

/// samples: -1..1, kept with 16 bits; what is beyond is cut off. Errors: invalid_argument (nothing, a rate that FLAC
/// has not), internal.
Result<std::string> to_flac(std::span<const float> samples, int rate_hz);

}  // namespace verge::audio
