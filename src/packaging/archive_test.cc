#include "packaging/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/process.h"
#include "base/temporary_folder.h"
#include "packaging/image_builder.h"

namespace verge::packaging {
namespace {

using ::testing::HasSubstr;

class ArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    LayerWriter writer;
    ASSERT_TRUE(writer.add_bytes("/hello", "world"));
    Image image;
    image.layers = {*writer.write(store_)};
    image.config.entrypoint = {"/hello"};
    manifest_ = *write_image(store_, image);
  }
  Json unpacked(const char* name) { return Json::parse(*read_file(folder_.path() / "out" / name)); }
  TemporaryFolder folder_;
  BlobStore store_ = *BlobStore::open(folder_.path() / "store");
  Descriptor manifest_;
};

TEST_F(ArchiveTest, HoldsBothForms) {
  const auto file = folder_.path() / "image.tar";
  const auto size = write_archive_file(store_, manifest_.digest, "hub:8443/verge/hello:1", file);
  ASSERT_TRUE(size) << size.error().message;
  EXPECT_EQ(*size, std::filesystem::file_size(file));
  std::filesystem::create_directories(folder_.path() / "out");
  const auto tar =
      run_process({{"tar", "-xf", file, "-C", folder_.path() / "out"}, {}, {}, {}, false}, std::chrono::seconds(60));
  ASSERT_TRUE(tar);
  ASSERT_EQ(tar->exit_code, 0) << tar->output;

  const auto index = unpacked("index.json");
  EXPECT_EQ(index["manifests"][0]["digest"], manifest_.digest);
  EXPECT_EQ(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "hub:8443/verge/hello:1");
  const auto docker = unpacked("manifest.json");
  EXPECT_EQ(docker[0]["RepoTags"][0], "hub:8443/verge/hello:1");
  for (const auto& path : {docker[0]["Config"], docker[0]["Layers"][0]}) {
    const auto bytes = read_file(folder_.path() / "out" / path.get<std::string>());
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_THAT(path.get<std::string>(), HasSubstr(sha256_digest(*bytes).substr(7)));
  }
  EXPECT_EQ(unpacked("oci-layout")["imageLayoutVersion"], "1.0.0");
}

TEST_F(ArchiveTest, AddsATagToAPinnedName) {
  std::string archive;
  ASSERT_TRUE(write_archive(store_, manifest_.digest, "a/b@" + manifest_.digest, [&](std::string_view piece) -> Status {
    archive += piece;
    return Done{};
  }));
  EXPECT_THAT(archive, HasSubstr("\"a/b:latest\""));
}

TEST_F(ArchiveTest, SaysWhatIsMissing) {
  const auto file = folder_.path() / "image.tar";
  EXPECT_EQ(write_archive_file(store_, "sha256:" + std::string(64, '0'), "a:1", file).error().code,
            ErrorCode::not_found);
  EXPECT_EQ(write_archive_file(store_, manifest_.digest, "A:1", file).error().code, ErrorCode::invalid_argument);
  const auto layer = read_image(store_, manifest_.digest)->layers[0].descriptor.digest;
  ASSERT_TRUE(store_.remove(layer));
  EXPECT_THAT(write_archive_file(store_, manifest_.digest, "a:1", file).error().message, HasSubstr(layer));
  EXPECT_FALSE(std::filesystem::exists(file)) << "no half archive is left";
}

TEST_F(ArchiveTest, PassesTheSinksErrorOn) {
  const auto status = write_archive(store_, manifest_.digest, "a:1", [](std::string_view) -> Status {
    return Error{ErrorCode::timeout, "gone"};
  });
  EXPECT_EQ(status.error().code, ErrorCode::timeout);
}

TEST_F(ArchiveTest, ImagesReadBackAndAreReproducible) {
  const auto image = read_image(store_, manifest_.digest);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(write_image(store_, *image)->digest, manifest_.digest);
  Image bad = *image;
  bad.layers[0].descriptor.digest = "sha256:" + std::string(64, '1');
  EXPECT_EQ(write_image(store_, bad).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::packaging
