#include "agent/outbox/spared.h"

#include <gtest/gtest.h>

namespace verge::agent {
namespace {

Spared record(const std::string& target, std::uint64_t offset, std::uint8_t rank = kAlarmRank) {
  OutboxRecord record;
  record.target = target;
  record.payload = "at " + std::to_string(offset);
  record.rank = rank;
  return {offset, 1'000, record};
}

TEST(SparedRecords, GivesTheOldestThatIsNotOnTheWire) {
  SparedRecords spared;
  EXPECT_EQ(spared.next("up:camera"), nullptr);
  spared.add(record("up:camera", 3));
  spared.add(record("up:camera", 5));
  spared.add(record("up:camera", 3));  // An attempt that failed came again.
  EXPECT_EQ(spared.next("up:camera")->offset, 3U);
  spared.next("up:camera")->is_sent = true;
  EXPECT_EQ(spared.next("up:camera")->offset, 5U);
  spared.unsend("up:camera");
  EXPECT_EQ(spared.next("up:camera")->offset, 3U);
  spared.remove("up:camera", 3);
  spared.remove("up:camera", 3);
  spared.remove("up:camera", 5);
  EXPECT_FALSE(spared.has("up:camera"));
  EXPECT_EQ(spared.bytes(), 0U);
}

TEST(SparedRecords, ShrinkDropsWhatRanksLeastFirstThenTheOldest) {
  SparedRecords spared;
  spared.add(record("up:a", 1, kAlarmRank));
  spared.add(record("up:b", 2, 4));
  spared.add(record("up:b", 3, 4));
  EXPECT_EQ(spared.shrink(spared.bytes()), 0U);
  EXPECT_EQ(spared.shrink(spared.bytes() - 1), 1U);
  EXPECT_EQ(spared.find("up:b", 2), nullptr);
  EXPECT_NE(spared.find("up:b", 3), nullptr);
  EXPECT_EQ(spared.shrink(0), 2U);
  EXPECT_FALSE(spared.has("up:a"));
}

TEST(SparedRecords, AFileGivesBackWhatWasWrittenAndSkipsWhatIsDamaged) {
  SparedRecords spared;
  spared.add(record("up:a", 7));
  spared.add(record("in:door/alarms", 9, 4));
  EXPECT_TRUE(spared.is_changed());
  spared.mark_saved();
  EXPECT_FALSE(spared.is_changed());
  std::string text = spared.to_text();

  SparedRecords read;
  ASSERT_TRUE(read.add_from_text(text));
  ASSERT_NE(read.find("in:door/alarms", 9), nullptr);
  EXPECT_EQ(read.find("in:door/alarms", 9)->record.rank, 4);
  EXPECT_EQ(read.find("up:a", 7)->record.payload, "at 7");
  EXPECT_EQ(read.bytes(), spared.bytes());
  read.remove_from(9);
  EXPECT_TRUE(read.has("up:a"));
  EXPECT_FALSE(read.has("in:door/alarms"));

  SparedRecords rest;
  text.replace(text.find("\"offset\":7"), 10, "\"offset\":[]");
  const auto targets = rest.add_from_text(text);
  ASSERT_TRUE(targets);
  EXPECT_EQ(*targets, std::vector<std::string>{"in:door/alarms"});
  EXPECT_FALSE(rest.add_from_text("{\"spared\":7}"));
  EXPECT_FALSE(rest.add_from_text(text.substr(0, 20)));
}

}  // namespace
}  // namespace verge::agent
