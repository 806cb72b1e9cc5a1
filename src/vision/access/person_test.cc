#include "vision/access/person.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/access/test_people.h"

namespace verge::vision {
namespace {

using ::testing::HasSubstr;
using testing::person;

TEST(AccessPerson, ComesBackFromItsRecord) {
  Person made = person("Åsa Öberg", 1, 3);
  made.when = "hour >= 7 AND door = 'gate'";
  const auto read = person_of_record(to_record(made));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->name, made.name);
  EXPECT_EQ(read->when, made.when);
  EXPECT_EQ(read->model, made.model);
  EXPECT_EQ(read->enrolled_us, made.enrolled_us);
  EXPECT_EQ(read->looks, made.looks);
}

TEST(AccessPerson, IsRefusedWhenUnsound) {
  const struct {
    const char* wrong;
    void (*change)(Person&);
    const char* says;
  } cases[] = {
      {"no name", [](Person& p) { p.name.clear(); }, "0 bytes"},
      {"long name", [](Person& p) { p.name.assign(101, 'a'); }, "101 bytes"},
      {"two lines", [](Person& p) { p.name = "a\nb"; }, "control character"},
      {"blank", [](Person& p) { p.name = "a "; }, "blank"},
      {"not UTF-8", [](Person& p) { p.name = "\xff"; }, "UTF-8"},
      {"no model", [](Person& p) { p.model.clear(); }, "model"},
      {"no looks", [](Person& p) { p.looks.clear(); }, "0 looks"},
      {"many looks", [](Person& p) { p.looks.resize(9, p.looks[0]); }, "9 looks"},
      {"unequal looks", [](Person& p) { p.looks[1].pop_back(); }, "31 numbers"},
      {"not a number", [](Person& p) { p.looks[0][3] = std::nanf(""); }, "unit length"},
      {"no schedule", [](Person& p) { p.when = "hour >"; }, "hour >"},
      {"unknown name", [](Person& p) { p.when = "label = 'a'"; }, "hour, weekday and door"},
  };
  for (const auto& c : cases) {
    Person made = person("Ada", 1);
    c.change(made);
    const Status checked = check_person(made);
    ASSERT_FALSE(checked) << c.wrong;
    EXPECT_THAT(checked.error().message, HasSubstr(c.says)) << c.wrong;
  }
}

TEST(AccessPerson, BrokenRecordsAreRefused) {
  const std::string whole = to_record(person("Ada", 1));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto read = person_of_record(std::string_view(whole).substr(0, length));
    ASSERT_FALSE(read) << length;
    EXPECT_EQ(read.error().code, ErrorCode::corrupt);
  }
  EXPECT_FALSE(person_of_record(whole + "x"));
  std::string changed = whole;
  changed.replace(changed.find("\"looks\":2"), 9, "\"looks\":9");
  EXPECT_FALSE(person_of_record(changed));
}

}  // namespace
}  // namespace verge::vision
