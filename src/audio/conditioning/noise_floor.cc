#include "audio/conditioning/noise_floor.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace verge::audio {
namespace {

constexpr float kSpeechOverNoise = 31.6F;  ///< 15 dB: how much louder speech is than the background, when present.
constexpr float kPresenceMemory = 0.9F, kPresenceMax = 0.99F;  ///< Long presence is doubted, so that it cannot stick.
constexpr float kNoiseMemory = 0.8F;
constexpr float kPowerMin = 1e-12F;

}  // namespace

NoiseFloor::NoiseFloor(std::size_t bins) : noise_(bins, 0.0F), presence_(bins, 0.5F) {}

void NoiseFloor::add(std::span<const float> power) {
  VERGE_ASSERT(power.size() == noise_.size());
  if (is_new_) {
    is_new_ = false;
    std::transform(power.begin(), power.end(), noise_.begin(), [](float value) { return std::max(value, kPowerMin); });
    return;
  }
  for (std::size_t bin = 0; bin < power.size(); ++bin) {
    const float ratio = std::min(power[bin] / noise_[bin], 200.0F);
    float speech = 1 / (1 + (1 + kSpeechOverNoise) * std::exp(-ratio * kSpeechOverNoise / (1 + kSpeechOverNoise)));
    presence_[bin] = kPresenceMemory * presence_[bin] + (1 - kPresenceMemory) * speech;
    if (presence_[bin] > kPresenceMax) speech = std::min(speech, kPresenceMax);
    const float now = (1 - speech) * power[bin] + speech * noise_[bin];
    noise_[bin] = std::max(kPowerMin, kNoiseMemory * noise_[bin] + (1 - kNoiseMemory) * now);
  }
}

}  // namespace verge::audio
