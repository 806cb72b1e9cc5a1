#include "telemetry/alarm_logic.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace verge::telemetry {
namespace {

/// One letter a second: '.' normal, '#' above the limit, '=' between limit and clearing. Answers 'R', 'C' or '.'.
std::string play(const AlarmOptions& options, const std::string& scores,
                 std::int64_t begin_us = 1'700'000'000'000'000) {
  AlarmLogic logic(options);
  std::string changes;
  for (std::size_t at = 0; at < scores.size(); ++at) {
    const double score = scores[at] == '#' ? 2.0 : scores[at] == '=' ? 0.95 : 0.5;
    const auto change = logic.add(begin_us + static_cast<std::int64_t>(at) * 1'000'000, score, 1.0);
    changes += change == AlarmLogic::Change::raised ? 'R' : change == AlarmLogic::Change::cleared ? 'C' : '.';
  }
  return changes;
}

TEST(AlarmLogic, RaisesAndClears) {
  const AlarmOptions quick{.for_s = 2, .clear_s = 3, .clear_share = 0.9, .cool_down_s = 0};
  const struct {
    const char *name, *scores, *changes;
    AlarmOptions options;
  } cases[] = {
      {"never above", "....====....", "............", quick},
      {"above long enough", "..####", "....R.", quick},
      {"a short peak is none", "..##..##..", "..........", quick},
      {"touching the limit begins anew", "##=##=###", "........R", quick},
      {"cleared once below for long", "###......", "..R...C..", quick},
      {"between limit and clearing share it stays", "###======", "..R......", quick},
      {"one score above the share begins the wait anew", "###..=....", "..R......C", quick},
      {"raised again", "###....###", "..R...C..R", quick},
      {"at once", "#.#.", "RCRC", {.for_s = 0, .clear_s = 0, .clear_share = 0.9, .cool_down_s = 0}},
      {"quiet after clearing",
       "#.########",
       "RC....R...",
       {.for_s = 0, .clear_s = 0, .clear_share = 0.9, .cool_down_s = 5}},
      {"what began in the quiet time counts from its end",
       "#.########",
       "RC......R.",
       {.for_s = 2, .clear_s = 0, .clear_share = 0.9, .cool_down_s = 5}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    // With for_s = 2 the last case needs two seconds for its first alarm, too.
    const std::string lead = c.options.for_s > 0 && c.options.cool_down_s > 0 ? "##" : "";
    const auto changes = play(c.options, lead + c.scores);
    EXPECT_EQ(changes.substr(lead.size()), c.changes);
  }
}

TEST(AlarmLogic, KnowsSinceWhen) {
  AlarmLogic logic({.for_s = 2, .clear_s = 0, .clear_share = 0.9, .cool_down_s = 0});
  EXPECT_FALSE(logic.is_raised());
  for (std::int64_t second = 0; second < 4; ++second) (void)logic.add(second * 1'000'000, second == 0 ? 0 : 5, 1);
  EXPECT_TRUE(logic.is_raised());
  EXPECT_EQ(logic.since_us(), 1'000'000) << "when it first rose, not when it was believed";
  EXPECT_EQ(logic.add(4'000'000, 0, 1), AlarmLogic::Change::cleared);
  EXPECT_FALSE(logic.is_raised());
}

TEST(AlarmLogic, AScoreThatIsNoNumberNeitherRaisesNorClears) {
  AlarmLogic logic({.for_s = 0, .clear_s = 0, .clear_share = 0.9, .cool_down_s = 0});
  EXPECT_EQ(logic.add(0, std::nan(""), 1), AlarmLogic::Change::none);
  EXPECT_EQ(logic.add(1, std::numeric_limits<double>::infinity(), 1), AlarmLogic::Change::raised);
  EXPECT_EQ(logic.add(2, std::nan(""), 1), AlarmLogic::Change::none);
  EXPECT_TRUE(logic.is_raised());
}

TEST(AlarmLogic, AClockThatGoesBackDelaysAndDoesNotRaise) {
  AlarmLogic logic({.for_s = 3, .clear_s = 3, .clear_share = 0.9, .cool_down_s = 0});
  EXPECT_EQ(logic.add(10'000'000, 5, 1), AlarmLogic::Change::none);
  EXPECT_EQ(logic.add(1'000'000, 5, 1), AlarmLogic::Change::none);
  EXPECT_EQ(logic.add(13'000'000, 5, 1), AlarmLogic::Change::raised);
}

}  // namespace
}  // namespace verge::telemetry
