// audio/sound/sound_alarm.h -- from scores to an alarm that does not flutter, and the notice that normal has moved.
//
// Threads: one stream each.
#pragma once

#include <cstdint>
#include <optional>

namespace verge::audio {

struct SoundAlarmOptions {
  int looks = 2;           ///< It begins when so many scores in a row are at the threshold or above, 1..60.
  double quiet_s = 3;      ///< It ends when all scores were below `end_share` of the threshold for so long, 0..3600.
  double end_share = 0.9;  ///< 0..1
};

enum class AlarmChange : std::uint8_t { none, begun, ended };

class SoundAlarm {
 public:
  explicit SoundAlarm(SoundAlarmOptions options) : options_(options) {}
  /// score: in parts of the threshold; at_s: when, seconds of any clock that does not go back.
  AlarmChange add(double score, double at_s);
  bool is_on() const { return is_on_; }
  double peak() const { return peak_; }        ///< The largest score since it began.
  double begun_s() const { return begun_s_; }  ///< When the first of the scores that began it came.

 private:
  SoundAlarmOptions options_;
  bool is_on_ = false;
  int above_ = 0;
  double begun_s_ = 0, loud_s_ = 0, peak_ = 0;
};

/// Follows the middle of ordinary scores over hours. When it has come above what nine of ten scores were while
/// teaching, the sound of the place itself has changed: it should be taught again, or somebody should look.
/// Source: quantile by stochastic approximation (Tierney 1983).
class DriftWatch {
 public:
  /// middle, high: median and upper tenth of the scores while teaching. hours: how fast it follows, 0.01..1000.
  DriftWatch(double middle, double high, double hours, double look_s);
  /// Scores during an alarm are not given. True once, when it has moved; again after it came back.
  bool add(double score);
  double middle() const { return now_; }

 private:
  double middle_, high_, step_, now_;
  bool is_told_ = false;
};

}  // namespace verge::audio
