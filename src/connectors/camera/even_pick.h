// connectors/camera/even_pick.h -- picks at most so many pictures a second, evenly, by their times.
//
// The n-th picture of a wanted second is due at its n-th part; the first picture at or after that is taken. A stream
// that has just as many pictures loses none to rounding. Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>

namespace verge::connectors {

class EvenPick {
 public:
  /// fps_max: pictures per second; 0: every picture is due.
  explicit EvenPick(double fps_max) : fps_max_(fps_max) {}

  /// True when take() would take a picture of this time. Times that jump back begin anew.
  bool is_due(std::int64_t time_us) const {
    if (fps_max_ <= 0 || !due_) return true;
    const double at = steps(time_us);
    return at + kRounding >= *due_ || at < *due_ - kBackSteps;
  }
  bool take(std::int64_t time_us) {
    if (!is_due(time_us)) return false;
    const double at = steps(time_us);
    const bool is_on_grid = due_ && at >= *due_ - kBackSteps && at < *due_ + 1;  // Else there was a gap.
    due_ = (is_on_grid ? *due_ : at) + 1;
    return true;
  }
  /// The next picture is taken, whatever its time.
  void restart() { due_.reset(); }
  bool is_thinning() const { return fps_max_ > 0; }

 private:
  static constexpr double kRounding = 1e-3;
  static constexpr double kBackSteps = 3;  // Pictures come a little out of order before they are decoded.
  double steps(std::int64_t time_us) const { return static_cast<double>(time_us) * fps_max_ / 1e6; }

  double fps_max_;
  std::optional<double> due_;  // In steps of 1 / fps_max.
};

}  // namespace verge::connectors
