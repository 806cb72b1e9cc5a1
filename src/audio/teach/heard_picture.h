// audio/teach/heard_picture.h -- a stretch of sound as a report shows it: a spectrogram to see, a WAV to hear.
//
// Source: PNG 1.2 with an indexed palette and stored (uncompressed) blocks of RFC 1950/1951. Threads: pure functions.
#pragma once

#include <span>
#include <string>

namespace verge::audio {

/// PNG of 64 mel bands, low ones below, 50 columns a second; loud is bright, over the loudest 60 dB. At most 20 s are
/// shown. Empty when there is less than 50 ms.
std::string spectrogram_png(std::span<const float> samples, int rate_hz);
/// 16 bit, mono, made louder so that its peak is at half of full scale (at most by 40 dB).
std::string audible_wav(std::span<const float> samples, int rate_hz);

}  // namespace verge::audio
