#include "contract/event.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>

#include "base/disk.h"
#include "base/json.h"

namespace verge::contract {
namespace {

constexpr const char* kGolden[] = {"event_vision", "event_audio", "event_telemetry", "event_least"};

Json golden(const std::string& name) {
  const auto text = read_file("src/contract/data/" + name + ".json");
  EXPECT_TRUE(text) << name;
  return *parse_json(*text);
}

Json schema() { return *parse_json(*read_file("docs/formats/event.schema.json")); }

bool has_type(const Json& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  return type == "object" && value.is_object();
}

/// The few keywords that the event's schema uses; an empty text when `value` fits.
std::string misfit(const Json& rules, const Json& value, const std::string& path) {
  if (rules.contains("const") && value != rules["const"]) return path + ": const";
  if (rules.contains("enum") && std::find(rules["enum"].begin(), rules["enum"].end(), value) == rules["enum"].end()) {
    return path + ": enum";
  }
  if (rules.contains("type") && !has_type(value, rules["type"])) return path + ": type";
  if (rules.contains("minimum") && value < rules["minimum"]) return path + ": minimum";
  if (rules.contains("maximum") && value > rules["maximum"]) return path + ": maximum";
  if (rules.contains("minLength") && value.get<std::string>().size() < rules["minLength"]) return path + ": minLength";
  const Json required = rules.value("required", Json::array());
  for (const Json& name : required) {
    if (!value.contains(name.get<std::string>())) return path + ": " + name.get<std::string>() + " is missing";
  }
  const Json properties = rules.value("properties", Json::object());
  for (const auto& [name, inner] : properties.items()) {
    if (!value.contains(name)) continue;
    if (auto found = misfit(inner, value[name], path + "/" + name); !found.empty()) return found;
  }
  if (rules.contains("items")) {
    for (const Json& item : value) {
      if (auto found = misfit(rules["items"], item, path + "[]"); !found.empty()) return found;
    }
  }
  return {};
}

TEST(Event, GoldenFilesSurviveTheRoundTrip) {
  for (const char* name : kGolden) {
    const Json json = golden(name);
    const auto event = event_from_json(json);
    ASSERT_TRUE(event) << name << ": " << event.error().message;
    EXPECT_EQ(contract::to_json(*event), json) << name;
  }
}

TEST(Event, GoldenFilesFitTheSchema) {
  for (const char* name : kGolden) EXPECT_EQ(misfit(schema(), golden(name), name), "");
}

TEST(Event, SchemaNamesEveryMember) {
  Event event;
  event.id = "1", event.type = "t", event.family = "vision", event.device = "d", event.module = "m", event.stream = "s";
  event.source = "x", event.captured_us = 1, event.boot_id = "b", event.monotonic_us = 2, event.sequence = 3;
  event.duration_us = 4, event.label = "l", event.score = .5, event.region = Region{0, 0, 1, 1},
  event.span = Span{1, 2};
  event.channels = {"c"}, event.track = "t", event.rule = "r", event.model = "m", event.pipeline = "p";
  event.evidence = {"e"}, event.explanation = "x", event.extension_json = R"({"a": 1})";
  const Json json = contract::to_json(event);
  const Json rules = schema();
  EXPECT_EQ(misfit(rules, json, "full"), "");
  for (const auto& [name, value] : json.items()) EXPECT_TRUE(rules["properties"].contains(name)) << name;
  for (const auto& [name, value] : rules["properties"].items()) EXPECT_TRUE(json.contains(name)) << name;
  // What is required is written even when empty.
  const Json least = contract::to_json(Event{});
  for (const Json& name : rules["required"]) EXPECT_TRUE(least.contains(name.get<std::string>())) << name;
}

TEST(Event, WhatIsRefused) {
  struct Row {
    std::string behaviour, patch, said;
  };
  const Row rows[] = {
      {"no version", R"({"v": null})", "\"v\""},
      {"a newer version", R"({"v": 2})", "update"},
      {"no id", R"({"id": null})", "\"id\""},
      {"empty id", R"({"id": ""})", "\"id\""},
      {"id as a number", R"({"id": 1})", "\"id\""},
      {"empty type", R"({"type": ""})", "\"type\""},
      {"unknown family", R"({"family": "smell"})", "vision, audio, telemetry"},
      {"no device", R"({"device": null})", "\"device\""},
      {"no sequence", R"({"sequence": null})", "\"sequence\""},
      {"negative sequence", R"({"sequence": -1})", "\"sequence\""},
      {"fractional sequence", R"({"sequence": 1.5})", "\"sequence\""},
      {"time as text", R"({"captured_us": "now"})", "\"captured_us\""},
      {"time beyond 63 bits", R"({"captured_us": 18446744073709551615})", "\"captured_us\""},
      {"score as text", R"({"score": "high"})", "\"score\""},
      {"unknown severity", R"({"severity": "panic"})", "info, warning, alarm"},
      {"region outside", R"({"region": {"right": 1.5}})", "\"region\""},
      {"region inside out", R"({"region": {"left": 0.9}})", "\"region\""},
      {"region incomplete", R"({"region": {"left": null}})", "\"left\""},
      {"region a list", R"({"region": [0, 0, 1, 1]})", "\"region\""},
      {"span backwards", R"({"span": {"from_us": 2, "to_us": 1}})", "\"span\""},
      {"channels of numbers", R"({"channels": [1]})", "\"channels\""},
      {"evidence as text", R"({"evidence": "x"})", "\"evidence\""},
      {"extension a list", R"({"extension": []})", "\"extension\""},
  };
  for (const Row& row : rows) {
    Json json = golden("event_vision");
    json.merge_patch(*parse_json(row.patch));
    const auto event = event_from_json(json);
    ASSERT_FALSE(event) << row.behaviour;
    EXPECT_EQ(event.error().code, ErrorCode::invalid_argument) << row.behaviour;
    EXPECT_NE(event.error().message.find(row.said), std::string::npos)
        << row.behaviour << ": " << event.error().message;
  }
  EXPECT_FALSE(event_from_json(Json::array()));
  EXPECT_FALSE(event_from_json(Json()));
}

TEST(Event, UnknownMembersMoveToTheExtension) {
  Json json = golden("event_vision");
  json["colour"] = "red";
  json["in"] = 99;  // The extension has its own "in", which counts.
  const auto event = event_from_json(json);
  ASSERT_TRUE(event);
  EXPECT_EQ(*parse_json(event->extension_json), *parse_json(R"({"in": 3, "out": 1, "colour": "red"})"));
}

TEST(Event, MistakesOfAStageDoNotLoseTheEvent) {
  Event event;
  event.id = "1", event.type = "t", event.family = "vision";
  event.extension_json = "{oops";
  event.score = std::numeric_limits<double>::infinity();
  const Json json = contract::to_json(event);
  EXPECT_EQ(json["extension"], (Json{{"unreadable", "{oops"}}));
  EXPECT_FALSE(json.contains("score"));
  EXPECT_TRUE(event_from_json(json));
}

}  // namespace
}  // namespace verge::contract
