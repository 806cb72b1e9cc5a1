#include "connectors/home/outgoing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> all_of(Outgoing& outgoing, std::int64_t now_us = 0) {
  std::vector<std::string> taken;
  while (const auto next = outgoing.take(now_us)) {
    taken.push_back(next->topic + "=" + next->payload + (next->is_retained ? "!" : ""));
  }
  return taken;
}

TEST(Outgoing, OnlyTheNewestStateGoesAndOnlyWhenItChanged) {
  Outgoing outgoing;
  for (const char* value : {"1", "2", "3"}) EXPECT_TRUE(outgoing.set_state("a", value));
  outgoing.set_state("b", "x");
  EXPECT_THAT(all_of(outgoing), ElementsAre("a=3!", "b=x!"));
  outgoing.set_state("a", "3");
  EXPECT_TRUE(outgoing.is_empty());
  outgoing.set_state("a", "4");
  EXPECT_THAT(all_of(outgoing), ElementsAre("a=4!"));
}

TEST(Outgoing, ARenewedConnectionGetsAllStatesButNoMessageTwice) {
  Outgoing outgoing;
  outgoing.set_state("a", "1");
  outgoing.set_state("b", "2");
  outgoing.add_message("m", "once", 0);
  EXPECT_EQ(all_of(outgoing).size(), 3U);
  outgoing.set_state("b", "3");
  outgoing.renew();
  EXPECT_THAT(all_of(outgoing), ElementsAre("b=3!", "a=1!"));
}

TEST(Outgoing, AnEmptyStateIsForgotten) {
  Outgoing outgoing;
  outgoing.set_state("a", "1");
  outgoing.set_state("a", "");
  EXPECT_THAT(all_of(outgoing), ElementsAre("a=!"));
  outgoing.renew();
  EXPECT_THAT(all_of(outgoing), IsEmpty());
}

TEST(Outgoing, StatesAndMessagesTakeTurns) {
  Outgoing outgoing;
  outgoing.set_state("a", "1");
  outgoing.set_state("b", "2");
  outgoing.add_message("m", "1", 0);
  outgoing.add_message("m", "2", 0);
  EXPECT_THAT(all_of(outgoing), ElementsAre("m=1", "a=1!", "m=2", "b=2!"));
}

TEST(Outgoing, BoundsAreCounted) {
  struct Row {
    const char* what;
    OutgoingLimits limits;
    std::vector<std::string> left;
    std::uint64_t dropped;
  };
  OutgoingLimits few, small, young;
  few.messages_max = 2;
  small.message_bytes_max = 2;
  young.message_age_us_max = 5;
  const std::vector<Row> rows = {{"too many", few, {"m=3", "m=4"}, 3},
                                 {"too large together", small, {"m=3", "m=4"}, 3},
                                 {"too old", young, {"m=3", "m=4"}, 3}};
  for (const Row& row : rows) {
    Outgoing outgoing(row.limits);
    for (int i = 0; i < 5; ++i) outgoing.add_message("m", std::to_string(i), i);
    EXPECT_EQ(all_of(outgoing, 8), row.left) << row.what;
    EXPECT_EQ(outgoing.dropped_count(), row.dropped) << row.what;
  }
}

TEST(Outgoing, StatesAreBounded) {
  OutgoingLimits limits;
  limits.states_max = 2;
  limits.state_bytes_max = 10;
  Outgoing outgoing(limits);
  EXPECT_TRUE(outgoing.set_state("a", "12345"));
  EXPECT_FALSE(outgoing.set_state("b", "123456"));
  EXPECT_TRUE(outgoing.set_state("a", "1234567890"));
  EXPECT_TRUE(outgoing.set_state("a", "1"));
  EXPECT_TRUE(outgoing.set_state("b", "2"));
  EXPECT_FALSE(outgoing.set_state("c", "3"));
  EXPECT_THAT(all_of(outgoing), ElementsAre("a=1!", "b=2!"));
  EXPECT_EQ(outgoing.dropped_count(), 2U);
}

}  // namespace
}  // namespace verge::connectors
