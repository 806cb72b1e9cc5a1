// vision/teach/defect_filter.h -- from boxes that a person drew: which differences are defects, from when on they are
// told, and how sure that is.
//
// Source: logistic regression over what is known of a group (training/logistic.h); a threshold from the costs of a miss
// and of a false alarm, Elkan 2001; intervals by bootstrap over pictures, Efron 1979, at least those of a share.
// Deterministic. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "training/validation.h"
#include "vision/recognition/template_defects.h"

namespace verge::vision {

/// A picture's candidates (inspect() without a filter) and where its defects really are, without a margin, both in
/// pixels of the template.
struct TemplateExample {
  std::vector<Defect> candidates;
  std::vector<Defect> labels;
};
/// Whether the candidate shows what the label marks: intersection over union with the margin is at least 0.33, or at
/// least half of the candidate lies within a label that was drawn generously.
bool shows(const Defect& candidate, const Defect& label, int margin);

/// Errors: invalid_argument (fewer than 10 true and 10 false candidates).
Result<DefectFilter> learn_defect_filter(std::span<const TemplateExample> pictures);

struct JudgeOptions {
  double cost_miss = 1, cost_false_alarm = 1;  ///< > 0
  std::uint64_t seed = 1;
  double score_floor = 0.01;  ///< Of candidates without a filter: TemplateInspector::score_min().
};

/// Of all pictures together, when everything from this score on is told.
struct OperatingPoint {
  double score_min = 0;
  int hits = 0, misses = 0, false_alarms = 0;  ///< Boxes; a second mark on one defect is neither.
  double cost = 0;                             ///< Per picture.
  double recall() const { return hits + misses > 0 ? static_cast<double>(hits) / (hits + misses) : 1; }
  double precision() const { return hits + false_alarms > 0 ? static_cast<double>(hits) / (hits + false_alarms) : 1; }
};

struct JudgedTemplate {
  std::optional<DefectFilter> filter;  ///< Learned from all; none: see `why_no_filter`.
  std::string why_no_filter;
  double score_min = 0.5;  ///< For the filter's scores, or for plain ones.
  int margin = 8;
  int folds = 0;  ///< 0: nothing was learned, so nothing had to be held back.

  /// Each picture by a filter and a threshold that were learned without it.
  OperatingPoint unseen;
  training::Interval precision, recall, balance;  ///< 95 %; balance is F1.
  std::vector<std::vector<double>> scores;        ///< Per picture and candidate.
  std::vector<double> thresholds;                 ///< Per picture, that of its fold.
  std::vector<OperatingPoint> curve;              ///< Thresholds rising from 0 to 1, 101 of them.

  double f1() const { return 2.0 * unseen.hits / std::max(1, 2 * unseen.hits + unseen.misses + unseen.false_alarms); }
  /// Whether anything of the picture is told.
  bool is_marked(std::size_t picture) const;
};

/// Learns and judges. With too few true or false candidates the plain score is judged. pictures: not empty; those
/// without labels are good ones.
JudgedTemplate judge_template(std::span<const TemplateExample> pictures, const JudgeOptions& options);

/// Without any labels: twice the odds of what the strangest good pictures (the strangest 1 in 20 left out) show, at
/// least `floor`. good: candidates of good pictures, each judged without itself; may be empty.
double score_above_good(std::span<const TemplateExample> good, double floor);

}  // namespace verge::vision
