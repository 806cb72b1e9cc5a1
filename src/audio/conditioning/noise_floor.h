// audio/conditioning/noise_floor.h -- the power of the background in each frequency bin, while somebody speaks over it.
//
// Source: Gerkmann & Hendriks 2012, "Unbiased MMSE-based noise power estimation with low complexity and low tracking
// delay": each frame's power counts for the background as much as it is unlikely to be speech. Threads: one stream.
#pragma once

#include <span>
#include <vector>

namespace verge::audio {

class NoiseFloor {
 public:
  explicit NoiseFloor(std::size_t bins);
  /// power: squared magnitudes of the next frame, [bins]; frames 8..20 ms apart.
  void add(std::span<const float> power);
  /// [bins]; 0 until the first frame.
  std::span<const float> power() const { return noise_; }

 private:
  std::vector<float> noise_;
  std::vector<float> presence_;  ///< Smoothed probability of speech.
  bool is_new_ = true;
};

}  // namespace verge::audio
