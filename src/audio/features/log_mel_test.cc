#include "audio/features/log_mel.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <gtest/gtest.h>
#include <numbers>

#include "training/validation.h"

namespace verge::audio {
namespace {

std::vector<float> noise_and_tone(std::size_t count) {
  training::SeededNumbers numbers(7);
  std::vector<float> samples;
  for (std::size_t at = 0; at < count; ++at) {
    const double tone = 0.3 * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(at) / 16'000);
    samples.push_back(static_cast<float>(tone + 0.1 * (numbers.part() - 0.5)));
  }
  return samples;
}

/// The definition, term by term, in double precision.
std::vector<double> by_formula(std::span<const float> samples, const LogMelOptions& options, std::size_t frame) {
  const auto mel_of = [](double hz) { return 2595 * std::log10(1 + hz / 700); };
  const auto hz_of = [](double mel) { return 700 * (std::pow(10, mel / 2595) - 1); };
  const double high_hz = options.high_hz == 0 ? options.rate_hz / 2.0 : options.high_hz;
  std::vector<double> power;
  for (int bin = 0; bin <= options.window / 2; ++bin) {
    std::complex<double> sum;
    for (int at = 0; at < options.window; ++at) {
      const double hann = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * at / options.window);
      const double sample = samples[frame * static_cast<std::size_t>(options.hop) + static_cast<std::size_t>(at)];
      sum += sample * hann * std::polar(1.0, -2 * std::numbers::pi * at * bin / options.window);
    }
    power.push_back(std::norm(sum));
  }
  std::vector<double> mels;
  const double low = mel_of(options.low_hz), step = (mel_of(high_hz) - low) / (options.mels + 1);
  for (int mel = 0; mel < options.mels; ++mel) {
    const double left = hz_of(low + step * mel), peak = hz_of(low + step * (mel + 1)),
                 right = hz_of(low + step * (mel + 2));
    double sum = 0;
    for (std::size_t bin = 0; bin < power.size(); ++bin) {
      const double hz = static_cast<double>(bin) * options.rate_hz / options.window;
      sum += power[bin] * std::max(0.0, std::min((hz - left) / (peak - left), (right - hz) / (right - peak)));
    }
    mels.push_back(std::log(std::max<double>(sum, options.floor)));
  }
  return mels;
}

TEST(LogMel, is_what_the_formula_says) {
  for (const LogMelOptions& options :
       {LogMelOptions{}, LogMelOptions{.window = 512, .hop = 256, .mels = 40, .low_hz = 50, .high_hz = 7000},
        LogMelOptions{.rate_hz = 48'000, .window = 1200, .hop = 480, .mels = 13},
        LogMelOptions{.window = 30, .hop = 7, .mels = 3}, LogMelOptions{.window = 54, .hop = 54, .mels = 5}}) {
    const auto samples = noise_and_tone(6000);
    auto log_mel = LogMel::make(options);
    ASSERT_TRUE(log_mel) << log_mel.error().message;
    std::vector<float> frames;
    log_mel->add(samples, frames);
    const auto mels = static_cast<std::size_t>(options.mels);
    const std::size_t count =
        (samples.size() - static_cast<std::size_t>(options.window)) / static_cast<std::size_t>(options.hop) + 1;
    ASSERT_EQ(frames.size(), count * mels);
    for (const std::size_t frame : {std::size_t{0}, count / 2, count - 1}) {
      const auto expected = by_formula(samples, options, frame);
      for (std::size_t mel = 0; mel < mels; ++mel)
        EXPECT_NEAR(frames[frame * mels + mel], expected[mel], 2e-3) << options.window << " " << frame << " " << mel;
    }
  }
}

TEST(LogMel, gives_the_same_however_the_sound_is_cut) {
  const auto samples = noise_and_tone(8000);
  auto whole = LogMel::make({}), pieces = LogMel::make({});
  std::vector<float> expected, frames;
  whole->add(samples, expected);
  for (std::size_t at = 0, length = 1; at < samples.size(); at += length, length = length * 3 % 701 + 1) {
    length = std::min(length, samples.size() - at);
    pieces->add(std::span(samples).subspan(at, length), frames);
  }
  EXPECT_EQ(frames, expected);
}

TEST(LogMel, silence_is_the_floor_and_a_tone_lies_in_its_band) {
  auto log_mel = LogMel::make({});
  std::vector<float> frames;
  log_mel->add(std::vector<float>(400, 0.0F), frames);
  for (const float value : frames) EXPECT_NEAR(value, std::log(1e-10), 1e-4);
  const auto triangle = log_mel->triangle(20);
  EXPECT_EQ(triangle.size(), 201U);
  EXPECT_LE(*std::ranges::max_element(triangle), 1.0F);
}

TEST(LogMel, refuses_what_it_cannot_do) {
  for (const LogMelOptions& options :
       {LogMelOptions{.rate_hz = 0}, LogMelOptions{.window = 401}, LogMelOptions{.window = 14 * 11},
        LogMelOptions{.hop = 0}, LogMelOptions{.mels = 0}, LogMelOptions{.low_hz = 9000},
        LogMelOptions{.high_hz = 9000}, LogMelOptions{.floor = 0}}) {
    const auto made = LogMel::make(options);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace verge::audio
