#include "vision/logic/schedule.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::vision {
namespace {

using ::testing::HasSubstr;

/// Local time of a zone while a test runs.
class Zone {
 public:
  explicit Zone(const char* name) {
    setenv("TZ", name, 1);
    tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() {
    unsetenv("TZ");
    tzset();
  }
};

/// Of the week from Sunday 2023-11-12 on, in a zone an hour east of Greenwich.
std::int64_t moment(int day, int hour, int minute) {
  constexpr std::int64_t kSunday = 1'699'747'200 - 3600;  // 2023-11-12 00:00 there.
  return (kSunday + day * 86'400LL + hour * 3600LL + minute * 60LL) * 1'000'000;
}

TEST(Schedule, HoldsInItsHours) {
  const Zone zone("CET-1");
  const struct {
    const char* text;
    int day, hour, minute;
    bool holds;
  } rows[] = {
      {R"({})", 3, 12, 0, true},
      {R"({"from": "08:00", "to": "17:30"})", 1, 8, 0, true},
      {R"({"from": "08:00", "to": "17:30"})", 1, 7, 59, false},
      {R"({"from": "08:00", "to": "17:30"})", 1, 17, 30, false},
      {R"({"days": ["sat", "sun"]})", 6, 12, 0, true},
      {R"({"days": ["sat", "sun"]})", 0, 0, 0, true},
      {R"({"days": ["sat", "sun"]})", 1, 0, 0, false},
      {R"({"from": "18:00"})", 2, 23, 59, true},
      {R"({"from": "18:00"})", 3, 0, 0, false},
      // A night belongs to the day on which it begins.
      {R"({"days": ["fri"], "from": "22:00", "to": "06:00"})", 5, 21, 59, false},
      {R"({"days": ["fri"], "from": "22:00", "to": "06:00"})", 5, 22, 0, true},
      {R"({"days": ["fri"], "from": "22:00", "to": "06:00"})", 6, 5, 59, true},
      {R"({"days": ["fri"], "from": "22:00", "to": "06:00"})", 6, 6, 0, false},
      {R"({"days": ["fri"], "from": "22:00", "to": "06:00"})", 5, 5, 0, false},
      {R"({"days": ["sat"], "from": "22:00", "to": "06:00"})", 0, 3, 0, true},
      {R"({"days": ["mon"], "from": "06:00", "to": "06:00"})", 2, 5, 0, true},
      {R"({"days": ["mon"], "from": "06:00", "to": "06:00"})", 2, 6, 0, false},
  };
  for (const auto& row : rows) {
    const auto schedule = Schedule::read(*parse_json(row.text));
    ASSERT_TRUE(schedule) << schedule.error().message;
    EXPECT_EQ(schedule->holds(moment(row.day, row.hour, row.minute)), row.holds)
        << row.text << " day " << row.day << " at " << row.hour << ":" << row.minute;
  }
}

TEST(Schedule, FollowsTheClocksOfItsZone) {
  const Zone zone("CET-1CEST,M3.5.0,M10.5.0/3");
  const auto schedule = *Schedule::read({{"from", "08:00"}, {"to", "09:00"}});
  EXPECT_TRUE(schedule.holds(1'689'487'200'000'000LL)) << "2023-07-16 06:00 UTC is 8 there";
  EXPECT_FALSE(schedule.holds(1'700'028'000'000'000LL)) << "2023-11-15 06:00 UTC is 7 there";
  EXPECT_TRUE(schedule.holds(1'700'031'600'000'000LL));
}

TEST(Schedule, RefusesWhatIsNoTime) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"days": ["fry"]})", "did you mean \"fri\"?"},
      {R"({"days": []})", "days is []; give a list of days"},
      {R"({"days": "mon"})", "give a list of days"},
      {R"({"from": "8:00"})", "from is \"8:00\"; give a time"},
      {R"({"to": "24:01"})", "to is \"24:01\""},
      {R"({"from": "12:60"})", "from is \"12:60\""},
      {R"({"from": 22})", "from is 22"},
      {R"({"until": "06:00"})", "schedule has no \"until\". Allowed: days, from, to"},
  };
  for (const auto& [text, words] : rows) {
    const auto schedule = Schedule::read(*parse_json(text));
    ASSERT_FALSE(schedule) << text;
    EXPECT_THAT(schedule.error().message, HasSubstr(words));
  }
}

}  // namespace
}  // namespace verge::vision
