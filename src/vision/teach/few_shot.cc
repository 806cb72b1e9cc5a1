#include "vision/teach/few_shot.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>

namespace verge::vision {
namespace {

using training::Confusion;
using training::LogisticModel;
using training::Rows;

/// From much to little, as each fit begins where the one before ended.
constexpr double kPenalties[] = {10, 3, 1, 0.3, 0.1, 0.03};
constexpr double kPenaltyUnknown = 0.3;  // Where there is too little to choose by.
constexpr int kFoldsMax = 5;
constexpr int kInnerFolds = 3;
constexpr int kRepeatsMax = 4;
constexpr std::size_t kEnoughItems = 60;  // With fewer, one way of making folds is too much chance.
constexpr double kUnitMin = 1e-6;

using Indices = std::vector<std::size_t>;

/// All that cross-validation asks about items.
class Learner {
 public:
  Learner(std::span<const FewShotItem> items, int classes, const FewShotOptions& options)
      : items_(items), classes_(classes), options_(options) {
    for (const auto& item : items) {
      labels_.push_back(item.label);
      groups_.push_back(item.group);
    }
  }

  int classes() const { return classes_; }
  const std::vector<int>& labels() const { return labels_; }

  /// How many groups the rarest label has among these.
  int groups_of_rarest(const Indices& among) const {
    std::map<int, std::set<int>> groups;
    for (const auto at : among) groups[labels_[at]].insert(groups_[at]);
    if (static_cast<int>(groups.size()) < classes_) return 0;
    std::size_t least = std::numeric_limits<std::size_t>::max();
    for (const auto& [label, own] : groups) least = std::min(least, own.size());
    return static_cast<int>(least);
  }

  std::vector<int> folds_of(const Indices& among, int folds, std::uint64_t turn) const {
    std::vector<int> labels, groups;
    for (const auto at : among) {
      labels.push_back(labels_[at]);
      groups.push_back(groups_[at]);
    }
    return training::assign_folds(labels, groups, folds, options_.seed * 1000 + turn);
  }

  Result<std::vector<LogisticModel>> fit(const Indices& taught, std::span<const double> penalties) const {
    Rows rows;
    std::vector<int> labels;
    for (const auto at : taught) {
      for (const auto& view : items_[at].views) {
        rows.columns = view.size();
        rows.add(view);
        labels.push_back(labels_[at]);
      }
    }
    // Nothing that is said of a picture depends on more digits than this.
    return training::fit_logistic(rows, labels, classes_, penalties, {.tolerance = 1e-4});
  }

  /// Adds the cross-entropy of unseen items to each penalty's sum, classes weighing the same.
  void judge(const std::vector<LogisticModel>& models, const Indices& unseen, std::vector<double>& losses) const {
    std::vector<double> members(static_cast<std::size_t>(classes_));
    for (const int label : labels_) members[static_cast<std::size_t>(label)] += 1;
    for (std::size_t one = 0; one < models.size(); ++one) {
      for (const auto at : unseen) {
        const auto truth = static_cast<std::size_t>(labels_[at]);
        const auto chances = training::soft_max(models[one].logits(items_[at].views.front()));
        losses[one] -= std::log(std::max(chances[truth], 1e-12)) / members[truth];
      }
    }
  }

  /// The penalty that does best within these items. Errors: those of fitting.
  Result<double> choose_penalty(const Indices& among, std::uint64_t turn) const {
    const int folds = std::min(kInnerFolds, groups_of_rarest(among));
    if (folds < 2) return kPenaltyUnknown;
    const auto fold_of = folds_of(among, folds, turn);
    std::vector<double> losses(std::size(kPenalties));
    for (int fold = 0; fold < folds; ++fold) {
      const auto [taught, unseen] = split(among, fold_of, fold);
      if (groups_of_rarest(taught) < 1) continue;
      VERGE_TRY(const auto models, fit(taught, kPenalties));
      judge(models, unseen, losses);
    }
    return kPenalties[std::ranges::min_element(losses) - losses.begin()];
  }

  static std::pair<Indices, Indices> split(const Indices& among, const std::vector<int>& fold_of, int fold) {
    std::pair<Indices, Indices> parts;
    for (std::size_t i = 0; i < among.size(); ++i)
      (fold_of[i] == fold ? parts.second : parts.first).push_back(among[i]);
    return parts;
  }

  /// Every second group of each label.
  Indices half_of(const Indices& among) const {
    std::map<int, std::map<int, Indices>> groups;
    for (const auto at : among) groups[labels_[at]][groups_[at]].push_back(at);
    Indices half;
    for (const auto& [label, own] : groups) {
      std::size_t turn = 0;
      for (const auto& [group, members] : own)
        if (turn++ % 2 == 0) half.insert(half.end(), members.begin(), members.end());
    }
    std::ranges::sort(half);
    return half;
  }

  int nearest_centroid(const Indices& taught, const std::vector<float>& row) const {
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(classes_), std::vector<double>(row.size()));
    std::vector<double> members(static_cast<std::size_t>(classes_));
    for (const auto at : taught) {
      const auto label = static_cast<std::size_t>(labels_[at]);
      members[label] += 1;
      for (std::size_t i = 0; i < row.size(); ++i) sums[label][i] += static_cast<double>(items_[at].views.front()[i]);
    }
    int best = 0;
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t label = 0; label < sums.size(); ++label) {
      double distance = 0;
      for (std::size_t i = 0; i < row.size(); ++i) {
        const double off = sums[label][i] / members[label] - static_cast<double>(row[i]);
        distance += off * off;
      }
      if (distance < nearest) {
        nearest = distance;
        best = static_cast<int>(label);
      }
    }
    return best;
  }

  std::span<const FewShotItem> items() const { return items_; }

 private:
  std::span<const FewShotItem> items_;
  int classes_;
  const FewShotOptions& options_;
  std::vector<int> labels_, groups_;
};

Indices all_of(std::size_t count) {
  Indices all(count);
  for (std::size_t at = 0; at < count; ++at) all[at] = at;
  return all;
}

/// What unseen items' answers add up to.
struct CrossValidation {
  std::vector<double> logits;  // [items, classes], summed over the repetitions
  std::vector<double> losses;  // Per penalty, over the outer folds.
  Confusion half, centroid;
  int repeats = 0;
  bool has_half = true;

  CrossValidation(std::size_t items, int classes)
      : logits(items * static_cast<std::size_t>(classes)),
        losses(std::size(kPenalties)),
        half(classes),
        centroid(classes) {}
};

int likeliest(std::span<const double> numbers) {
  return static_cast<int>(std::ranges::max_element(numbers) - numbers.begin());
}

Status judge_fold(const Learner& learner, const Indices& taught, const Indices& unseen, std::uint64_t turn,
                  CrossValidation& sum) {
  VERGE_TRY(const double penalty, learner.choose_penalty(taught, turn));
  VERGE_TRY(const auto models, learner.fit(taught, kPenalties));
  learner.judge(models, unseen, sum.losses);
  const auto chosen = static_cast<std::size_t>(std::ranges::find(kPenalties, penalty) - std::begin(kPenalties));
  const auto width = static_cast<std::size_t>(learner.classes());
  for (const auto at : unseen) {
    const auto& row = learner.items()[at].views.front();
    const auto logits = models[chosen].logits(row);
    for (std::size_t label = 0; label < width; ++label) sum.logits[at * width + label] += logits[label];
    sum.centroid.add(learner.labels()[at], learner.nearest_centroid(taught, row));
  }
  const Indices half = learner.half_of(taught);
  if (learner.groups_of_rarest(taught) < 2) {
    sum.has_half = false;
    return Done{};
  }
  const double penalties[] = {penalty};
  VERGE_TRY(const auto from_half, learner.fit(half, penalties));
  for (const auto at : unseen)
    sum.half.add(learner.labels()[at], likeliest(from_half.front().logits(learner.items()[at].views.front())));
  return Done{};
}

Result<CrossValidation> cross_validate(const Learner& learner, int folds, int repeats_max,
                                       const FewShotOptions& options) {
  const Indices all = all_of(learner.items().size());
  CrossValidation sum(all.size(), learner.classes());
  for (int repeat = 0; repeat < repeats_max; ++repeat) {
    if (repeat > 0 && options.is_out_of_time && options.is_out_of_time()) break;
    const auto turn = static_cast<std::uint64_t>(repeat) * 100;
    const auto fold_of = learner.folds_of(all, folds, turn);
    for (int fold = 0; fold < folds; ++fold) {
      const auto [taught, unseen] = Learner::split(all, fold_of, fold);
      VERGE_CHECK(judge_fold(learner, taught, unseen, turn + static_cast<std::uint64_t>(fold) + 1, sum));
    }
    ++sum.repeats;
  }
  for (double& logit : sum.logits) logit /= sum.repeats;
  return sum;
}

/// The cost of each threshold of the positive label, from answers about unseen items.
CostPoint cost_at(const FewShotResult& result, const std::vector<int>& labels, int positive, double threshold,
                  const FewShotOptions& options) {
  CostPoint point{threshold, 0, 0, 0};
  int positives = 0;
  for (std::size_t at = 0; at < labels.size(); ++at) {
    const bool is_said = result.answers[at].chances[static_cast<std::size_t>(positive)] >= threshold;
    positives += labels[at] == positive ? 1 : 0;
    if (labels[at] == positive && !is_said) ++point.misses;
    if (labels[at] != positive && is_said) ++point.false_alarms;
  }
  const auto others = static_cast<double>(labels.size()) - positives;
  const double share = 1 / static_cast<double>(result.confusion.classes);
  point.cost = share * options.cost_miss * point.misses / positives +
               (1 - share) * options.cost_false_alarm * point.false_alarms / others;
  return point;
}

Status check_few_shot(std::span<const FewShotItem> items, const std::vector<std::string>& labels,
                      const FewShotOptions& options) {
  const auto mistake = [](std::string words) { return Error{ErrorCode::invalid_argument, std::move(words)}; };
  if (labels.size() < 2)
    return mistake(
        fmt::format("I cannot learn this, because there is only one class ({}); give pictures of what it "
                    "must be told from.",
                    labels.empty() ? "none" : labels.front()));
  std::vector<std::set<int>> groups(labels.size());
  std::vector<int> counts(labels.size());
  for (const auto& item : items) {
    groups[static_cast<std::size_t>(item.label)].insert(item.group);
    ++counts[static_cast<std::size_t>(item.label)];
  }
  for (std::size_t label = 0; label < labels.size(); ++label) {
    if (groups[label].size() >= 2) continue;
    return mistake(
        fmt::format("I cannot learn this, because \"{}\" has {}; at least 2 that differ are needed, 5 to 50 "
                    "are good.",
                    labels[label],
                    counts[label] == 0   ? std::string("no picture")
                    : counts[label] == 1 ? std::string("only one picture")
                                         : fmt::format("{} pictures that are all nearly the same, or parts "
                                                       "of one",
                                                       counts[label])));
  }
  if (!(options.cost_miss > 0 && options.cost_false_alarm > 0))
    return mistake(fmt::format("costs of {:g} for a miss and {:g} for a false alarm; give numbers above 0",
                               options.cost_miss, options.cost_false_alarm));
  if (!(options.cost_unsure >= 0.05 && options.cost_unsure <= 1))
    return mistake(fmt::format("a cost of {:g} for saying nothing; give 0.05..1", options.cost_unsure));
  return Done{};
}

void to_unit(std::span<float> values) {
  double square = 0;
  for (const float value : values) square += static_cast<double>(value) * static_cast<double>(value);
  const auto factor = static_cast<float>(1 / std::max(std::sqrt(square), kUnitMin));
  for (float& value : values) value *= factor;
}

}  // namespace

std::vector<float> pooled(const FeatureMap& map) {
  const auto channels = static_cast<std::size_t>(map.channels);
  const auto cells = static_cast<std::size_t>(map.rows) * static_cast<std::size_t>(map.columns);
  std::vector<float> row(3 * channels);
  const auto values = map.values();
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const auto own = values.subspan(channel * cells, cells);
    double sum = 0, square = 0;
    for (const float value : own) sum += static_cast<double>(value);
    const double mean = sum / static_cast<double>(cells);
    for (const float value : own) square += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
    row[channel] = static_cast<float>(mean);
    row[channels + channel] = *std::ranges::max_element(own);
    row[2 * channels + channel] = static_cast<float>(std::sqrt(square / static_cast<double>(cells)));
  }
  for (std::size_t kind = 0; kind < 3; ++kind) to_unit(std::span(row).subspan(kind * channels, channels));
  return row;
}

Result<FewShotResult> learn_few_shot(std::span<const FewShotItem> items, const std::vector<std::string>& labels,
                                     const FewShotOptions& options) {
  VERGE_CHECK(check_few_shot(items, labels, options));
  const int classes = static_cast<int>(labels.size());
  const Learner learner(items, classes, options);
  const Indices all = all_of(items.size());

  FewShotResult result;
  result.folds = std::min(kFoldsMax, learner.groups_of_rarest(all));
  const int repeats_max = static_cast<int>(std::clamp<std::size_t>(kEnoughItems / items.size() + 1, 1, kRepeatsMax));
  VERGE_TRY(const CrossValidation unseen, cross_validate(learner, result.folds, repeats_max, options));
  result.repeats = unseen.repeats;
  result.penalty = kPenalties[std::ranges::min_element(unseen.losses) - unseen.losses.begin()];
  result.temperature = training::fit_temperature(unseen.logits, learner.labels(), classes);

  result.confusion = Confusion(classes);
  std::vector<std::set<int>> groups(labels.size());
  for (std::size_t at = 0; at < items.size(); ++at) {
    const auto logits = std::span(unseen.logits).subspan(at * labels.size(), labels.size());
    result.answers.push_back({training::soft_max(logits, result.temperature), likeliest(logits)});
    result.confusion.add(items[at].label, result.answers.back().said);
    groups[static_cast<std::size_t>(items[at].label)].insert(items[at].group);
  }
  for (std::size_t label = 0; label < labels.size(); ++label)
    result.confusion.independent[label] = static_cast<double>(groups[label].size());
  result.accuracy = result.confusion.balanced_accuracy();
  result.interval = result.confusion.balanced_interval();
  result.half_accuracy = unseen.has_half ? unseen.half.balanced_accuracy() : std::numeric_limits<double>::quiet_NaN();
  result.centroid_accuracy = unseen.centroid.balanced_accuracy();

  result.unsure_below = 1 - options.cost_unsure;
  if (options.positive) {
    result.positive_from = training::cost_threshold(options.cost_miss, options.cost_false_alarm);
    std::set<double> thresholds{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};
    // One that is shown anyway is not shown twice for its last digit.
    std::erase_if(thresholds, [&](double each) { return std::abs(each - *result.positive_from) < 1e-9; });
    thresholds.insert(*result.positive_from);
    for (const double threshold : thresholds)
      result.costs.push_back(cost_at(result, learner.labels(), *options.positive, threshold, options));
  }
  const double penalties[] = {result.penalty};
  VERGE_TRY(auto models, learner.fit(all, penalties));
  result.model = std::move(models.front());
  return result;
}

Result<models::OnnxModel> to_onnx(const Backbone& backbone, std::size_t map, const FewShotResult& result) {
  using models::ElementType;
  const std::int64_t channels = backbone.channels(map);
  const auto classes = static_cast<std::int64_t>(result.model.classes);
  models::OnnxModel trunk = backbone.graph();
  const std::string seen = trunk.graph.outputs[map].name;
  trunk.graph.outputs.clear();
  trunk.graph.name = "few-shot";
  models::GraphBuilder graph(std::move(trunk));
  const auto mean = graph.add("GlobalAveragePool", {seen});
  const auto most = graph.add("GlobalMaxPool", {seen});
  const auto off = graph.add("Sub", {seen, mean});
  const auto spread = graph.add("Sqrt", {graph.add("GlobalAveragePool", {graph.add("Mul", {off, off})})});
  std::vector<std::string> parts;
  for (const auto& part : {mean, most, spread}) {
    const auto flat = graph.add("Reshape", {part, graph.ints({1, channels})});
    const auto square = graph.add("ReduceSum", {graph.add("Mul", {flat, flat}), graph.ints({1})}, {{"keepdims", 1}});
    const auto length = graph.add("Max", {graph.add("Sqrt", {square}), graph.scalar(static_cast<float>(kUnitMin))});
    parts.push_back(graph.add("Div", {flat, length}));
  }
  const auto row = graph.add("Concat", parts, {{"axis", 1}});
  std::vector<float> weights, offsets;
  for (const double weight : result.model.weights) weights.push_back(static_cast<float>(weight / result.temperature));
  for (const double offset : result.model.offsets) offsets.push_back(static_cast<float>(offset / result.temperature));
  const auto logits = graph.add(
      "Gemm", {row, graph.floats({classes, 3 * channels}, weights), graph.floats({classes}, offsets)}, {{"transB", 1}});
  graph.output("scores", graph.add("Softmax", {logits}, {{"axis", 1}}), ElementType::float32, {1, classes});
  return graph.finish();
}

}  // namespace verge::vision
