#include "audio/conditioning/level.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

namespace verge::audio {
namespace {

std::vector<float> tone(float amplitude) {
  std::vector<float> samples(512);
  for (std::size_t at = 0; at < samples.size(); ++at) {
    samples[at] =
        amplitude * static_cast<float>(std::sin(2 * std::numbers::pi * 440 * static_cast<double>(at) / 16'000));
  }
  return samples;
}

double level_db(const std::vector<float>& samples) {
  double sum = 0;
  for (const float sample : samples) sum += static_cast<double>(sample) * sample;
  return 10 * std::log10(sum / static_cast<double>(samples.size()));
}

TEST(LevelControl, BringsQuietAndLoudToTheTarget) {
  for (const float amplitude : {0.003F, 0.02F, 0.1F, 0.9F}) {
    LevelControl control({}, 0.032);
    std::vector<float> out;
    for (int block = 0; block < 100; ++block) out = control.apply(tone(amplitude));
    EXPECT_NEAR(level_db(out), -23, 1.0) << amplitude;
  }
}

TEST(LevelControl, SilenceDoesNotTurnItUp) {
  LevelControl control({}, 0.032);
  for (int block = 0; block < 50; ++block) control.apply(tone(0.1F));
  const float before = control.gain_db();
  for (int block = 0; block < 500; ++block) control.apply(std::vector<float>(512, 0.0F));
  EXPECT_FLOAT_EQ(control.gain_db(), before);
}

TEST(LevelControl, NeverLeavesFullScale) {
  LevelControl control({}, 0.032);
  for (int block = 0; block < 100; ++block) control.apply(tone(0.001F));
  for (const float sample : control.apply(tone(1.0F))) EXPECT_LE(std::abs(sample), 1.0F);
}

}  // namespace
}  // namespace verge::audio
