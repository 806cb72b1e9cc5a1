// telemetry/score_stage.h -- stage `score`: sensor rows in, the same rows with score and threshold out, and score and
// alarm events.
//
// Events: "anomaly.score" (at most one per score_every_s of captured time), "anomaly.alarm" (severity alarm; channels
// most guilty first, explanation, span), "anomaly.cleared". Threads: one stream.
#pragma once

#include <filesystem>
#include <memory>

#include "pipeline/stage.h"
#include "telemetry/alarm_logic.h"

namespace verge::telemetry {

struct ScoreStageOptions {
  std::filesystem::path model;  ///< Folder of a taught model.
  AlarmOptions alarm;
  double score_every_s = 1;     ///< 0.1..3600
  double threshold_factor = 1;  ///< Times the model's own threshold; above 1 is less sensitive, 0.1..10.
};
/// Errors: invalid_argument (an option out of its range), those of WindowScorer::load.
Result<std::unique_ptr<pipeline::Stage>> make_score_stage(ScoreStageOptions options, const pipeline::Context& context);

}  // namespace verge::telemetry
