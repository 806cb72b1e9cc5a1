#include "telemetry/alarm_logic.h"

namespace verge::telemetry {
namespace {

std::int64_t to_us(double seconds) { return static_cast<std::int64_t>(seconds * 1e6); }

}  // namespace

AlarmLogic::Change AlarmLogic::add(std::int64_t captured_us, double score, double threshold) {
  if (!is_raised_) {
    const bool is_quiet = quiet_until_us_ && captured_us < *quiet_until_us_;
    if (!(score > threshold) || is_quiet) {
      above_since_us_.reset();
      return Change::none;
    }
    if (!above_since_us_) above_since_us_ = captured_us;
    if (captured_us - *above_since_us_ < to_us(options_.for_s)) return Change::none;
    is_raised_ = true;
    since_us_ = *above_since_us_;
    below_since_us_.reset();
    return Change::raised;
  }
  if (!(score < threshold * options_.clear_share)) {
    below_since_us_.reset();
    return Change::none;
  }
  if (!below_since_us_) below_since_us_ = captured_us;
  if (captured_us - *below_since_us_ < to_us(options_.clear_s)) return Change::none;
  is_raised_ = false;
  above_since_us_.reset();
  quiet_until_us_ = captured_us + to_us(options_.cool_down_s);
  return Change::cleared;
}

}  // namespace verge::telemetry
