#include "audio/conditioning/hum.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

#include "audio/conditioning/speech_for_tests.h"

namespace verge::audio {
namespace {

struct Partial {
  double frequency_hz;
  float amplitude;
};

std::vector<float> sum_of_tones(std::initializer_list<Partial> partials, double seconds, int rate_hz = 16'000) {
  std::vector<float> samples(static_cast<std::size_t>(seconds * rate_hz), 0.0F);
  for (const auto& partial : partials)
    for (std::size_t at = 0; at < samples.size(); ++at)
      samples[at] +=
          partial.amplitude *
          static_cast<float>(std::sin(2 * std::numbers::pi * partial.frequency_hz * static_cast<double>(at) / rate_hz));
  return samples;
}

double amplitude_at(std::span<const float> samples, double frequency_hz, int rate_hz = 16'000) {
  double real = 0, imaginary = 0;
  for (std::size_t at = 0; at < samples.size(); ++at) {
    const double turn = 2 * std::numbers::pi * frequency_hz * static_cast<double>(at) / rate_hz;
    real += samples[at] * std::cos(turn);
    imaginary += samples[at] * std::sin(turn);
  }
  return 2 * std::sqrt(real * real + imaginary * imaginary) / static_cast<double>(samples.size());
}

TEST(HumFilter, FindsTheMainsAndTakesItAndItsMultiplesOut) {
  for (const double mains_hz : {49.93, 50.0, 60.04}) {
    for (const int rate_hz : {8000, 16'000, 48'000}) {
      HumFilter filter(rate_hz);
      auto sound =
          sum_of_tones({{mains_hz, 0.02F}, {2 * mains_hz, 0.01F}, {3 * mains_hz, 0.01F}, {440, 0.05F}}, 20, rate_hz);
      filter.process(sound);
      EXPECT_NEAR(filter.mains_hz(), mains_hz, 0.05) << rate_hz;
      EXPECT_EQ(filter.harmonic_count(), 3) << mains_hz << " " << rate_hz;
      EXPECT_NEAR(filter.level_db(), 10 * std::log10((4 + 1 + 1) * 1e-4 / 2), 1.5);
      const auto end = std::span(sound).last(static_cast<std::size_t>(4 * rate_hz));
      EXPECT_LT(amplitude_at(end, mains_hz, rate_hz), 0.001) << mains_hz << " " << rate_hz;
      EXPECT_LT(amplitude_at(end, 3 * mains_hz, rate_hz), 0.001) << mains_hz << " " << rate_hz;
      EXPECT_NEAR(amplitude_at(end, 440, rate_hz), 0.05, 0.002);
    }
  }
}

TEST(HumFilter, LetsGoWhenTheHumIsGone) {
  HumFilter filter(16'000);
  auto sound = sum_of_tones({{50, 0.02F}}, 10);
  filter.process(sound);
  EXPECT_GT(filter.mains_hz(), 0);
  auto quiet = sum_of_tones({{440, 0.02F}}, 12);
  filter.process(quiet);
  EXPECT_EQ(filter.mains_hz(), 0);
}

TEST(HumFilter, TakesNoVoiceForHum) {
  const auto speech = speech_for_tests();
  HumFilter filter(16'000);
  auto samples = speech;
  for (int round = 0; round < 3; ++round) {
    samples = speech;
    filter.process(samples);
    EXPECT_EQ(filter.mains_hz(), 0) << round;
  }
  EXPECT_EQ(samples, speech);
}

}  // namespace
}  // namespace verge::audio
