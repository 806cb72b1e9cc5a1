// audio/conditioning/hum.h -- finds the hum of the mains and takes it out with narrow notches, only where there is
// some.
//
// A tone at a multiple of 50 or 60 Hz that stays for seconds is hum; a voice passes such a frequency but does not stay.
// The mains' true frequency is measured and followed (49.8..50.2 Hz in practice). Threads: one stream.
#pragma once

#include <array>
#include <complex>
#include <span>
#include <vector>

#include "audio/conditioning/biquad.h"
#include "audio/conditioning/fourier.h"

namespace verge::audio {

class HumFilter {
 public:
  static constexpr int kHarmonics = 12;

  explicit HumFilter(int rate_hz);
  /// Takes the hum out, in place. It takes 5 s of hum to be found, and 10 s without to be let go.
  void process(std::span<float> samples);
  /// The mains' frequency; 0: no hum.
  double mains_hz() const { return is_humming_ ? mains_hz_ : 0; }
  /// Multiples of it that are filtered.
  int harmonic_count() const;
  /// The hum's level, relative to full scale, decibels; -120 without.
  float level_db() const { return is_humming_ ? level_db_ : -120; }

 private:
  struct Tone {
    double frequency_hz = 0;
    float over_neighbours = 0;  ///< Power, as a factor.
    float power = 0;            ///< Mean square.
  };
  struct Harmonic {
    std::uint32_t seen = 0;  ///< One bit a look, the newest lowest.
    double frequency_hz = 0;
    float power = 0;
    bool is_filtered = false;
    Biquad notch;
  };
  void look();
  Tone tone_near(double frequency_hz, double tolerance_hz) const;
  void judge();
  void tune();

  const int rate_hz_;
  Fourier fourier_;
  const std::vector<float> window_;
  std::vector<float> recent_, frame_;  ///< A ring of the last sound; the same in order, windowed.
  std::vector<std::complex<float>> spectrum_;
  std::vector<float> power_;
  std::size_t at_ = 0, until_look_;
  /// Of 50 and 60 Hz.
  std::array<std::array<Harmonic, kHarmonics>, 2> harmonics_;
  std::size_t base_ = 0;
  bool is_humming_ = false;
  double mains_hz_ = 0;
  float level_db_ = -120;
};

}  // namespace verge::audio
