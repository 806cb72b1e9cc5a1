#include "contract/twin.h"

#include <gtest/gtest.h>

namespace verge::contract {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;

Json twin_json(std::string_view text) { return *parse_json(text); }

/// {"k": {"k": … {"leaf": 1}}} with `levels` objects below the root.
Json nested(int levels) {
  Json value = Json{{"leaf", 1}};
  for (int i = 0; i < levels; ++i) value = Json{{"k", value}};
  return value;
}

TEST(Twin, WhatMayStandInAPatch) {
  struct Row {
    std::string behaviour;
    Json patch;
    bool is_good;
  };
  const std::int64_t edge = std::int64_t{1} << 52;
  const Row rows[] = {
      {"plain values", twin_json(R"({"a": 1, "b": "x", "c": true, "d": 1.5, "e": {"f": null}, "g": [1, {"h": 2}]})"),
       true},
      {"an empty patch", Json::object(), true},
      {"not an object", twin_json("[1]"), false},
      {"null", Json(), false},
      {"ten levels", nested(10), true},
      {"eleven levels", nested(11), false},
      {"eleven levels through lists", Json{{"a", twin_json("[[[[[[[[[[[1]]]]]]]]]]]")}}, false},
      {"a key with a dot", Json{{"a.b", 1}}, false},
      {"a key with a dollar", Json{{"$a", 1}}, false},
      {"a key with a blank", Json{{"a b", 1}}, false},
      {"a key with a control character", Json{{"a\tb", 1}}, false},
      {"an empty key", Json{{"", 1}}, false},
      {"a bad key deep inside a list", twin_json(R"({"a": [{"b": [{"c.d": 1}]}]})"), false},
      {"a key of 1024 bytes", Json{{std::string(1024, 'k'), 1}}, true},
      {"a key of 1025 bytes", Json{{std::string(1025, 'k'), 1}}, false},
      {"a string of 4096 bytes", Json{{"a", std::string(4096, 'v')}}, true},
      {"a string of 4097 bytes", Json{{"a", std::string(4097, 'v')}}, false},
      {"the largest integer", Json{{"a", edge}}, true},
      {"one more", Json{{"a", edge + 1}}, false},
      {"the smallest integer", Json{{"a", -edge}}, true},
      {"one less", Json{{"a", -edge - 1}}, false},
      {"an unsigned beyond 63 bits", twin_json(R"({"a": 18446744073709551615})"), false},
      {"a large double is no integer", Json{{"a", 1e300}}, true},
  };
  for (const Row& row : rows) {
    Properties properties;
    const Status status = patch_properties(properties, row.patch, kNow, kReportedBytesMax, "Properties.Reported");
    EXPECT_EQ(static_cast<bool>(status), row.is_good) << row.behaviour;
    EXPECT_EQ(properties.version, row.is_good ? 2 : 1) << row.behaviour;
    if (!status) {
      EXPECT_TRUE(properties.values.empty()) << row.behaviour;
    }
  }
}

TEST(Twin, SizeIsCountedAzuresWay) {
  // Eight keys of 1 byte with 4095 bytes of text: 8 * 4096 = 32768.
  Json full = Json::object();
  for (char key = 'a'; key < 'i'; ++key) full[std::string(1, key)] = std::string(4095, 'v');
  Properties properties;
  ASSERT_TRUE(patch_properties(properties, full, kNow, kReportedBytesMax, "Properties.Reported"));

  const Status refused =
      patch_properties(properties, Json{{"z", true}}, kNow, kReportedBytesMax, "Properties.Reported");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::limit);
  EXPECT_EQ(refused.error().message, "'Properties.Reported' size should be less than 32768 bytes.");
  EXPECT_EQ(properties.version, 2);
  EXPECT_FALSE(properties.values.contains("z"));

  // Room again once something is deleted, in the same patch: 1 + 4095 go; 1 + 8 and 1 + 4 come.
  EXPECT_TRUE(patch_properties(properties, twin_json(R"({"a": null, "y": 1234567, "z": false})"), kNow,
                               kReportedBytesMax, "R"));
  // Control characters and punctuation are free.
  Properties small;
  EXPECT_TRUE(patch_properties(small, Json{{"k", std::string("ab\n\n\n\n")}}, kNow, 3, "Tags"));
  EXPECT_FALSE(patch_properties(small, Json{{"k", std::string("abc")}}, kNow, 3, "Tags"));
}

TEST(Twin, MergeDeletesAndStamps) {
  Properties properties;
  ASSERT_TRUE(patch_properties(properties, twin_json(R"({"a": {"b": 1, "c": 2}, "d": [1]})"), kNow, 1000, "R"));
  ASSERT_TRUE(patch_properties(properties, twin_json(R"({"a": {"b": null, "e": 3}})"), kNow + 1'000'000, 1000, "R"));
  EXPECT_EQ(properties.values, twin_json(R"({"a": {"c": 2, "e": 3}, "d": [1]})"));
  EXPECT_EQ(properties.version, 3);
  const std::string first = "2023-11-14T22:13:20.000000Z";
  const std::string second = "2023-11-14T22:13:21.000000Z";
  const Json metadata{
      {"$lastUpdated", second},
      {"a", {{"$lastUpdated", second}, {"c", {{"$lastUpdated", first}}}, {"e", {{"$lastUpdated", second}}}}},
      {"d", {{"$lastUpdated", first}}}};
  EXPECT_EQ(properties.metadata, metadata);
  EXPECT_EQ(to_json(properties, true),
            (Json{{"a", {{"c", 2}, {"e", 3}}}, {"d", Json::array({1})}, {"$metadata", metadata}, {"$version", 3}}));
  EXPECT_EQ(to_json(properties, false), twin_json(R"({"a": {"c": 2, "e": 3}, "d": [1], "$version": 3})"));

  // A value in the place of an object takes its stamps away, and the other way round.
  ASSERT_TRUE(patch_properties(properties, twin_json(R"({"a": 5, "d": {"x": 1}})"), kNow, 1000, "R"));
  EXPECT_EQ(properties.metadata["a"], (Json{{"$lastUpdated", first}}));
  EXPECT_EQ(properties.metadata["d"], (Json{{"$lastUpdated", first}, {"x", {{"$lastUpdated", first}}}}));
}

TEST(Twin, WhatWasReadMayBeWrittenBack) {
  Properties properties;
  ASSERT_TRUE(patch_properties(properties, twin_json(R"({"a": 1})"), kNow, 1000, "D"));
  ASSERT_TRUE(patch_properties(properties, to_json(properties, true), kNow, 1000, "D"));
  EXPECT_EQ(properties.values, twin_json(R"({"a": 1})"));
  EXPECT_EQ(properties.version, 3);
}

TEST(Twin, ReplaceForgetsTheOld) {
  Properties properties;
  ASSERT_TRUE(patch_properties(properties, twin_json(R"({"a": 1, "b": 2})"), kNow, 1000, "D"));
  ASSERT_TRUE(replace_properties(properties, twin_json(R"({"c": 3, "d": null})"), kNow, 1000, "D"));
  EXPECT_EQ(properties.values, twin_json(R"({"c": 3})"));
  EXPECT_EQ(properties.version, 3);
  EXPECT_FALSE(properties.metadata.contains("a"));
  EXPECT_FALSE(replace_properties(properties, twin_json(R"({"$x": 3})"), kNow, 1000, "D"));
  EXPECT_EQ(properties.values, twin_json(R"({"c": 3})"));
  EXPECT_EQ(properties.version, 3);
}

TEST(Twin, DifferenceLeadsFromOneToTheOther) {
  const std::string values[] = {
      "{}",
      R"({"a": 1})",
      R"({"a": 2, "b": "x"})",
      R"({"a": {"b": {"c": 1, "d": 2}}, "e": [1, 2]})",
      R"({"a": {"b": {"c": 1, "f": {}}}, "e": [2, 1]})",
      R"({"a": {"b": 1}, "e": {"x": 1}})",
  };
  for (const std::string& from_text : values) {
    for (const std::string& to_text : values) {
      const Json from = twin_json(from_text);
      const Json to = twin_json(to_text);
      const Json patch = difference(from, to);
      Json result = from;
      merge_patch(result, patch);
      EXPECT_EQ(result, to) << from_text << " to " << to_text << " by " << patch;
      if (from == to) {
        EXPECT_EQ(patch, Json::object());
      }
    }
  }
  EXPECT_EQ(difference(twin_json(R"({"a": {"b": 1, "c": 2}, "d": 3})"), twin_json(R"({"a": {"b": 1, "c": 5}})")),
            twin_json(R"({"a": {"c": 5}, "d": null})"));
}

}  // namespace
}  // namespace verge::contract
