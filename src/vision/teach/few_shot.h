// vision/teach/few_shot.h -- learns to tell a few classes apart from a few pictures of each, and says how well.
//
// Features of a trunk (teach/backbone.h) at one stride, pooled over the picture: mean, maximum and spread per channel,
// each brought to unit length; logistic regression on them, learned from several views of each picture
// (teach/views.h). What is said about its quality comes from pictures that the judged model never saw, nor any nearly
// the same: folds by groups, the penalty chosen anew within each fold.
// Source: logistic regression on frozen features as a strong few-shot baseline, Chen et al. 2019 ("A Closer Look at
// Few-shot Classification"), Tian et al. 2020; nested cross-validation, Varma and Simon 2006.
// Deterministic by seed. Threads: one call, one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/model_card.h"
#include "training/validation.h"
#include "vision/teach/backbone.h"

namespace verge::vision {

/// Mean, maximum and spread over all cells, per channel, each of the three of unit length: [3 * channels].
std::vector<float> pooled(const FeatureMap& map);

/// One thing to learn from: a picture or a part of one.
struct FewShotItem {
  int label = 0;
  int group = 0;                          ///< Items of a group are nearly the same, or from one picture.
  std::vector<std::vector<float>> views;  ///< pooled(); the first is the item as it is. All items have as many.
};

struct FewShotOptions {
  std::uint64_t seed = 1;
  std::optional<int> positive{};           ///< The label that must not be missed.
  double cost_miss = 1;                    ///< Of a positive taken for another, > 0.
  double cost_false_alarm = 1;             ///< Of another taken for a positive, > 0.
  double cost_unsure = 0.4;                ///< Of saying nothing, where a mistake costs 1; 0.05..1 (1: never unsure).
  std::function<bool()> is_out_of_time{};  ///< Asked between fits; then fewer repetitions are made.
};

/// What was said of an item by models that had not seen its group.
struct FewShotAnswer {
  std::vector<double> chances;  ///< Per label, calibrated.
  int said = 0;                 ///< The likeliest.
};

/// How many items, and what they cost, at a threshold of the positive label.
struct CostPoint {
  double threshold = 0;
  int misses = 0, false_alarms = 0;
  double cost = 0;  ///< Per item, with classes equally frequent.
};

struct FewShotResult {
  training::LogisticModel model;  ///< On pooled features, from all items; logits are to be divided by temperature.
  double temperature = 1, penalty = 0;
  std::vector<FewShotAnswer> answers;  ///< One per item.
  training::Confusion confusion{0};
  double accuracy = 0;  ///< Balanced.
  training::Interval interval;
  double half_accuracy = 0;      ///< Balanced, when only half of the pictures were learned from; NaN when too few.
  double centroid_accuracy = 0;  ///< Balanced, of the plain nearest centroid on the same folds.
  int folds = 0, repeats = 0;
  double unsure_below = 0;              ///< The card's threshold "score".
  std::optional<double> positive_from;  ///< Threshold of the positive label.
  std::vector<CostPoint> costs;         ///< For several thresholds of the positive label.
  /// Whether even the low end of the interval is better than guessing.
  bool is_better_than_chance() const { return interval.low > 1.0 / confusion.classes; }
};

/// `labels`: their names, for messages. Errors: invalid_argument: fewer than two labels, a label whose items are in
/// fewer than two groups, an option out of its range.
Result<FewShotResult> learn_few_shot(std::span<const FewShotItem> items, const std::vector<std::string>& labels,
                                     const FewShotOptions& options);

/// Trunk, pooling, weights and soft-max as one model: a picture in, output "scores" [1, labels], which sum to 1.
/// `map`: which of the backbone's strides the items were pooled from, its index.
Result<models::OnnxModel> to_onnx(const Backbone& backbone, std::size_t map, const FewShotResult& result);

}  // namespace verge::vision
