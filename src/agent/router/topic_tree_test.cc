#include "agent/router/topic_tree.h"

#include <gtest/gtest.h>

namespace verge::agent {
namespace {

TEST(TopicTree, MatchesAsTheStandardSays) {
  struct Row {
    const char* filter;
    const char* topic;
    bool matches;
  };
  const Row rows[] = {
      {"a/b", "a/b", true},     {"a/b", "a/c", false},  {"a/b", "a", false},     {"a/b", "a/b/c", false},
      {"a/+", "a/b", true},     {"a/+", "a", false},    {"a/+", "a/b/c", false}, {"+/b", "a/b", true},
      {"a/#", "a", true},       {"a/#", "a/b/c", true}, {"#", "a/b", true},      {"#", "a", true},
      {"a/+/c", "a/b/c", true}, {"a//c", "a//c", true}, {"a/+/c", "a//c", true}, {"+", "/a", false},
      {"+/+", "/a", true},      {"a/", "a", false},     {"a/", "a/", true},
  };
  for (const Row& row : rows) {
    TopicTree tree;
    tree.subscribe("m", row.filter, 0);
    EXPECT_EQ(tree.match(row.topic).size(), row.matches ? 1U : 0U) << row.filter << " with " << row.topic;
  }
}

TEST(TopicTree, GivesEachClientOnceWithItsBestQos) {
  TopicTree tree;
  tree.subscribe("m", "a/#", 0);
  tree.subscribe("m", "a/b", 1);
  tree.subscribe("n", "+/b", 0);
  EXPECT_EQ(tree.match("a/b"), (std::map<std::string, std::uint8_t>{{"m", 1}, {"n", 0}}));
}

TEST(TopicTree, ForgetsWithoutLeavingNodes) {
  TopicTree tree;
  tree.subscribe("m", "a/b/c", 0);
  tree.subscribe("m", "x/#", 0);
  tree.subscribe("n", "a/b", 0);
  EXPECT_EQ(tree.subscription_count(), 3U);
  tree.unsubscribe("m", "a/b/c");
  tree.unsubscribe("m", "never/was");
  EXPECT_EQ(tree.subscription_count(), 2U);
  tree.remove("m");
  EXPECT_TRUE(tree.match("x/y").empty());
  EXPECT_EQ(tree.match("a/b").size(), 1U);
}

TEST(PlainTopics, KeepAwayFromOurs) {
  for (const char* topic : {"sensors/press/1", "a", "device/x", "/a", "a b/c"})
    EXPECT_TRUE(is_plain_topic(topic)) << topic;
  for (const char* topic : {"", "$iothub/twin/GET/", "devices/d/x", "verge/live/m/s", "a/+", "a/#", "devices"}) {
    EXPECT_FALSE(is_plain_topic(topic)) << topic;
  }
  for (const char* filter : {"#", "+", "a/+/b", "a/#"}) EXPECT_TRUE(is_plain_filter(filter)) << filter;
  for (const char* filter : {"", "a#", "a/#/b", "a/b+", "$SYS/#", "devices/#", "verge/#"}) {
    EXPECT_FALSE(is_plain_filter(filter)) << filter;
  }
}

}  // namespace
}  // namespace verge::agent
