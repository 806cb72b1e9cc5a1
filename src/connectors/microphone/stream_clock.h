// connectors/microphone/stream_clock.h -- when each sample was captured, though the sound card's rate drifts and what
// it sends comes in pieces, early and late.
//
// Source: Adriaensen, "Using a DLL to filter time" (Linux Audio Conference 2005): a loop of second order between the
// count of samples and the clock of the machine. Its bandwidth begins wide and narrows to kBandwidth_hz, so that it
// follows a drift and not the jitter. Beyond it:
//   late   pieces that come later than kStep_us are only waited for: a network stalls and catches up. When even the
//          earliest piece of a second was late, samples are missing, as many as that is long.
//   early  nobody hears before it sounds: a piece that comes earlier than kStep_us sets the clock.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>

namespace verge::connectors {

class StreamClock {
 public:
  static constexpr double kBandwidth_hz = 0.02;
  static constexpr std::int64_t kStep_us = 60'000;
  static constexpr std::int64_t kSettle_us = 1'000'000;  ///< So long late: samples are missing.
  static constexpr double kDrift_ppm_max = 2000;         ///< Of a sound card; more is no drift.
  static constexpr double kDriftKnown_s = 20;

  explicit StreamClock(int rate_hz);

  /// `count` more samples were complete at `now_us` (monotonic). Returns how many are missing before them: 0, or, when
  /// it is sure that some were lost, their number, which the caller then gives to skip() or begins anew.
  std::int64_t put(std::int64_t count, std::int64_t now_us);
  /// The next piece may follow a hole of unknown length (an overrun): put() measures it at once.
  void expect_hole() { expects_hole_ = true; }
  /// So many samples never came; their time has passed all the same.
  void skip(std::int64_t count);

  /// The time of sample `index` (of all that were put or skipped), monotonic microseconds.
  std::int64_t time_us(std::int64_t index) const;
  std::int64_t count() const { return count_; }
  /// How much faster than its nominal rate it is, parts per million; nothing in the first kDriftKnown_s seconds.
  std::optional<double> drift_ppm() const;

 private:
  void follow(std::int64_t count, double error_us);
  std::int64_t judge_late(std::int64_t count, std::int64_t now_us, double error_us);

  const double nominal_us_;  // From sample to sample.
  double period_us_;         // The same, as it is.
  double end_us_ = 0;        // When the last sample was complete, by the loop.
  std::int64_t count_ = 0;
  double followed_s_ = 0;
  bool expects_hole_ = false;
  std::optional<std::int64_t> late_since_us_;
  std::int64_t late_count_ = 0;
  double late_least_us_ = 0;
};

}  // namespace verge::connectors
