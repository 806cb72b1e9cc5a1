// connectors/microphone/sounds_for_tests.h -- running a microphone until enough was heard; tests only.
#pragma once

#include <bit>
#include <cmath>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "base/time.h"
#include "connectors/microphone/microphone_counters.h"
#include "pipeline/sound/sample_format.h"
#include "pipeline/stage.h"

namespace verge::connectors {

inline std::vector<float> tone(double hz, int rate_hz, double seconds, double amplitude = 0.5) {
  std::vector<float> samples(static_cast<std::size_t>(seconds * rate_hz));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i] = static_cast<float>(amplitude * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rate_hz));
  }
  return samples;
}

inline std::string as_bytes(const std::vector<float>& samples, pipeline::SampleFormat format) {
  using pipeline::SampleFormat;
  std::string bytes;
  for (const float sample : samples) {
    std::uint32_t bits = std::bit_cast<std::uint32_t>(sample);
    if (format != SampleFormat::f32le) bits = static_cast<std::uint32_t>(std::llround(double{sample} * 2147483647.0));
    if (format == SampleFormat::s24le || format == SampleFormat::s24le_in4) bits >>= 8U;
    if (format == SampleFormat::s16le || format == SampleFormat::s16be) bits >>= 16U;
    if (format == SampleFormat::s16be) bits = (bits & 255U) << 8U | bits >> 8U;
    for (std::size_t i = 0; i < pipeline::bytes_of(format); ++i) bytes.push_back(static_cast<char>(bits >> (8 * i)));
  }
  return bytes;
}

/// Amplitude of one frequency in the samples (Goertzel's sum).
inline double amplitude_of(const std::vector<float>& samples, double hz, int rate_hz) {
  double real = 0, imaginary = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double angle = 2 * std::numbers::pi * hz * static_cast<double>(i) / rate_hz;
    real += samples[i] * std::cos(angle);
    imaginary += samples[i] * std::sin(angle);
  }
  return samples.empty() ? 0 : 2 * std::hypot(real, imaginary) / static_cast<double>(samples.size());
}

struct Heard {
  std::vector<float> samples;
  std::vector<std::int64_t> captured_us;  ///< Of each block.
  std::vector<std::string> errors;        ///< What the executor was told.
};

/// Runs a source as the executor does, until is_enough(heard) or the time is over.
inline Heard hear(pipeline::Source& source, const std::function<bool(const Heard&)>& is_enough,
                  double seconds_max = 20) {
  Heard heard;
  const std::int64_t end_us = system_clock().monotonic_us() + static_cast<std::int64_t>(seconds_max * 1e6);
  const auto is_over = [&] { return system_clock().monotonic_us() > end_us || is_enough(heard); };
  while (!is_over()) {
    Status ended = source.open();
    if (ended) {
      ended = source.run(
          [&](const pipeline::Packet& packet) {
            const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
            heard.samples.insert(heard.samples.end(), block->samples.begin(), block->samples.end());
            heard.captured_us.push_back(packet.captured_us);
          },
          is_over);
    }
    if (!ended) heard.errors.push_back(ended.error().message);
    if (heard.errors.size() > 20) break;
  }
  return heard;
}

}  // namespace verge::connectors
