#include "hub/images/image_store.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"

namespace verge::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class ImageStoreTest : public testing::Test {
 protected:
  ImageStoreTest() { open(); }
  void open(ImageStoreLimits limits = {}) {
    limits.free_bytes_min = 0;
    store_.reset();
    auto opened = ImageStore::open(folder_, clock_, limits);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = *std::move(opened);
  }
  fs::path piece(std::string_view bytes) {
    const fs::path path = store_->spool_folder() / ("piece-" + std::to_string(++pieces_));
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::string push(const std::string& repository, std::string_view bytes) {
    const auto upload = store_->begin_upload(repository);
    EXPECT_TRUE(upload);
    EXPECT_TRUE(store_->append_upload(repository, *upload, piece(bytes), std::nullopt));
    const std::string digest = sha256_digest(bytes);
    const auto finished = store_->finish_upload(repository, *upload, digest);
    EXPECT_TRUE(finished) << (finished ? "" : finished.error().message);
    return digest;
  }
  std::string manifest_text(const std::string& config, const std::string& layer) {
    return to_text({{"schemaVersion", 2}, {"config", {{"digest", config}}}, {"layers", {{{"digest", layer}}}}});
  }

  TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
  ManualClock clock_;
  int pieces_ = 0;
  std::unique_ptr<ImageStore> store_;
};

TEST_F(ImageStoreTest, KeepsABlobOfSeveralPieces) {
  const auto upload = store_->begin_upload("team/app");
  ASSERT_TRUE(upload);
  EXPECT_EQ(*store_->append_upload("team/app", *upload, piece("abc"), 0), 3U);
  EXPECT_EQ(*store_->append_upload("team/app", *upload, piece("def"), 3), 6U);
  EXPECT_EQ(*store_->upload_size("team/app", *upload), 6U);
  const std::string digest = sha256_digest("abcdef");
  EXPECT_FALSE(store_->find_blob("team/app", digest)) << "not before the digest was checked";
  ASSERT_TRUE(store_->finish_upload("team/app", *upload, digest));
  const auto path = store_->find_blob("team/app", digest);
  ASSERT_TRUE(path);
  EXPECT_EQ(*read_file(*path), "abcdef");
  EXPECT_FALSE(store_->find_blob("other", digest)) << "a repository shows only its own";
}

TEST_F(ImageStoreTest, RefusesAWrongDigest) {
  const auto upload = store_->begin_upload("app");
  ASSERT_TRUE(store_->append_upload("app", *upload, piece("abc"), std::nullopt));
  const std::string digest = sha256_digest("something else");
  const auto finished = store_->finish_upload("app", *upload, digest);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ErrorCode::corrupt);
  EXPECT_FALSE(store_->find_blob("app", digest));
  EXPECT_FALSE(store_->upload_size("app", *upload)) << "the upload is gone";
}

TEST_F(ImageStoreTest, RefusesAPieceAtAnotherPlace) {
  const auto upload = store_->begin_upload("app");
  ASSERT_TRUE(store_->append_upload("app", *upload, piece("abc"), 0));
  const auto wrong = store_->append_upload("app", *upload, piece("def"), 5);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::conflict);
  EXPECT_EQ(*store_->upload_size("app", *upload), 3U);
  EXPECT_FALSE(store_->append_upload("other", *upload, piece("x"), std::nullopt));
}

TEST_F(ImageStoreTest, MountsFromAnotherRepository) {
  const std::string digest = push("base", "layer");
  EXPECT_FALSE(store_->mount_blob("app", digest, "nowhere"));
  ASSERT_TRUE(store_->mount_blob("app", digest, "base"));
  EXPECT_TRUE(store_->find_blob("app", digest));
}

TEST_F(ImageStoreTest, TakesAManifestOnlyWithItsBlobs) {
  const std::string config = push("app", "{}");
  const std::string layer = push("app", "layer");
  const std::string text = manifest_text(config, layer);
  const auto missing = store_->put_manifest("app", "1", "type", manifest_text(config, sha256_digest("absent")));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  const auto digest = store_->put_manifest("app", "1", "application/vnd.oci.image.manifest.v1+json", text);
  ASSERT_TRUE(digest) << digest.error().message;
  ASSERT_TRUE(store_->put_manifest("app", *digest, "t", text)) << "by digest";
  EXPECT_FALSE(store_->put_manifest("app", sha256_digest("x"), "t", text));
  EXPECT_EQ(store_->manifest("app", "1")->bytes, text);
  EXPECT_EQ(store_->manifest("app", *digest)->digest, *digest);
  EXPECT_FALSE(store_->manifest("app", "2"));
  EXPECT_FALSE(store_->manifest("other", *digest));
  ASSERT_TRUE(store_->put_manifest("app", "2", "t", to_text({{"manifests", {{{"digest", *digest}}}}})));
  EXPECT_THAT(*store_->tags("app"), ElementsAre("1", "2"));
  EXPECT_THAT(*store_->repositories(), ElementsAre("app"));
  EXPECT_FALSE(store_->tags("nowhere"));
}

TEST_F(ImageStoreTest, RefusesWhatIsNoManifest) {
  for (const char* text :
       {"", "x", "[]", "{}", R"({"config":{"digest":"sha256:1"},"layers":[]})",
        R"({"config":{"digest":"md5:1"},"layers":[]})", R"({"config":1,"layers":1})", R"({"manifests":[1]})"}) {
    EXPECT_FALSE(store_->put_manifest("app", "1", "t", text)) << text;
  }
}

TEST_F(ImageStoreTest, SurvivesARestart) {
  const std::string digest = push("app", "{}");
  const auto upload = store_->begin_upload("app");
  open();
  EXPECT_TRUE(store_->find_blob("app", digest));
  EXPECT_FALSE(store_->upload_size("app", *upload));
}

TEST_F(ImageStoreTest, BoundsUploads) {
  open({.blob_bytes_max = 4, .uploads_max = 1, .upload_age_us_max = 10});
  const auto upload = store_->begin_upload("app");
  ASSERT_TRUE(upload);
  EXPECT_FALSE(store_->begin_upload("app"));
  EXPECT_FALSE(store_->append_upload("app", *upload, piece("12345"), std::nullopt));
  const auto second = store_->begin_upload("app");
  ASSERT_TRUE(second);
  clock_.advance_us(11);
  store_->forget_old_uploads();
  EXPECT_TRUE(store_->begin_upload("app"));
}

TEST(ImageNames, AreChecked) {
  for (const char* good : {"a", "app", "team/app", "a.b", "a_b", "a__b", "a-b/c--d", "0"})
    EXPECT_TRUE(is_repository_name(good)) << good;
  for (const char* bad : {"", "A", "/a", "a/", "a//b", "../a", "a/../b", "a..b", "-a", "a b", "a/.b"})
    EXPECT_FALSE(is_repository_name(bad)) << bad;
  EXPECT_TRUE(is_tag("1.0-rc_2"));
  EXPECT_FALSE(is_tag(".x"));
  EXPECT_FALSE(is_tag("a/b"));
  EXPECT_TRUE(is_digest(sha256_digest("")));
  EXPECT_FALSE(is_digest("sha256:../../../../etc/passwd"));
}

}  // namespace
}  // namespace verge::hub
