// audio/conditioning/conditioner.h -- one microphone's sound made like any other's: without a constant offset and hum,
// with the colour and the level of speech in general.
//
// In this order: high-pass at 20 Hz (constant offset), hum (hum.h), per frame the background of each frequency bin
// (noise_floor.h), colour (equalizer.h) and, when asked for, less background; then the level (level.h). It adapts by
// itself, and begins with what it learned the last time when it is given that. Late by latency_samples(): 256 at 16
// kHz. Threads: one stream; nothing is allocated after construction.
#pragma once

#include <complex>
#include <optional>
#include <span>
#include <vector>

#include "audio/conditioning/bands.h"
#include "audio/conditioning/biquad.h"
#include "audio/conditioning/equalizer.h"
#include "audio/conditioning/fourier.h"
#include "audio/conditioning/hum.h"
#include "audio/conditioning/level.h"
#include "audio/conditioning/noise_floor.h"

namespace verge::audio {

struct ConditionerOptions {
  bool removes_hum = true;
  float equalizer_db_max = 12;  ///< 0..20; 0: the colour stays.
  float suppression_db = 0;     ///< So much quieter the background gets at most, 0..20; 0: not at all.
  bool sets_level = true;
  LevelOptions level;
};

/// What it found out about the microphone; kept across restarts.
struct LearnedMicrophone {
  LearnedSpectrum spectrum;
  float gain_db = 0;
};

/// How the microphone does now. Decibels are relative to full scale, before any treatment.
struct ConditionFacts {
  float background_db = -120;  ///< 200 Hz to 4 kHz.
  float snr_db = 0;            ///< Speech above the background, the same range; 0 until something stood out.
  float gain_db = 0;
  double hum_hz = 0;  ///< 0: none.
  float hum_db = -120;
  double speech_s = 0;  ///< How much sound that stood out its colour rests on, at most 30.
  Bands background_bands_db{}, equalizer_bands_db{};
};

class Conditioner {
 public:
  /// rate_hz: 8000..96000. block_samples: of every call, 32..8192.
  Conditioner(ConditionerOptions options, int rate_hz, std::size_t block_samples,
              const std::optional<LearnedMicrophone>& learned = std::nullopt);
  /// samples, conditioned: block_samples each; may be the same memory.
  void process(std::span<const float> samples, std::span<float> conditioned);
  /// The output is so many samples behind the input.
  std::size_t latency_samples() const { return latency_samples_; }
  ConditionFacts facts() const;
  LearnedMicrophone learned() const;

 private:
  void run_frame();
  void follow_speech();
  void choose_gains();

  const ConditionerOptions options_;
  const int rate_hz_;
  const std::size_t block_samples_;
  Fourier fourier_;
  const std::size_t hop_samples_;
  std::size_t latency_samples_;
  const BandMap map_;
  Biquad offset_;
  HumFilter hum_;
  NoiseFloor noise_;
  Equalizer equalizer_;
  LevelControl level_;

  std::vector<float> window_;           ///< Square root of Hann: once before, once after.
  std::vector<float> input_;            ///< [frame], the newest last.
  std::size_t input_fresh_ = 0;         ///< Samples since the last frame.
  std::vector<float> frame_, overlap_;  ///< [frame]
  std::vector<float> ready_;            ///< Finished samples not yet given out, a ring.
  std::size_t ready_from_ = 0, ready_count_ = 0;
  std::vector<float> block_;
  std::vector<std::complex<float>> spectrum_;
  std::vector<float> power_, gains_, equalizer_gains_, clean_before_;  ///< [bins]
  Bands equalizer_db_{};
  std::size_t range_from_, range_to_;         ///< Bins from 200 Hz to 4 kHz.
  float speech_power_ = 0, noise_power_ = 0;  ///< Of that range, long-term.
  double speech_heard_s_ = 0;
};

}  // namespace verge::audio
