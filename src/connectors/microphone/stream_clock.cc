#include "connectors/microphone/stream_clock.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace verge::connectors {

StreamClock::StreamClock(int rate_hz) : nominal_us_(1e6 / rate_hz), period_us_(nominal_us_) {}

std::int64_t StreamClock::put(std::int64_t count, std::int64_t now_us) {
  const bool is_first = count_ == 0;
  const double error_us = static_cast<double>(now_us) - (end_us_ + static_cast<double>(count) * period_us_);
  count_ += count;
  if (is_first || error_us < -static_cast<double>(kStep_us)) {
    end_us_ = static_cast<double>(now_us);
    expects_hole_ = false;
    late_since_us_.reset();
    return 0;
  }
  if (expects_hole_) {
    expects_hole_ = false;
    late_since_us_.reset();
    end_us_ += static_cast<double>(count) * period_us_;
    return std::max<std::int64_t>(0, std::llround(error_us / period_us_));
  }
  if (error_us > static_cast<double>(kStep_us)) return judge_late(count, now_us, error_us);
  late_since_us_.reset();
  follow(count, error_us);
  return 0;
}

void StreamClock::follow(std::int64_t count, double error_us) {
  const double piece_s = static_cast<double>(count) * nominal_us_ / 1e6;
  followed_s_ += piece_s;
  const double bandwidth_hz = std::max(kBandwidth_hz, 0.3 / std::max(1.0, followed_s_));
  const double omega = std::min(0.5, 2 * std::numbers::pi * bandwidth_hz * piece_s);
  end_us_ += static_cast<double>(count) * period_us_ + std::numbers::sqrt2 * omega * error_us;
  const double bound_us = nominal_us_ * kDrift_ppm_max / 1e6;
  period_us_ += omega * omega * error_us / static_cast<double>(count);
  period_us_ = std::clamp(period_us_, nominal_us_ - bound_us, nominal_us_ + bound_us);
}

std::int64_t StreamClock::judge_late(std::int64_t count, std::int64_t now_us, double error_us) {
  end_us_ += static_cast<double>(count) * period_us_;
  if (!late_since_us_) {
    late_since_us_ = now_us;
    late_count_ = 0;
    late_least_us_ = error_us;
  }
  late_count_ += count;
  late_least_us_ = std::min(late_least_us_, error_us);
  const bool is_sure = now_us - *late_since_us_ >= kSettle_us &&
                       static_cast<double>(late_count_) * nominal_us_ >= static_cast<double>(kSettle_us) / 2;
  if (!is_sure) return 0;
  late_since_us_.reset();
  return std::llround(late_least_us_ / period_us_);
}

void StreamClock::skip(std::int64_t count) {
  count_ += count;
  end_us_ += static_cast<double>(count) * period_us_;
}

std::int64_t StreamClock::time_us(std::int64_t index) const {
  return std::llround(end_us_ - static_cast<double>(count_ - index) * period_us_);
}

std::optional<double> StreamClock::drift_ppm() const {
  if (followed_s_ < kDriftKnown_s) return std::nullopt;
  return (nominal_us_ / period_us_ - 1) * 1e6;
}

}  // namespace verge::connectors
