#include "audio/conditioning/equalizer.h"

#include <algorithm>
#include <cmath>

namespace verge::audio {
namespace {

/// Share of a correction upward that a band bears: its speech must stand out of its own background, and what is more
/// than 12 dB short is taken for missing, not for quiet.
float trust_in_raising(float wanted_db, float band_snr_db) {
  const float audible = std::clamp((band_snr_db - 3) / 9, 0.0F, 1.0F);
  const float present = std::clamp((36 - wanted_db) / 24, 0.0F, 1.0F);
  return audible * present;
}

/// Decibels per band of speech in general, 0 at 500 Hz.
float reference_db(float frequency_hz) { return -7 * std::max(0.0F, std::log2(frequency_hz / 500)); }

}  // namespace

Equalizer::Equalizer(EqualizerOptions options, std::size_t band_count, LearnedSpectrum learned)
    : options_(options), band_count_(band_count), learned_(learned) {
  learned_.speech_s = std::clamp(learned_.speech_s, 0.0, options_.memory_s);
}

void Equalizer::add_speech(const Bands& power, const Bands& noise, double seconds) {
  learned_.speech_s = std::min(options_.memory_s, learned_.speech_s + seconds);
  const auto share = static_cast<float>(seconds / learned_.speech_s);
  for (std::size_t band = 0; band < band_count_; ++band) {
    const float speech = std::max(0.0F, power[band] - noise[band]);
    learned_.speech_power[band] += share * (speech - learned_.speech_power[band]);
  }
}

Bands Equalizer::gains_db(const Bands& noise, float snr_db) const {
  Bands gains{};
  const auto learned_share = static_cast<float>(learned_.speech_s / (learned_.speech_s + options_.speech_s_half));
  const float snr_share =
      std::clamp((snr_db - options_.snr_db_begin) / (options_.snr_db_full - options_.snr_db_begin), 0.0F, 1.0F);
  const float share = learned_share * snr_share;
  if (share <= 0 || options_.gain_db_max <= 0) return gains;

  Bands wanted{};
  for (std::size_t band = 0; band < band_count_; ++band)
    wanted[band] = reference_db(kBandCentresHz[band]) - decibels(learned_.speech_power[band]);
  // The middle of speech keeps its loudness: only the colour changes.
  std::array<float, kBandCount> middle{};
  const std::size_t from = 2, to = std::min<std::size_t>(8, band_count_);
  std::copy(wanted.begin() + from, wanted.begin() + static_cast<std::ptrdiff_t>(to), middle.begin());
  const auto half = middle.begin() + static_cast<std::ptrdiff_t>((to - from) / 2);
  std::nth_element(middle.begin(), half, middle.begin() + static_cast<std::ptrdiff_t>(to - from));

  for (std::size_t band = 0; band < band_count_; ++band) {
    const float raw_db = wanted[band] - *half;
    float gain_db = std::clamp(raw_db, -options_.gain_db_max, options_.gain_db_max);
    if (gain_db > 0) gain_db *= trust_in_raising(raw_db, decibels(learned_.speech_power[band]) - decibels(noise[band]));
    gains[band] = share * gain_db;
  }
  for (std::size_t band = band_count_; band < kBandCount; ++band) gains[band] = gains[band_count_ - 1];
  return gains;
}

}  // namespace verge::audio
