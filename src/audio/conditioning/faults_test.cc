#include "audio/conditioning/faults.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numbers>
#include <random>
#include <string>
#include <vector>

namespace verge::audio {
namespace {

constexpr std::size_t kFaultBlock = 512;
constexpr double kFaultBlockS = 0.032;

using Sound = std::vector<float>;

Sound hiss(float size, double seconds) {
  std::minstd_rand random(3);
  std::uniform_real_distribution<float> draw(-size, size);
  Sound sound(static_cast<std::size_t>(seconds / kFaultBlockS) * kFaultBlock);
  for (float& sample : sound) sample = draw(random);
  return sound;
}

Sound tone(float amplitude, double frequency_hz, double seconds) {
  Sound sound(static_cast<std::size_t>(seconds / kFaultBlockS) * kFaultBlock);
  for (std::size_t at = 0; at < sound.size(); ++at)
    sound[at] = amplitude *
                static_cast<float>(std::sin(2 * std::numbers::pi * frequency_hz * static_cast<double>(at) / 16'000));
  return sound;
}

Sound cut(Sound sound, float limit) {
  for (float& sample : sound) sample = std::clamp(sample, -limit, limit);
  return sound;
}

Sound constant(float value, double seconds) {
  return Sound(static_cast<std::size_t>(seconds / kFaultBlockS) * kFaultBlock, value);
}

/// "dead@10.0", "alive@15.0" in the order told, with the second of the stream.
std::vector<std::string> told(std::initializer_list<Sound> sounds) {
  FaultWatch watch({}, kFaultBlockS);
  std::vector<std::string> changes;
  double now_s = 0;
  for (const auto& sound : sounds) {
    for (std::size_t at = 0; at + kFaultBlock <= sound.size(); at += kFaultBlock) {
      now_s += kFaultBlockS;
      watch.add(std::span(sound).subspan(at, kFaultBlock), [&](const FaultChange& change) {
        const std::string name = change.fault == MicrophoneFault::dead ? (change.is_over ? "alive" : "dead")
                                                                       : (change.is_over ? "clear" : "clipping");
        changes.push_back(name + "@" + std::to_string(std::lround(now_s)));
      });
    }
  }
  return changes;
}

TEST(FaultWatch, TellsEachChangeOnce) {
  const struct {
    const char* what;
    std::vector<std::string> found, wanted;
  } rows[]{
      {"room noise", told({hiss(0.001F, 60)}), {}},
      {"digital silence", told({constant(0, 60)}), {"dead@10"}},
      {"stuck", told({hiss(0.01F, 5), constant(0.7F, 20), hiss(0.01F, 5)}), {"dead@15", "alive@26"}},
      {"the last bit flickers", told({hiss(0.9F / 32'768, 30)}), {"dead@10"}},
      {"a pause", told({hiss(0.01F, 5), constant(0, 9), hiss(0.01F, 5)}), {}},
      {"a click does not bring it to life", told({constant(0, 20), hiss(0.1F, 0.5), constant(0, 5)}), {"dead@10"}},
      {"loud but whole", told({tone(0.98F, 300, 30), tone(0.9F, 60, 10), tone(0.4F, 1000, 10)}), {}},
      {"loud noise", told({hiss(0.9F, 20)}), {}},
      {"cut at full scale", told({cut(tone(2, 300, 5), 1), hiss(0.01F, 20)}), {"clipping@1", "clear@15"}},
      {"cut lower down", told({cut(tone(0.6F, 300, 5), 0.2F)}), {"clipping@1"}},
      {"one loud word", told({hiss(0.01F, 5), cut(tone(2, 300, 0.3), 1), hiss(0.01F, 5)}), {}},
  };
  for (const auto& row : rows) EXPECT_EQ(row.found, row.wanted) << row.what;
}

}  // namespace
}  // namespace verge::audio
