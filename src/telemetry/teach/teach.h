// telemetry/teach/teach.h -- from a recorded normal period to a model that raises alarms; no machine-learning knowledge
// needed.
//
// Look at the data, fit on the first part, measure on later blocks that the fit never saw, set the threshold from the
// promised number of false alarms, try it against faults put into the held-out part, write one ONNX file, its card and
// a report. Deterministic: equal data and options give equal files. Threads: one call, one thread.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "training/table.h"

namespace verge::telemetry {

struct TeachOptions {
  double false_alarms_per_week = 1;  ///< The promise, 0.01..1000.
  double window_s = 24;              ///< What one score looks at, 2 s .. 1 day.
  double fit_share = 0.6;            ///< Of the rows, from the beginning, 0.3..0.9; the rest is for honest measuring.
};

/// One kind of fault put into held-out data, and how many were found.
struct TrialResult {
  std::string kind;
  int tried = 0, found = 0;
  double delay_s = 0;  ///< Median time to the first exceedance.
};

struct TeachResult {
  std::vector<std::string> channels;
  double period_s = 0;  ///< Between rows.
  std::size_t window_rows = 0;
  double threshold = 0;
  std::vector<TrialResult> trials, baseline_trials;  ///< The baseline: each sensor alone, limits at 4 spreads.
  std::vector<std::string> decisions;                ///< What was decided and why, in sentences.
};

/// Writes model.onnx, card.json and report.html into `folder`. Errors: invalid_argument (an option out of its range, or
/// "I cannot learn this, because …").
Result<TeachResult> teach(const training::Table& table, const std::filesystem::path& folder,
                          const TeachOptions& options = {},
                          const std::function<void(std::string_view step)>& progress = {});
Json to_json(const TeachResult& result);

}  // namespace verge::telemetry
