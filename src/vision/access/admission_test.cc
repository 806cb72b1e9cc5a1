#include "vision/access/admission.h"

#include <cstdlib>
#include <ctime>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/time.h"

namespace verge::vision {
namespace {

bool allows(const std::string& when, const char* time, const std::string& door = "gate") {
  const auto admission = Admission::read(when);
  EXPECT_TRUE(admission) << admission.error().message;
  return admission->allows(*from_iso8601(time), door);
}

TEST(AccessAdmission, TimeAndDoor) {
  setenv("TZ", "UTC", 1);
  tzset();
  constexpr const char* kFriday = "2026-11-27T18:30:00Z";
  EXPECT_TRUE(allows("", kFriday));
  EXPECT_TRUE(allows("weekday = 'fri' AND hour >= 18.5", kFriday));
  EXPECT_FALSE(allows("hour < 18.5", kFriday));
  EXPECT_TRUE(allows("door = 'gate'", kFriday));
  EXPECT_FALSE(allows("door = 'gate'", kFriday, "yard"));
  EXPECT_TRUE(allows("weekday NIN ['sat', 'sun']", kFriday));
  // The clock was never set: nobody knows whether it is time.
  EXPECT_FALSE(allows("hour >= 0", "1970-01-01T12:00:00Z"));
  EXPECT_TRUE(allows("door = 'gate'", "1970-01-01T12:00:00Z"));
  unsetenv("TZ");
  tzset();
}

TEST(AccessAdmission, AsksOnlyForWhatThereIs) {
  EXPECT_FALSE(Admission::read("hour >="));
  const auto wrong = Admission::read("hours > 7");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, ::testing::HasSubstr("\"hours\""));
}

}  // namespace
}  // namespace verge::vision
