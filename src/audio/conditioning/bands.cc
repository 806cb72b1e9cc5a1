#include "audio/conditioning/bands.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace verge::audio {

float decibels(float power) { return 10 * std::log10(std::max(power, 1e-12F)); }

BandMap::BandMap(int rate_hz, std::size_t frame_samples) : places_(frame_samples / 2 + 1) {
  const float bin_hz = static_cast<float>(rate_hz) / static_cast<float>(frame_samples);
  for (std::size_t band = 0; band < kBandCount; ++band) {
    const float centre = kBandCentresHz[band];
    if (centre > 0.48F * static_cast<float>(rate_hz)) break;
    const auto from = static_cast<std::size_t>(std::ceil(centre / 1.26F / bin_hz));
    const auto to = std::min(places_.size(), static_cast<std::size_t>(std::floor(centre * 1.26F / bin_hz)) + 1);
    ranges_[band] = {std::min(from, to - 1), to};
    count_ = band + 1;
  }
  VERGE_ASSERT(count_ >= 2);
  for (std::size_t bin = 0; bin < places_.size(); ++bin) {
    const float frequency = std::max(1.0F, static_cast<float>(bin) * bin_hz);
    std::size_t band = 0;
    while (band + 2 < count_ && frequency >= kBandCentresHz[band + 1]) ++band;
    const float low = kBandCentresHz[band], high = kBandCentresHz[band + 1];
    places_[bin] = {band, std::clamp(std::log(frequency / low) / std::log(high / low), 0.0F, 1.0F)};
  }
}

Bands BandMap::mean_of(std::span<const float> power) const {
  VERGE_ASSERT(power.size() == places_.size());
  Bands means{};
  for (std::size_t band = 0; band < count_; ++band) {
    const auto [from, to] = ranges_[band];
    for (std::size_t bin = from; bin < to; ++bin) means[band] += power[bin];
    means[band] /= static_cast<float>(to - from);
  }
  return means;
}

void BandMap::spread(const Bands& values, std::span<float> bins) const {
  VERGE_ASSERT(bins.size() == places_.size());
  for (std::size_t bin = 0; bin < bins.size(); ++bin) {
    const auto [band, part] = places_[bin];
    bins[bin] = values[band] + part * (values[band + 1] - values[band]);
  }
}

}  // namespace verge::audio
