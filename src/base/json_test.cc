#include "base/json.h"

#include <gtest/gtest.h>

namespace verge {
namespace {

struct BadText {
  std::string_view text;
  std::string_view part_of_message;
};

TEST(Json, BadTextNamesLineAndColumn) {
  const BadText rows[] = {
      {"", "line 1, column 1"},       {"{\"a\": 1,}", "line 1, column 9"}, {"{\n  \"a\": tru\n}", "line 2, column 11"},
      {"[1, 2", "unexpected end"},    {"{} {}", "line 1, column 4"},       {"{\"a\": 1e999}", "read JSON"},
      {"\"\xff\"", "invalid string"},
  };
  for (const auto& row : rows) {
    const auto result = parse_json(row.text);
    ASSERT_FALSE(result) << row.text;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(result.error().message.find(row.part_of_message), std::string::npos) << result.error().message;
  }
}

TEST(Json, DepthIsLimitedButNotInsideStrings) {
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  EXPECT_EQ(parse_json(deep).error().code, ErrorCode::limit);
  EXPECT_TRUE(parse_json(deep, 65));
  EXPECT_EQ(parse_json(std::string(5'000'000, '[')).error().code, ErrorCode::limit);
  EXPECT_TRUE(parse_json("\"" + std::string(500, '[') + "\\\"[[[\""));
}

TEST(Json, WritesSortedKeysAndRepairsText) {
  EXPECT_EQ(to_text(Json{{"b", 1}, {"a", Json::array({true, nullptr})}}), R"({"a":[true,null],"b":1})");
  EXPECT_EQ(to_text(Json("x\xff")), "\"x\xEF\xBF\xBD\"");
  EXPECT_EQ(to_pretty_text(Json{{"a", 1}}), "{\n  \"a\": 1\n}");
}

struct PatchRow {
  std::string_view target, patch, expected;
};

TEST(Json, MergePatchFollowsRfc7396AppendixA) {
  const PatchRow rows[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", R"(null)", R"(null)"},
      {R"({"e":null})", R"({"a":1})", R"({"a":1,"e":null})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  };
  for (const auto& row : rows) {
    Json target = *parse_json(row.target);
    merge_patch(target, *parse_json(row.patch));
    EXPECT_EQ(to_text(target), row.expected) << row.target << " + " << row.patch;
  }
}

TEST(Json, FindMemberWalksObjectsOnly) {
  const Json value = *parse_json(R"({"a":{"b":{"c":7}},"l":[1]})");
  EXPECT_EQ(*find_member(value, {"a", "b", "c"}), 7);
  EXPECT_EQ(find_member(value, {"a", "x"}), nullptr);
  EXPECT_EQ(find_member(value, {"l", "0"}), nullptr);
  EXPECT_EQ(find_member(value, {}), &value);
}

TEST(Json, TypedMembers) {
  const Json value =
      *parse_json(R"({"s":"x","n":1.5,"i":-3,"w":5.0,"b":true,"z":null,"huge":18446744073709551615,"far":1e300})");
  EXPECT_EQ(*string_member(value, "s"), "x");
  EXPECT_EQ(*string_member(value, "absent", "fallback"), "fallback");
  EXPECT_EQ(*string_member(value, "z", "fallback"), "fallback");
  EXPECT_EQ(string_member(value, "n").error().code, ErrorCode::invalid_argument);
  EXPECT_NE(string_member(value, "n").error().message.find("\"n\""), std::string::npos);
  EXPECT_EQ(*number_member(value, "i"), -3);
  EXPECT_FALSE(number_member(value, "s"));
  EXPECT_EQ(*integer_member(value, "i"), -3);
  EXPECT_EQ(*integer_member(value, "w"), 5);
  for (const auto* key : {"n", "huge", "far", "s"}) EXPECT_FALSE(integer_member(value, key)) << key;
  EXPECT_TRUE(*bool_member(value, "b"));
  EXPECT_FALSE(bool_member(value, "i"));
  EXPECT_EQ(*integer_member(Json::array(), "i", 9), 9);
}

}  // namespace
}  // namespace verge
