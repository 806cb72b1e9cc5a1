#include "audio/conditioning/level.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace verge::audio {
namespace {

float mean_square(std::span<const float> samples) {
  float sum = 0;
  for (const float sample : samples) sum += sample * sample;
  return sum / static_cast<float>(std::max<std::size_t>(1, samples.size()));
}

/// Leaves small values as they are and bends large ones below 1.
float soft_limit(float value) {
  constexpr float kKnee = 0.8F;
  const float size = std::abs(value);
  if (size <= kKnee) return value;
  return std::copysign(kKnee + (1 - kKnee) * std::tanh((size - kKnee) / (1 - kKnee)), value);
}

}  // namespace

LevelControl::LevelControl(LevelOptions options, double block_s)
    : options_(options), window_blocks_(static_cast<std::size_t>(std::max(1.0, options.window_s / block_s))) {}

std::vector<float> LevelControl::apply(std::span<const float> samples) {
  const float power = mean_square(samples);
  if (power > std::pow(10.0F, options_.floor_db / 10)) {
    powers_.push_back(power);
    if (powers_.size() > window_blocks_) powers_.pop_front();
    std::vector<float> sorted(powers_.begin(), powers_.end());
    const auto half = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), half, sorted.end(), std::less<>());
    double sum = 0;
    for (auto at = half; at != sorted.end(); ++at) sum += *at;
    const double loud = sum / static_cast<double>(sorted.end() - half);
    const float wanted_db =
        std::clamp(options_.target_db - static_cast<float>(10 * std::log10(loud)), -20.0F, options_.gain_db_max);
    // Down at once (clipping is worse than quiet), up slowly (about 1 s).
    gain_db_ = wanted_db < gain_db_ ? wanted_db : gain_db_ + (wanted_db - gain_db_) * 0.1F;
  }
  const float factor = std::pow(10.0F, gain_db_ / 20);
  std::vector<float> louder(samples.begin(), samples.end());
  for (float& sample : louder) sample = soft_limit(sample * factor);
  return louder;
}

}  // namespace verge::audio
