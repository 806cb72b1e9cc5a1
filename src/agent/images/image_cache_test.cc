#include "agent/images/image_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agent/engine/fake_engine.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "packaging/image_builder.h"

namespace verge::agent {
namespace {

namespace fs = std::filesystem;

/// Images appear in the folder and the engine as a download leaves them.
class ImageCacheTest : public testing::Test {
 protected:
  ImageCacheTest() { settings_.home = folder_.path(); }

  fs::path images() const { return folder_.path() / "images"; }

  void deploy(const std::string& reference) {
    auto store = *packaging::BlobStore::open(images());
    packaging::Image image;
    for (const auto& text : {std::string(40'000, 'b'), reference + std::string(10'000, 'o')}) {
      const auto layer = *store.add(text, packaging::media_types::layer_gzip);
      image.layers.push_back({layer, layer.digest, text.size()});
    }
    const auto manifest = packaging::write_image(store, image)->digest;
    engine_.add_image(reference, {"sha256:" + reference, ""});
    Json table = Json::object();
    if (const auto text = read_file(images() / "table.json")) table = *parse_json(*text);
    table[reference] = {{"digest", manifest}, {"engine_id", "sha256:" + reference}};
    ASSERT_TRUE(write_file(images() / "table.json", to_pretty_text(table)));
    cache_.emplace(engine_, settings_, [] { return Result<std::string>("token"); });
  }

  Status prune(const std::set<std::string>& wanted, bool is_good) {
    return cache_->prune(wanted, is_good, [] { return true; });
  }

  bool has(const std::string& reference) {
    const bool is_known = cache_->find(reference).has_value();
    EXPECT_EQ(is_known, !cache_->digest_of(reference).empty()) << reference;
    EXPECT_EQ(is_known, engine_.find_image(reference).has_value()) << reference;
    if (is_known) {
      EXPECT_TRUE(packaging::read_image(*packaging::BlobStore::open(images()), cache_->digest_of(reference)));
    }
    return is_known;
  }

  std::uint64_t disk_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(images()))
      if (entry.is_regular_file()) bytes += entry.file_size();
    return bytes;
  }

  TemporaryFolder folder_;
  ManualClock clock_;
  Settings settings_;
  FakeEngine engine_{clock_};
  std::optional<ImageCache> cache_;
};

TEST_F(ImageCacheTest, DiskUseStaysBoundedOver20Deployments) {
  std::uint64_t bytes_after_third = 0;
  for (int i = 1; i <= 20; ++i) {
    const auto name = [](int number) { return fmt::format("hub:8443/s/vision:{}", number); };
    deploy(name(i));  // Each time another agent: what it must know is on the disk.
    ASSERT_TRUE(prune({name(i)}, false));
    ASSERT_TRUE(prune({name(i)}, true));
    for (int old = 1; old <= i; ++old) EXPECT_EQ(has(name(old)), old >= i - 1) << old << " at " << i;
    if (i == 3) bytes_after_third = disk_bytes();
  }
  EXPECT_LE(disk_bytes(), bytes_after_third + 100) << "names have two digits now";
}

TEST_F(ImageCacheTest, KeepsTheGoodSetWhileOthersFail) {
  deploy("x/a:1");
  ASSERT_TRUE(prune({"x/a:1"}, true));
  for (int i = 2; i < 8; ++i) {
    deploy(fmt::format("x/a:{}", i));
    ASSERT_TRUE(prune({fmt::format("x/a:{}", i)}, false));
    EXPECT_TRUE(has("x/a:1"));
    EXPECT_TRUE(has(fmt::format("x/a:{}", i)));
    EXPECT_FALSE(i > 2 && has(fmt::format("x/a:{}", i - 1)));
  }
  ASSERT_TRUE(prune({"x/a:1"}, true));
  EXPECT_TRUE(has("x/a:1"));
  EXPECT_FALSE(has("x/a:7"));
}

TEST_F(ImageCacheTest, LeavesImagesThatItDidNotBring) {
  deploy("x/a:1");
  engine_.add_image("x/loaded:1", {"sha256:loaded", ""});
  ASSERT_TRUE(prune({}, true));
  ASSERT_TRUE(prune({"y"}, true));
  EXPECT_TRUE(engine_.find_image("x/loaded:1"));
  EXPECT_FALSE(has("x/a:1"));
}

TEST_F(ImageCacheTest, TriesAgainWhatIsInUse) {
  deploy("x/a:1");
  const auto container = *engine_.create("c", {{"Image", "sha256:x/a:1"}});
  const auto refused = prune({"x/b:1"}, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_TRUE(has("x/a:1"));
  ASSERT_TRUE(engine_.remove(container));
  EXPECT_TRUE(prune({"x/b:1"}, true));
  EXPECT_FALSE(has("x/a:1"));
}

TEST_F(ImageCacheTest, RemovesNothingForAManifestThatIsOld) {
  deploy("x/a:1");
  EXPECT_TRUE(cache_->prune({"x/b:1"}, true, [] { return false; }));
  EXPECT_TRUE(has("x/a:1"));
  engine_.set_away(true);
  EXPECT_FALSE(prune({"x/b:1"}, true));
  engine_.set_away(false);
  EXPECT_TRUE(has("x/a:1"));
}

TEST_F(ImageCacheTest, ForgetsDownloadsThatNobodyNeeds) {
  deploy("x/a:1");
  auto store = *packaging::BlobStore::open(images());
  const std::string digest = "sha256:" + std::string(64, 'a');
  {
    auto begun = *store.resume(digest);
    ASSERT_TRUE(begun.write("half"));
  }
  ASSERT_TRUE(prune({"x/a:1", "x/b:1"}, false));
  EXPECT_EQ(store.resume(digest)->size_bytes(), 4U) << "it may be wanted";
  ASSERT_TRUE(prune({"x/a:1"}, true));
  EXPECT_EQ(store.resume(digest)->size_bytes(), 0U);
}

}  // namespace
}  // namespace verge::agent
