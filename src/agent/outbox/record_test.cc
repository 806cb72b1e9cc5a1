#include "agent/outbox/record.h"

#include <gtest/gtest.h>

namespace verge::agent {
namespace {

OutboxRecord example() {
  OutboxRecord record;
  record.target = "in:press/alarms";
  record.sender = "vision";
  record.properties = "%24.on=events&a=b";
  record.payload = std::string("{\"v\":1}\0binary", 14);
  record.sequence = 1ULL << 40;
  record.rank = kAlarmRank;
  record.time_to_live_s = -1;
  record.boot = "b-1";
  record.monotonic_us = 123456789;
  return record;
}

TEST(OutboxRecord, ComesBackAsItWas) {
  const auto back = outbox_record_from(to_bytes(example()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, example());
}

TEST(OutboxRecord, RefusesEveryCutAndEveryAddedByte) {
  const std::string bytes = to_bytes(example());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(outbox_record_from(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_FALSE(outbox_record_from(bytes + "x"));
}

TEST(OutboxRecord, RefusesAnotherVersion) {
  std::string bytes = to_bytes(example());
  bytes[0] = 3;
  ASSERT_FALSE(outbox_record_from(bytes));
  EXPECT_EQ(outbox_record_from(bytes).error().code, ErrorCode::corrupt);
}

TEST(OutboxRecord, ReadsVersionOneWhichHadNoRank) {
  std::string bytes = to_bytes(example());
  bytes[0] = 1;
  bytes.erase(1 + 3 * 8, 1);
  const auto back = outbox_record_from(bytes);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->rank, kOrdinaryRank);
  EXPECT_EQ(back->payload, example().payload);
}

}  // namespace
}  // namespace verge::agent
