#include "packaging/blob_store.h"

#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "packaging/image_builder.h"

namespace verge::packaging {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BlobStoreTest : public ::testing::Test {
 protected:
  std::vector<std::string> partial_files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "partial"))
      names.push_back(entry.path().filename());
    return names;
  }
  TemporaryFolder folder_;
  BlobStore store_ = *BlobStore::open(folder_.path());
};

TEST_F(BlobStoreTest, KeepsBlobsByDigest) {
  const auto blob = store_.add("hello", "text/plain");
  ASSERT_TRUE(blob) << blob.error().message;
  EXPECT_EQ(blob->digest, sha256_digest("hello"));
  EXPECT_EQ(blob->size_bytes, 5U);
  EXPECT_TRUE(store_.has(blob->digest));
  EXPECT_EQ(*store_.read(blob->digest), "hello");
  EXPECT_EQ(*store_.size_of(blob->digest), 5U);
  ASSERT_TRUE(store_.add("hello", "text/plain")) << "twice is once";
  EXPECT_THAT(store_.digests(), ElementsAre(blob->digest));
  ASSERT_TRUE(store_.remove(blob->digest));
  EXPECT_EQ(store_.read(blob->digest).error().code, ErrorCode::not_found);
  EXPECT_THAT(partial_files(), IsEmpty());
}

TEST_F(BlobStoreTest, NoticesAChangedBlob) {
  const auto blob = *store_.add("hello", "");
  ASSERT_TRUE(write_file(store_.path_of(blob.digest), "hullo"));
  EXPECT_EQ(store_.read(blob.digest).error().code, ErrorCode::corrupt);
}

TEST_F(BlobStoreTest, RefusesWhatIsNoDigest) {
  EXPECT_FALSE(store_.has("../../etc/passwd"));
  EXPECT_EQ(store_.size_of("sha256:../x").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(store_.resume("x").error().code, ErrorCode::invalid_argument);
}

TEST_F(BlobStoreTest, WritesInPieces) {
  auto writer = *store_.writer();
  ASSERT_TRUE(writer.write("hel"));
  ASSERT_TRUE(writer.write("lo"));
  const auto blob = writer.finish(sha256_digest("hello"));
  ASSERT_TRUE(blob) << blob.error().message;
  EXPECT_EQ(*store_.read(blob->digest), "hello");
}

TEST_F(BlobStoreTest, ThrowsAwayAWrongBlob) {
  {
    auto writer = *store_.writer();
    ASSERT_TRUE(writer.write("hellO"));
    const auto blob = writer.finish(sha256_digest("hello"));
    ASSERT_FALSE(blob);
    EXPECT_EQ(blob.error().code, ErrorCode::corrupt);
  }
  EXPECT_THAT(store_.digests(), IsEmpty());
  EXPECT_THAT(partial_files(), IsEmpty());
}

TEST_F(BlobStoreTest, LeavesNothingOfAnUnfinishedBlob) {
  { ASSERT_TRUE(store_.writer()->write("half")); }
  EXPECT_THAT(partial_files(), IsEmpty());
}

TEST_F(BlobStoreTest, GoesOnWhereItStopped) {
  const auto digest = sha256_digest("hello world");
  { ASSERT_TRUE(store_.resume(digest)->write("hello ")); }
  auto writer = *store_.resume(digest);
  EXPECT_EQ(writer.size_bytes(), 6U);
  ASSERT_TRUE(writer.write("world"));
  ASSERT_TRUE(writer.finish(digest));
  EXPECT_EQ(*store_.read(digest), "hello world");
}

TEST_F(BlobStoreTest, LetsOneWriterAtATimeGoOn) {
  const auto digest = sha256_digest("x");
  auto first = *store_.resume(digest);
  EXPECT_EQ(store_.resume(digest).error().code, ErrorCode::conflict);
}

TEST_F(BlobStoreTest, BoundsABlob) {
  auto writer = *store_.writer(4);
  const auto status = writer.write("hello");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::limit);
}

TEST_F(BlobStoreTest, KeepsNames) {
  const Descriptor first{"m", sha256_digest("1"), 1, {}, {}}, second{"m", sha256_digest("2"), 1, {}, {}};
  ASSERT_TRUE(store_.set_reference("b:1", first));
  ASSERT_TRUE(store_.set_reference("a:1", second));
  ASSERT_TRUE(store_.set_reference("b:1", second));
  EXPECT_EQ((*store_.find_reference("b:1"))->digest, second.digest);
  EXPECT_EQ(store_.index()->manifests.size(), 2U);
  const auto again = *BlobStore::open(folder_.path());
  EXPECT_TRUE(*again.find_reference("a:1"));
  ASSERT_TRUE(store_.remove_reference("a:1"));
  EXPECT_FALSE(*again.find_reference("a:1"));
}

TEST_F(BlobStoreTest, ReadsAnIndexThatOthersWrote) {
  ASSERT_TRUE(
      write_file(folder_.path() / "index.json", R"({"schemaVersion": 2, "manifests": [{"mediaType": "m", "digest": ")" +
                                                    sha256_digest("1") + R"(", "size": 1}]})"));
  ASSERT_TRUE(store_.set_reference("a:1", {"m", sha256_digest("2"), 1, {}, {}}));
  EXPECT_EQ(store_.index()->manifests.size(), 2U);
}

TEST(BlobStore, SaysWhyItCannotOpen) {
  const auto store = BlobStore::open("/proc/nothing/here");
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("/proc/nothing/here"));
}

TEST(BlobStoreSweep, KeepsWhatAnImageNeeds) {
  const TemporaryFolder folder;
  auto store = *BlobStore::open(folder.path());
  const auto shared = *store.add("shared layer", media_types::layer_gzip);
  const auto image_of = [&](const std::string& own) {
    Image image;
    image.layers = {{shared, shared.digest, 1}, {*store.add(own, media_types::layer_gzip), shared.digest, 1}};
    return write_image(store, image)->digest;
  };
  const auto old_image = image_of("old layer");
  const auto new_image = image_of("new layer");
  const auto other = store.add("a blob of something else", "")->digest;
  ASSERT_EQ(store.digests().size(), 7U) << "the images have the same configuration";
  const std::string absent = "sha256:" + std::string(64, '0');
  const auto freed = store.sweep({new_image, absent}, {other});
  ASSERT_TRUE(freed) << freed.error().message;
  EXPECT_GT(*freed, std::string_view("old layer").size());
  EXPECT_EQ(store.digests().size(), 5U);
  EXPECT_TRUE(read_image(store, new_image));
  EXPECT_FALSE(store.has(old_image));
  EXPECT_EQ(*store.sweep({new_image}, {other}), 0U);
  // A manifest that cannot be read might need anything.
  EXPECT_FALSE(store.sweep({other}));
  EXPECT_TRUE(read_image(store, new_image));
  ASSERT_TRUE(store.sweep({}));
  EXPECT_TRUE(store.digests().empty());
}

TEST(BlobStoreSweep, DiscardsWhatWasBegunLongAgo) {
  const TemporaryFolder folder;
  auto store = *BlobStore::open(folder.path());
  const std::string digest = "sha256:" + std::string(64, 'a');
  {
    auto begun = *store.resume(digest);
    ASSERT_TRUE(begun.write("half"));
  }
  EXPECT_EQ(store.discard_partials(std::chrono::hours(1)), 0U);
  EXPECT_EQ(store.resume(digest)->size_bytes(), 4U);
  EXPECT_EQ(store.discard_partials(std::chrono::seconds(0)), 4U);
  EXPECT_EQ(store.resume(digest)->size_bytes(), 0U);
}

TEST(BlobStoreSweep, OneAtATime) {
  const TemporaryFolder folder;
  const auto store = *BlobStore::open(folder.path());
  std::optional<StoreLock> lock(*store.lock());
  std::atomic<bool> is_taken = false;
  std::thread other([&] {
    EXPECT_TRUE(store.lock());
    is_taken = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(is_taken);
  lock.reset();
  other.join();
  EXPECT_TRUE(is_taken);
}

}  // namespace
}  // namespace verge::packaging
