#include "vision/recognition/classify.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "models/onnx_graph.h"
#include "vision/test_frames.h"
#include "vision/test_models.h"

namespace verge::vision {
namespace {

using pipeline::Attribute;
using ::testing::HasSubstr;

std::shared_ptr<pipeline::Frame> grey_picture(int value) {
  return testing::make_frame(pipeline::PixelFormat::gray8, 64, 32, [=](int, int, int) { return value; });
}

TEST(Classifier, SaysTheLikeliest) {
  const struct {
    const char* name;
    const char* activation;
    std::vector<float> scores;
    float score_min;
    std::optional<Attribute> said;
  } rows[] = {
      {"as they are", "none", {0.2F, 0.7F}, 0, Attribute{"open", 0.7F}},
      {"softmax", "softmax", {std::log(3.0F), 0}, 0, Attribute{"shut", 0.75F}},
      {"softmax of large numbers", "softmax", {900, 100}, 0, Attribute{"shut", 1}},
      {"sigmoid", "sigmoid", {-9, std::log(4.0F)}, 0, Attribute{"open", 0.8F}},
      {"too weak", "none", {0.2F, 0.7F}, 0.8F, std::nullopt},
      {"not a number", "none", {std::nanf(""), 0.7F}, 0, std::nullopt},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    auto classifier = Classifier::make(
        testing::fake_model({{"kind", "classes"}, {"activation", row.activation}}, {"shut", "open"}, 8, {1, 2},
                            [&](const auto&) {
                              return testing::one_tensor({1, 2}, row.scores);
                            }),
        row.score_min);
    ASSERT_TRUE(classifier) << classifier.error().message;
    const auto said = (*classifier)->classify(*grey_picture(0));
    ASSERT_TRUE(said);
    ASSERT_EQ(said->has_value(), row.said.has_value());
    if (!row.said) continue;
    EXPECT_EQ((*said)->name, row.said->name);
    EXPECT_NEAR((*said)->score, row.said->score, 1e-6F);
  }
}

TEST(Classifier, ALabelMayHaveAThresholdOfItsOwn) {
  const struct {
    const char* name;
    double own;
    std::vector<float> scores;  // hat, bare
    const char* said;
  } rows[] = {
      {"a miss is costly: said though less likely", 0.2, {0.7F, 0.3F}, "bare"},
      {"below its own it is not said", 0.2, {0.85F, 0.15F}, "hat"},
      {"a false alarm is costly: not said though likelier, and the other is too weak", 0.9, {0.3F, 0.7F}, ""},
      {"at its own", 0.5, {0.5F, 0.5F}, "bare"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    auto model =
        testing::fake_model({{"kind", "classes"}, {"region", "head"}}, {"hat", "bare"}, 8, {1, 2}, [&](const auto&) {
          return testing::one_tensor({1, 2}, row.scores);
        });
    model.card.thresholds = {{"score", 0.6}, {"bare", row.own}};
    auto classifier = Classifier::make(std::move(model), std::nullopt);
    ASSERT_TRUE(classifier) << classifier.error().message;
    EXPECT_EQ((*classifier)->region(), BoxPart::head);
    const auto said = (*classifier)->classify(*grey_picture(0));
    ASSERT_TRUE(said);
    EXPECT_EQ(said->has_value() ? (*said)->name : "", row.said);
  }
}

TEST(Classifier, RefusesAnotherCard) {
  const auto make = [](const Json& head, std::vector<std::string> labels) {
    return Classifier::make(testing::fake_model(head, std::move(labels), 8, {1, 2}, nullptr), std::nullopt);
  };
  EXPECT_THAT(make({{"kind", "yolo"}}, {"a", "b"}).error().message, HasSubstr("/head/kind must be \"classes\""));
  EXPECT_THAT(make({{"kind", "classes"}}, {}).error().message, HasSubstr("/labels must be a list of words"));
  EXPECT_THAT(make({{"kind", "classes"}}, {"a", "b", "c"}).error().message,
              HasSubstr("reads scores from an output [1,3] float32, the model has: y [1,2]"));
}

/// Answers with the number of the look, "look 1", and the width of what it saw as score.
class CountingLooks {
 public:
  ClassifyLogic::Look look() {
    return [this](const pipeline::Frame& frame) -> Result<std::optional<Attribute>> {
      return std::optional(Attribute{"look " + std::to_string(++count_), static_cast<float>(frame.width)});
    };
  }
  int count() const { return count_; }

 private:
  int count_ = 0;
};

pipeline::Scene scene_with(std::vector<pipeline::Object> objects) {
  pipeline::Scene scene;
  scene.frame = grey_picture(100);
  scene.objects = std::move(objects);
  return scene;
}

std::vector<std::string> said_of(const pipeline::Scene& scene) {
  std::vector<std::string> said;
  for (const auto& object : scene.objects) said.push_back(object.attributes.empty() ? "" : object.attributes[0].name);
  return said;
}

using Said = std::vector<std::string>;

TEST(ClassifyLogic, ATrackIsLookedAtNowAndThen) {
  CountingLooks looks;
  ClassifyLogic logic({.about = ClassifyOptions::About::objects,
                       .labels = {},
                       .zones = {},
                       .margin = 0,
                       .every_s = 1,
                       .objects_max = 8},
                      looks.look());
  const struct {
    const char* name;
    std::int64_t time_us;
    std::vector<std::string> tracks;
    Said said;
  } steps[] = {
      {"both are new", 0, {"1", "2"}, {"look 1", "look 2"}},
      {"what was said holds", 900'000, {"1", "2"}, {"look 1", "look 2"}},
      {"a new one is looked at at once", 950'000, {"1", "3"}, {"look 1", "look 3"}},
      {"a second later again", 1'000'000, {"1", "3"}, {"look 4", "look 3"}},
      {"without a track always", 1'100'000, {"", "1"}, {"look 5", "look 4"}},
      {"without a track always, again", 1'200'000, {""}, {"look 6"}},
  };
  for (const auto& step : steps) {
    SCOPED_TRACE(step.name);
    std::vector<pipeline::Object> objects;
    for (const auto& track : step.tracks) objects.push_back(testing::standing_at(0.5, 0.7, track));
    auto scene = scene_with(std::move(objects));
    ASSERT_TRUE(logic.update("gate", step.time_us, scene));
    EXPECT_EQ(said_of(scene), step.said);
  }
  auto other = scene_with({testing::standing_at(0.5, 0.7, "1")});
  ASSERT_TRUE(logic.update("yard", 1'200'000, other));
  EXPECT_EQ(said_of(other), Said{"look 7"}) << "streams have tracks of their own";
}

TEST(ClassifyLogic, ItsTimeIsBounded) {
  CountingLooks looks;
  ClassifyLogic logic({.about = ClassifyOptions::About::objects,
                       .labels = {},
                       .zones = {},
                       .margin = 0,
                       .every_s = 0,
                       .objects_max = 2},
                      looks.look());
  const auto three = [] {
    return scene_with({testing::standing_at(0.2, 0.7, "1"), testing::standing_at(0.5, 0.7, "2"),
                       testing::standing_at(0.8, 0.7, "3")});
  };
  auto first = three();
  ASSERT_TRUE(logic.update("gate", 0, first));
  EXPECT_EQ(said_of(first), (Said{"look 1", "look 2", ""}));
  auto second = three();
  ASSERT_TRUE(logic.update("gate", 100'000, second));
  EXPECT_EQ(said_of(second), (Said{"look 4", "look 2", "look 3"})) << "who waited comes first";
}

TEST(ClassifyLogic, LooksAtTheWantedPart) {
  CountingLooks looks;
  ClassifyLogic logic({.about = ClassifyOptions::About::objects,
                       .labels = {"person"},
                       .zones = {},
                       .margin = 0.5,
                       .every_s = 1,
                       .objects_max = 8},
                      looks.look());
  auto scene = scene_with({testing::standing_at(0.5, 0.7, "1"), testing::standing_at(0.5, 0.7, "2")});
  scene.objects[0].box = {0.25, 0.25, 0.5, 0.75};
  scene.objects[1].label = "dog";
  ASSERT_TRUE(logic.update("gate", 0, scene));
  EXPECT_EQ(said_of(scene), (Said{"look 1", ""}));
  EXPECT_EQ(scene.objects[0].attributes[0].score, 32);  // 16 pixels and half as many on each side
}

TEST(ClassifyLogic, LooksAtThePartThatWasTaught) {
  int height = 0;
  ClassifyLogic logic({.labels = {}, .zones = {}, .region = BoxPart::head, .margin = 0},
                      [&](const pipeline::Frame& frame) -> Result<std::optional<Attribute>> {
                        height = frame.height;
                        return std::optional<Attribute>();
                      });
  auto scene = scene_with({testing::standing_at(0.5, 0.9)});
  scene.objects[0].box = {0.25, 0, 0.75, 0.75};  // 24 of 32 rows
  ASSERT_TRUE(logic.update("gate", 0, scene));
  EXPECT_EQ(height, 8);
}

TEST(ClassifyLogic, ASceneHasAttributesOfItsOwn) {
  CountingLooks looks;
  ClassifyLogic logic({.about = ClassifyOptions::About::picture,
                       .labels = {},
                       .zones = {},
                       .margin = 0,
                       .every_s = 2,
                       .objects_max = 8},
                      looks.look());
  for (const std::int64_t time_us : {0, 1'000'000, 2'500'000}) {
    auto scene = scene_with({testing::standing_at(0.5, 0.7, "1")});
    ASSERT_TRUE(logic.update("gate", time_us, scene));
    ASSERT_EQ(scene.attributes.size(), 1U);
    EXPECT_EQ(scene.attributes[0].name, time_us < 2'000'000 ? "look 1" : "look 2");
    EXPECT_EQ(scene.attributes[0].score, 64);
    EXPECT_TRUE(scene.objects[0].attributes.empty());
  }
}

pipeline::Shape zone_called(std::string name, double left, double right) {
  return {std::move(name), true, {{left, 0}, {right, 0}, {right, 0.5}, {(left + right) / 2, 0.5}}, {}, {}};
}

TEST(ClassifyLogic, AZoneIsLookedAtByItsBoundingPart) {
  CountingLooks looks;
  ClassifyLogic logic({.about = ClassifyOptions::About::zones,
                       .labels = {},
                       .zones = {"left", "right"},
                       .margin = 0.5,
                       .every_s = 1,
                       .objects_max = 8},
                      looks.look());
  const auto scene = [] {
    auto made = scene_with({testing::standing_at(0.5, 0.7, "1")});
    made.shapes = {zone_called("left", 0, 0.25), zone_called("other", 0, 1), zone_called("right", 0.5, 1)};
    made.shapes.push_back({"line", false, {{0, 0}, {1, 1}}, {}, {}});
    return made;
  };
  for (const std::int64_t time_us : {0, 500'000, 1'000'000}) {
    auto seen = scene();
    ASSERT_TRUE(logic.update("gate", time_us, seen));
    ASSERT_EQ(seen.shapes[0].attributes.size(), 1U);
    ASSERT_EQ(seen.shapes[2].attributes.size(), 1U);
    EXPECT_EQ(seen.shapes[0].attributes[0].name, time_us < 1'000'000 ? "look 1" : "look 3");
    EXPECT_EQ(seen.shapes[0].attributes[0].score, 16) << "a quarter of 64 pixels, without a margin";
    EXPECT_EQ(seen.shapes[2].attributes[0].score, 32);
    EXPECT_TRUE(seen.shapes[1].attributes.empty() && seen.objects[0].attributes.empty());
  }
  auto without = scene();
  without.shapes.erase(without.shapes.begin());
  EXPECT_THAT(logic.update("gate", 2'000'000, without).error().message,
              HasSubstr("classify: no stage before it has a zone \"left\""));
  without.shapes.clear();
  EXPECT_THAT(logic.update("gate", 2'000'000, without).error().message, HasSubstr("put a stage zone before it"));
}

/// A real model through the stage: dark or light, by the mean of a 4 x 4 picture.
TEST(ClassifyStage, RunsAModelFromItsFolder) {
  const TemporaryFolder folder;
  models::GraphBuilder graph("light");
  const auto x = graph.input("x", models::ElementType::float32, {1, 1, 4, 4});
  const auto mean = graph.add("Reshape", {graph.add("GlobalAveragePool", {x}), graph.ints({1, 1})});
  const auto scores = graph.add("Concat", {graph.add("Neg", {mean}), mean}, {{"axis", 1}});
  graph.output("scores", scores, models::ElementType::float32, {1, 2});
  ASSERT_TRUE(models::save_model(*graph.finish(), folder.path() / "model.onnx"));
  ASSERT_TRUE(write_file(folder.path() / "card.json", R"({"task": "classification", "family": "vision", "name": "light",
    "labels": ["dark", "light"], "head": {"kind": "classes", "activation": "softmax"},
    "picture": {"width": 4, "height": 4, "colours": "grey", "mean": [128], "deviation": [64], "fit": "stretch"}})"));
  Metrics metrics;
  pipeline::Context context;
  context.folder = folder.path();
  context.metrics = &metrics;
  const Json options{{"model", "."},     {"of", "picture"}, {"labels", Json::array()}, {"margin", 0.1}, {"every_s", 0},
                     {"objects_max", 8}, {"threads", 1}};
  auto stage = classify_kind().make(options, context);
  ASSERT_TRUE(stage) << stage.error().message;
  ASSERT_TRUE((*stage)->open());
  std::vector<std::string> said;
  for (const int value : {0, 255}) {
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = grey_picture(value);
    pipeline::Packet packet;
    packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
    (*stage)->submit(packet, [&](Result<std::optional<pipeline::Packet>> answer) {
      ASSERT_TRUE(answer && *answer);
      for (const auto& attribute : pipeline::payload_as<pipeline::Scene>(**answer)->attributes) {
        said.push_back(attribute.name);
      }
    });
  }
  (*stage)->close();  // waits for both
  EXPECT_EQ(said, (Said{"dark", "light"}));
  auto wrong = options;
  wrong["of"] = "object";
  EXPECT_THAT(classify_kind().make(wrong, context).error().message, HasSubstr("of is \"object\""));
}

}  // namespace
}  // namespace verge::vision
