#include "connectors/home/home_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(TopicName, KeepsWhatATopicMayHold) {
  EXPECT_EQ(topic_name("gate"), "gate");
  EXPECT_EQ(topic_name("Loading bay 2"), "Loading_bay_2");
  EXPECT_EQ(topic_name("a-b_c"), "a-b_c");
}

TEST(TopicName, TellsApartWhatItHadToChange) {
  std::set<std::string> names;
  for (const char* name :
       {"a__b", "a_b", "_a", "a", "a_", "a+b", "a#b", "a/b", "a.b", "T\xC3\xBCr", "\xE9\x97\xA8", ""}) {
    const std::string topic = topic_name(name);
    EXPECT_THAT(topic, MatchesRegex("[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*")) << name;
    EXPECT_TRUE(names.insert(topic).second) << name;
  }
}

pipeline::PipelineSpec spec_of(std::vector<pipeline::StageSpec> stages) {
  pipeline::PipelineSpec spec;
  spec.sources = {{"gate", "camera"}, {"pump", "mqtt"}};
  spec.stages = std::move(stages);
  return spec;
}

TEST(HomePlan, GivesEachStreamWhatComesByIt) {
  const auto plan =
      home_plan(spec_of({{"press", "zone", {"track"}, {{"name", "the press"}}},  // Before what it takes from.
                         {"detect", "detect", {"gate"}, {{"labels", {"person", "car"}}}},
                         {"track", "track", {"detect"}},
                         {"door", "line", {"press"}, {{"name", "door"}}},
                         {"crowd", "rule", {"door"}, {{"name", "crowd"}, {"tells_end", true}}},
                         {"score", "score", {"pump"}}}));
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->size(), 2U);
  const HomeStream& gate = plan->front();
  EXPECT_TRUE(gate.shows_objects);
  EXPECT_TRUE(gate.knows_all_labels);
  EXPECT_THAT(gate.labels, ElementsAre("car", "person"));
  ASSERT_EQ(gate.zones.size(), 1U);
  EXPECT_EQ(gate.zones[0].name, "the press");
  EXPECT_EQ(gate.zones[0].topic, "the_press");
  EXPECT_EQ(gate.lines.size(), 1U);
  ASSERT_EQ(gate.rules.size(), 1U);
  EXPECT_TRUE(gate.rules[0].tells_end);
  EXPECT_FALSE(gate.has_scores);
  const HomeStream& pump = plan->back();
  EXPECT_TRUE(pump.has_scores);
  EXPECT_FALSE(pump.shows_objects);
}

TEST(HomePlan, ADetectorWithoutLabelsMayShowAny) {
  const auto plan = home_plan(spec_of(
      {{"a", "detect", {"gate"}, {{"labels", {"person"}}}}, {"b", "detect", {"gate"}, {{"labels", Json::array()}}}}));
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->front().knows_all_labels);
  EXPECT_THAT(plan->front().labels, ElementsAre("person"));
}

TEST(HomePlan, RefusesNamesThatWouldBeOneTopic) {
  const auto plan =
      home_plan(spec_of({{"a", "zone", {"gate"}, {{"name", "bay 1"}}}, {"b", "rule", {"gate"}, {{"name", "bay_1"}}}}));
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("\"bay 1\" and \"bay_1\" would both be \"bay_1\""));
}

}  // namespace
}  // namespace verge::connectors
