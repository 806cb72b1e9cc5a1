// audio/conditioning/speech_for_tests.h -- one voice without background, 16 kHz, for tests.
#pragma once

#include <cstdlib>
#include <gtest/gtest.h>

#include "audio/recording/recording.h"

namespace verge::audio {

/// 9 s of a reader that set-up fetches, so many times over.
inline std::vector<float> speech_for_tests(int rounds = 1) {
  const char* folder = std::getenv("VERGE_CACHE");
  const auto cache =
      folder != nullptr ? std::filesystem::path(folder) : std::filesystem::path(std::getenv("HOME")) / ".cache/verge";
  const auto recording = read_recording(cache / "media/speech/beckett.wav", 16'000);
  EXPECT_TRUE(recording) << recording.error().message;
  std::vector<float> samples;
  for (int round = 0; recording && round < rounds; ++round)
    samples.insert(samples.end(), recording->samples.begin(), recording->samples.end());
  return samples;
}

}  // namespace verge::audio
