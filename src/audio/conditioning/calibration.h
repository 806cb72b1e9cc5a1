// audio/conditioning/calibration.h -- a minute of a room through a microphone becomes a profile and a verdict.
//
// The room's own sound is enough; when somebody speaks meanwhile, the microphone's colour and gain are known from the
// first word on, too. Threads: one stream.
#pragma once

#include <string>
#include <vector>

#include "audio/conditioning/faults.h"
#include "audio/conditioning/profile.h"

namespace verge::audio {

/// Something that a person should know of the microphone, the worst first.
struct CalibrationFinding {
  std::string kind;      ///< "dead", "clipping", "too loud", "noisy", "too quiet", "hum", "offset".
  bool is_bad = false;   ///< Speech will suffer until somebody does something; else it is treated.
  std::string sentence;  ///< With the figure and the next step.
};

/// "fine", or the kinds: "too loud, hum of 50 Hz".
std::string verdict_of(const std::vector<CalibrationFinding>& findings);
std::vector<CalibrationFinding> findings_of(const MicrophoneProfile& profile);

class Calibration {
 public:
  static constexpr double kSecondsMin = 5;

  /// rate_hz, block_samples: as Conditioner.
  Calibration(int rate_hz, std::size_t block_samples);
  void add(std::span<const float> samples);
  double heard_s() const { return heard_s_; }
  /// Errors: invalid_argument when less than kSecondsMin was heard.
  Result<MicrophoneProfile> profile() const;

 private:
  const int rate_hz_;
  const double block_s_;
  Conditioner conditioner_;
  std::vector<float> out_;
  std::vector<float> levels_db_;  ///< Of each block; at most an hour.
  double heard_s_ = 0, sum_ = 0;
  std::size_t sample_count_ = 0, block_count_ = 0, clipped_blocks_ = 0, dead_blocks_ = 0;
};

}  // namespace verge::audio
