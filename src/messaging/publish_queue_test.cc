#include "messaging/publish_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "messaging/packets.h"

namespace verge::messaging {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Sent {
  std::string topic;
  std::uint16_t packet_id = 0;
  bool duplicate = false;
};

std::vector<Sent> take(PublishQueue& queue) {
  std::string bytes;
  queue.take(bytes);
  std::vector<Sent> packets;
  PacketReader reader(1U << 20U);
  EXPECT_TRUE(reader.read(bytes, [&](const Frame& frame) {
    const auto packet = decode_publish(frame);
    EXPECT_TRUE(packet);
    packets.push_back({std::string(packet->topic), packet->packet_id, packet->duplicate});
    return PacketReader::Next::go_on;
  }));
  return packets;
}

std::vector<std::string> topics_of(const std::vector<Sent>& packets) {
  std::vector<std::string> topics;
  for (const Sent& packet : packets) topics.push_back((packet.duplicate ? "again " : "") + packet.topic);
  return topics;
}

void push_all(PublishQueue& queue, const std::vector<std::string>& topics) {
  for (const std::string& topic : topics) ASSERT_TRUE(queue.push(topic, "x", {}));
}

TEST(PublishQueue, WindowAdmitsInOrder) {
  PublishQueue queue({.window = 2});
  push_all(queue, {"a", "b", "c", "d"});
  const auto first = take(queue);
  EXPECT_THAT(topics_of(first), ElementsAre("a", "b"));
  EXPECT_THAT(topics_of(take(queue)), IsEmpty());
  EXPECT_EQ(queue.waiting_count(), 2U);
  queue.acknowledge(first[0].packet_id);
  EXPECT_THAT(topics_of(take(queue)), ElementsAre("c"));
  EXPECT_EQ(queue.unacknowledged_count(), 3U);
}

TEST(PublishQueue, AcknowledgementsInAnyOrderCallOnce) {
  PublishQueue queue({.window = 3});
  std::string told;
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(queue.push(name, "", [&told, name](const Status& status) { told += status ? name : "?"; }));
  }
  const auto sent = take(queue);
  for (const std::size_t index : {1U, 1U, 2U, 0U, 0U, 2U}) {
    if (const auto done = queue.acknowledge(sent[index].packet_id)) done(Done{});
  }
  EXPECT_EQ(told, "bca");
  EXPECT_EQ(queue.unacknowledged_count(), 0U);
}

TEST(PublishQueue, ForeignIdentifiersAreIgnored) {
  PublishQueue queue({.window = 1});
  ASSERT_TRUE(queue.push("a", "", [](const Status&) {}));
  ASSERT_TRUE(queue.push("b", "", [](const Status&) {}));
  EXPECT_FALSE(queue.acknowledge(1)) << "not sent yet";
  const auto sent = take(queue);
  ASSERT_EQ(sent.size(), 1U);
  for (const std::uint16_t id : {std::uint16_t{0}, std::uint16_t{2}, std::uint16_t{777}, std::uint16_t{60'000},
                                 std::uint16_t{60'001}, std::uint16_t{65'535}}) {
    EXPECT_FALSE(queue.acknowledge(id)) << id;
  }
  EXPECT_TRUE(queue.acknowledge(sent[0].packet_id));
}

TEST(PublishQueue, RewindRepeatsInOrderBeforeNewOnes) {
  PublishQueue queue({.window = 3, .repeats = true});
  push_all(queue, {"a", "b", "c", "d"});
  const auto first = take(queue);
  queue.acknowledge(first[1].packet_id);
  queue.rewind();
  EXPECT_FALSE(queue.acknowledge(first[0].packet_id)) << "a late answer of the connection before";
  const auto second = take(queue);
  EXPECT_THAT(topics_of(second), ElementsAre("again a", "again c"));
  EXPECT_EQ(second[0].packet_id, first[0].packet_id);
  queue.acknowledge(second[0].packet_id);
  EXPECT_THAT(topics_of(take(queue)), ElementsAre("d"));
}

TEST(PublishQueue, Limits) {
  PublishQueue queue({.window = 1, .waiting_max = 2, .bytes_max = 1'000, .packet_bytes_max = 600});
  EXPECT_EQ(queue.push("a/#", "", {}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(queue.push("a", std::string(600, 'x'), {}).error().code, ErrorCode::limit);
  EXPECT_TRUE(queue.push("a", std::string(590, 'x'), {}));
  EXPECT_EQ(queue.push("a", std::string(590, 'x'), {}).error().code, ErrorCode::limit) << "bytes";
  EXPECT_TRUE(queue.push("a", "x", {}));
  EXPECT_EQ(queue.push("a", "x", {}).error().code, ErrorCode::limit) << "count";
  EXPECT_EQ(take(queue).size(), 1U);
  EXPECT_TRUE(queue.push("a", "x", {})) << "what is on its way does not wait";
}

TEST(PublishQueue, ClearReturnsWhatWasNotTold) {
  PublishQueue queue({.window = 2});
  int told = 0;
  for (int index = 0; index < 4; ++index) {
    ASSERT_TRUE(queue.push("a", "", [&told](const Status& status) { told += status ? 1 : 100; }));
  }
  const auto sent = take(queue);
  queue.acknowledge(sent[0].packet_id)(Done{});
  for (const auto& done : queue.clear()) done(Error{ErrorCode::unavailable, "gone"});
  EXPECT_EQ(told, 301);
  EXPECT_EQ(queue.unacknowledged_count(), 0U);
  EXPECT_FALSE(queue.acknowledge(sent[1].packet_id));
}

TEST(PublishQueue, IdentifiersStayUniqueOverTheirEnd) {
  PublishQueue queue({.window = 100});
  std::size_t acknowledged = 0;
  for (int round = 0; round < 1'300; ++round) {
    for (int index = 0; index < 100; ++index) ASSERT_TRUE(queue.push("a", "", [&](const Status&) { ++acknowledged; }));
    for (const Sent& packet : take(queue)) {
      ASSERT_GE(packet.packet_id, 1);
      ASSERT_LE(packet.packet_id, PublishQueue::kPacketIdMax);
      const auto done = queue.acknowledge(packet.packet_id);
      ASSERT_TRUE(done);
      done(Done{});
    }
  }
  EXPECT_EQ(acknowledged, 130'000U);
}

}  // namespace
}  // namespace verge::messaging
