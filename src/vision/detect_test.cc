#include "vision/detect.h"

#include <condition_variable>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <unistd.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::PixelFormat;
using ::testing::HasSubstr;

const char* const kModel = "src/vision/data/tiny_detector.onnx";

DetectorCard tiny_card() {
  DetectorCard card;
  card.input.width = card.input.height = 32;
  card.input.deviation = {255, 255, 255};
  card.labels = {"lamp", "cat"};
  return card;
}

Result<std::unique_ptr<Detector>> make_detector(const DetectorCard& card, const DetectorOptions& options = {}) {
  auto session = inference::load_onnx(kModel);
  if (!session) return session.error();
  return Detector::make(std::move(*session), card, options);
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
  auto cats = make_detector(tiny_card(), {.labels = {"cat"}});
  ASSERT_TRUE(cats);
  EXPECT_TRUE((*cats)->detect(*lamp_picture())->empty());
  auto unknown = make_detector(tiny_card(), {.labels = {"dog"}});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("knows no \"dog\"; it knows lamp, cat"));
}

TEST(Detector, RefusesACardThatDoesNotFit) {
  DetectorCard wide = tiny_card();
  wide.input.width = 64;
  auto made = make_detector(wide);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message,
              HasSubstr("the card gives pictures [1,3,32,64] float32, the model wants [1,3,32,32]"));
  DetectorCard more_labels = tiny_card();
  more_labels.labels.push_back("dog");
  EXPECT_FALSE(make_detector(more_labels));
}

TEST(DetectorCard, ComesFromTheModelCard) {
  models::ModelCard card;
  card.name = "door";
  card.labels = {"door"};
  card.head = {{"kind", "nanodet"}, {"strides", {8, 16}}, {"bins", 8}};
  card.thresholds = {{"score", 0.3}};
  card.picture = models::PictureInput{};
  card.picture->width = card.picture->height = 320;
  card.picture->fit = models::PictureFit::letterbox_top_left;
  auto detector = detector_card_of(card);
  ASSERT_TRUE(detector) << detector.error().message;
  EXPECT_EQ(detector->bins, 8);
  EXPECT_EQ(detector->strides, (std::vector<int>{8, 16}));
  EXPECT_FLOAT_EQ(detector->score_min, 0.3F);
  const struct {
    const char* name;
    std::function<void(models::ModelCard&)> spoil;
    const char* message;
  } cases[] = {
      {"no picture", [](auto& c) { c.picture.reset(); }, "/picture must be there"},
      {"another head", [](auto& c) { c.head["kind"] = "yolo"; }, "/head/kind must be nanodet"},
      {"no labels", [](auto& c) { c.labels.clear(); }, "/labels"},
      {"a zero deviation", [](auto& c) { c.picture->deviation[1] = 0; }, "/picture/deviation"},
      {"stretched", [](auto& c) { c.picture->fit = models::PictureFit::stretch; }, "/picture/fit"},
      {"bad strides", [](auto& c) { c.head["strides"] = {0}; }, "/head/strides"},
      {"bad threshold", [](auto& c) { c.thresholds["score"] = 2; }, "/thresholds/score"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    models::ModelCard spoiled = card;
    c.spoil(spoiled);
    auto made = detector_card_of(spoiled);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr(c.message));
  }
}

class DetectStageTest : public ::testing::Test {
 protected:
  DetectStageTest() {
    folder_ = std::filesystem::temp_directory_path() / ("verge_detect_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_ / "tiny");
    std::filesystem::copy_file(kModel, folder_ / "tiny" / "model.onnx",
                               std::filesystem::copy_options::overwrite_existing);
    models::ModelCard card;
    card.name = "tiny";
    card.task = "object-detection";
    card.family = "vision";
    card.digest = *sha256_digest_of_file(kModel);
    auto session = inference::load_onnx(kModel);
    for (const auto& tensor : (*session)->inputs()) card.inputs.push_back({tensor.name, tensor.type, tensor.shape});
    for (const auto& tensor : (*session)->outputs()) card.outputs.push_back({tensor.name, tensor.type, tensor.shape});
    card.labels = {"lamp", "cat"};
    card.head = {{"kind", "nanodet"}, {"strides", {8, 16, 32}}, {"bins", 11}};
    card.licence = "MIT";
    card.picture = models::PictureInput{};
    card.picture->width = card.picture->height = 32;
    card.picture->deviation = {255, 255, 255};
    card.picture->fit = models::PictureFit::letterbox_top_left;
    EXPECT_TRUE(write_file(folder_ / "tiny" / "card.json", to_text(models::to_json(card))));
    context_.folder = folder_;
    context_.metrics = &metrics_;
  }
  ~DetectStageTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  Metrics metrics_;
  pipeline::Context context_;
};

TEST_F(DetectStageTest, AnswersEachPictureOnce) {
  auto stage = detect_kind().make({{"model", "tiny"}, {"labels", Json::array()}, {"threads", 1}}, context_);
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

TEST_F(DetectStageTest, AMissingModelIsSaid) {
  auto stage = detect_kind().make({{"model", "door"}, {"labels", Json::array()}, {"threads", 1}}, context_);
  ASSERT_FALSE(stage);
  EXPECT_EQ(stage.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::vision
