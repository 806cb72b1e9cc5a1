// audio/conditioning/bands.h -- eleven bands that describe the colour of a microphone, whatever its sampling rate.
//
// Threads: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace verge::audio {

constexpr std::size_t kBandCount = 11;
constexpr std::array<float, kBandCount> kBandCentresHz{100, 160, 250, 400, 630, 1000, 1600, 2500, 4000, 6300, 7600};
/// Mean power per bin, or decibels, of each band. Bands that the sampling rate does not reach are 0 (-120 dB).
using Bands = std::array<float, kBandCount>;

/// Of a mean square; -120 for next to nothing.
float decibels(float power);

/// From bins to bands and back, for one sampling rate and frame size.
class BandMap {
 public:
  BandMap(int rate_hz, std::size_t frame_samples);
  /// Bands that lie below half the sampling rate: the first so many.
  std::size_t count() const { return count_; }
  Bands mean_of(std::span<const float> power) const;
  /// Between the centres straight over the logarithm of the frequency; outside them as the last one. gains: [bins]
  void spread(const Bands& values, std::span<float> bins) const;

 private:
  struct Place {
    std::size_t band;
    float part;  ///< Of the next band, 0..1.
  };
  std::array<std::pair<std::size_t, std::size_t>, kBandCount> ranges_{};  ///< First bin, one after the last.
  std::vector<Place> places_;
  std::size_t count_ = 0;
};

}  // namespace verge::audio
