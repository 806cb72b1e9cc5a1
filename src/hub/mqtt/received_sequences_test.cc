#include "hub/mqtt/received_sequences.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <set>

namespace verge::hub {
namespace {

using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

TEST(ReceivedSequences, JoinsWhatTouches) {
  struct Row {
    const char* name;
    std::vector<std::uint64_t> added;
    Ranges expected;
  };
  const Row rows[] = {
      {"nothing", {}, {}},
      {"in order", {1, 2, 3}, {{1, 3}}},
      {"backwards", {3, 2, 1}, {{1, 3}}},
      {"a hole that is filled", {1, 3, 2}, {{1, 3}}},
      {"a hole that stays", {1, 2, 5}, {{1, 2}, {5, 5}}},
      {"twice", {4, 4, 4}, {{4, 4}}},
      {"before all", {10, 1}, {{1, 1}, {10, 10}}},
  };
  for (const auto& row : rows) {
    ReceivedSequences received;
    for (const auto sequence : row.added) received.add(sequence);
    EXPECT_EQ(received.ranges(), row.expected) << row.name;
  }
}

TEST(ReceivedSequences, AgreesWithASetInAnyOrder) {
  std::mt19937 random(7731);
  std::vector<std::uint64_t> order(300);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i + 1;
  for (std::size_t i = 0; i + 8 < order.size(); i += 8)
    std::shuffle(order.begin() + long(i), order.begin() + long(i) + 8, random);
  ReceivedSequences received;
  std::set<std::uint64_t> reference;
  for (const auto sequence : order) {
    ASSERT_EQ(received.contains(sequence), reference.contains(sequence));
    received.add(sequence);
    reference.insert(sequence);
    ASSERT_TRUE(received.contains(sequence));
  }
  EXPECT_EQ(received.ranges(), (Ranges{{1, 300}}));
}

TEST(ReceivedSequences, ForgetsTheOldestHolesBeyondItsBound) {
  ReceivedSequences received;
  for (std::uint64_t sequence = 2; sequence <= 1000; sequence += 2) received.add(sequence);
  EXPECT_EQ(received.ranges().size(), ReceivedSequences::ranges_max);
  EXPECT_TRUE(received.contains(3)) << "an old hole counts as received";
  EXPECT_FALSE(received.contains(999)) << "a new one does not";
  EXPECT_FALSE(received.contains(1001));
}

TEST(SenderHistory, RemembersTheNewestTwoEpochs) {
  SenderHistory sender;
  for (const auto* epoch : {"a", "b", "c"}) sender.at(epoch).add(1);
  EXPECT_EQ(sender.find("a"), nullptr);
  ASSERT_NE(sender.find("b"), nullptr);
  EXPECT_TRUE(sender.find("c")->contains(1));
}

}  // namespace
}  // namespace verge::hub
