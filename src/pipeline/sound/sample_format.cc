#include "pipeline/sound/sample_format.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <fmt/format.h>

namespace verge::pipeline {
namespace {

constexpr float kFullScale = 0.9999F;  // 32767 of 32768 counts.

struct FormatRow {
  SampleFormat format;
  std::string_view name;
  std::size_t bytes;
};
constexpr FormatRow kFormats[] = {{SampleFormat::s16le, "s16le", 2}, {SampleFormat::s16be, "s16be", 2},
                                  {SampleFormat::s24le, "s24le", 3}, {SampleFormat::s24le_in4, "s24le_in4", 4},
                                  {SampleFormat::s32le, "s32le", 4}, {SampleFormat::f32le, "f32le", 4}};

const FormatRow& row_of_format(SampleFormat format) { return kFormats[static_cast<std::size_t>(format)]; }

std::uint32_t little(const unsigned char* at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= std::uint32_t{at[i]} << (8 * i);
  return value;
}

float as_sample(std::uint32_t high_bits) { return static_cast<float>(static_cast<std::int32_t>(high_bits)) * 0x1p-31F; }

float sample_at(const unsigned char* at, SampleFormat format) {
  switch (format) {
    case SampleFormat::s16le:
      return as_sample(little(at, 2) << 16U);
    case SampleFormat::s16be:
      return as_sample(std::uint32_t{at[0]} << 24U | std::uint32_t{at[1]} << 16U);
    case SampleFormat::s24le:
    case SampleFormat::s24le_in4:
      return as_sample(little(at, 3) << 8U);
    case SampleFormat::s32le:
      return as_sample(little(at, 4));
    case SampleFormat::f32le: {
      const float sample = std::bit_cast<float>(little(at, 4));
      return std::isfinite(sample) ? std::clamp(sample, -1.0F, 1.0F) : 0.0F;
    }
  }
  return 0;
}

/// read(channel) gives a sample of the frame.
template <class Read>
bool append_frame(const Read& read, int channels, Channel channel, std::vector<float>& mono) {
  if (channel != 0) {
    const float sample = read(channel - 1);
    mono.push_back(sample);
    return std::abs(sample) >= kFullScale;
  }
  float sum = 0;
  bool is_clipped = false;
  for (int i = 0; i < channels; ++i) {
    const float sample = read(i);
    is_clipped = is_clipped || std::abs(sample) >= kFullScale;
    sum += sample;
  }
  mono.push_back(sum / static_cast<float>(channels));
  return is_clipped;
}

}  // namespace

Result<SampleFormat> read_sample_format(std::string_view name) {
  for (const FormatRow& row : kFormats) {
    if (row.name == name) return row.format;
  }
  return Error{ErrorCode::invalid_argument,
               fmt::format("format is \"{}\"; give s16le, s16be, s24le, s24le_in4, s32le or f32le", name)};
}

std::string_view name_of(SampleFormat format) { return row_of_format(format).name; }
std::size_t bytes_of(SampleFormat format) { return row_of_format(format).bytes; }

Status check_shape(const SoundShape& shape) {
  if (shape.rate_hz < kRateMin_hz || shape.rate_hz > kRateMax_hz) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("a rate of {} Hz; {} to {} are read", shape.rate_hz, kRateMin_hz, kRateMax_hz)};
  }
  if (shape.channels < 1 || shape.channels > kChannelsMax) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{} channels; 1 to {} are read", shape.channels, kChannelsMax)};
  }
  return Done{};
}

Status check_channel(Channel channel, int channels) {
  if (channel >= 0 && channel <= channels) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("channel {} is not there: it has {}; channel 0 is the average of all", channel, channels)};
}

std::size_t append_mono(std::string_view bytes, const SoundShape& shape, Channel channel, std::vector<float>& mono) {
  const std::size_t step = bytes_of(shape.format), frame_bytes = shape.frame_bytes();
  const auto* frame = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::size_t frame_count = bytes.size() / frame_bytes;
  std::size_t clipped = 0;
  mono.reserve(mono.size() + frame_count);
  for (std::size_t i = 0; i < frame_count; ++i, frame += frame_bytes) {
    const auto read = [&](int at) { return sample_at(frame + static_cast<std::size_t>(at) * step, shape.format); };
    clipped += append_frame(read, shape.channels, channel, mono) ? 1 : 0;
  }
  return clipped;
}

std::size_t append_mono(const float* interleaved, std::size_t frame_count, int channels, Channel channel,
                        std::vector<float>& mono) {
  std::size_t clipped = 0;
  mono.reserve(mono.size() + frame_count);
  for (std::size_t i = 0; i < frame_count; ++i, interleaved += channels) {
    const auto read = [&](int at) { return std::isfinite(interleaved[at]) ? interleaved[at] : 0.0F; };
    clipped += append_frame(read, channels, channel, mono) ? 1 : 0;
  }
  return clipped;
}

}  // namespace verge::pipeline
