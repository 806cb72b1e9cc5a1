// audio/sound/sound_stage.h -- stage `sound`: says when a place sounds other than it was taught, or what it hears.
//
// Takes sound at 16 kHz. Every block goes on with the newest score, the threshold and whether there is an alarm; a
// score is of the last second (with a model that looks longer, of that), at most 0.5 s old. With a model of normal
// sound: events sound.anomaly (severity alarm; score in parts of the threshold) and sound.normal when it is over,
// sound.drift when ordinary sound itself has moved for hours. With a model of kinds of sound: event sound.class (label,
// probability) when a kind begins. Threads: one stream.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "audio/live/sound_wish.h"
#include "audio/sound/sound_alarm.h"
#include "audio/sound/sound_model.h"
#include "pipeline/stage.h"

namespace verge::audio {

struct SoundStageOptions {
  std::filesystem::path model;
  double threshold = 1;                 ///< Anomaly: in parts of the taught threshold, 0.1..10.
  double probability = 0.7;             ///< Classes: said from here on, 0.05..1.
  std::vector<std::string> quiet = {};  ///< Classes that are no event: "background".
  SoundAlarmOptions alarm = {};
  double drift_hours = 6;  ///< 0.01..1000
  SoundWish sound = {};
};

/// Errors: those of SoundModel::load; invalid_argument (a quiet label that the model does not have).
Result<std::unique_ptr<pipeline::Stage>> make_sound_stage(SoundStageOptions options, const pipeline::Context& context);
/// The same with a model that is open.
Result<std::unique_ptr<pipeline::Stage>> make_sound_stage(std::shared_ptr<const SoundModel> model,
                                                          SoundStageOptions options, const pipeline::Context& context);

}  // namespace verge::audio
