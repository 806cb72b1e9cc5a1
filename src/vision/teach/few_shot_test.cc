#include "vision/teach/few_shot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/teach/test_trunk.h"

namespace verge::vision {
namespace {

using ::testing::HasSubstr;

/// `each` items per class, shifted by `apart` along a feature of the class.
std::vector<FewShotItem> few_shot_items(int classes, int each, float apart, std::uint64_t seed) {
  testing::TestNumbers numbers(seed);
  std::vector<FewShotItem> items;
  for (int at = 0; at < classes * each; ++at) {
    FewShotItem item;
    item.label = at % classes;
    item.group = at;
    for (int view = 0; view < 2; ++view) {
      std::vector<float> row(24);
      for (auto& value : row) value = numbers.next();
      row[static_cast<std::size_t>(item.label)] += apart;
      item.views.push_back(std::move(row));
    }
    items.push_back(std::move(item));
  }
  return items;
}

const std::vector<std::string> kThree{"a", "b", "c"};

TEST(FewShot, LearnsWhatIsThereAndSaysHowWell) {
  const auto items = few_shot_items(3, 10, 2, 3);
  const auto result = learn_few_shot(items, kThree, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_GT(result->accuracy, 0.85);
  EXPECT_TRUE(result->is_better_than_chance());
  EXPECT_LT(result->interval.low, result->accuracy);
  EXPECT_EQ(result->folds, 5);
  ASSERT_EQ(result->answers.size(), items.size());
  // What it says of itself must hold for others of the kind.
  const auto others = few_shot_items(3, 200, 2, 4);
  int right = 0;
  for (const auto& item : others) {
    const auto logits = result->model.logits(item.views.front());
    right += std::ranges::max_element(logits) - logits.begin() == item.label ? 1 : 0;
  }
  const double truth = right / 600.0;
  EXPECT_GE(truth, result->interval.low - 0.05);
  EXPECT_LE(truth, result->interval.high + 0.05);
  const auto again = learn_few_shot(items, kThree, {});
  EXPECT_EQ(result->model.weights, again->model.weights);
}

TEST(FewShot, NoiseIsNotLearned) {
  int claimed = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const auto result = learn_few_shot(few_shot_items(2, 10, 0, seed), {"a", "b"}, {.seed = seed});
    ASSERT_TRUE(result);
    claimed += result->is_better_than_chance() ? 1 : 0;
  }
  EXPECT_LE(claimed, 1);
}

TEST(FewShot, PicturesThatAreNearlyTheSameDoNotFlatter) {
  // Noise, but every item three times: without groups each copy would give the others away.
  auto once = few_shot_items(2, 8, 0, 5);
  std::vector<FewShotItem> items;
  for (const auto& item : once)
    for (int copy = 0; copy < 3; ++copy) items.push_back(item);
  const auto honest = learn_few_shot(items, {"a", "b"}, {});
  ASSERT_TRUE(honest);
  EXPECT_FALSE(honest->is_better_than_chance());
  for (std::size_t at = 0; at < items.size(); ++at) items[at].group = static_cast<int>(at);
  const auto flattered = learn_few_shot(items, {"a", "b"}, {});
  ASSERT_TRUE(flattered);
  EXPECT_GT(flattered->accuracy, honest->accuracy + 0.2);
}

TEST(FewShot, CostsMoveTheThreshold) {
  const auto items = few_shot_items(2, 20, 0.9F, 6);
  const auto result = learn_few_shot(items, {"hat", "bare"},
                                     {.positive = 1, .cost_miss = 9, .cost_false_alarm = 1, .cost_unsure = 0.3});
  ASSERT_TRUE(result);
  ASSERT_TRUE(result->positive_from);
  EXPECT_DOUBLE_EQ(*result->positive_from, 0.1);
  EXPECT_DOUBLE_EQ(result->unsure_below, 0.7);
  const CostPoint* chosen = nullptr;
  const CostPoint* middle = nullptr;
  for (const auto& point : result->costs) {
    if (point.threshold == *result->positive_from) chosen = &point;
    if (point.threshold == 0.5) middle = &point;
  }
  ASSERT_TRUE(chosen && middle);
  EXPECT_LE(chosen->misses, middle->misses);
  EXPECT_GE(chosen->false_alarms, middle->false_alarms);
}

TEST(FewShot, SaysWhyItCannot) {
  const auto message = [](const auto& result) { return result ? std::string() : result.error().message; };
  auto items = few_shot_items(2, 5, 1, 1);
  EXPECT_THAT(message(learn_few_shot(items, {"only"}, {})), HasSubstr("only one class (only)"));
  EXPECT_THAT(message(learn_few_shot(items, kThree, {})), HasSubstr("\"c\" has no picture"));
  EXPECT_THAT(message(learn_few_shot(items, {"a", "b"}, {.cost_miss = 0})), HasSubstr("costs of 0"));
  EXPECT_THAT(message(learn_few_shot(items, {"a", "b"}, {.cost_unsure = 2})), HasSubstr("0.05..1"));
  for (auto& item : items) item.group = item.label;
  EXPECT_THAT(message(learn_few_shot(items, {"a", "b"}, {})), HasSubstr("5 pictures that are all nearly the same"));
  const auto two = few_shot_items(2, 2, 3, 1);
  EXPECT_TRUE(learn_few_shot(two, {"a", "b"}, {})) << "two of each are enough to begin";
}

}  // namespace
}  // namespace verge::vision
