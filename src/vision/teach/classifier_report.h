// vision/teach/classifier_report.h -- what a person should know of a classifier that was just taught, as one HTML page.
//
// Threads: pure functions.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "vision/teach/few_shot.h"

namespace verge::vision {

/// What the report says beside the result.
struct ClassifierStory {
  std::string title;
  std::vector<std::string> labels;
  std::vector<int> truths;         ///< Label of each item.
  std::vector<std::string> names;  ///< Of each item: "open/7.jpg", "helmet/3.jpg, 2nd person".
  std::vector<std::string> notes;  ///< Warnings and decisions.
  std::string positive;            ///< Label that must not be missed, or empty.
  double cost_miss = 1, cost_false_alarm = 1;
  int views = 1;
  /// A small JPEG of an item; empty when it cannot be had.
  std::function<std::string(std::size_t item)> thumbnail;
};

/// "98 % (91 to 100 %)".
std::string accuracy_text(double accuracy, const training::Interval& interval);
/// One sentence: learned or not, and how well.
std::string verdict_of(const FewShotResult& result);
/// What more pictures would help, the most useful first; never empty.
std::vector<std::string> photograph_next(const FewShotResult& result, const ClassifierStory& story);
std::string classifier_report(const FewShotResult& result, const ClassifierStory& story);

}  // namespace verge::vision
