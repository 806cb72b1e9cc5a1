#include "audio/simulated/microphone.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numbers>

namespace verge::audio::simulated {
namespace {

std::vector<float> tone(double frequency_hz, float amplitude, double seconds = 2) {
  std::vector<float> samples(static_cast<std::size_t>(seconds * kRateHz));
  for (std::size_t at = 0; at < samples.size(); ++at)
    samples[at] = amplitude *
                  static_cast<float>(std::sin(2 * std::numbers::pi * frequency_hz * static_cast<double>(at) / kRateHz));
  return samples;
}

double power_db(std::span<const float> samples) {
  double sum = 0;
  for (const float sample : samples) sum += static_cast<double>(sample) * sample;
  return 10 * std::log10(sum / static_cast<double>(samples.size()) + 1e-20);
}

/// What the microphone does to a tone in its middle, where nothing swings in or out.
double gain_db(std::string_view microphone, double frequency_hz) {
  const auto sound = tone(frequency_hz, 0.05F);
  const auto heard = hear(sound, microphone, "clean", 1);
  EXPECT_TRUE(heard);
  const auto middle = [](const std::vector<float>& samples) { return std::span(samples).subspan(8000, 16'000); };
  return power_db(middle(*heard)) - power_db(middle(sound));
}

TEST(SimulatedMicrophone, ColoursAsItsNameSays) {
  const struct {
    std::string_view microphone;
    double frequency_hz, gain_db, tolerance_db;
  } rows[]{{"flat", 1000, 0, 0.01},        {"telephone", 1000, 0, 0.3},   {"telephone", 100, -57, 3},
           {"telephone", 300, -3, 0.5},    {"low_pass_2k", 1000, 0, 0.1}, {"low_pass_2k", 2000, -3, 0.3},
           {"low_pass_2k", 4000, -61, 2},  {"tilt_up", 6000, 5.8, 0.5},   {"tilt_up", 200, -4, 0.7},
           {"tilt_down", 6000, -5.8, 0.5}, {"headset", 3000, 9, 0.7},     {"muffled", 3500, -22, 1},
           {"gain_-20", 1000, -20, 0.1},   {"gain_-40", 1000, -40, 0.2},  {"gain_+10", 1000, 10, 0.1}};
  for (const auto& row : rows)
    EXPECT_NEAR(gain_db(row.microphone, row.frequency_hz), row.gain_db, row.tolerance_db)
        << row.microphone << " at " << row.frequency_hz;
}

TEST(SimulatedMicrophone, NoiseLiesAsFarBelowTheSpeechAsItsNameSays) {
  const auto sound = tone(500, 0.1F, 4);
  for (const auto& [name, snr_db] : {std::pair{"white_20", 20.0}, {"white_5", 5.0}, {"pink_10", 10.0}}) {
    auto heard = *hear(sound, "flat", name, 3);
    for (std::size_t at = 0; at < heard.size(); ++at) heard[at] -= sound[at];
    EXPECT_NEAR(power_db(sound) - power_db(heard), snr_db, 0.2) << name;
  }
}

TEST(SimulatedMicrophone, PinkNoiseFallsByThreeDecibelsAnOctave) {
  const auto sound = tone(1, 0.1F, 8);
  const auto level_at = [&](double frequency_hz) {
    const auto noise = *hear(sound, "flat", "pink_5", 5);
    double real = 0, imaginary = 0, sum = 0;
    for (int part = 0; part < 60; ++part) {  // Means of many short spectra at one frequency.
      real = imaginary = 0;
      for (std::size_t at = 0; at < 2000; ++at) {
        const double turn = 2 * std::numbers::pi * frequency_hz * static_cast<double>(at) / kRateHz;
        const double sample = noise[static_cast<std::size_t>(part) * 2000 + at];
        real += sample * std::cos(turn);
        imaginary += sample * std::sin(turn);
      }
      sum += real * real + imaginary * imaginary;
    }
    return 10 * std::log10(sum);
  };
  EXPECT_NEAR(level_at(500) - level_at(4000), 9, 3);
}

TEST(SimulatedMicrophone, RoomsRingAndKeepTheDirectSound) {
  std::vector<float> click(8000, 0.0F);
  click[100] = 0.5F;
  for (const std::string_view room : {"office", "hall", "reverberation"}) {
    const auto heard = *hear(click, room, "clean", 1);
    EXPECT_NEAR(heard[100], 0.5F, 0.05F) << room;
    EXPECT_LT(power_db(std::span(heard).first(100)), -100) << room;
    EXPECT_GT(power_db(std::span(heard).subspan(1000, 800)), -75) << room;
  }
  const auto office = *hear(click, "office", "clean", 1), hall = *hear(click, "hall", "clean", 1);
  EXPECT_GT(power_db(std::span(hall).subspan(4500, 1600)), power_db(std::span(office).subspan(4500, 1600)) + 10);
}

TEST(SimulatedMicrophone, ClipsAndHums) {
  const auto clipped = *hear(tone(440, 0.5F), "clipped", "clean", 1);
  EXPECT_NEAR(*std::max_element(clipped.begin(), clipped.end()), 0.15F, 0.001F);
  const auto sound = tone(440, 0.1F);
  auto hum = *hear(sound, "hum", "clean", 1);
  for (std::size_t at = 0; at < hum.size(); ++at) hum[at] -= sound[at];
  EXPECT_NEAR(power_db(sound) - power_db(hum), 10, 0.3);
}

TEST(SimulatedMicrophone, EqualSeedsGiveEqualSamples) {
  const auto sound = tone(440, 0.1F);
  for (const auto& microphone : microphone_names()) {
    for (const auto& noise : noise_names()) {
      const auto once = hear(sound, microphone, noise, 7), again = hear(sound, microphone, noise, 7);
      ASSERT_TRUE(once && again) << microphone << " " << noise;
      EXPECT_EQ(*once, *again) << microphone << " " << noise;
      EXPECT_EQ(once->size(), sound.size());
      if (noise == "clean") continue;
      EXPECT_NE(*once, *hear(sound, microphone, noise, 8)) << microphone << " " << noise;
    }
  }
}

TEST(SimulatedMicrophone, SaysWhichNamesThereAre) {
  const auto sound = tone(440, 0.1F);
  EXPECT_THAT(hear(sound, "flatt", "clean", 1).error().message, testing::HasSubstr("flat, telephone"));
  EXPECT_THAT(hear(sound, "flat", "brown", 1).error().message, testing::HasSubstr("clean, white_20"));
  EXPECT_EQ(hear(std::vector<float>(10), "flat", "clean", 1).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace verge::audio::simulated
