#include "evidence/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "evidence/keeper.h"

namespace verge::evidence {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kDayUs = 86'400'000'000;

class StoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> open(double days = 30, std::uint64_t bytes_max = 1000) {
    auto store = std::make_unique<Store>("/kept", disk_, clock_, metrics_);
    auto status = store->add_shelf({std::string(kEventShelf), days, bytes_max});
    EXPECT_TRUE(status) << status.error().message;
    return store;
  }
  Label at(std::int64_t captured_us) const { return {captured_us, "jpg", "people"}; }

  FaultyDisk disk_;
  ManualClock clock_;
  Metrics metrics_;
};

TEST_F(StoreTest, AFileIsNamedByItsContentAndSurvivesAStart) {
  const std::int64_t now_us = clock_.now_us();
  auto store = open();
  const auto kept = store->put(kEventShelf, at(now_us), "picture");
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(kept->digest, sha256_digest("picture"));
  disk_.lose_power(7);
  store = open();
  const auto found = store->find(kept->digest);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->bytes, 7U);
  EXPECT_EQ(found->label.captured_us, now_us);
  EXPECT_EQ(found->label.blur, "people");
  EXPECT_EQ(found->label.ending, "jpg");
  EXPECT_EQ(*store->read(kept->digest, 2, 100), "cture");
  EXPECT_EQ(store->read(sha256_digest("other"), 0, 1).error().code, ErrorCode::not_found);
}

TEST_F(StoreTest, TheOldestGoByAgeAndForRoom) {
  auto store = open(2, 100);
  const std::int64_t begin_us = clock_.now_us();
  const auto first = store->put(kEventShelf, at(begin_us), std::string(40, 'a'));
  clock_.advance_us(kDayUs);
  const auto second = store->put(kEventShelf, at(clock_.now_us()), std::string(40, 'b'));
  const auto third = store->put(kEventShelf, at(clock_.now_us() + 1), std::string(40, 'c'));
  EXPECT_FALSE(store->find(first->digest)) << "120 bytes are more than 100";
  EXPECT_TRUE(store->find(second->digest));
  clock_.advance_us(kDayUs * 3 / 2);
  store->expire();
  EXPECT_TRUE(store->find(third->digest));
  clock_.advance_us(kDayUs);
  store->expire();
  EXPECT_FALSE(store->find(third->digest));
  EXPECT_TRUE(disk_.list("/kept/events")->empty());
}

TEST_F(StoreTest, WhatIsLargerThanTheShelfStaysUntilTheNext) {
  auto store = open(30, 10);
  const auto large = store->put(kEventShelf, at(clock_.now_us()), std::string(40, 'a'));
  EXPECT_TRUE(store->find(large->digest)) << "its event names it already";
  ASSERT_TRUE(store->put(kEventShelf, at(clock_.now_us() + 1), "b"));
  EXPECT_FALSE(store->find(large->digest));
}

TEST_F(StoreTest, TheSameContentIsKeptOnceWithTheNewerTime) {
  auto store = open();
  const auto first = store->put(kEventShelf, at(clock_.now_us()), "still");
  clock_.advance_us(kDayUs);
  const auto again = store->put(kEventShelf, at(clock_.now_us()), "still");
  EXPECT_EQ(first->digest, again->digest);
  EXPECT_EQ(disk_.list("/kept/events")->size(), 1U);
  EXPECT_EQ(store->find(first->digest)->label.captured_us, clock_.now_us());
  EXPECT_EQ(*store->read(first->digest, 0, 100), "still");
}

TEST_F(StoreTest, AFullDiskIsAnErrorAndLeavesNothing) {
  auto store = open();
  disk_.set_capacity_bytes(kFreeMin_bytes + 100);
  ASSERT_TRUE(store->put(kEventShelf, at(clock_.now_us()), std::string(90, 'a')));
  const auto full = store->put(kEventShelf, at(clock_.now_us()), std::string(90, 'b'));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::limit);
  EXPECT_THAT(full.error().message, HasSubstr("stay free for others"));
  disk_.set_capacity_bytes(~std::uint64_t{0});
  disk_.fail_syncs(1);
  EXPECT_FALSE(store->put(kEventShelf, at(clock_.now_us()), "unsynced"));
  EXPECT_EQ(disk_.list("/kept/events")->size(), 1U);
  EXPECT_FALSE(store->find(sha256_digest("unsynced")));
}

TEST_F(StoreTest, WhatWasNotFinishedIsGoneAndForeignFilesStay) {
  auto store = open();
  {
    auto draft = store->begin(kEventShelf, at(1));
    ASSERT_TRUE(draft);
    ASSERT_TRUE((*draft)->write_at(0, "half"));
    EXPECT_THAT(*disk_.list("/kept/events"), ElementsAre("1.new"));
    ASSERT_TRUE(disk_.open("/kept/events/99.new", true));
    ASSERT_TRUE(disk_.open("/kept/events/notes.txt", true));
  }
  store = open();
  EXPECT_THAT(*disk_.list("/kept/events"), ElementsAre("notes.txt"));
  EXPECT_TRUE(store->newest(10).empty());
}

TEST_F(StoreTest, ShelvesAreFoldersBelowItsOwn) {
  Store store("/kept", disk_, clock_, metrics_);
  for (const char* name : {"", ".", "..", "a/b", "a b"}) EXPECT_FALSE(store.add_shelf({name, 1, 1})) << name;
  EXPECT_EQ(store.put("nowhere", at(1), "x").error().code, ErrorCode::not_found);
}

TEST_F(StoreTest, AKeeperCountsWhatItRefuses) {
  Keeper keeper({.folder = "/kept", .days = 30, .bytes_max = 1000, .ring_s = 0, .blur = "people"}, disk_, clock_,
                metrics_);
  EXPECT_TRUE(keeper.keep(kEventShelf, at(clock_.now_us()), "a"));
  disk_.set_capacity_bytes(1);
  EXPECT_FALSE(keeper.keep(kEventShelf, at(clock_.now_us()), "b"));
  EXPECT_THAT(keeper.order_clip("gate", {}).error().message, HasSubstr("\"gate\" has no compressed pictures"));
  EXPECT_THAT(metrics_.to_text(), HasSubstr("verge_evidence_files_total{result=\"refused\"} 2"));
  EXPECT_THAT(metrics_.to_text(), HasSubstr("verge_evidence_files_total{result=\"kept\"} 1"));
  keeper.want_ring("gate", 5);
  keeper.want_ring("gate", 3);
  EXPECT_EQ(keeper.ring_s("gate"), 5);
  EXPECT_EQ(keeper.ring_s("yard"), 0);
}

}  // namespace
}  // namespace verge::evidence
