#include "audio/conditioning/level.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/assert.h"

namespace verge::audio {
namespace {

constexpr float kStandsOut = 4;            ///< 6 dB above the background.
constexpr float kBackgroundDbPerS = 2;     ///< So fast it rises when the room gets louder.
constexpr std::size_t kBlocksToTrust = 3;  ///< One click is no speech.

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

LevelControl::LevelControl(LevelOptions options, double block_s, float initial_gain_db)
    : options_(options), block_s_(block_s), gain_db_(std::clamp(initial_gain_db, -20.0F, options.gain_db_max)) {
  const auto blocks = static_cast<std::size_t>(std::max(1.0, options.window_s / block_s));
  for (Window* window : {&any_, &standing_out_}) {
    window->limit = blocks;
    window->powers.reserve(blocks);
  }
  sorted_.reserve(blocks);
}

void LevelControl::Window::add(float power) {
  if (powers.size() < limit) {
    powers.push_back(power);
  } else {
    powers[next] = power;
    next = (next + 1) % limit;
  }
}

float LevelControl::loud_half_of(const Window& window) {
  sorted_.assign(window.powers.begin(), window.powers.end());
  const auto half = sorted_.begin() + static_cast<std::ptrdiff_t>(sorted_.size() / 2);
  std::nth_element(sorted_.begin(), half, sorted_.end(), std::less<>());
  double sum = 0;
  for (auto at = half; at != sorted_.end(); ++at) sum += *at;
  return static_cast<float>(sum / static_cast<double>(sorted_.end() - half));
}

void LevelControl::follow(float power) {
  if (power <= std::pow(10.0F, options_.floor_db / 10)) return;
  const auto rise = static_cast<float>(std::pow(10.0, kBackgroundDbPerS * block_s_ / 10));
  background_ = background_ == 0 ? power : std::min(power, background_ * rise);
  const bool stands_out = power > kStandsOut * background_;
  if (stands_out) standing_out_.add(power);
  const bool is_trusted = standing_out_.powers.size() >= kBlocksToTrust;
  if (!is_trusted) any_.add(power);
  if (is_trusted && !stands_out) return;

  const Window& window = is_trusted ? standing_out_ : any_;
  const float wanted_db =
      std::clamp(options_.target_db - 10 * std::log10(loud_half_of(window)), -20.0F, options_.gain_db_max);
  // Down at once (clipping is worse than quiet); up at once while little was heard, then slowly (about 1/3 s).
  const float share = std::max(0.1F, 1 / static_cast<float>(window.powers.size()));
  gain_db_ = wanted_db < gain_db_ ? wanted_db : gain_db_ + (wanted_db - gain_db_) * share;
}

void LevelControl::apply(std::span<const float> samples, std::span<float> louder) {
  VERGE_ASSERT(samples.size() == louder.size());
  follow(mean_square(samples));
  const float factor = std::pow(10.0F, gain_db_ / 20);
  for (std::size_t at = 0; at < samples.size(); ++at) louder[at] = soft_limit(samples[at] * factor);
}

std::vector<float> LevelControl::apply(std::span<const float> samples) {
  std::vector<float> louder(samples.size());
  apply(samples, louder);
  return louder;
}

float LevelControl::background_db() const { return 10 * std::log10(std::max(background_, 1e-12F)); }

}  // namespace verge::audio
