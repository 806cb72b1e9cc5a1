#include "vision/recognition/detect.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <mutex>
#include <unistd.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "pipeline/engine_reports.h"
#include "vision/recognition/close_detector.h"
#include "vision/test_frames.h"
#include "vision/test_models.h"
#include "vision/test_stages.h"

namespace verge::vision {
namespace {

using pipeline::PixelFormat;
using ::testing::HasSubstr;

const char* const kModel = "src/vision/data/tiny_detector.onnx";

models::ModelCard tiny_card() {
  models::ModelCard card;
  card.name = "tiny";
  card.labels = {"lamp", "cat"};
  card.head = {{"kind", "nanodet"}, {"strides", {8, 16, 32}}, {"bins", 11}};
  card.picture = models::PictureInput{};
  card.picture->width = card.picture->height = 32;
  card.picture->deviation = {255, 255, 255};
  card.picture->fit = models::PictureFit::letterbox_top_left;
  return card;
}

Result<std::unique_ptr<Detector>> make_detector(const models::ModelCard& card, const DetectorOptions& options = {}) {
  models::LoadedModel model;
  model.card = card;
  VERGE_TRY(model.session, inference::load_onnx(kModel));
  return Detector::make(std::move(model), options);
}

/// Black, with a white square of 16 x 16 pixels whose corner is at (32, 16) of 64 x 32 pixels.
std::shared_ptr<pipeline::Frame> lamp_picture() {
  return testing::make_frame(PixelFormat::gray8, 64, 32,
                             [](int, int x, int y) { return x >= 32 && x < 48 && y >= 16 ? 255 : 0; });
}

TEST(Detector, FindsTheLampInPartsOfThePicture) {
  auto detector = make_detector(tiny_card());
  ASSERT_TRUE(detector) << detector.error().message;
  auto objects = (*detector)->detect(*lamp_picture());
  ASSERT_TRUE(objects) << objects.error().message;
  ASSERT_EQ(objects->size(), 1U);
  const pipeline::Object& lamp = objects->front();
  EXPECT_EQ(lamp.label, "lamp");
  EXPECT_GT(lamp.score, 0.8F);
  // The picture fills 32 x 16 of the input; cell (2, 1) has its centre at (20, 12); the box reaches 8 to each side.
  EXPECT_NEAR(lamp.box.left, 12.0 / 32, 0.01);
  EXPECT_NEAR(lamp.box.top, 4.0 / 16, 0.01);
  EXPECT_NEAR(lamp.box.right, 28.0 / 32, 0.01);
  EXPECT_NEAR(lamp.box.bottom, 1.0, 0.01);  // limited to the picture
}

TEST(Detector, LooksOnlyForItsLabels) {
  auto cats = make_detector(tiny_card(), {.score_min = {}, .overlap_max = {}, .labels = {"cat"}});
  ASSERT_TRUE(cats);
  EXPECT_TRUE((*cats)->detect(*lamp_picture())->empty());
  auto unknown = make_detector(tiny_card(), {.score_min = {}, .overlap_max = {}, .labels = {"dog"}});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("knows no \"dog\"; it knows lamp, cat"));
}

TEST(Detector, PeopleAreFoundForHidingWhateverIsAskedFor) {
  auto card = tiny_card();
  card.labels = {"person", "cat"};
  auto detector = make_detector(card, {.score_min = 0.99F, .overlap_max = {}, .labels = {"cat"}});
  ASSERT_TRUE(detector);
  pipeline::People people;
  EXPECT_TRUE((*detector)->detect(*lamp_picture(), &people)->empty());
  EXPECT_TRUE(people.knows_persons);
  EXPECT_FALSE(people.knows_faces);
  ASSERT_EQ(people.persons.size(), 1U);
  EXPECT_NEAR(people.persons[0].left, 12.0 / 32, 0.01);
  people = {};
  ASSERT_TRUE((*make_detector(tiny_card()))->detect(*lamp_picture(), &people));
  EXPECT_FALSE(people.knows_persons) << "a lamp is nobody";
}

TEST(Detector, TheCardsThresholdCanBeChanged) {
  auto card = tiny_card();
  card.thresholds = {{"score", 0.9}};
  const auto dim = testing::make_frame(PixelFormat::gray8, 64, 32,
                                       [](int, int x, int y) { return x >= 32 && x < 48 && y >= 16 ? 180 : 0; });
  EXPECT_TRUE((*make_detector(card))->detect(*dim)->empty());
  auto loose = make_detector(card, {.score_min = 0.5F, .overlap_max = {}, .labels = {}});
  EXPECT_EQ((*loose)->detect(*dim)->size(), 1U);
}

TEST(Detector, RefusesACardThatDoesNotFit) {
  const struct {
    const char* name;
    std::function<void(models::ModelCard&)> spoil;
    const char* message;
  } cases[] = {
      {"another width", [](auto& c) { c.picture->width = 64; },
       "the card gives pictures [1,3,32,64] float32, the model wants [1,3,32,32] float32"},
      {"another layout", [](auto& c) { c.picture->is_channels_first = false; }, "the card gives pictures [1,32,32,3]"},
      {"more labels", [](auto& c) { c.labels.push_back("dog"); }, "/head/kind must be another one, or other labels"},
      {"no picture", [](auto& c) { c.picture.reset(); }, "/picture must be there"},
      {"a head for sound", [](auto& c) { c.head["kind"] = "silero"; }, "/head/kind must be one of blazeface"},
      {"no labels", [](auto& c) { c.labels.clear(); }, "/labels"},
      {"a zero deviation", [](auto& c) { c.picture->deviation[1] = 0; }, "/picture/deviation"},
      {"a mean too few", [](auto& c) { c.picture->mean.pop_back(); }, "/picture/mean and deviation must be 3 numbers"},
      {"a picture too wide", [](auto& c) { c.picture->width = 9000; }, "/picture/width and height must be 1 to 8192"},
      {"bad strides", [](auto& c) { c.head["strides"] = {0}; }, "/head/strides"},
      {"bad threshold", [](auto& c) { c.thresholds["score"] = 2; }, "/thresholds/score"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto spoiled = tiny_card();
    c.spoil(spoiled);
    auto made = make_detector(spoiled);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(made.error().message, HasSubstr(c.message));
  }
}

/// One box in pixels of a 32 x 32 input, for a picture of 64 x 32.
struct FitRow {
  const char* name;
  models::PictureFit fit;
  std::vector<float> row;
  contract::Region box;
};

TEST(Detector, BoxesComeBackFromEveryFit) {
  using models::PictureFit;
  const FitRow rows[] = {
      {"stretched", PictureFit::stretch, {8, 8, 16, 24, 0.9F, 0}, {0.25, 0.25, 0.5, 0.75}},
      {"top left", PictureFit::letterbox_top_left, {8, 4, 16, 12, 0.9F, 0}, {0.25, 0.25, 0.5, 0.75}},
      {"in the middle", PictureFit::letterbox, {8, 12, 16, 20, 0.9F, 0}, {0.25, 0.25, 0.5, 0.75}},
      {"into the padding", PictureFit::letterbox, {-4, 0, 40, 32, 0.9F, 0}, {0, 0, 1, 1}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    auto detector = Detector::make(testing::fake_model(
                                       {{"kind", "centernet"}}, {"cat"}, 32, {1, 1, 6},
                                       [&](const auto&) {
                                         return testing::one_tensor({1, 1, 6}, row.row);
                                       },
                                       row.fit),
                                   {});
    ASSERT_TRUE(detector) << detector.error().message;
    const auto objects = (*detector)->detect(*lamp_picture());
    ASSERT_TRUE(objects);
    ASSERT_EQ(objects->size(), 1U);
    EXPECT_DOUBLE_EQ(objects->front().box.left, row.box.left);
    EXPECT_DOUBLE_EQ(objects->front().box.top, row.box.top);
    EXPECT_DOUBLE_EQ(objects->front().box.right, row.box.right);
    EXPECT_DOUBLE_EQ(objects->front().box.bottom, row.box.bottom);
  }
}

TEST(Detector, WhatIsNoBoxIsLeftOut) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> numbers{std::nanf(""), 0, 9, 9, 0.9F, 0, 0, 0, inf, 9, 0.9F, 0, 0, 0, 9, 5, 0.9F, 0};
  auto detector = Detector::make(testing::fake_model({{"kind", "centernet"}}, {"cat"}, 32, {1, 3, 6},
                                                     [&](const auto&) {
                                                       return testing::one_tensor({1, 3, 6}, numbers);
                                                     }),
                                 {});
  ASSERT_TRUE(detector);
  // The last one lies in the padding above the picture.
  EXPECT_TRUE((*detector)->detect(*lamp_picture())->empty());
}

/// Black, 128 x 64, with a lamp of 16 x 16 pixels: a quarter of what the model knows when the whole is looked at.
std::shared_ptr<pipeline::Frame> far_lamp(int left, int top) {
  return testing::make_frame(PixelFormat::gray8, 128, 64, [=](int, int x, int y) {
    return x >= left && x < left + 16 && y >= top && y < top + 16 ? 255 : 0;
  });
}

std::unique_ptr<CloseDetector> close_detector(LookOptions look) {
  auto card = tiny_card();
  card.labels = {"person", "cat"};
  return std::make_unique<CloseDetector>(*make_detector(card, {.score_min = {}, .overlap_max = 0.1F, .labels = {}}),
                                         look);
}

TEST(CloseDetector, TilesShowWhatIsSmall) {
  using Way = LookOptions::Way;
  const auto frame = far_lamp(80, 32);
  EXPECT_TRUE(close_detector({})->detect(*frame, {}, "gate")->objects.empty());
  for (const LookOptions& look : {LookOptions{.way = Way::tiles, .grid = {2, 2}, .overlap = 0},
                                  LookOptions{.way = Way::native, .overlap = 0, .runs_max = 5}}) {
    auto detector = close_detector(look);
    pipeline::People people;
    const auto found = detector->detect(*frame, {}, "gate", &people);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->runs, 5U);
    ASSERT_EQ(found->objects.size(), 1U);
    // As FindsTheLampInPartsOfThePicture: the middle is right, the size the model's.
    const contract::Region& box = found->objects.front().box;
    EXPECT_NEAR((box.left + box.right) / 2, 88.0 / 128, 0.02);
    EXPECT_TRUE(people.knows_persons);
    const auto is_there = [](const contract::Region& person) {
      return std::abs((person.left + person.right) / 2 - 88.0 / 128) < 0.02 && person.right - person.left < 0.3;
    };
    EXPECT_TRUE(std::ranges::any_of(people.persons, is_there)) << "who is only seen closer is hidden, too";
  }
}

TEST(CloseDetector, FocusFollowsWhatMovedUntilItIsGone) {
  auto detector = close_detector({.way = LookOptions::Way::motion, .runs_max = 2});
  const std::vector<contract::Region> moving{{0.6, 0.45, 0.75, 0.75}};
  const auto found = [&](int left, int top, const std::vector<contract::Region>& places, const std::string& stream) {
    const auto answer = detector->detect(*far_lamp(left, top), places, stream);
    EXPECT_TRUE(answer) << answer.error().message;
    return std::pair{answer->objects.size(), answer->runs};
  };
  using Pair = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(found(80, 32, {}, "gate"), Pair(0, 1)) << "nothing moves";
  EXPECT_EQ(found(80, 32, moving, "gate"), Pair(1, 2));
  EXPECT_EQ(found(80, 32, {}, "gate"), Pair(1, 2)) << "it has come to rest";
  EXPECT_EQ(found(80, 32, {}, "yard"), Pair(0, 1)) << "another stream";
  EXPECT_EQ(found(0, 0, {}, "gate"), Pair(0, 2)) << "looked at where it was";
  EXPECT_EQ(found(0, 0, {}, "gate"), Pair(0, 1)) << "and forgotten";
}

class DetectStageTest : public ::testing::Test {
 protected:
  DetectStageTest() {
    folder_ = std::filesystem::temp_directory_path() / ("verge_detect_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_ / "tiny");
    std::filesystem::copy_file(kModel, folder_ / "tiny" / "model.onnx",
                               std::filesystem::copy_options::overwrite_existing);
    models::ModelCard card = tiny_card();
    card.task = "object-detection";
    card.family = "vision";
    card.digest = *sha256_digest_of_file(kModel);
    auto session = inference::load_onnx(kModel);
    for (const auto& tensor : (*session)->inputs()) card.inputs.push_back({tensor.name, tensor.type, tensor.shape});
    for (const auto& tensor : (*session)->outputs()) card.outputs.push_back({tensor.name, tensor.type, tensor.shape});
    card.licence = "MIT";
    EXPECT_TRUE(write_file(folder_ / "tiny" / "card.json", to_text(models::to_json(card))));
    context_.folder = folder_;
    context_.metrics = &metrics_;
  }
  ~DetectStageTest() override { std::filesystem::remove_all(folder_); }

  Result<std::unique_ptr<pipeline::SharedStage>> make(Json options) {
    return detect_kind().make(testing::with_defaults(detect_kind(), std::move(options)), context_);
  }

  std::filesystem::path folder_;
  Metrics metrics_;
  pipeline::Context context_;
};

TEST_F(DetectStageTest, AnswersEachPictureOnce) {
  auto stage = make({{"model", "tiny"}});
  ASSERT_TRUE(stage) << stage.error().message;
  ASSERT_TRUE((*stage)->open());
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Result<std::optional<pipeline::Packet>>> answers;
  const auto complete = [&](Result<std::optional<pipeline::Packet>> answer) {
    const std::lock_guard lock(mutex);
    answers.push_back(std::move(answer));
    changed.notify_all();
  };
  auto good = std::make_shared<pipeline::Scene>();
  good->frame = lamp_picture();
  auto broken = std::make_shared<pipeline::Scene>();
  broken->frame = std::make_shared<pipeline::Frame>();
  for (const auto& scene : {good, broken}) {
    pipeline::Packet packet;
    packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
    (*stage)->submit(std::move(packet), complete);
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return answers.size() == 2; });
  ASSERT_TRUE(answers[0] && answers[0]->has_value());
  const auto scene = pipeline::payload_as<pipeline::Scene>(**answers[0]);
  EXPECT_EQ(scene->objects.size(), 1U);
  ASSERT_TRUE(scene->model);
  EXPECT_EQ(*scene->model, *sha256_digest_of_file(kModel));
  ASSERT_FALSE(answers[1]);
  EXPECT_EQ(answers[1].error().code, ErrorCode::invalid_argument) << answers[1].error().message;
  lock.unlock();
  (*stage)->close();
}

TEST_F(DetectStageTest, WhatRunsTheModelIsReported) {
  pipeline::EngineReports reports;
  context_.engines = &reports;
  Json options = {{"model", "tiny"}, {"engine", "onnxruntime"}};
  auto plain = make(options);
  ASSERT_TRUE(plain) << plain.error().message;
  // The pinned ONNX Runtime is the one for CPUs.
  options["device"] = "cuda";
  const auto refused = make(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  options["fallback"] = true;
  auto fallen = make(options);
  ASSERT_TRUE(fallen) << fallen.error().message;
  const Json said = reports.to_json();
  ASSERT_EQ(said.size(), 2U);
  for (std::size_t at = 0; at < 2; ++at) {
    EXPECT_EQ(said[at]["stage"], "detect");
    EXPECT_EQ(said[at]["model"], "tiny");
    EXPECT_EQ(said[at]["engine"], "onnxruntime 1.28.0 cpu");
    EXPECT_EQ(said[at]["fell_back"], at == 1);
  }
  EXPECT_EQ(said[0]["reason"], "");
  EXPECT_EQ(said[1]["asked"], (Json{{"engine", "onnxruntime"}, {"device", "cuda"}}));
  EXPECT_THAT(said[1]["reason"].get<std::string>(), HasSubstr("CUDAExecutionProvider"));
  EXPECT_THAT(metrics_.to_text(),
              HasSubstr("verge_inference_engine_info{engine=\"onnxruntime 1.28.0 cpu\",fell_back=\"true\","
                        "model=\"tiny\",stage=\"detect\"} 1"));
}

TEST_F(DetectStageTest, RefusesWaysToLookThatCannotBe) {
  const std::pair<Json, const char*> rows[] = {
      {{{"model", "tiny"}, {"tiles", "2"}}, "tiles is \"2\"; give columns and rows, each 1 to 8: 2x2; or auto"},
      {{{"model", "tiny"}, {"tiles", "2x9"}}, "tiles is \"2x9\""},
      {{{"model", "tiny"}, {"tiles", "3x3"}},
       "tiles 3x3 and the whole picture are 10 runs of the model; runs_max is 8"},
      {{{"model", "tiny"}, {"tiles", "auto"}, {"focus", "motion"}}, "give one of them"},
      {{{"model", "tiny"}, {"focus", "moving"}}, "focus is \"moving\""},
      {{{"model", "tiny"}, {"tile_overlap", 0.9}}, "tile_overlap is 0.9; give 0 to 0.5"},
      {{{"model", "tiny"}, {"runs_max", 0}}, "runs_max is 0; give 1 to 65"},
  };
  for (const auto& [options, words] : rows) {
    const auto stage = make(options);
    ASSERT_FALSE(stage) << to_text(options);
    EXPECT_THAT(stage.error().message, HasSubstr(words));
  }
  const auto kind = detect_kind();
  const Json focus = testing::with_defaults(kind, {{"model", "tiny"}, {"focus", "motion"}});
  EXPECT_TRUE(kind.check(focus, {{"motion", ""}}));
  EXPECT_THAT(kind.check(focus, {}).error().message, HasSubstr("needs stage motion before it"));
}

TEST_F(DetectStageTest, AMissingModelIsSaid) {
  auto stage = make({{"model", "door"}});
  ASSERT_FALSE(stage);
  EXPECT_EQ(stage.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::vision
