#include "cli/solution.h"

#include <gmock/gmock.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "cli/content_digest.h"
#include "cli/solution_models.h"

namespace verge::cli {
namespace {

using testing::HasSubstr;

class SolutionTest : public testing::Test {
 protected:
  SolutionTest() {
    write("vision.yaml", "version: 1\n");
    write("deployment.json", R"({"image": "${image:vision}"})");
    write("cache/models/m.onnx", "model");
    write("card.json", R"({"task": "object-detection"})");
    write("a/open/1.jpg", "picture");
  }
  void write(const std::string& name, std::string_view text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    ASSERT_TRUE(write_file(folder_.path() / name, text));
  }
  Result<Solution> load(std::string_view json) {
    write("solution.json", json);
    return load_solution(folder_.path(), folder_.path() / "cache");
  }

  TemporaryFolder folder_;
};

TEST_F(SolutionTest, IsReadWithItsFiles) {
  const auto solution = load(R"({"name": "door",
    "models": {"m": {"import": {"from": "cache:models/m.onnx", "card": "card.json"}},
               "t": {"train": {"family": "telemetry", "record": {"pipeline": "vision.yaml"}, "false_alarms_per_week": 2}},
               "w": {"train": {"family": "vision", "record": {"pipeline": "vision.yaml"}, "task": "anomaly"}},
               "v": {"train": {"family": "vision", "folder": "a", "objects": "person", "region": "head", "align": "off", "cost_miss": 5, "seed": 3}}},
    "images": {"vision": {"pipeline": "vision.yaml", "models": {"models/m": "m"}, "files": {"a/b": "cache:models/m.onnx"}, "layers": ["media"]}},
    "manifest": "deployment.json"})");
  ASSERT_TRUE(solution) << solution.error().message;
  EXPECT_EQ(solution->name, "door");
  ASSERT_EQ(solution->models.size(), 4U);
  EXPECT_TRUE(solution->models[1].is_recorded);
  EXPECT_FALSE(solution->models[2].is_recorded);
  EXPECT_TRUE(solution->models[3].is_recorded);
  ASSERT_TRUE(solution->models[3].lesson);
  EXPECT_EQ(solution->models[3].lesson->task, "anomaly");
  EXPECT_EQ(solution->models[3].files.front(), folder_.path() / "vision.yaml");
  ASSERT_TRUE(solution->models[2].lesson);
  EXPECT_EQ(solution->models[2].lesson->name, "v");
  EXPECT_EQ(solution->models[2].lesson->folder, folder_.path() / "a");
  EXPECT_EQ(solution->models[2].lesson->region, "head");
  EXPECT_EQ(solution->models[2].lesson->align, "off");
  EXPECT_DOUBLE_EQ(solution->models[2].lesson->cost_miss, 5);
  EXPECT_EQ(solution->models[2].lesson->seed, 3U);
  EXPECT_EQ(solution->models[0].kind, ModelRecipe::Kind::import);
  EXPECT_EQ(solution->models[0].card.at("task"), "object-detection");
  EXPECT_DOUBLE_EQ(solution->models[1].false_alarms_per_week, 2);
  ASSERT_EQ(solution->images.size(), 1U);
  EXPECT_EQ(solution->images[0].models.at("models/m"), "m");
  EXPECT_EQ(solution->images[0].files.at("a/b"), folder_.path() / "cache/models/m.onnx");
  EXPECT_EQ(solution->images[0].layers.front(), "media");
}

TEST_F(SolutionTest, AMistakeNamesItsPlace) {
  struct Row {
    const char* json;
    const char* place;
    ErrorCode code = ErrorCode::invalid_argument;
  };
  for (
      const Row& row : {
          Row{R"({"name": "Door", "manifest": "deployment.json"})", "/name"},
          Row{R"({"name": "door"})", "/manifest"},
          Row{R"({"name": "door", "manifest": "none.json"})", "none.json is not there", ErrorCode::not_found},
          Row{R"({"name": "door", "manifest": "/etc/passwd"})", "relative path"},
          Row{R"({"name": "door", "modles": {}, "manifest": "deployment.json"})",
              "/modles: is not known; allowed here: name, models, images, manifest"},
          Row{R"({"name": "door", "models": {"m": {}}, "manifest": "deployment.json"})", "/models/m: must say one of"},
          Row{R"({"name": "door", "models": {"m": {"copy": []}}, "manifest": "deployment.json"})", "/models/m/copy"},
          Row{R"({"name": "door", "models": {"m": {"copy": ["cache:models/x"]}}, "manifest": "deployment.json"})",
              "tools/fetch.sh", ErrorCode::not_found},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "smell"}}}, "manifest": "deployment.json"})",
              "/models/m/train/family"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "audio"}}}, "manifest": "deployment.json"})",
              "/models/m/train: must say one of folder"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "audio", "simulated": ["moter"]}}}, "manifest": "deployment.json"})",
              "/models/m/train/simulated: must be a list of motor"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "audio", "simulated": ["motor"], "false_alarms_per_day": 0}}}, "manifest": "deployment.json"})",
              "/models/m/train/false_alarms_per_day: must be 0.01..1000"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "vision", "folder": "a", "cost_mis": 3}}}, "manifest": "deployment.json"})",
              "/models/m/train: cost_mis: must be left out; allowed here: family, folder"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "vision", "folder": "a", "minutes": 0}}}, "manifest": "deployment.json"})",
              "/models/m/train: minutes: must be a number, 0.01 to 1440"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "vision", "folder": "none"}}}, "manifest": "deployment.json"})",
              "none is not there", ErrorCode::not_found},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "vision", "folder": "a", "record": {"pipeline": "vision.yaml"}}}}, "manifest": "deployment.json"})",
              "/models/m/train: must say one of folder"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "vision"}}}, "manifest": "deployment.json"})",
              "/models/m/train: must say one of folder"},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "vision", "record": {"pipeline": "none.yaml"}}}}, "manifest": "deployment.json"})",
              "none.yaml is not there", ErrorCode::not_found},
          Row{R"({"name": "door", "models": {"m": {"train": {"family": "telemetry", "record": {"pipeline": "vision.yaml"}, "window_s": 0}}},
                 "manifest": "deployment.json"})",
              "window_s: must be 2..86400"},
          Row{R"({"name": "door", "models": {"m": {"import": {"from": "card.json", "card": 7}}}, "manifest": "deployment.json"})",
              "/models/m/import/card"},
          Row{R"({"name": "door", "images": {"v": {"pipeline": "vision.yaml", "models": {"p": "m"}}}, "manifest": "deployment.json"})",
              "/images/v/models/p: must name one of the models"},
          Row{R"({"name": "door", "images": {"v": {"pipeline": "vision.yaml", "layers": "media"}}, "manifest": "deployment.json"})",
              "/images/v/layers"},
          Row{R"({"name": "door", "images": {"v": 7}, "manifest": "deployment.json"})", "/images/v: must be an object"},
          Row{R"({"name": )", "solution.json"},
      }) {
    const auto solution = load(row.json);
    ASSERT_FALSE(solution) << row.json;
    EXPECT_EQ(solution.error().code, row.code) << solution.error().message;
    EXPECT_THAT(solution.error().message, HasSubstr(row.place));
  }
}

TEST_F(SolutionTest, ManifestsGetTheImagesReferences) {
  const Json manifest{{"a", {{"image", "${image:vision}"}}}, {"list", {"x${image:audio}y${image:vision}"}}, {"n", 7}};
  const auto filled = fill_manifest(manifest, {{"vision", "hub:8443/door/vision:1"}, {"audio", "A"}});
  ASSERT_TRUE(filled) << filled.error().message;
  EXPECT_EQ(filled->at("a").at("image"), "hub:8443/door/vision:1");
  EXPECT_EQ(filled->at("list").at(0), "xAyhub:8443/door/vision:1");
  EXPECT_THAT(fill_manifest(manifest, {{"vision", "v"}}).error().message, HasSubstr("no image \"audio\""));
  EXPECT_FALSE(fill_manifest("${image:open", {}));
}

TEST_F(SolutionTest, ModelsAreMadeOnceAndAgainWhenAFileChanges) {
  const auto solution =
      load(R"({"name": "door", "models": {"m": {"copy": ["cache:models/m.onnx"]}}, "manifest": "deployment.json"})");
  ASSERT_TRUE(solution) << solution.error().message;
  const Home home{folder_.path() / "home"};
  int made = 0;
  const Progress count = [&](const std::string&) { ++made; };
  const auto first = make_models(*solution, home, count);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*read_file(first->at("m") / "m.onnx"), "model");
  EXPECT_EQ(made, 1);
  EXPECT_EQ(make_models(*solution, home, count)->at("m"), first->at("m"));
  EXPECT_EQ(made, 1) << "nothing changed";
  write("cache/models/m.onnx", "other");
  const auto second = make_models(*solution, home, count);
  ASSERT_TRUE(second);
  EXPECT_NE(second->at("m"), first->at("m"));
  EXPECT_EQ(made, 2);
}

TEST_F(SolutionTest, AModelThatCannotBeMadeLeavesNothing) {
  write("cache/models/m.json", "{}");
  const auto solution = load(
      R"({"name": "door", "models": {"m": {"import": {"from": "cache:models/m.json"}}}, "manifest": "deployment.json"})");
  ASSERT_TRUE(solution) << solution.error().message;
  const Home home{folder_.path() / "home"};
  const auto made = make_models(*solution, home, [](const std::string&) {});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("make model \"m\""));
  EXPECT_TRUE(std::filesystem::is_empty(home.models() / "made"));
}

TEST(Example, FirstLightIsSound) {
  const TemporaryFolder cache;
  const auto solution = load_solution("examples/first_light", cache.path());
  // Without the fetched files it stops at the first of them, after everything before was read.
  ASSERT_FALSE(solution);
  EXPECT_EQ(solution.error().code, ErrorCode::not_found) << solution.error().message;
}

TEST(Example, WhatIsTaughtFromARecordingNeedsNoFetchedFiles) {
  const TemporaryFolder cache;
  for (const char* folder : {"examples/shelf_void", "examples/visual_quality"}) {
    const auto solution = load_solution(folder, cache.path());
    ASSERT_TRUE(solution) << solution.error().message;
    ASSERT_EQ(solution->models.size(), 1U);
    EXPECT_TRUE(solution->models[0].is_recorded);
    EXPECT_TRUE(fill_manifest(solution->manifest, {{"vision", "hub/vision:1"}}));
  }
}

TEST(ContentDigest, KnowsNamesOrderAndContent) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder.path() / "a", "1"));
  ASSERT_TRUE(write_file(folder.path() / "b", "2"));
  const auto digest = [&](std::initializer_list<std::pair<const char*, const char*>> files) {
    ContentDigest made;
    for (const auto& [name, file] : files) EXPECT_TRUE(made.add_tree(name, folder.path() / file));
    return made.short_hex();
  };
  EXPECT_EQ(digest({{"x", "a"}, {"y", "b"}}), digest({{"x", "a"}, {"y", "b"}}));
  EXPECT_NE(digest({{"x", "a"}, {"y", "b"}}), digest({{"y", "b"}, {"x", "a"}}));
  EXPECT_NE(digest({{"x", "a"}}), digest({{"y", "a"}}));
  EXPECT_EQ(digest({{"x", "a"}}).size(), 16U);
  ContentDigest missing;
  EXPECT_FALSE(missing.add_tree("z", folder.path() / "none"));
}

}  // namespace
}  // namespace verge::cli
