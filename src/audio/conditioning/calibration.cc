#include "audio/conditioning/calibration.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace verge::audio {
namespace {

constexpr double kHoursKept_s = 3600;
constexpr float kNoisyDb = -35;   ///< A background above it leaves no room for speech at ordinary gain.
constexpr float kQuietDb = -60;   ///< Nothing in a minute was louder.
constexpr float kTooLoudDb = -9;  ///< Root mean square; speech that loud meets full scale with its peaks.
constexpr float kHumDb = -70;     ///< Weaker hum is below what speech needs.
constexpr float kOffsetMax = 0.02F;
constexpr float kClippedShareMax = 0.02F;
constexpr float kDeadShareMax = 0.5F;

float quantile(std::vector<float> values, double part) {
  if (values.empty()) return -120;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

Calibration::Calibration(int rate_hz, std::size_t block_samples)
    : rate_hz_(rate_hz),
      block_s_(static_cast<double>(block_samples) / rate_hz),
      conditioner_({}, rate_hz, block_samples),
      out_(block_samples) {}

void Calibration::add(std::span<const float> samples) {
  conditioner_.process(samples, out_);
  double sum = 0, square = 0;
  for (const float sample : samples) {
    sum += sample;
    square += static_cast<double>(sample) * sample;
  }
  const auto count = static_cast<double>(samples.size());
  const double mean = sum / count;
  sum_ += sum;
  sample_count_ += samples.size();
  ++block_count_;
  heard_s_ += block_s_;
  clipped_blocks_ += clipped_samples(samples) > 0 ? 1 : 0;
  dead_blocks_ += range_of(samples) <= kDeadRange ? 1 : 0;
  if (heard_s_ < kHoursKept_s) levels_db_.push_back(decibels(static_cast<float>(square / count - mean * mean)));
}

Result<MicrophoneProfile> Calibration::profile() const {
  if (heard_s_ < kSecondsMin) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("calibrate a microphone from {:.1f} s of sound: {} s is the least, 60 s is good", heard_s_,
                             kSecondsMin)};
  }
  const auto facts = conditioner_.facts();
  MicrophoneProfile profile;
  profile.rate_hz = rate_hz_;
  profile.heard_s = heard_s_;
  profile.background_db = quantile(levels_db_, 0.1);
  profile.loud_db = quantile(levels_db_, 0.95);
  profile.offset = static_cast<float>(sum_ / static_cast<double>(sample_count_));
  profile.clipped_share = static_cast<float>(clipped_blocks_) / static_cast<float>(block_count_);
  profile.dead_share = static_cast<float>(dead_blocks_) / static_cast<float>(block_count_);
  profile.snr_db = facts.snr_db;
  profile.hum_hz = facts.hum_hz;
  profile.hum_db = facts.hum_db;
  profile.background_bands_db = facts.background_bands_db;
  profile.learned = conditioner_.learned();
  return profile;
}

std::vector<CalibrationFinding> findings_of(const MicrophoneProfile& profile) {
  std::vector<CalibrationFinding> found;
  if (profile.dead_share > kDeadShareMax) {
    found.push_back({"dead", true,
                     fmt::format("{:.0f} % of the time nothing arrives, not even noise: look at the cable, the mute "
                                 "switch, and whether the right device is named",
                                 profile.dead_share * 100)});
    return found;  // The other figures say nothing then.
  }
  if (profile.clipped_share > kClippedShareMax) {
    found.push_back({"clipping", true,
                     fmt::format("{:.0f} % of the blocks are cut off at the top: turn the microphone's gain down",
                                 profile.clipped_share * 100)});
  }
  if (profile.loud_db > kTooLoudDb) {
    found.push_back({"too loud", true,
                     fmt::format("the loudest sound is at {:.0f} dB; speech has no room above: turn the microphone's "
                                 "gain down by about {:.0f} dB",
                                 profile.loud_db, profile.loud_db + 20)});
  }
  if (profile.background_db > kNoisyDb) {
    found.push_back({"noisy", true,
                     fmt::format("the background alone is at {:.0f} dB: move the microphone nearer to who speaks, or "
                                 "away from what is loud",
                                 profile.background_db)});
  }
  if (profile.loud_db < kQuietDb) {
    found.push_back({"too quiet", false,
                     fmt::format("nothing was louder than {:.0f} dB; the pipeline adds the gain it needs, the "
                                 "microphone's own gain costs less noise",
                                 profile.loud_db)});
  }
  if (profile.hum_hz > 0 && profile.hum_db > kHumDb) {
    const int mains = profile.hum_hz > 55 ? 60 : 50;
    found.push_back({fmt::format("hum of {} Hz", mains), false,
                     fmt::format("hum of the mains at {:.2f} Hz, {:.0f} dB; it is filtered out; a ground loop or a "
                                 "power supply near the cable is the usual cause",
                                 profile.hum_hz, profile.hum_db)});
  }
  if (std::abs(profile.offset) > kOffsetMax) {
    found.push_back(
        {"offset", false,
         fmt::format("a constant offset of {:.1f} % of full scale; it is filtered out", profile.offset * 100)});
  }
  return found;
}

std::string verdict_of(const std::vector<CalibrationFinding>& findings) {
  std::vector<std::string> kinds;
  for (const auto& finding : findings) kinds.push_back(finding.kind);
  return kinds.empty() ? "fine" : fmt::format("{}", fmt::join(kinds, ", "));
}

}  // namespace verge::audio
