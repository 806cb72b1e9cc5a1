#include "vision/recognition/non_max_suppression.h"

#include <gtest/gtest.h>

namespace verge::vision {
namespace {

const Box kWhole{0, 0, 10, 10}, kShifted{1, 0, 11, 10}, kApart{20, 20, 30, 30};

TEST(NonMaxSuppression, KeepsTheStrongestOfEachGroup) {
  const struct {
    const char* name;
    std::vector<Detection> given;
    float overlap_max;
    std::size_t kept_max;
    std::vector<float> scores;
  } cases[] = {
      {"nothing in, nothing out", {}, 0.5F, 300, {}},
      {"the stronger of two stays", {{kWhole, 0.8F, 0}, {kShifted, 0.9F, 0}}, 0.5F, 300, {0.9F}},
      {"apart both stay", {{kWhole, 0.1F, 0}, {kApart, 0.2F, 0}}, 0.5F, 300, {0.2F, 0.1F}},
      {"other labels do not suppress", {{kWhole, 0.8F, 0}, {kShifted, 0.9F, 1}}, 0.5F, 300, {0.9F, 0.8F}},
      {"a loose threshold keeps overlaps", {{kWhole, 0.8F, 0}, {kShifted, 0.9F, 0}}, 0.9F, 300, {0.9F, 0.8F}},
      {"kept_max bounds the answer", {{kWhole, 0.5F, 0}, {kApart, 0.4F, 0}}, 0.5F, 1, {0.5F}},
      {"boxes without area overlap nothing", {{Box{5, 5, 5, 5}, 0.9F, 0}, {kWhole, 0.8F, 0}}, 0.5F, 300, {0.9F, 0.8F}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    std::vector<float> scores;
    for (const Detection& kept : suppress_weaker(c.given, c.overlap_max, c.kept_max)) scores.push_back(kept.score);
    EXPECT_EQ(scores, c.scores);
  }
}

TEST(NonMaxSuppression, OverlapIsIntersectionOverUnion) {
  EXPECT_FLOAT_EQ(overlap(kWhole, kWhole), 1);
  EXPECT_FLOAT_EQ(overlap(kWhole, kApart), 0);
  EXPECT_FLOAT_EQ(overlap(kWhole, kShifted), 90.0F / 110.0F);
}

}  // namespace
}  // namespace verge::vision
