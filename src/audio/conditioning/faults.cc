#include "audio/conditioning/faults.h"

#include <algorithm>
#include <cmath>

namespace verge::audio {

float range_of(std::span<const float> samples) {
  if (samples.empty()) return 0;
  const auto [least, most] = std::minmax_element(samples.begin(), samples.end());
  return *most - *least;
}

std::size_t clipped_samples(std::span<const float> samples) {
  constexpr float kQuiet = 0.05F;
  constexpr float kStep = 0.5F / 32'768;  // A cut wave stays within it; the top of a slow sine leaves it.
  constexpr std::size_t kRun = 3;
  float peak = 0;
  for (const float sample : samples) peak = std::max(peak, std::abs(sample));
  if (peak < kQuiet) return 0;
  std::size_t clipped = 0, run = 0;
  float before = 0;
  for (const float sample : samples) {
    const bool is_high = std::abs(sample) >= 0.985F * peak;
    run = is_high && run > 0 && std::abs(sample - before) <= kStep ? run + 1 : (is_high ? 1 : 0);
    if (run == kRun) clipped += kRun;
    if (run > kRun) ++clipped;
    before = sample;
  }
  return clipped;
}

void FaultWatch::add(std::span<const float> samples, const std::function<void(const FaultChange&)>& tell) {
  watch_dead(samples, tell);
  watch_clipping(samples, tell);
}

void FaultWatch::watch_dead(std::span<const float> samples, const std::function<void(const FaultChange&)>& tell) {
  if (options_.dead_s <= 0) return;
  const bool is_still = range_of(samples) <= kDeadRange;
  still_s_ = is_still ? still_s_ + block_s_ : 0;
  moving_s_ = is_still ? 0 : moving_s_ + block_s_;
  if (is_dead_) dead_s_ += block_s_;
  if (!is_dead_ && still_s_ >= options_.dead_s) {
    is_dead_ = true;
    dead_s_ = still_s_;
    tell({.fault = MicrophoneFault::dead, .lasted_s = dead_s_, .stuck_at = samples.empty() ? 0 : samples.back()});
  } else if (is_dead_ && moving_s_ >= options_.alive_s) {
    is_dead_ = false;
    tell({.fault = MicrophoneFault::dead, .is_over = true, .lasted_s = dead_s_ - moving_s_});
  }
}

void FaultWatch::watch_clipping(std::span<const float> samples, const std::function<void(const FaultChange&)>& tell) {
  const bool is_stuck = range_of(samples) <= kDeadRange;  // That is for watch_dead to tell.
  const float is_cut = !is_stuck && clipped_samples(samples) > 0 ? 1 : 0;
  clipped_share_ += (is_cut - clipped_share_) * static_cast<float>(std::min(1.0, block_s_ / options_.clipping_s));
  if (is_clipping_) clipping_s_ += block_s_;
  if (!is_clipping_ && clipped_share_ >= options_.clipped_share) {
    is_clipping_ = true;
    clipping_s_ = 0;
    tell({.fault = MicrophoneFault::clipping, .clipped_share = clipped_share_});
  } else if (is_clipping_ && clipped_share_ < 0.2F * options_.clipped_share) {
    is_clipping_ = false;
    tell({.fault = MicrophoneFault::clipping, .is_over = true, .lasted_s = clipping_s_});
  }
}

}  // namespace verge::audio
