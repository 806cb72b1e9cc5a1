// audio/features/mel_scale.h -- the mel scale as HTK has it. Source: O'Shaughnessy 1987. Threads: pure functions.
#pragma once

#include <cmath>

namespace verge::audio {

inline double mel_of(double hz) { return 2595.0 * std::log10(1.0 + hz / 700.0); }
inline double hz_of(double mel) { return 700.0 * (std::pow(10.0, mel / 2595.0) - 1.0); }

}  // namespace verge::audio
