// pipeline/sound/sample_format.h -- how samples lie in bytes, and several channels as one.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::pipeline {

/// Signed integers or floats of full scale 1; le and be: the byte that comes first.
enum class SampleFormat : std::uint8_t {
  s16le,
  s16be,      ///< L16 of RTP (RFC 3551 section 4.5.11).
  s24le,      ///< Three bytes.
  s24le_in4,  ///< The lower three of four bytes, as ALSA's S24_LE.
  s32le,
  f32le,
};
/// By its name: "s16le". Errors: invalid_argument naming all.
Result<SampleFormat> read_sample_format(std::string_view name);
std::string_view name_of(SampleFormat format);
std::size_t bytes_of(SampleFormat format);

inline constexpr int kChannelsMax = 8;
inline constexpr int kRateMin_hz = 8'000, kRateMax_hz = 192'000;

/// How sound comes: frames of one sample of each channel, one after the other.
struct SoundShape {
  SampleFormat format = SampleFormat::s16le;
  int rate_hz = 16'000;  ///< kRateMin_hz..kRateMax_hz
  int channels = 1;      ///< 1..kChannelsMax

  std::size_t frame_bytes() const { return bytes_of(format) * static_cast<std::size_t>(channels); }
};
/// Errors: invalid_argument naming the value that is out of range.
Status check_shape(const SoundShape& shape);

/// Which channel is heard: 1 is the first; 0: the average of all.
using Channel = int;
/// Errors: invalid_argument: "channel 3 is not there: it has 2".
Status check_channel(Channel channel, int channels);

/// Appends one sample, -1..1, for each whole frame of `bytes`; returns how many of them reached full scale in a channel
/// that is heard. A float that is no number becomes 0. The shape and channel are sound.
std::size_t append_mono(std::string_view bytes, const SoundShape& shape, Channel channel, std::vector<float>& mono);
/// The same of floats, frame_count * channels of them.
std::size_t append_mono(const float* interleaved, std::size_t frame_count, int channels, Channel channel,
                        std::vector<float>& mono);

}  // namespace verge::pipeline
