// telemetry/alarm_logic.h -- when scores become an alarm, and when it ends.
//
// Raised once the score stayed above the threshold for `for_s`; cleared once it stayed below clear_share of the
// threshold for clear_s; then quiet for cool_down_s. Times are capture times. A score that is no number (NaN) neither
// raises nor clears. Threads: one stream; a pure state
// machine.
#pragma once

#include <cstdint>
#include <optional>

namespace verge::telemetry {

struct AlarmOptions {
  double for_s = 3;          ///< 0..3600
  double clear_s = 10;       ///< 0..3600
  double clear_share = 0.9;  ///< Of the threshold, 0.1..1.
  double cool_down_s = 20;   ///< After clearing, 0..86400.
};

class AlarmLogic {
 public:
  enum class Change : std::uint8_t { none, raised, cleared };
  explicit AlarmLogic(AlarmOptions options) : options_(options) {}
  Change add(std::int64_t captured_us, double score, double threshold);
  bool is_raised() const { return is_raised_; }
  std::int64_t since_us() const { return since_us_; }  ///< When the score first rose above the threshold.

 private:
  const AlarmOptions options_;
  bool is_raised_ = false;
  std::optional<std::int64_t> above_since_us_, below_since_us_;
  std::int64_t since_us_ = 0;
  std::optional<std::int64_t> quiet_until_us_;
};

}  // namespace verge::telemetry
