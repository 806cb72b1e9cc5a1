// training/validation.h -- how good a classifier is, said honestly: folds that share nothing, intervals, probabilities
// that mean what they say.
//
// Sources: Wilson 1927 for a share's interval; Zou and Donner 2008 for the interval of a sum from those of its parts;
// Guo et al. 2017 for temperature scaling; Elkan 2001 for thresholds from costs; Chow 1970 for saying nothing.
// Deterministic. Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "training/logistic.h"

namespace verge::training {

/// Numbers by a seed, the same on every machine. Source: Steele et al. 2014 (SplitMix64).
class SeededNumbers {
 public:
  explicit SeededNumbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  std::size_t below(std::size_t count);  ///< 0 .. count - 1; count > 0.
  double part();                         ///< 0 .. 1, 1 excluded.

 private:
  std::uint64_t state_;
};

/// Fold of each item, 0 .. folds - 1: items of a group lie in one fold, and each label is spread evenly.
/// labels, groups  one per item, from 0; a group's label is that of its first item
std::vector<int> assign_folds(std::span<const int> labels, std::span<const int> groups, int folds, std::uint64_t seed);

struct Interval {
  double low = 0, high = 1;
};
/// Where the true share lies with 95 %, when `hits` of `count` were seen; count may be a fraction (items that are not
/// independent count less). Nothing seen: 0..1.
Interval share_interval(double hits, double count);

/// Truth against what was said.
struct Confusion {
  int classes = 0;
  std::vector<int> counts;          ///< [truth, said]
  std::vector<double> independent;  /// [truth]: how many independent items there were, at most the row's sum.

  explicit Confusion(int class_count);
  void add(int truth, int said) { ++counts[static_cast<std::size_t>(truth * classes + said)]; }
  int at(int truth, int said) const { return counts[static_cast<std::size_t>(truth * classes + said)]; }
  int total(int truth) const;
  double recall(int truth) const;      ///< NaN without items.
  double precision(int said) const;    ///< With classes equally frequent. NaN when it was never said.
  double balanced_accuracy() const;    ///< Mean of the recalls of classes that have items.
  Interval balanced_interval() const;  ///< 95 %.
};

/// The temperature under which logits [items, classes] have the least cross-entropy, classes weighing the same;
/// 0.05..20.
double fit_temperature(std::span<const double> logits, std::span<const int> labels, int classes);

/// Items whose best probability lies in one tenth.
struct ReliabilityBin {
  double from = 0, to = 0;  ///< Of the probability.
  int count = 0, right = 0;
  double said = 0;  ///< Mean probability.
};
/// Ten bins over 0..1. probabilities: [items, classes]
std::vector<ReliabilityBin> reliability(std::span<const double> probabilities, std::span<const int> labels,
                                        int classes);

/// The probability of the positive class from which on saying it costs less than not saying it.
/// miss, false_alarm  > 0, any unit
double cost_threshold(double miss, double false_alarm);

}  // namespace verge::training
