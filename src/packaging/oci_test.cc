#include "packaging/oci.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace verge::packaging {
namespace {

using ::testing::HasSubstr;

const std::string zeros = "sha256:" + std::string(64, '0');
const std::string ones = "sha256:" + std::string(64, '1');

struct NameRow {
  const char* text;
  const char* registry;
  const char* repository;
  const char* tag;
  bool has_digest = false;
};

TEST(Reference, IsTakenApart) {
  const std::vector<NameRow> rows{
      {"vision", "", "vision", "latest"},
      {"verge/vision:1", "", "verge/vision", "1"},
      {"hub:8443/verge/vision:1.2-rc", "hub:8443", "verge/vision", "1.2-rc"},
      {"127.0.0.1:5000/a", "127.0.0.1:5000", "a", "latest"},
      {"localhost/a/b/c", "localhost", "a/b/c", "latest"},
      {"registry.example/a__b.c--d:x", "registry.example", "a__b.c--d", "x"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text);
    const auto reference = parse_reference(row.text);
    ASSERT_TRUE(reference) << reference.error().message;
    EXPECT_EQ(reference->registry, row.registry);
    EXPECT_EQ(reference->repository, row.repository);
    EXPECT_EQ(reference->tag, row.tag);
  }
  const auto pinned = parse_reference("hub/a:1@" + zeros);
  ASSERT_TRUE(pinned);
  EXPECT_EQ(pinned->repository, "hub/a") << "a name without dot or port is no host";
  EXPECT_EQ(pinned->version(), zeros);
  EXPECT_EQ(pinned->text(), "hub/a:1@" + zeros);
  EXPECT_EQ(parse_reference("a@" + zeros)->tag, "");
}

TEST(Reference, IsRefused) {
  for (const auto* text : {"", "Vision", "a//b", "/a", "a/", "a:", "a: b", "a@sha256:12", "a@md5:1", "-a", "a_", "a:.x",
                           "a..b", "hub:8443/", "a b"}) {
    SCOPED_TRACE(text);
    const auto reference = parse_reference(text);
    ASSERT_FALSE(reference);
    EXPECT_EQ(reference.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(reference.error().message, HasSubstr("is not allowed"));
  }
  EXPECT_FALSE(parse_reference(std::string(256, 'a')));
  EXPECT_FALSE(parse_reference("a:" + std::string(129, 'x')));
}

TEST(Digest, HasOneForm) {
  EXPECT_TRUE(is_digest(zeros));
  for (const auto& text :
       {std::string("sha256:"), zeros + "0", "sha512:" + std::string(64, '0'), "sha256:" + std::string(64, 'A')})
    EXPECT_FALSE(is_digest(text)) << text;
}

Manifest manifest() {
  Manifest made;
  made.config = {std::string(media_types::config), zeros, 7, {}, {}};
  made.layers = {{std::string(media_types::layer_gzip), ones, 9, {{"k", "v"}}, {}}};
  made.annotations = {{"org.opencontainers.image.title", "t"}};
  return made;
}

TEST(Oci, ManifestReadsBack) {
  const auto text = to_text(to_json(manifest()));
  const auto read = parse_manifest(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->layers, manifest().layers);
  EXPECT_EQ(to_text(to_json(*read)), text);
}

TEST(Oci, ConfigReadsBack) {
  ImageConfig config;
  config.platform = {"arm64", "linux", "v8"};
  config.user = "1000:1000";
  config.environment = {"A=b"};
  config.entrypoint = {"/usr/bin/x", "y"};
  config.working_folder = "/module";
  config.labels = {{"l", "m"}};
  config.diff_ids = {zeros};
  const auto text = to_text(to_json(config));
  const auto read = parse_image_config(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->platform, config.platform);
  EXPECT_EQ(to_text(to_json(*read)), text);
  EXPECT_THAT(text, ::testing::Not(HasSubstr("created"))) << "no date, so that equal images have equal digests";
}

TEST(Oci, IndexFindsAPlatform) {
  Index index;
  index.manifests = {{"m", zeros, 1, {}, Platform{"amd64", "linux", ""}},
                     {"m", ones, 1, {}, Platform{"arm64", "linux", "v8"}},
                     {"m", zeros, 1, {}, {}}};
  const auto read = parse_index(to_text(to_json(index)));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(find_platform(*read, {"arm64", "linux", ""})->digest, ones);
  EXPECT_EQ(find_platform(*read, {"arm64", "linux", "v9"}), nullptr);
  EXPECT_EQ(find_platform(*read, {"riscv64", "linux", ""}), nullptr);
}

struct Slip {
  const char* place;
  const char* value;
  const char* words;
};

TEST(Oci, NamesTheMistake) {
  const std::vector<Slip> rows{
      {"/schemaVersion", "1", "schemaVersion 1 is not supported"},
      {"/config/digest", "\"sha256:zz\"", "\"sha256:zz\" is not a sha256 digest"},
      {"/config/size", "-5", "size of"},
      {"/config", "null", "descriptor"},
      {"/layers", "{}", "\"layers\" must be a list"},
      {"/layers/0", "3", "descriptor must be an object"},
      {"/annotations", "[]", "\"annotations\" must be an object"},
      {"/annotations/x", "1", "\"annotations/x\" must be text"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.place);
    auto json = to_json(manifest());
    json[Json::json_pointer(row.place)] = Json::parse(row.value);
    const auto read = parse_manifest(to_text(json));
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr(row.words));
  }
  EXPECT_EQ(parse_manifest(std::string(5U << 20U, ' ')).error().code, ErrorCode::limit);
  EXPECT_FALSE(parse_manifest("[]"));
  EXPECT_FALSE(parse_image_config("{}"));
}

}  // namespace
}  // namespace verge::packaging
