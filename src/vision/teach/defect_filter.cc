#include "vision/teach/defect_filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <functional>

#include "training/logistic.h"

namespace verge::vision {
namespace {

constexpr double kOverlapMin = 0.33, kInsideMin = 0.5;
constexpr int kMarginMax = 16;
constexpr std::ptrdiff_t kExamplesMin = 10;  ///< Of true and of false candidates.
constexpr int kFilterFoldsMax = 5;
constexpr std::size_t kDraws = 1000;
constexpr double kPenaltyMin = 1e-3;
constexpr double kNearly = 1e-4;  ///< Scores are kept this far from 0 and 1, so that odds are finite.
constexpr std::size_t kCurvePoints = 101;

double area_of(const Defect& box, int margin) {
  return static_cast<double>(box.right - box.left + 2 * margin) * (box.bottom - box.top + 2 * margin);
}

double shared_area(const Defect& a, const Defect& b, int margin) {
  const double width = std::min(a.right + margin, b.right) - std::max(a.left - margin, b.left);
  const double height = std::min(a.bottom + margin, b.bottom) - std::max(a.top - margin, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

double overlap_of(const Defect& candidate, const Defect& label, int margin) {
  const double both = shared_area(candidate, label, margin);
  return both / (area_of(candidate, margin) + area_of(label, 0) - both);
}

/// The margin under which candidates meet labels best.
int fit_margin(std::span<const TemplateExample> pictures) {
  int best = TemplateOptions{}.margin;
  double best_sum = 0;
  for (int margin = 0; margin <= kMarginMax; ++margin) {
    double sum = 0;
    for (const auto& picture : pictures) {
      for (const Defect& candidate : picture.candidates) {
        double most = 0;
        for (const Defect& label : picture.labels) most = std::max(most, overlap_of(candidate, label, margin));
        sum += most;
      }
    }
    if (sum <= best_sum) continue;
    best_sum = sum;
    best = margin;
  }
  return best;
}

double odds(double score) {
  const double inside = std::clamp(score, kNearly, 1 - kNearly);
  return inside / (1 - inside);
}
double score_of_odds(double value) { return value / (1 + value); }
/// Half way between two scores, by their odds.
double between(double a, double b) { return score_of_odds(std::sqrt(odds(a) * odds(b))); }

enum class Meaning : std::uint8_t { hit, again, false_alarm };
struct Scored {
  double score = 0;
  Meaning meaning = Meaning::false_alarm;
  std::size_t picture = 0;
};

/// The candidates of all pictures, the strongest first; each takes a free label that it shows.
std::vector<Scored> scored_candidates(std::span<const TemplateExample> pictures,
                                      const std::vector<std::vector<double>>& scores, int margin) {
  std::vector<Scored> all;
  for (std::size_t at = 0; at < pictures.size(); ++at) {
    const TemplateExample& picture = pictures[at];
    std::vector<std::size_t> order(picture.candidates.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return scores[at][i]; });
    std::vector<char> is_taken(picture.labels.size());
    for (const std::size_t i : order) {
      Meaning meaning = Meaning::false_alarm;
      for (std::size_t label = 0; label < picture.labels.size() && meaning != Meaning::hit; ++label) {
        if (!shows(picture.candidates[i], picture.labels[label], margin)) continue;
        meaning = is_taken[label] ? Meaning::again : Meaning::hit;
        is_taken[label] = 1;
      }
      all.push_back({scores[at][i], meaning, at});
    }
  }
  std::ranges::stable_sort(all, std::greater<>(), &Scored::score);
  return all;
}

/// The score from which telling costs least.
double cheapest_threshold(const std::vector<Scored>& candidates, const JudgeOptions& options, double floor) {
  double cost = 0, best_cost = 0;  // Against telling nothing.
  std::size_t best = 0;
  for (std::size_t told = 1; told <= candidates.size(); ++told) {
    const Meaning meaning = candidates[told - 1].meaning;
    cost += meaning == Meaning::hit           ? -options.cost_miss
            : meaning == Meaning::false_alarm ? options.cost_false_alarm
                                              : 0;
    const bool is_edge = told == candidates.size() || candidates[told].score < candidates[told - 1].score;
    if (!is_edge || cost > best_cost || (cost == best_cost && meaning == Meaning::false_alarm)) continue;
    best_cost = cost;
    best = told;
  }
  const double above = best == 0 ? 1 : candidates[best - 1].score;
  const double below = best == candidates.size() ? floor : candidates[best].score;
  return between(above, std::min(above, below));
}

struct Counts {
  int hits = 0, labels = 0, false_alarms = 0;
};

OperatingPoint point_of(const std::vector<Counts>& counts, double score_min, const JudgeOptions& options) {
  OperatingPoint point;
  point.score_min = score_min;
  for (const Counts& one : counts) {
    point.hits += one.hits;
    point.misses += one.labels - one.hits;
    point.false_alarms += one.false_alarms;
  }
  point.cost = (point.misses * options.cost_miss + point.false_alarms * options.cost_false_alarm) /
               static_cast<double>(counts.size());
  return point;
}

/// What is told of each picture by its own threshold.
std::vector<Counts> counts_at(std::span<const TemplateExample> pictures, const std::vector<Scored>& candidates,
                              const std::function<double(std::size_t picture)>& threshold) {
  std::vector<Counts> counts(pictures.size());
  for (std::size_t at = 0; at < pictures.size(); ++at) counts[at].labels = static_cast<int>(pictures[at].labels.size());
  for (const Scored& candidate : candidates) {
    if (candidate.score < threshold(candidate.picture)) continue;
    counts[candidate.picture].hits += candidate.meaning == Meaning::hit;
    counts[candidate.picture].false_alarms += candidate.meaning == Meaning::false_alarm;
  }
  return counts;
}

void widen(training::Interval& interval, const training::Interval& other) {
  interval = {std::min(interval.low, other.low), std::max(interval.high, other.high)};
}

/// Draws pictures again and again; 2.5 % lie below and above.
void fill_intervals(const std::vector<Counts>& counts, std::uint64_t seed, JudgedTemplate& judged) {
  training::SeededNumbers draw(seed);
  std::array<std::vector<double>, 3> values;
  for (std::size_t trial = 0; trial < kDraws; ++trial) {
    std::vector<Counts> drawn;
    for (std::size_t i = 0; i < counts.size(); ++i) drawn.push_back(counts[draw.below(counts.size())]);
    const OperatingPoint point = point_of(drawn, 0, {});
    const double precision = point.precision(), recall = point.recall();
    values[0].push_back(precision);
    values[1].push_back(recall);
    values[2].push_back(precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0);
  }
  const std::array<training::Interval*, 3> targets{&judged.precision, &judged.recall, &judged.balance};
  for (std::size_t i = 0; i < targets.size(); ++i) {
    std::ranges::sort(values[i]);
    *targets[i] = {values[i][kDraws / 40], values[i][kDraws - 1 - kDraws / 40]};
  }
  // Where all or nothing was right, draws show no spread; a share of so few does.
  const OperatingPoint& all = judged.unseen;
  const double wrong = all.misses + all.false_alarms;
  widen(judged.precision, training::share_interval(all.hits, all.hits + all.false_alarms));
  widen(judged.recall, training::share_interval(all.hits, all.hits + all.misses));
  widen(judged.balance, training::share_interval(all.hits, all.hits + wrong / 2));
}

std::vector<TemplateExample> all_but(std::span<const TemplateExample> pictures, const std::vector<int>& folds,
                                     int fold) {
  std::vector<TemplateExample> others;
  for (std::size_t at = 0; at < pictures.size(); ++at)
    if (folds[at] != fold) others.push_back(pictures[at]);
  return others;
}

class TemplateJudge {
 public:
  TemplateJudge(std::span<const TemplateExample> pictures, const JudgeOptions& options)
      : pictures_(pictures), options_(options), folds_(pictures.size(), 0) {}

  JudgedTemplate judge() {
    judged_.margin = fit_margin(pictures_);
    if (!learn_in_turn()) use_plain_scores();
    const auto candidates = scored_candidates(pictures_, judged_.scores, judged_.margin);
    judged_.score_min = cheapest_threshold(candidates, options_, floor());
    if (judged_.filter) judged_.filter->score_min = judged_.score_min;
    judged_.thresholds.assign(pictures_.size(), judged_.score_min);
    for (int fold = 0; fold < fold_count_; ++fold) take_threshold_of_others(candidates, fold);
    const auto counts =
        counts_at(pictures_, candidates, [&](std::size_t picture) { return judged_.thresholds[picture]; });
    judged_.unseen = point_of(counts, judged_.score_min, options_);
    fill_intervals(counts, options_.seed, judged_);
    for (std::size_t i = 0; i < kCurvePoints; ++i) {
      const double threshold = static_cast<double>(i) / (kCurvePoints - 1);
      judged_.curve.push_back(
          point_of(counts_at(pictures_, candidates, [&](std::size_t) { return threshold; }), threshold, options_));
    }
    return std::move(judged_);
  }

 private:
  double floor() const { return judged_.filter ? kNearly : options_.score_floor; }

  void use_plain_scores() {
    judged_.filter.reset();
    judged_.scores.clear();
    for (const auto& picture : pictures_) {
      auto& scores = judged_.scores.emplace_back();
      for (const Defect& candidate : picture.candidates) scores.push_back(static_cast<double>(candidate.score));
    }
    divide();
  }

  /// Folds with as many labelled pictures each as can be; fewer than two: none.
  void divide() {
    std::vector<int> labels, groups;
    int labelled = 0;
    for (const auto& picture : pictures_) {
      labels.push_back(picture.labels.empty() ? 0 : 1);
      labelled += labels.back();
      groups.push_back(static_cast<int>(groups.size()));
    }
    fold_count_ = labelled >= 2 ? std::min(labelled, kFilterFoldsMax) : 0;
    if (fold_count_ > 0) folds_ = training::assign_folds(labels, groups, fold_count_, options_.seed);
    judged_.folds = fold_count_;
  }

  bool learn_in_turn() {
    divide();
    auto filter = learn_defect_filter(pictures_);
    if (!filter || fold_count_ == 0) {
      judged_.why_no_filter = filter ? "boxes of one picture only" : filter.error().message;
      return false;
    }
    judged_.scores.assign(pictures_.size(), {});
    for (int fold = 0; fold < fold_count_; ++fold) {
      const auto without = learn_defect_filter(all_but(pictures_, folds_, fold));
      if (!without) {
        judged_.why_no_filter = without.error().message;
        return false;
      }
      for (std::size_t at = 0; at < pictures_.size(); ++at) {
        if (folds_[at] != fold) continue;
        for (const Defect& candidate : pictures_[at].candidates)
          judged_.scores[at].push_back(without->probability(candidate.numbers));
      }
    }
    judged_.margin = filter->margin;
    judged_.filter = *std::move(filter);
    return true;
  }

  void take_threshold_of_others(const std::vector<Scored>& candidates, int fold) {
    std::vector<Scored> others;
    std::ranges::copy_if(candidates, std::back_inserter(others),
                         [&](const Scored& candidate) { return folds_[candidate.picture] != fold; });
    const double threshold = cheapest_threshold(others, options_, floor());
    for (std::size_t at = 0; at < pictures_.size(); ++at)
      if (folds_[at] == fold) judged_.thresholds[at] = threshold;
  }

  std::span<const TemplateExample> pictures_;
  const JudgeOptions& options_;
  std::vector<int> folds_;
  int fold_count_ = 0;
  JudgedTemplate judged_;
};

}  // namespace

bool shows(const Defect& candidate, const Defect& label, int margin) {
  return overlap_of(candidate, label, margin) >= kOverlapMin ||
         shared_area(candidate, label, 0) >= kInsideMin * area_of(candidate, 0);
}

Result<DefectFilter> learn_defect_filter(std::span<const TemplateExample> pictures) {
  DefectFilter filter;
  filter.margin = fit_margin(pictures);
  training::Rows rows;
  rows.columns = kCandidateNumbers;
  std::vector<int> is_true;
  for (const auto& picture : pictures) {
    for (const Defect& candidate : picture.candidates) {
      rows.add(candidate.numbers);
      is_true.push_back(std::ranges::any_of(
          picture.labels, [&](const Defect& label) { return shows(candidate, label, filter.margin); }));
    }
  }
  const auto true_count = std::ranges::count(is_true, 1);
  const auto false_count = static_cast<std::ptrdiff_t>(is_true.size()) - true_count;
  if (true_count < kExamplesMin || false_count < kExamplesMin) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("learn which differences are defects: {} true and {} false ones; {} of each are needed",
                             true_count, false_count, kExamplesMin)};
  }
  // Few examples are soon told apart by anything; then weights must stay small.
  const double penalties[] = {std::max(kPenaltyMin, 1 / static_cast<double>(is_true.size()))};
  VERGE_TRY(const auto models, training::fit_logistic(rows, is_true, 2, penalties));
  const training::LogisticModel& model = models.front();
  for (std::size_t i = 0; i < kCandidateNumbers; ++i)
    filter.weights.push_back(model.weights[kCandidateNumbers + i] - model.weights[i]);
  filter.offset = model.offsets[1] - model.offsets[0];
  std::vector<std::vector<double>> scores;
  for (const auto& picture : pictures) {
    auto& own = scores.emplace_back();
    for (const Defect& candidate : picture.candidates) own.push_back(filter.probability(candidate.numbers));
  }
  filter.score_min = cheapest_threshold(scored_candidates(pictures, scores, filter.margin), {}, kNearly);
  return filter;
}

bool JudgedTemplate::is_marked(std::size_t picture) const {
  return std::ranges::any_of(scores[picture], [&](double score) { return score >= thresholds[picture]; });
}

JudgedTemplate judge_template(std::span<const TemplateExample> pictures, const JudgeOptions& options) {
  return TemplateJudge(pictures, options).judge();
}

double score_above_good(std::span<const TemplateExample> good, double floor) {
  std::vector<double> strongest;
  for (const auto& picture : good) {
    double score = 0;
    for (const Defect& candidate : picture.candidates) score = std::max(score, static_cast<double>(candidate.score));
    strongest.push_back(score);
  }
  std::ranges::sort(strongest);
  if (strongest.empty() || strongest[strongest.size() - 1 - strongest.size() / 20] == 0) return floor;
  return std::max(floor, score_of_odds(2 * odds(strongest[strongest.size() - 1 - strongest.size() / 20])));
}

}  // namespace verge::vision
