// audio/conditioning/level.h -- brings speech to one loudness, so that a distant microphone works like a near one.
//
// Low level breaks voice detection before it breaks recognition, so this stands in front of the detector. The gain
// follows the loud half of the last seconds (silence must not turn it up), within bounds, with a soft limit against
// clipping. Threads: one stream.
#pragma once

#include <deque>
#include <span>
#include <vector>

namespace verge::audio {

struct LevelOptions {
  float target_db = -23;   ///< RMS of the loud half, relative to full scale, -40..-10.
  float gain_db_max = 40;  ///< 0..60
  double window_s = 3;     ///< How far it looks back, 0.5..30.
  float floor_db = -70;    ///< Blocks below it say nothing about the level.
};

class LevelControl {
 public:
  LevelControl(LevelOptions options, double block_s);
  /// Returns the block at the target level.
  std::vector<float> apply(std::span<const float> samples);
  float gain_db() const { return gain_db_; }

 private:
  const LevelOptions options_;
  const std::size_t window_blocks_;
  std::deque<float> powers_;  ///< Mean squares of the blocks above the floor.
  float gain_db_ = 0;
};

}  // namespace verge::audio
