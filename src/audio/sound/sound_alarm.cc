#include "audio/sound/sound_alarm.h"

#include <algorithm>

namespace verge::audio {

AlarmChange SoundAlarm::add(double score, double at_s) {
  if (score >= 1) {
    if (above_ == 0 && !is_on_) {
      begun_s_ = at_s;
      peak_ = 0;
    }
    ++above_;
  } else {
    above_ = 0;
  }
  if (is_on_ || above_ > 0) peak_ = std::max(peak_, score);
  if (score >= options_.end_share) loud_s_ = at_s;
  if (!is_on_ && above_ >= options_.looks) {
    is_on_ = true;
    return AlarmChange::begun;
  }
  if (is_on_ && above_ == 0 && at_s - loud_s_ >= options_.quiet_s) {
    is_on_ = false;
    return AlarmChange::ended;
  }
  return AlarmChange::none;
}

DriftWatch::DriftWatch(double middle, double high, double hours, double look_s)
    : middle_(middle), high_(std::max(high, middle)), now_(middle) {
  // When all scores lie above, the estimate walks from the middle to the upper tenth in `hours`.
  step_ = std::max(high_ - middle_, 1e-6) / std::max(1.0, hours * 3600 / look_s);
}

bool DriftWatch::add(double score) {
  now_ += score > now_ ? step_ : -step_;
  if (now_ < (middle_ + high_) / 2) is_told_ = false;
  if (now_ < high_ || is_told_) return false;
  is_told_ = true;
  return true;
}

}  // namespace verge::audio
