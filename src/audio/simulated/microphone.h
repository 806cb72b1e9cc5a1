// audio/simulated/microphone.h -- what other microphones and rooms make of a recording: to try and to judge a pipeline
// without owning fifty of them.
//
// A condition is a noise in the room at a stated distance below the speech, then a microphone that colours both. Equal
// names, sound and seed give equal samples. Threads: pure functions.
//
// Source: rooms by the image method (Allen & Berkley 1979).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::audio::simulated {

constexpr int kRateHz = 16'000;

/// flat, telephone (300..3400 Hz), low_pass_2k, tilt_up and tilt_down (12 dB from 100 Hz to 6.4 kHz), clipped (at 30 %
/// of the peak), reverberation (200 ms, as loud as the direct sound), office and hall (rooms of 4 x 3 x 2.5 and 14 x 9
/// x 4 m, 1.5 and 3 m away), headset and muffled (measured-like response curves), hum (50 Hz and harmonics, 10 dB below
/// the speech), gain_-50, -40, -30, -20, -10 and +10 (dB, then 16 bit).
std::vector<std::string> microphone_names();
/// clean; white and pink at 20, 10 and 5 dB: "white_20" .. "pink_5".
std::vector<std::string> noise_names();

/// Root mean square of the loud half of the blocks of 32 ms, in dB relative to full scale; -120 for silence.
double speech_level_db(std::span<const float> sound);

/// samples: 16 kHz, -1..1; noise and hum are so far below their mean power, digital silence left out. Errors: not_found
/// (an unknown microphone, noise; the message lists those there are), invalid_argument (less than 0.1 s).
Result<std::vector<float>> hear(std::span<const float> samples, std::string_view microphone, std::string_view noise,
                                std::uint64_t seed);

}  // namespace verge::audio::simulated
