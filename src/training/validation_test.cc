#include "training/validation.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

namespace verge::training {
namespace {

TEST(Validation, FoldsKeepGroupsTogetherAndLabelsSpread) {
  std::vector<int> labels, groups;
  for (int at = 0; at < 60; ++at) {
    labels.push_back(at % 3 == 0 ? 1 : 0);
    groups.push_back(at < 12 ? 100 + at % 3 : at);  // Three groups of four, else alone.
  }
  // Of the first twelve, a group's label is that of its first item.
  const auto folds = assign_folds(labels, groups, 5, 9);
  EXPECT_EQ(folds, assign_folds(labels, groups, 5, 9));
  EXPECT_NE(folds, assign_folds(labels, groups, 5, 10));
  for (int at = 0; at < 12; ++at)
    EXPECT_EQ(folds[static_cast<std::size_t>(at)], folds[static_cast<std::size_t>(at % 3)]);
  std::vector<int> rare(5), all(5);
  for (std::size_t at = 0; at < 60; ++at) {
    ++all[static_cast<std::size_t>(folds[at])];
    rare[static_cast<std::size_t>(folds[at])] += labels[at];
  }
  for (std::size_t fold = 0; fold < 5; ++fold) {
    EXPECT_NEAR(all[fold], 12, 2);
    EXPECT_NEAR(rare[fold], 4, 1);
  }
}

TEST(Validation, IntervalsOfSharesAreWilsons) {
  // From the closed form, computed by hand for 8 of 10 and 0 of 10.
  EXPECT_NEAR(share_interval(8, 10).low, 0.4902, 1e-4);
  EXPECT_NEAR(share_interval(8, 10).high, 0.9433, 1e-4);
  EXPECT_NEAR(share_interval(0, 10).high, 0.2775, 1e-4);
  EXPECT_EQ(share_interval(0, 10).low, 0);
  EXPECT_EQ(share_interval(0, 0).high, 1);
}

TEST(Validation, BalancedAccuracyCountsClassesAlikeAndItsIntervalCovers) {
  Confusion table(2);
  for (int at = 0; at < 90; ++at) table.add(0, at < 81 ? 0 : 1);
  for (int at = 0; at < 10; ++at) table.add(1, at < 5 ? 1 : 0);
  EXPECT_NEAR(table.balanced_accuracy(), 0.7, 1e-9);
  EXPECT_NEAR(table.precision(1), 0.5 / 0.6, 1e-9);
  const Interval wide = table.balanced_interval();
  EXPECT_LT(wide.low, 0.6);
  EXPECT_GT(wide.high, 0.8);
  table.independent = {9, 2};
  EXPECT_LT(table.balanced_interval().low, wide.low);

  // Of 400 coin-flippers with 12 items a class, nine in ten intervals and more hold the truth: few items come in steps.
  SeededNumbers numbers(4);
  int held = 0;
  for (int trial = 0; trial < 400; ++trial) {
    Confusion flips(2);
    for (int at = 0; at < 24; ++at) flips.add(at % 2, numbers.part() < 0.5 ? 0 : 1);
    const Interval interval = flips.balanced_interval();
    held += interval.low <= 0.5 && interval.high >= 0.5 ? 1 : 0;
  }
  EXPECT_GE(held, 360);
}

TEST(Validation, TemperatureUndoesTooMuchConfidence) {
  // Logits that are right by their own probabilities, then made three times as sure.
  SeededNumbers numbers(8);
  std::vector<double> logits, sure;
  std::vector<int> labels;
  for (int at = 0; at < 4000; ++at) {
    const double logit = 4 * numbers.part() - 2;
    labels.push_back(numbers.part() < 1 / (1 + std::exp(-logit)) ? 1 : 0);
    for (const double value : {0.0, logit}) {
      logits.push_back(value);
      sure.push_back(3 * value);
    }
  }
  EXPECT_NEAR(fit_temperature(logits, labels, 2), 1, 0.1);
  EXPECT_NEAR(fit_temperature(sure, labels, 2), 3, 0.3);
  std::vector<double> chances;
  for (std::size_t at = 0; at < labels.size(); ++at)
    for (const double share : soft_max(std::span(sure).subspan(at * 2, 2), 3)) chances.push_back(share);
  for (const auto& bin : reliability(chances, labels, 2)) {
    if (bin.count < 200) continue;
    EXPECT_NEAR(static_cast<double>(bin.right) / bin.count, bin.said, 0.08) << bin.from;
  }
}

TEST(Validation, ACostlyMissLowersTheThreshold) {
  EXPECT_DOUBLE_EQ(cost_threshold(1, 1), 0.5);
  EXPECT_DOUBLE_EQ(cost_threshold(9, 1), 0.1);
}

}  // namespace
}  // namespace verge::training
