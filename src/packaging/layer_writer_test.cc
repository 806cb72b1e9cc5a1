// Layers are unpacked by GNU tar, which is not ours, and by hand where single fields count.
#include "packaging/layer_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/process.h"
#include "base/temporary_folder.h"
#include "packaging/gzip.h"

namespace verge::packaging {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LayerWriterTest : public ::testing::Test {
 protected:
  std::string tar_of(const Layer& layer) { return *gunzip(*store_.read(layer.descriptor.digest), 1U << 24U); }
  std::string listing(const Layer& layer) {
    const auto output =
        run_process({{"tar", "--numeric-owner", "--utc", "-tvzf", store_.path_of(layer.descriptor.digest)},
                     {{"LC_ALL", "C"}},
                     {},
                     {},
                     false},
                    std::chrono::seconds(60));
    EXPECT_TRUE(output) << output.error().message;
    EXPECT_EQ(output->exit_code, 0) << output->output;
    return output->output;
  }
  TemporaryFolder folder_;
  BlobStore store_ = *BlobStore::open(folder_.path() / "store");
};

TEST_F(LayerWriterTest, WritesWhatTarReads) {
  LayerWriter writer({.user = 1000, .group = 1000});
  ASSERT_TRUE(writer.add_bytes("/etc/b", "hello"));
  ASSERT_TRUE(writer.add_bytes("/etc/a", "", 0600));
  ASSERT_TRUE(writer.add_folder("/tmp", 01777));
  ASSERT_TRUE(writer.add_link("/lib", "usr/lib"));
  const auto layer = writer.write(store_);
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_EQ(listing(*layer),
            "drwxr-xr-x 1000/1000         0 1970-01-01 00:00 etc/\n"
            "-rw------- 1000/1000         0 1970-01-01 00:00 etc/a\n"
            "-rw-r--r-- 1000/1000         5 1970-01-01 00:00 etc/b\n"
            "lrwxrwxrwx 1000/1000         0 1970-01-01 00:00 lib -> usr/lib\n"
            "drwxrwxrwt 1000/1000         0 1970-01-01 00:00 tmp/\n");
  const auto tar = tar_of(*layer);
  EXPECT_EQ(sha256_digest(tar), layer->diff_id);
  EXPECT_EQ(tar.size(), layer->tar_bytes);
  EXPECT_EQ(layer->descriptor.media_type, media_types::layer_gzip);
}

TEST_F(LayerWriterTest, GivesTheSameDigestInAnyOrder) {
  LayerWriter one, other;
  ASSERT_TRUE(one.add_bytes("/a/x", "1"));
  ASSERT_TRUE(one.add_bytes("/b/y", "2"));
  ASSERT_TRUE(other.add_bytes("/b/y", "2"));
  ASSERT_TRUE(other.add_bytes("/a//./x", "1"));
  const auto first = one.write(store_), second = other.write(store_);
  EXPECT_EQ(first->descriptor.digest, second->descriptor.digest);
  // The gzip header: no time, no name, unknown system.
  const auto bytes = *store_.read(first->descriptor.digest);
  EXPECT_EQ(bytes.substr(3, 5), std::string(5, '\0'));
  EXPECT_EQ(static_cast<unsigned char>(bytes[9]), 255);
}

TEST_F(LayerWriterTest, HoldsLongPathsAndTargets) {
  const std::string deep = "/" + std::string(90, 'a') + "/" + std::string(90, 'b') + "/" + std::string(90, 'c');
  const std::string name = "/" + std::string(180, 'n');
  LayerWriter writer;
  ASSERT_TRUE(writer.add_bytes(deep, "1"));
  ASSERT_TRUE(writer.add_bytes(name, "2"));
  ASSERT_TRUE(writer.add_link("/link", std::string(150, 't')));
  const auto text = listing(*writer.write(store_));
  EXPECT_THAT(text, HasSubstr(deep.substr(1)));
  EXPECT_THAT(text, HasSubstr(name.substr(1)));
  EXPECT_THAT(text, HasSubstr("link -> " + std::string(150, 't')));
}

TEST_F(LayerWriterTest, TakesAFolder) {
  const auto source = folder_.path() / "model";
  fs::create_directories(source / "sub/empty");
  ASSERT_TRUE(write_file(source / "model.onnx", std::string(700'000, 'm'), 0640));
  ASSERT_TRUE(write_file(source / "sub/run.sh", "#!/bin/sh\n", 0700));
  fs::create_symlink("model.onnx", source / "latest");
  LayerWriter writer;
  ASSERT_TRUE(writer.add_tree("/module/model", source));
  EXPECT_THAT(writer.paths(),
              ElementsAre("/module/model/latest", "/module/model/model.onnx", "/module/model/sub/run.sh"));
  const auto text = listing(*writer.write(store_));
  EXPECT_THAT(text, HasSubstr("-rw-r--r-- 0/0          700000 1970-01-01 00:00 module/model/model.onnx"));
  EXPECT_THAT(text, HasSubstr("-rwxr-xr-x 0/0              10 1970-01-01 00:00 module/model/sub/run.sh"));
  EXPECT_THAT(text, HasSubstr("module/model/latest -> model.onnx"));
  EXPECT_THAT(text, HasSubstr("module/model/sub/empty/"));
}

TEST_F(LayerWriterTest, RefusesLinksOutAndOddFiles) {
  const auto source = folder_.path() / "model";
  fs::create_directories(source);
  fs::create_symlink("../../secret", source / "out");
  LayerWriter writer;
  EXPECT_THAT(writer.add_tree("/m", source).error().message, HasSubstr("leads out of"));
  fs::remove(source / "out");
  fs::create_symlink("/etc/passwd", source / "out");
  EXPECT_FALSE(writer.add_tree("/m", source));
  fs::remove(source / "out");
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = (source / "s").string();
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_THAT(writer.add_tree("/m", source).error().message, HasSubstr("cannot be packed"));
  ::close(socket);
}

TEST_F(LayerWriterTest, RefusesBadPaths) {
  LayerWriter writer;
  for (const auto* path : {"", "relative", "/", "/a/../b", "/.."}) {
    const auto status = writer.add_bytes(path, "x");
    ASSERT_FALSE(status) << path;
    EXPECT_EQ(status.error().code, ErrorCode::invalid_argument);
  }
  ASSERT_TRUE(writer.add_bytes("/a", "file"));
  EXPECT_THAT(writer.add_bytes("/a/b", "x").error().message, HasSubstr("below a file"));
  EXPECT_EQ(writer.add_tree("/t", folder_.path() / "nothing").error().code, ErrorCode::not_found);
}

TEST_F(LayerWriterTest, HasBounds) {
  LayerWriter small({.file_bytes_max = 4, .entries_max = 3});
  ASSERT_TRUE(write_file(folder_.path() / "big", "12345"));
  ASSERT_TRUE(small.add_file("/a/big", folder_.path() / "big"));
  EXPECT_EQ(small.write(store_).error().code, ErrorCode::limit);
  ASSERT_TRUE(small.add_bytes("/b", ""));
  EXPECT_EQ(small.add_bytes("/c", "").error().code, ErrorCode::limit);
  LayerWriter gone;
  ASSERT_TRUE(gone.add_file("/x", folder_.path() / "missing"));
  EXPECT_EQ(gone.write(store_).error().code, ErrorCode::not_found);
  EXPECT_TRUE(store_.digests().empty()) << "nothing half-written";
}

TEST(Gzip, RefusesDamage) {
  EXPECT_EQ(gunzip("no gzip", 100).error().code, ErrorCode::corrupt);
  std::string packed;
  GzipWriter writer(
      [&](std::string_view piece) -> Status {
        packed += piece;
        return Done{};
      },
      9);
  ASSERT_TRUE(writer.write(std::string(100'000, 'x')));
  ASSERT_TRUE(writer.finish());
  EXPECT_EQ(gunzip(packed, 200'000)->size(), 100'000U);
  EXPECT_EQ(gunzip(packed, 99'999).error().code, ErrorCode::limit);
  EXPECT_EQ(gunzip(std::string_view(packed).substr(0, packed.size() - 9), 200'000).error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace verge::packaging
