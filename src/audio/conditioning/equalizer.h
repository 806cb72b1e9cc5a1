// audio/conditioning/equalizer.h -- what each band needs so that speech from this microphone has the colour of speech
// from any other.
//
// The long-term spectrum of what stands out of the background is compared with that of speech in general: flat to 500
// Hz, then falling by 7 dB an octave. A band is never raised by more than stated, less when little of it arrives (noise
// would come up, not speech), and not at all when nothing does. It is applied only when speech stands well above the
// background: otherwise the noise that it raises costs more words than the colour does. Threads: one stream.
#pragma once

#include "audio/conditioning/bands.h"

namespace verge::audio {

struct EqualizerOptions {
  float gain_db_max = 12;    ///< Either way, 0..20; 0 changes nothing.
  float snr_db_begin = 10;   ///< No equalisation up to this distance between speech and background,
  float snr_db_full = 18;    ///< all of it from here on.
  double memory_s = 30;      ///< Of speech; older speech counts less.
  double speech_s_half = 3;  ///< After so much speech half of the correction is applied.
};

/// What was learned of a microphone's colour; kept across restarts.
struct LearnedSpectrum {
  Bands speech_power{};  ///< Mean squared magnitude per bin, speech without the background.
  double speech_s = 0;   ///< How much speech that rests on, at most memory_s.
};

class Equalizer {
 public:
  Equalizer(EqualizerOptions options, std::size_t band_count, LearnedSpectrum learned = {});
  /// A frame in which somebody speaks: mean power of its bands, background included, and of the background.
  void add_speech(const Bands& power, const Bands& noise, double seconds);
  /// Decibels for each band at this distance between speech and background; noise as above.
  Bands gains_db(const Bands& noise, float snr_db) const;
  const LearnedSpectrum& learned() const { return learned_; }

 private:
  const EqualizerOptions options_;
  const std::size_t band_count_;
  LearnedSpectrum learned_;
};

}  // namespace verge::audio
