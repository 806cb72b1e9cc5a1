#include "cli/solution_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "packaging/image_builder.h"

namespace verge::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A solution with two images in a folder of its own. The program that stands for verge-infer is this test.
struct PackagedFolder {
  explicit PackagedFolder(const std::string& below = ".") : root(folder.path() / below) {
    fs::create_directories(root / "solution");
    fs::create_directories(root / "model");
    write("solution/vision.yaml",
          "version: 1\nsources:\n  a: {kind: camera, url: film.avi}\nstages:\n  - detect: {model: models/m}\n");
    write("solution/pump.yaml", "version: 1\nsources:\n  a: {kind: mqtt, topic: t}\n");
    write("film.avi", "AVI");
    write("model/model.onnx", std::string(20'000, 'm'));
    solution.folder = root / "solution";
    solution.name = "shop";
    solution.images = {
        {"vision", root / "solution/vision.yaml", {{"models/m", "m"}}, {{"film.avi", root / "film.avi"}}, {}},
        {"pump", root / "solution/pump.yaml", {}, {}, {}}};
    models = {{"m", root / "model"}};
  }

  /// Real layers: seconds to build.
  void build_runtime() {
    packaging::RuntimeOptions options;
    options.program = fs::canonical("/proc/self/exe");
    options.media_libraries = {};
    options.compression = 1;
    auto built = packaging::build_runtime(store, options);
    ASSERT_TRUE(built) << built.error().message;
    runtime = *std::move(built);
  }

  /// Layers with a file each.
  void make_runtime() {
    for (const auto* name : {"base", "program"}) {
      packaging::LayerWriter writer;
      ASSERT_TRUE(writer.add_bytes("/usr/share/layer", name));
      packaging::RuntimeLayer layer;
      layer.name = name;
      layer.layer = *writer.write(store);
      runtime.layers.push_back(std::move(layer));
    }
  }

  void write(const std::string& file, const std::string& text) const { EXPECT_TRUE(write_file(root / file, text)); }

  std::map<std::string, std::string> package() {
    said.clear();
    auto digests =
        package_images_on(runtime, solution, models, store, [this](const auto& line) { said += line + "\n"; });
    EXPECT_TRUE(digests) << digests.error().message;
    return digests ? *digests : std::map<std::string, std::string>();
  }

  TemporaryFolder folder;
  fs::path root;
  packaging::BlobStore store = *packaging::BlobStore::open(folder.path() / "images");
  Solution solution;
  std::map<std::string, fs::path> models;
  packaging::Runtime runtime;
  std::string said;
};

TEST(SolutionImages, TheSameDigestsFromTwoFolders) {
  PackagedFolder here;
  PackagedFolder there("a/longer/path/to/it");
  here.build_runtime();
  there.build_runtime();
  for (const auto& entry : fs::recursive_directory_iterator(there.root))
    if (entry.is_regular_file())
      fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(99));
  fs::permissions(there.root / "film.avi", fs::perms::owner_read);
  const auto digests = here.package();
  EXPECT_EQ(digests.size(), 2U);
  EXPECT_EQ(digests, there.package());
}

/// A report says when its model was learned.
TEST(SolutionImages, ReportsStayOut) {
  PackagedFolder at;
  at.make_runtime();
  at.write("model/card.json", "{}");
  const auto before = at.package();
  at.write("model/report.html", "learned on Monday");
  EXPECT_EQ(at.package(), before);
  at.write("model/report.html", "learned on Tuesday");
  EXPECT_EQ(at.package(), before);
  at.write("model/card.json", "{ }");
  EXPECT_NE(at.package().at("vision"), before.at("vision"));
}

TEST(SolutionImages, MakesAgainOnlyWhatChanged) {
  PackagedFolder at;
  at.make_runtime();
  const auto first = at.package();
  EXPECT_THAT(at.said, HasSubstr("image vision: packaged"));
  EXPECT_THAT(at.said, HasSubstr("base "));
  EXPECT_EQ(at.package(), first);
  EXPECT_EQ(at.said, "");
  at.write("model/model.onnx", "another");
  const auto second = at.package();
  EXPECT_EQ(second.at("pump"), first.at("pump"));
  EXPECT_NE(second.at("vision"), first.at("vision"));
  EXPECT_THAT(at.said, HasSubstr("of earlier ones removed"));
  EXPECT_FALSE(at.store.has(first.at("vision")));
}

TEST(SolutionImages, TheFolderDoesNotGrow) {
  PackagedFolder at;
  at.make_runtime();
  std::size_t blobs = 0;
  for (int i = 0; i < 20; ++i) {
    at.write("film.avi", "film " + std::to_string(i));
    const auto digests = at.package();
    for (const auto& [image, digest] : digests) EXPECT_TRUE(packaging::read_image(at.store, digest)) << image;
    if (i == 0) blobs = at.store.digests().size();
    EXPECT_EQ(at.store.digests().size(), blobs);
  }
  at.solution.images.pop_back();
  EXPECT_EQ(at.package().size(), 1U);
  EXPECT_FALSE(*at.store.find_reference("shop/pump:latest"));
  EXPECT_LT(at.store.digests().size(), blobs);
}

TEST(SolutionImages, NamesTheLayers) {
  PackagedFolder at;
  at.make_runtime();
  const auto parts = image_parts(at.store, at.runtime, at.package().at("vision"));
  ASSERT_TRUE(parts) << parts.error().message;
  std::vector<std::string> names;
  for (const auto& part : *parts) names.push_back(part.name);
  EXPECT_THAT(names, ::testing::ElementsAre("base", "program", "module"));
}

}  // namespace
}  // namespace verge::cli
