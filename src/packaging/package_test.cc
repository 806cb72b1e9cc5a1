#include "packaging/package.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "packaging/gzip.h"

namespace verge::packaging {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* pipeline_text = R"(version: 1
sources:
  gate: {kind: camera, url: "rtsp://camera/1"}
  film: {kind: camera, url: media/film.avi}
stages:
  - detect: {model: models/door}
  - speak: {files: [clips/a.wav, /mnt/b.wav, "${CLIP}"]}
)";

TEST(FindNamedFiles, ReadsKeysAndPlaces) {
  const auto files = find_named_files(pipeline_text, "p.yaml");
  ASSERT_TRUE(files) << files.error().message;
  std::vector<std::string> found;
  for (const auto& file : *files)
    found.push_back(file.key + " " + file.path + " " + std::to_string(file.line) + ":" + std::to_string(file.column));
  EXPECT_THAT(found, ElementsAre("url media/film.avi 4:29", "model models/door 6:21", "files clips/a.wav 7:21"));
  const auto broken = find_named_files("a: [1", "p.yaml");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("p.yaml:"));
}

/// The program that stands for verge-infer is this test; FFmpeg's smallest library stands for all of it.
class PackageTest : public ::testing::Test {
 protected:
  static RuntimeOptions runtime_options() {
    RuntimeOptions options;
    options.program = fs::canonical("/proc/self/exe");
    options.program_version = "0.1.0";
    options.media_libraries = {"libavutil.so.57"};
    options.compression = 1;  // A program with sanitizers has a hundred megabytes.
    options.certificates = "/etc/ssl/certs/ca-certificates.crt";
    if (!fs::exists(options.certificates)) options.certificates = "/etc/passwd";
    return options;
  }

  void SetUp() override {
    fs::create_directories(folder_.path() / "solution/models/door");
    fs::create_directories(folder_.path() / "solution/clips");
    ASSERT_TRUE(write_file(folder_.path() / "solution/vision.yaml", pipeline_text));
    ASSERT_TRUE(write_file(folder_.path() / "solution/models/door/card.json", "{}"));
    ASSERT_TRUE(write_file(folder_.path() / "solution/clips/a.wav", "RIFF"));
    ASSERT_TRUE(write_file(folder_.path() / "film.avi", "AVI"));
    options_.pipeline = folder_.path() / "solution/vision.yaml";
    options_.files = {{"media/film.avi", folder_.path() / "film.avi"}};
    options_.reference = "verge/vision:1";
  }

  /// Built once: packing the libraries takes a second.
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    auto store = *BlobStore::open(shared_->path());
    auto runtime = build_runtime(store, runtime_options());
    ASSERT_TRUE(runtime) << runtime.error().message;
    ASSERT_TRUE(save_runtime(store, *runtime));
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }

  static inline TemporaryFolder* shared_ = nullptr;
  TemporaryFolder folder_;
  BlobStore store_ = *BlobStore::open(shared_->path());
  Runtime runtime_ = *load_runtime(store_, this_platform());
  PackageOptions options_;
};

TEST_F(PackageTest, SplitsTheRuntime) {
  ASSERT_EQ(runtime_.layers.size(), 3U);
  EXPECT_THAT(runtime_.find("base")->provides, Contains("libc.so.6"));
  EXPECT_THAT(runtime_.find("base")->provides, Contains("libz.so.1")) << "which the program is linked with";
  EXPECT_THAT(runtime_.find("base")->provides, Not(Contains("libavutil.so.57")));
  EXPECT_TRUE(runtime_.find("program")->provides.empty());
  EXPECT_THAT(runtime_.find("media")->provides, Contains("libavutil.so.57"));
  EXPECT_THAT(runtime_.find("media")->provides, Contains("libX11.so.6")) << "what it needs comes along";
  for (const auto& library : runtime_.find("media")->provides)
    EXPECT_THAT(runtime_.find("base")->provides, Not(Contains(library))) << "twice";
  EXPECT_THAT(runtime_.find("media")->for_sources, ElementsAre("camera"));
  EXPECT_EQ(runtime_.find("nothing"), nullptr);
  std::vector<std::string> names;
  for (const auto& package : runtime_.find("base")->packages) names.push_back(package.name);
  EXPECT_THAT(names, Contains("libc6"));
  EXPECT_THAT(names, Contains("tzdata"));
}

/// Every library that a file of an image needs lies in that image, with and without the media layer.
TEST_F(PackageTest, NoImageLacksALibrary) {
  for (const bool has_media : {false, true}) {
    std::set<std::string> provided, needed;
    for (const auto& layer : runtime_.layers) {
      if (layer.name == "media" && !has_media) continue;
      provided.insert(layer.provides.begin(), layer.provides.end());
      needed.insert(layer.needs.begin(), layer.needs.end());
    }
    std::erase_if(needed, [](const std::string& library) { return library.starts_with("ld-linux-"); });
    for (const auto& library : needed) EXPECT_THAT(provided, Contains(library));
  }
}

TEST_F(PackageTest, OnlyFilmsBringTheMediaLayer) {
  struct Row {
    const char* yaml;
    std::vector<std::string> needs;
    bool has_media;
  };
  const Row rows[] = {
      {"version: 1\nsources:\n  a: {kind: camera, url: 'rtsp://x'}\n", {}, true},
      {"version: 1\nsources:\n  a: {kind: mqtt, topic: t}\n  b: {kind: camera, url: 'rtsp://x'}\n", {}, true},
      {"version: 1\nsources:\n  a: {kind: mqtt, topic: t}\nstages:\n  - camera: {}\n", {}, false},
      {"version: 1\nsources:\n  a: {kind: recording, files: []}\n", {}, false},
      {"version: 1\nsources:\n  a: {kind: mqtt, topic: t}\n", {"media"}, true},
      {"version: 1\n", {}, false},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.yaml);
    ASSERT_TRUE(write_file(folder_.path() / "p.yaml", row.yaml));
    PackageOptions options;
    options.pipeline = folder_.path() / "p.yaml";
    options.reference = "verge/p:1";
    options.needs = row.needs;
    const auto module = package_module(store_, runtime_, options);
    ASSERT_TRUE(module) << module.error().message;
    std::vector<std::string> names;
    std::uint64_t bytes = 0;
    for (const auto& part : module->parts) {
      names.push_back(part.name);
      bytes += part.bytes;
      EXPECT_EQ(*store_.size_of(part.digest), part.bytes);
    }
    EXPECT_EQ(bytes, module->image_bytes);
    EXPECT_EQ(std::count(names.begin(), names.end(), "media"), row.has_media ? 1 : 0);
    EXPECT_EQ(read_image(store_, module->manifest.digest)->layers.size(), names.size());
  }
}

TEST(FindSourceKinds, ReadsThePipeline) {
  EXPECT_THAT(*find_source_kinds(pipeline_text, "p.yaml"), ElementsAre("camera"));
  EXPECT_TRUE(find_source_kinds("[1, 2]", "p.yaml")->empty());
  EXPECT_TRUE(find_source_kinds("sources: [camera]", "p.yaml")->empty());
  EXPECT_FALSE(find_source_kinds("a: [1", "p.yaml"));
}

TEST_F(PackageTest, BaseHasAccountsCertificatesAndLicences) {
  const auto tar = *gunzip(*store_.read(runtime_.find("base")->layer.descriptor.digest), 1U << 28U);
  for (const auto* path :
       {"etc/passwd", "etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/UTC",
        "usr/share/doc/libc6/copyright", "usr/share/verge/licences/base.json", "verge:x:1000:1000:"})
    EXPECT_THAT(tar.find(path), ::testing::Ne(std::string::npos)) << path;
}

TEST_F(PackageTest, BuildsTheSameRuntimeAgain) {
  const TemporaryFolder other;
  auto store = *BlobStore::open(other.path());
  const auto again = build_runtime(store, runtime_options());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_text(to_json(*again)), to_text(to_json(runtime_)));
}

TEST_F(PackageTest, MakesAModuleImage) {
  options_.labels = {{"site", "hall 3"}};
  options_.environment = {"VERGE_LOG=debug"};
  const auto module = package_module(store_, runtime_, options_);
  ASSERT_TRUE(module) << module.error().message;
  std::vector<std::string> names;
  for (const auto& part : module->parts) names.push_back(part.name);
  EXPECT_THAT(names, ElementsAre("base", "program", "media", "module"));
  const auto image = read_image(store_, module->manifest.digest);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->config.user, "1000:1000");
  EXPECT_THAT(image->config.entrypoint, ElementsAre("/usr/bin/verge-infer", "/module/pipeline.yaml"));
  EXPECT_THAT(image->config.environment, Contains("VERGE_LOG=debug"));
  EXPECT_EQ(image->config.labels.at("site"), "hall 3");
  EXPECT_EQ(image->layers.size(), 4U);
  const auto tar = *gunzip(*store_.read(module->layer.descriptor.digest), 1U << 24U);
  for (const auto* path :
       {"module/pipeline.yaml", "module/models/door/card.json", "module/clips/a.wav", "module/media/film.avi"})
    EXPECT_THAT(tar, HasSubstr(path));
  EXPECT_EQ((*store_.find_reference("verge/vision:1"))->digest, module->manifest.digest);
}

TEST_F(PackageTest, GivesTheSameDigestFromAnotherFolder) {
  const auto first = package_module(store_, runtime_, options_);
  const TemporaryFolder elsewhere;
  fs::copy(folder_.path(), elsewhere.path(), fs::copy_options::recursive);
  options_.pipeline = elsewhere.path() / "solution/vision.yaml";
  options_.files = {{"media/film.avi", elsewhere.path() / "film.avi"}};
  const auto second = package_module(store_, runtime_, options_);
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(first->manifest.digest, second->manifest.digest);
}

struct PackageSlip {
  const char* what;
  void (*spoil)(PackageOptions& options, const fs::path& folder);
  ErrorCode code;
  std::vector<const char*> words;
};

TEST_F(PackageTest, RefusesWithTheNextStep) {
  const std::vector<PackageSlip> rows{
      {"a missing model",
       [](PackageOptions&, const fs::path& folder) {
         fs::rename(folder / "solution/models/door", folder / "solution/models/gate");
       },
       ErrorCode::not_found,
       {"vision.yaml:6:21: model \"models/door\" is not there", "holds gate"}},
      {"a missing film",
       [](PackageOptions& options, const fs::path&) { options.files.clear(); },
       ErrorCode::not_found,
       {"vision.yaml:4:29", "media/film.avi"}},
      {"a given file that is not there",
       [](PackageOptions& options, const fs::path&) { options.files["media/film.avi"] = "/nothing"; },
       ErrorCode::not_found,
       {"/nothing"}},
      {"a place outside",
       [](PackageOptions& options, const fs::path& folder) { options.files["../x"] = folder / "film.avi"; },
       ErrorCode::invalid_argument,
       {"below the pipeline's folder"}},
      {"no pipeline",
       [](PackageOptions& options, const fs::path&) { options.pipeline = "/nothing.yaml"; },
       ErrorCode::not_found,
       {"/nothing.yaml"}},
      {"a bad name",
       [](PackageOptions& options, const fs::path&) { options.reference = "Vision"; },
       ErrorCode::invalid_argument,
       {"Vision"}},
      {"an unknown layer",
       [](PackageOptions& options, const fs::path&) { options.needs = {"gpu"}; },
       ErrorCode::invalid_argument,
       {"no runtime layer \"gpu\"; there are base, program, media"}},
      {"a path that leads out",
       [](PackageOptions&, const fs::path& folder) {
         ASSERT_TRUE(write_file(folder / "solution/vision.yaml", "a: {model: ../x}"));
       },
       ErrorCode::invalid_argument,
       {"vision.yaml:1:12: model \"../x\" leads out"}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    const TemporaryFolder copy;
    fs::copy(folder_.path(), copy.path(), fs::copy_options::recursive);
    auto options = options_;
    options.pipeline = copy.path() / "solution/vision.yaml";
    options.files["media/film.avi"] = copy.path() / "film.avi";
    row.spoil(options, copy.path());
    const auto module = package_module(store_, runtime_, options);
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, row.code) << module.error().message;
    for (const auto* words : row.words) EXPECT_THAT(module.error().message, HasSubstr(words));
  }
}

TEST_F(PackageTest, SaysThatTheRuntimeIsNotBuilt) {
  const auto missing = load_runtime(*BlobStore::open(folder_.path() / "empty"), {"riscv64", "linux", ""});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("no runtime layers for riscv64"));
  EXPECT_FALSE(parse_runtime("{}"));
  EXPECT_FALSE(parse_runtime(R"({"layers": [{"name": "base", "layer": {"digest": "x"}}]})"));
}

}  // namespace
}  // namespace verge::packaging
