#include "vision/logic/line.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using testing::standing_at;

/// A vertical line in the middle, from top to bottom: "in" is from right to left.
const LineOptions kLine{.name = "l", .from = {0.5, 0.3}, .to = {0.5, 0.7}};

struct Totals {
  std::int64_t in, out;
  bool operator==(const Totals&) const = default;
};

Totals walk(const std::vector<Point>& way, const LineOptions& options = kLine) {
  LineCounter counter(options);
  for (std::size_t i = 0; i < way.size(); ++i) {
    const auto time = static_cast<std::int64_t>(i) * 100'000;
    counter.update({standing_at(way[i].first, way[i].second, "1")}, {time, time}, 1.0);
  }
  return {counter.in(), counter.out()};
}

std::vector<Point> steps(Point from, Point to, int count = 20) {
  std::vector<Point> way;
  for (int i = 0; i <= count; ++i) {
    const double part = static_cast<double>(i) / count;
    way.emplace_back(from.first + part * (to.first - from.first), from.second + part * (to.second - from.second));
  }
  return way;
}

TEST(Line, CountsBothDirections) {
  EXPECT_EQ(walk(steps({0.7, 0.5}, {0.3, 0.5})), (Totals{1, 0}));
  EXPECT_EQ(walk(steps({0.3, 0.5}, {0.7, 0.5})), (Totals{0, 1}));
  auto there_and_back = steps({0.7, 0.5}, {0.3, 0.5});
  for (const Point& p : steps({0.3, 0.5}, {0.7, 0.5})) there_and_back.push_back(p);
  EXPECT_EQ(walk(there_and_back), (Totals{1, 1}));
}

TEST(Line, WhoPassesItsEndsDoesNotCross) {
  EXPECT_EQ(walk(steps({0.7, 0.2}, {0.3, 0.2})), (Totals{0, 0}));
  EXPECT_EQ(walk(steps({0.7, 0.8}, {0.3, 0.8})), (Totals{0, 0}));
}

TEST(Line, AWobbleOnItIsNoCrossing) {
  std::vector<Point> way;
  for (int i = 0; i < 40; ++i) way.emplace_back(i % 2 == 0 ? 0.495 : 0.505, 0.5);
  EXPECT_EQ(walk(way), (Totals{0, 0}));
  way.assign(10, {0.6, 0.5});
  way.insert(way.end(), {{0.45, 0.5}, {0.6, 0.5}, {0.6, 0.5}, {0.6, 0.5}});  // one picture only
  EXPECT_EQ(walk(way), (Totals{0, 0}));
}

TEST(Line, AWalkerHiddenOnTheLineIsCounted) {
  std::vector<Point> way = steps({0.7, 0.5}, {0.56, 0.5}, 8);
  for (const Point& p : steps({0.44, 0.5}, {0.3, 0.5}, 8)) way.push_back(p);
  EXPECT_EQ(walk(way), (Totals{1, 0}));
}

TEST(Line, TheEventBearsTheFirstMomentBeyond) {
  LineCounter counter(kLine);
  counter.update({standing_at(0.6, 0.5, "1")}, {0, 0}, 1);
  EXPECT_TRUE(counter.update({standing_at(0.4, 0.5, "1")}, {100'000, 100'000}, 1).empty());
  EXPECT_TRUE(counter.update({standing_at(0.4, 0.5, "1")}, {200'000, 200'000}, 1).empty());
  const auto crossings = counter.update({standing_at(0.4, 0.5, "1")}, {300'000, 300'000}, 1);
  ASSERT_EQ(crossings.size(), 1U);
  EXPECT_TRUE(crossings[0].is_in);
  EXPECT_EQ(crossings[0].moment.captured_us, 100'000);
}

TEST(Line, TheStageNeedsTwoPoints) {
  const auto kind = line_kind();
  const Json options = {
      {"name", "l"}, {"points", {{0, 0}, {1, 1}, {1, 0}}}, {"margin", 0.01}, {"settle_s", 0.2}, {"forget_s", 3.0}};
  EXPECT_FALSE(kind.make(options, {}));
}

}  // namespace
}  // namespace verge::vision
