// audio/conditioning/level.h -- brings speech to one loudness, so that a distant microphone works like a near one.
//
// Low level breaks voice detection before it breaks recognition, so this stands in front of the detector. The gain
// follows what stands out of the background: the loud half of the last seconds of such sound, however long ago they
// were, so that a pause does not turn the noise up. Until something stands out, all sound counts, so that the first
// word finds a gain. Within bounds, with a soft limit against clipping. Threads: one stream.
#pragma once

#include <span>
#include <vector>

namespace verge::audio {

struct LevelOptions {
  float target_db = -23;   ///< RMS of the loud half, relative to full scale, -40..-10.
  float gain_db_max = 60;  ///< 0..80
  double window_s = 3;     ///< Of sound that stands out, 0.5..30.
  float floor_db = -90;    ///< Blocks below it say nothing about the level.
};

class LevelControl {
 public:
  /// initial_gain_db: what it begins with, e.g. the gain that this microphone needed the last time.
  LevelControl(LevelOptions options, double block_s, float initial_gain_db = 0);
  /// Writes the block at the target level; `louder` has the same size and may be the same memory.
  void apply(std::span<const float> samples, std::span<float> louder);
  std::vector<float> apply(std::span<const float> samples);
  float gain_db() const { return gain_db_; }
  /// Of the background, decibels relative to full scale.
  float background_db() const;

 private:
  /// The last powers, at most a window of them.
  struct Window {
    std::vector<float> powers;
    std::size_t next = 0, limit = 1;
    void add(float power);
  };
  void follow(float power);
  float loud_half_of(const Window& window);

  const LevelOptions options_;
  const double block_s_;
  Window any_, standing_out_;
  std::vector<float> sorted_;
  float background_ = 0;  ///< Mean square; 0: nothing heard yet.
  float gain_db_;
};

}  // namespace verge::audio
