#include <gtest/gtest.h>
#include <set>

#include "base/disk.h"

namespace verge {
namespace {

const std::filesystem::path kLog = "data/log";

std::unique_ptr<DiskFile> durable_file(FaultyDisk& disk, std::string_view content) {
  auto file = *disk.open(kLog, true);
  EXPECT_TRUE(file->write_at(0, content));
  EXPECT_TRUE(file->sync());
  EXPECT_TRUE(disk.sync_folder("data"));
  return file;
}

std::string content_of(FaultyDisk& disk) {
  const auto file = disk.open(kLog, false);
  return file ? *(*file)->read_at(0, 1000) : "<absent>";
}

TEST(FaultyDisk, BehavesAsADisk) {
  FaultyDisk disk;
  auto file = *disk.open(kLog, true);
  ASSERT_TRUE(file->write_at(3, "abc"));
  EXPECT_EQ(*file->read_at(0, 10), std::string("\0\0\0abc", 6));
  ASSERT_TRUE(file->truncate(4));
  EXPECT_EQ(*file->size_bytes(), 4U);
  EXPECT_EQ(*disk.list("data"), std::vector<std::string>{"log"});
  EXPECT_EQ(*disk.list("data/"), std::vector<std::string>{"log"});
  EXPECT_TRUE(disk.list("elsewhere")->empty());
  ASSERT_TRUE(disk.rename(kLog, "data/old"));
  EXPECT_EQ(disk.open(kLog, false).error().code, ErrorCode::not_found);
  ASSERT_TRUE(disk.remove("data/old"));
  EXPECT_EQ(disk.remove("data/old").error().code, ErrorCode::not_found);
  EXPECT_EQ(disk.rename("data/old", "x").error().code, ErrorCode::not_found);
  EXPECT_EQ(*file->read_at(3, 1), "a");  // an unlinked file stays usable
}

TEST(FaultyDisk, PowerCutKeepsSyncedBytesAndAPrefixOfWhatWasAppended) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    FaultyDisk disk;
    auto file = durable_file(disk, "safe");
    ASSERT_TRUE(file->write_at(4, "lost"));
    disk.lose_power(seed);
    const std::string left = content_of(disk);
    EXPECT_TRUE(std::string("safelost").starts_with(left) && left.size() >= 4) << left;
    outcomes.insert(left);
    FaultyDisk twin;
    auto same = durable_file(twin, "safe");
    ASSERT_TRUE(same->write_at(4, "lost"));
    twin.lose_power(seed);
    EXPECT_EQ(content_of(twin), left);  // the seed decides
  }
  EXPECT_EQ(outcomes.size(), 5U);
}

TEST(FaultyDisk, PowerCutUndoesOverwritesAndTruncation) {
  FaultyDisk disk;
  auto file = durable_file(disk, "0123456789");
  ASSERT_TRUE(file->write_at(2, "xx"));
  ASSERT_TRUE(file->truncate(5));
  ASSERT_TRUE(file->write_at(4, "yyyyyyyyyyyy"));
  disk.lose_power(3);
  EXPECT_EQ(content_of(disk), "0123456789");
}

TEST(FaultyDisk, FolderEntriesNeedTheirOwnSync) {
  FaultyDisk disk;
  auto file = *disk.open(kLog, true);
  ASSERT_TRUE(file->write_at(0, "x"));
  ASSERT_TRUE(file->sync());
  disk.lose_power(1);
  EXPECT_EQ(content_of(disk), "<absent>");

  durable_file(disk, "back");
  ASSERT_TRUE(disk.remove(kLog));
  disk.lose_power(1);
  EXPECT_EQ(content_of(disk), "back");

  ASSERT_TRUE(disk.rename(kLog, "data/other"));
  disk.lose_power(1);
  EXPECT_EQ(*disk.list("data"), std::vector<std::string>{"log"});
  ASSERT_TRUE(disk.rename(kLog, "data/other"));
  ASSERT_TRUE(disk.sync_folder("data"));
  disk.lose_power(1);
  EXPECT_EQ(*disk.list("data"), std::vector<std::string>{"other"});
}

TEST(FaultyDisk, OldHandlesAreDetachedByAPowerCut) {
  FaultyDisk disk;
  auto file = durable_file(disk, "safe");
  disk.lose_power(1);
  ASSERT_TRUE(file->write_at(0, "ghost"));
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(*file->read_at(0, 10), "ghost");
  EXPECT_EQ(content_of(disk), "safe");
}

TEST(FaultyDisk, FillsUpAndRecovers) {
  FaultyDisk disk;
  disk.set_capacity_bytes(10);
  auto file = *disk.open(kLog, true);
  ASSERT_TRUE(file->write_at(0, "12345678"));
  EXPECT_EQ(*disk.free_bytes("data"), 2U);
  const auto refused = file->write_at(8, "abcd");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::limit);
  EXPECT_TRUE(file->write_at(0, "overwrite!"));  // 10 bytes fit
  EXPECT_EQ(file->truncate(11).error().code, ErrorCode::limit);
  EXPECT_EQ(file->write_at(100, "far").error().code, ErrorCode::limit);
  auto other = *disk.open("data/other", true);
  EXPECT_EQ(other->write_at(0, "x").error().code, ErrorCode::limit);
  ASSERT_TRUE(disk.remove(kLog));
  EXPECT_EQ(*disk.free_bytes("data"), 10U);
  EXPECT_TRUE(other->write_at(0, "x"));
  disk.set_capacity_bytes(0);
  EXPECT_EQ(*disk.free_bytes("data"), 0U);
}

TEST(FaultyDisk, FailedSyncLosesWhatItShouldHaveKept) {
  FaultyDisk disk;
  auto file = durable_file(disk, "safe");
  EXPECT_EQ(disk.sync_count(), 1U);
  ASSERT_TRUE(file->write_at(4, "lost"));
  disk.fail_syncs(1);
  EXPECT_EQ(file->sync().error().code, ErrorCode::unavailable);
  EXPECT_TRUE(file->sync());  // says yes, as a kernel does, but nothing is left to keep
  disk.lose_power(7);
  EXPECT_EQ(content_of(disk), "safe");
  EXPECT_EQ(disk.sync_count(), 2U);
  disk.fail_syncs(1);
  EXPECT_FALSE(disk.sync_folder("data"));
}

}  // namespace
}  // namespace verge
