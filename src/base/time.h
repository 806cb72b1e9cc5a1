// base/time.h -- clocks as an interface, so that a test can run a week in a second.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge {

/// A wall clock before 2023 was never set: a board without a battery begins at 1970 or at its image's date.
inline constexpr std::int64_t kClockIsSet_us = 1'672'531'200'000'000;

/// Threads: call from anywhere.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall clock, microseconds since the Unix epoch (UTC). May jump; use it only to show or to compare dates.
  virtual std::int64_t now_us() const = 0;
  /// Never goes back; microseconds since boot of the machine (survives restarts of the program).
  virtual std::int64_t monotonic_us() const = 0;
};

/// The machine's clocks.
const Clock& system_clock();

/// A clock that moves only when told to.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t start_us = 1'700'000'000'000'000) : wall_us_(start_us) {}
  std::int64_t now_us() const override { return wall_us_; }
  std::int64_t monotonic_us() const override { return monotonic_us_; }
  void advance_us(std::int64_t step_us) { wall_us_ += step_us, monotonic_us_ += step_us; }

 private:
  std::int64_t wall_us_;
  std::int64_t monotonic_us_ = 0;
};

/// "2026-11-22T15:04:05.123456Z"
std::string to_iso8601(std::int64_t epoch_us);
/// Accepts a date-time with optional fraction and Z or +hh:mm. Errors: invalid_argument.
Result<std::int64_t> from_iso8601(std::string_view text);
/// The kernel's boot id (a UUID text), one per start of the machine; empty where /proc does not tell.
std::string boot_id();

}  // namespace verge
