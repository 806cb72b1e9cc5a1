#include "base/disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/temporary_folder.h"

namespace verge {
namespace {

TEST(SystemDisk, WritesReadsTruncates) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "deep" / "er" / "file";
  auto file = *system_disk().open(path, true);
  ASSERT_TRUE(file->write_at(0, "hello world"));
  ASSERT_TRUE(file->write_at(6, "there"));
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(*file->read_at(0, 100), "hello there");
  EXPECT_EQ(*file->read_at(6, 3), "the");
  EXPECT_EQ(*file->read_at(50, 3), "");
  EXPECT_EQ(*file->read_at(0, std::size_t(1) << 50U), "hello there");
  ASSERT_TRUE(file->truncate(5));
  EXPECT_EQ(*file->size_bytes(), 5U);
  ASSERT_TRUE(file->write_at(8, "x"));
  EXPECT_EQ(*file->read_at(0, 100), std::string("hello\0\0\0x", 9));
}

TEST(SystemDisk, NamesAndFolders) {
  const TemporaryFolder folder;
  Disk& disk = system_disk();
  EXPECT_EQ(disk.open(folder.path() / "absent", false).error().code, ErrorCode::not_found);
  EXPECT_EQ(disk.remove(folder.path() / "absent").error().code, ErrorCode::not_found);
  EXPECT_TRUE(disk.list(folder.path() / "absent")->empty());
  for (const auto* name : {"b", "c", "a"}) ASSERT_TRUE(disk.open(folder.path() / name, true));
  std::filesystem::create_directory(folder.path() / "folder");
  EXPECT_EQ(*disk.list(folder.path()), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(disk.rename(folder.path() / "c", folder.path() / "a"));
  ASSERT_TRUE(disk.remove(folder.path() / "b"));
  EXPECT_EQ(*disk.list(folder.path()), (std::vector<std::string>{"a"}));
  EXPECT_TRUE(disk.sync_folder(folder.path()));
  EXPECT_EQ(disk.sync_folder(folder.path() / "absent").error().code, ErrorCode::not_found);
  EXPECT_GT(*disk.free_bytes(folder.path() / "not" / "yet"), 0U);
}

TEST(SystemDisk, FullDiskIsALimit) {
  auto file = system_disk().open("/dev/full", false);
  if (!file) GTEST_SKIP() << "no /dev/full here";
  const auto written = (*file)->write_at(0, "x");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::limit);
}

TEST(WholeFiles, ReplaceAtomicallyWithMode) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "new" / "secret";
  ASSERT_TRUE(write_file(path, "one", 0600));
  ASSERT_TRUE(write_file(path, "two", 0600));
  EXPECT_EQ(*read_file(path), "two");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(system_disk().list(path.parent_path())->size(), 1U);  // no temporary file left
}

TEST(WholeFiles, Errors) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_file(folder.path() / "absent").error().code, ErrorCode::not_found);
  ASSERT_TRUE(write_file(folder.path() / "large", std::string(2000, 'x')));
  EXPECT_EQ(read_file(folder.path() / "large", 1999).error().code, ErrorCode::limit);
  EXPECT_EQ(read_file(folder.path() / "large", 2000)->size(), 2000U);
  EXPECT_FALSE(read_file(folder.path()));
  EXPECT_FALSE(write_file(folder.path(), "a folder is in the way"));
  EXPECT_FALSE(write_file(folder.path() / "large" / "file", "a file is in the way"));
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(write_file(pipe, "not instead of a pipe").error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

}  // namespace
}  // namespace verge
