// The sink against a broker: entities, states and messages of a pipeline, and what becomes of them when it changes.
#include "connectors/home/home_assistant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "connectors/home/broker_for_tests.h"
#include "connectors/home/home_plan.h"
#include "evidence/keeper.h"
#include "pipeline/pipeline_file.h"

namespace verge::connectors {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kBegin = "homeassistant/";

std::shared_ptr<pipeline::PipelineSpec> gate_spec() {
  auto spec = std::make_shared<pipeline::PipelineSpec>();
  spec->sources = {{"gate", "camera"}};
  spec->stages = {{"detect", "detect", {"gate"}, {{"labels", {"person"}}}},
                  {"press", "zone", {"detect"}, {{"name", "press"}}},
                  {"door", "line", {"press"}, {{"name", "door"}}},
                  {"alone", "rule", {"door"}, {{"name", "alone"}, {"tells_end", true}}},
                  {"night", "rule", {"alone"}, {{"name", "night"}, {"tells_end", false}}}};
  return spec;
}

class HomeAssistantTest : public ::testing::Test {
 protected:
  HomeAssistantTest() {
    context.metrics = &metrics;
    context.folder = folder.path();
    context.pipeline = gate_spec();
    context.evidence = &keeper;
  }

  Json options() const {
    Json all = Json::object();
    for (const auto& option : home_assistant_kind().options) all[option.name] = option.fallback;
    all["url"] = "mqtt://127.0.0.1:" + std::to_string(broker.port());
    return all;
  }
  Result<std::unique_ptr<pipeline::Sink>> make(const Json& given) const {
    return home_assistant_kind([](const std::string&) { return std::nullopt; }).make(given, context);
  }
  std::unique_ptr<pipeline::Sink> open(const Json& given) const {
    auto sink = make(given);
    EXPECT_TRUE(sink) << sink.error().message;
    EXPECT_TRUE((*sink)->open());
    EXPECT_TRUE(comes_true([&] { return value("verge/verge/available") == "online"; }));
    return *std::move(sink);
  }

  std::string value(const std::string& topic) const {
    const auto retained = broker.retained();
    const auto at = retained.find(topic);
    return at == retained.end() ? "" : at->second;
  }
  bool becomes(const std::string& topic, const std::string& wanted) const {
    return comes_true([&] { return value(topic) == wanted; });
  }
  /// "sensor/gate__person__count" …
  std::vector<std::string> entities() const {
    std::vector<std::string> names;
    for (const auto& [topic, payload] : broker.retained()) {
      if (!topic.starts_with(kBegin)) continue;
      std::string name = topic.substr(std::string(kBegin).size());
      name.erase(name.find("/verge/"), 6);
      names.push_back(name.substr(0, name.rfind('/')));
    }
    return names;
  }

  pipeline::Packet packet(pipeline::Payload payload) {
    pipeline::Packet packet;
    packet.stream = std::make_shared<const std::string>("gate");
    packet.captured_us = 1'700'000'000'000'000 + now_us;
    packet.monotonic_us = now_us;
    packet.payload = std::move(payload);
    return packet;
  }
  pipeline::Packet picture(int people, std::uint32_t take = 0, std::string label = "person") {
    auto frame = std::make_shared<pipeline::Frame>();
    frame->width = 640;
    frame->height = 360;
    frame->take = take;
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = frame;
    scene->shapes = {{"press", true, {}, {{"inside", 1}, {"entered", 5}, {"left", 4}}},
                     {"door", false, {}, {{"in", 2}, {"out", 1}}}};
    for (int i = 0; i < people; ++i) {
      pipeline::Object object;
      object.label = label;
      object.score = 0.75F;
      object.box = {0.1, 0.2, 0.3, 0.8};
      object.track = std::to_string(i);
      if (i == 0) object.zones = {"press"};
      scene->objects.push_back(object);
    }
    now_us += 200'000;
    return packet(std::shared_ptr<const pipeline::Scene>(scene));
  }
  pipeline::Packet event(std::string type, std::string rule, std::string track = "0", std::string extension = "{}") {
    auto event = std::make_shared<contract::Event>();
    event->type = std::move(type);
    event->family = "vision";
    event->stream = "gate";
    event->rule = std::move(rule);
    event->track = std::move(track);
    event->label = "person";
    event->extension_json = std::move(extension);
    event->evidence = kept;
    return packet(std::shared_ptr<const contract::Event>(event));
  }
  std::vector<Json> messages(const std::string& topic) const {
    std::vector<Json> found;
    for (const std::string& message : broker.messages()) {
      if (message.starts_with(topic + "=")) found.push_back(parse_json(message.substr(topic.size() + 1)).value());
    }
    return found;
  }

  TemporaryFolder folder;
  Metrics metrics;
  evidence::Keeper keeper{
      {folder.path() / "evidence", 1, 1'000'000, 0, "people"}, system_disk(), system_clock(), metrics};
  TestBroker broker;
  pipeline::Context context;
  std::int64_t now_us = 1;
  std::vector<std::string> kept;
};

TEST_F(HomeAssistantTest, AnnouncesWhatThePipelineHas) {
  const auto sink = open(options());
  EXPECT_TRUE(comes_true([&] { return entities().size() == 16; }));
  const auto all = entities();
  for (const char* name :
       {"sensor/gate__person__count", "binary_sensor/gate__person__occupancy", "sensor/gate__press__person__count",
        "binary_sensor/gate__press__all__occupancy", "sensor/gate__press__entered", "event/gate__press__event",
        "sensor/gate__door__out", "event/gate__door__event", "binary_sensor/gate__alone__active",
        "event/gate__night__event"}) {
    EXPECT_THAT(all, Contains(name));
  }
  const auto config =
      parse_json(value("homeassistant/binary_sensor/verge/gate__press__person__occupancy/config")).value();
  EXPECT_EQ(config["name"], "press: person present");
  EXPECT_EQ(config["unique_id"], "verge__verge__gate__press__person__occupancy");
  EXPECT_EQ(config["state_topic"], "verge/verge/gate/press/person");
  EXPECT_EQ(config["availability_topic"], "verge/verge/available");
  EXPECT_EQ(config["device_class"], "occupancy");
  EXPECT_EQ(config["device"]["identifiers"], Json::array({"verge__verge__gate"}));
  EXPECT_TRUE(becomes("verge/verge/gate/all", "0"));
  EXPECT_TRUE(becomes("verge/verge/gate/_active/alone", "OFF"));
}

TEST_F(HomeAssistantTest, ShowsCountsAndTotals) {
  const auto sink = open(options());
  EXPECT_TRUE(sink->write(picture(2)));
  EXPECT_TRUE(becomes("verge/verge/gate/person", "2"));
  EXPECT_TRUE(becomes("verge/verge/gate/press/person", "1"));
  EXPECT_TRUE(becomes("verge/verge/gate/press/all", "1"));
  EXPECT_TRUE(becomes("verge/verge/gate/_totals/press", R"({"entered":5,"left":4})"));
  EXPECT_TRUE(becomes("verge/verge/gate/_totals/door", R"({"in":2,"out":1})"));
  EXPECT_TRUE(sink->close());
  EXPECT_EQ(value("verge/verge/gate/person"), "0");
  EXPECT_EQ(value("verge/verge/available"), "offline");
  const auto lives = messages("verge/verge/events");
  ASSERT_EQ(lives.size(), 4U);
  EXPECT_EQ(lives[0]["type"], "new");
  EXPECT_EQ(lives[0]["after"]["box"], Json::array({64, 72, 192, 288}));
  EXPECT_EQ(lives[3]["type"], "end");
}

TEST_F(HomeAssistantTest, RulesAreOnWhileTheyHoldForAnybody) {
  const auto sink = open(options());
  const std::string topic = "verge/verge/gate/_active/alone";
  (void)sink->write(event("rule.fired", "alone", "1"));
  (void)sink->write(event("rule.fired", "alone", "2"));
  EXPECT_TRUE(becomes(topic, "ON"));
  (void)sink->write(event("rule.fired.ended", "alone", "1"));
  (void)sink->write(picture(0));
  EXPECT_TRUE(becomes("verge/verge/gate/_totals/door", R"({"in":2,"out":1})"));
  EXPECT_EQ(value(topic), "ON");
  (void)sink->write(event("rule.fired.ended", "alone", "2"));
  EXPECT_TRUE(becomes(topic, "OFF"));
  (void)sink->write(event("rule.fired", "alone", "3"));
  EXPECT_TRUE(becomes(topic, "ON"));
  (void)sink->write(picture(0, 1));  // Another take: nobody of before will end.
  EXPECT_TRUE(becomes(topic, "OFF"));
}

TEST_F(HomeAssistantTest, EventsOfEachSort) {
  const auto sink = open(options());
  (void)sink->write(event("zone.left", "press"));
  (void)sink->write(event("line.crossed", "door", "0", R"({"direction": "out"})"));
  (void)sink->write(event("rule.fired", "night"));
  (void)sink->write(event("speech.final", ""));
  EXPECT_TRUE(sink->close());
  const auto type_of = [&](const std::string& topic) {
    const auto found = messages("verge/verge/gate/" + topic);
    return found.size() == 1 ? found[0]["event_type"].get<std::string>() : std::to_string(found.size());
  };
  EXPECT_EQ(type_of("_happened/press"), "left");
  EXPECT_EQ(type_of("_happened/door"), "out");
  EXPECT_EQ(type_of("_happened/night"), "fired");
  const std::string speech = topic_name("speech.final");
  EXPECT_EQ(type_of("_told/" + speech), "speech.final");
  const auto config = parse_json(value("homeassistant/event/verge/gate__" + speech + "__event/config")).value();
  EXPECT_EQ(config["event_types"], Json::array({"speech.final"}));
  const Json whole = messages("verge/verge/gate/_happened/press")[0];
  EXPECT_EQ(whole["rule"], "press");
  EXPECT_EQ(whole["label"], "person");
}

TEST_F(HomeAssistantTest, ASnapshotOfAnEventBecomesAnImage) {
  const std::string jpeg = "\xFF\xD8 not looked at";
  kept = {keeper.keep(evidence::kEventShelf, {system_clock().now_us(), "jpg", "people"}, jpeg).value().digest};
  const auto sink = open(options());
  (void)sink->write(picture(1));
  (void)sink->write(event("zone.entered", "press"));
  EXPECT_TRUE(becomes("verge/verge/gate/person/snapshot", jpeg));
  const auto image = parse_json(value("homeassistant/image/verge/gate__person__snapshot/config")).value();
  EXPECT_EQ(image["image_topic"], "verge/verge/gate/person/snapshot");
  (void)sink->write(event("evidence.stored", "press"));
  EXPECT_TRUE(sink->close());
  const auto lives = messages("verge/verge/events");
  ASSERT_EQ(lives.size(), 4U);
  EXPECT_EQ(lives[1]["after"]["has_snapshot"], true);
  EXPECT_EQ(lives[1]["after"]["has_clip"], false);
  EXPECT_EQ(lives[2]["after"]["has_clip"], true);
}

TEST_F(HomeAssistantTest, WithoutSnapshotsEventsOrDiscovery) {
  kept = {keeper.keep(evidence::kEventShelf, {system_clock().now_us(), "jpg", "people"}, "x").value().digest};
  Json quiet = options();
  quiet["snapshots"] = quiet["events"] = false;
  quiet["discovery"] = "";
  const auto sink = open(quiet);
  (void)sink->write(picture(1));
  (void)sink->write(event("zone.entered", "press"));
  EXPECT_TRUE(sink->close());
  EXPECT_THAT(entities(), IsEmpty());
  EXPECT_THAT(messages("verge/verge/events"), IsEmpty());
  EXPECT_EQ(messages("verge/verge/gate/_happened/press").size(), 1U);
  EXPECT_EQ(value("verge/verge/gate/person/snapshot"), "");
}

TEST_F(HomeAssistantTest, WhatThePipelineNoLongerHasIsTakenBack) {
  kept = {keeper.keep(evidence::kEventShelf, {system_clock().now_us(), "jpg", "people"}, "x").value().digest};
  {
    const auto sink = open(options());
    (void)sink->write(event("zone.entered", "press"));
    (void)sink->write(event("speech.final", ""));
    EXPECT_TRUE(sink->close());
  }
  ASSERT_THAT(entities(), Contains("binary_sensor/gate__press__person__occupancy"));
  auto without_press = gate_spec();
  without_press->stages.erase(without_press->stages.begin() + 1);
  without_press->stages[1].inputs = {"detect"};
  context.pipeline = without_press;
  const auto sink = open(options());
  const auto has_press = [&](const std::string& name) { return name.find("__press__") != std::string::npos; };
  EXPECT_TRUE(comes_true([&] { return std::ranges::none_of(entities(), has_press); }));
  EXPECT_TRUE(comes_true([&] { return value("verge/verge/gate/press/person").empty(); }));
  EXPECT_TRUE(becomes("verge/verge/gate/_totals/press", ""));
  EXPECT_THAT(entities(), Contains("sensor/gate__person__count"));
  EXPECT_THAT(entities(), Contains("image/gate__person__snapshot"));  // Can come again.
  EXPECT_THAT(entities(), Contains("event/gate__" + topic_name("speech.final") + "__event"));
}

TEST_F(HomeAssistantTest, LabelsThatNobodyListedAreAnnouncedWhenSeenAndStay) {
  auto any = gate_spec();
  any->stages[0].options = {{"labels", Json::array()}};
  context.pipeline = any;
  {
    const auto sink = open(options());
    (void)sink->write(picture(1, 0, "forklift"));
    EXPECT_TRUE(becomes("verge/verge/gate/press/forklift", "1"));
    EXPECT_TRUE(sink->close());
  }
  EXPECT_THAT(entities(), Contains("binary_sensor/gate__press__forklift__occupancy"));
  const auto sink = open(options());
  EXPECT_TRUE(becomes("verge/verge/gate/all", "0"));
  EXPECT_THAT(entities(), Contains("binary_sensor/gate__press__forklift__occupancy"));
}

TEST_F(HomeAssistantTest, SensorsOfAMachine) {
  auto spec = std::make_shared<pipeline::PipelineSpec>();
  spec->sources = {{"gate", "machine"}};
  spec->stages = {{"score", "score", {"gate"}}};
  context.pipeline = spec;
  const auto sink = open(options());
  (void)sink->write(event("anomaly.alarm", "score"));
  EXPECT_TRUE(becomes("verge/verge/gate/_unusual", "ON"));
  EXPECT_TRUE(becomes("verge/verge/gate/_score", "0.000"));
  (void)sink->write(event("anomaly.cleared", "score"));
  EXPECT_TRUE(becomes("verge/verge/gate/_unusual", "OFF"));
  EXPECT_THAT(entities(), ElementsAre("binary_sensor/gate__unusual", "sensor/gate__score"));
}

TEST_F(HomeAssistantTest, BadOptionsAreRefused) {
  struct Row {
    const char* option;
    const char* value;
    const char* words;
  };
  for (const Row& row : {Row{"url", "mqtt://x:${NONE}@a", "NONE is not set"}, Row{"ca", "ca.pem", "write mqtts://"},
                         Row{"node", "a b", "node is \"a b\""}, Row{"prefix", "a/+/b", "prefix is \"a/+/b\""},
                         Row{"prefix", "/a", "prefix is \"/a\""}, Row{"discovery", "a//b", "discovery is \"a//b\""}}) {
    Json given = options();
    given[row.option] = row.value;
    const auto sink = make(given);
    ASSERT_FALSE(sink) << row.words;
    EXPECT_THAT(sink.error().message, HasSubstr(row.words));
  }
}

}  // namespace
}  // namespace verge::connectors
