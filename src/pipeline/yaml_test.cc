#include "pipeline/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::pipeline {
namespace {

using ::testing::HasSubstr;

TEST(Yaml, ReadsScalarsByTheCoreSchema) {
  const struct {
    const char* text;
    Json value;
  } cases[] = {
      {"1", 1},           {"-7", -7},           {"+7", 7},        {"010", 10},        {"0x1F", 31},
      {"0o17", 15},       {"1.5", 1.5},         {".5", 0.5},      {"-1e3", -1000.0},  {"5.", 5.0},
      {"true", true},     {"False", false},     {"~", nullptr},   {"null", nullptr},  {"", nullptr},
      {"'1'", "1"},       {"\"true\"", "true"}, {"yes", "yes"},   {"1.2.3", "1.2.3"}, {"-", Json::array({nullptr})},
      {"12:30", "12:30"}, {".inf", ".inf"},     {"0x-1", "0x-1"}, {"!!str 5", "5"},   {"99999999999999999999", 1e20},
  };
  for (const auto& c : cases) {
    auto document = read_yaml(c.text, "t.yaml");
    ASSERT_TRUE(document) << c.text << ": " << document.error().message;
    EXPECT_EQ(document->value, c.value) << c.text;
  }
}

TEST(Yaml, RemembersPlaces) {
  auto document = read_yaml("a: 1\nlist:\n  - x: {y/z: 2}\n", "t.yaml");
  ASSERT_TRUE(document);
  EXPECT_EQ(document->where("/a"), "t.yaml:1:1");
  EXPECT_EQ(document->where("/list/0/x/y~1z"), "t.yaml:3:9");
  EXPECT_EQ(document->where("/list/0/x/unknown"), "t.yaml:3:5");
  EXPECT_EQ(document->where("/nothing"), "t.yaml:1:1");
  for (const auto* empty : {"", " \n", "# nothing\n", "~"}) {
    document = read_yaml(empty, "t.yaml");
    ASSERT_TRUE(document) << empty;
    EXPECT_TRUE(document->value.is_null());
    EXPECT_EQ(document->where(""), "t.yaml:1:1") << empty;
  }
}

TEST(Yaml, SaysWhereTheMistakeIs) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"a: [1, 2", "t.yaml:1:"},
      {"a: 1\na: 2\n", "t.yaml:2:1: key \"a\" is given twice"},
      {"? [1]\n: 2\n", "t.yaml:1:3: a key must be a word"},
      {"a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document"},
      {"!,", "a second document"},
      {"a: *nobody\n", "t.yaml:1:"},
  };
  for (const auto& c : cases) {
    auto document = read_yaml(c.text, "t.yaml");
    ASSERT_FALSE(document) << c.text;
    EXPECT_EQ(document.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(document.error().message, HasSubstr(c.message));
  }
}

TEST(Yaml, IsBounded) {
  EXPECT_FALSE(read_yaml(std::string(2U << 20U, ' '), "t.yaml"));
  EXPECT_FALSE(read_yaml(std::string(100, '[') + std::string(100, ']'), "t.yaml"));
  // Nine aliases of nine aliases …: a billion values in 300 bytes.
  std::string bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) bomb += (j == 0 ? "*a" : ",*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_FALSE(read_yaml(bomb, "t.yaml"));
}

}  // namespace
}  // namespace verge::pipeline
