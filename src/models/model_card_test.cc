#include "models/model_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/temporary_folder.h"
#include "models/onnx_graph.h"

namespace verge::models {
namespace {

using inference::DataType;
using inference::TensorInfo;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json detector() {
  return Json::parse(R"({
    "version": 1, "name": "nanodet-coco", "task": "object-detection", "family": "vision",
    "inputs": [{"name": "images", "type": "float32", "shape": [1, 3, 416, 416]}],
    "outputs": [{"name": "scores_8", "type": "float32", "shape": [1, 2704, 80]}],
    "labels": ["person", "car"],
    "picture": {"width": 416, "height": 416, "colours": "bgr", "mean": [103.53, 116.28, 123.675],
                "deviation": [57.375, 57.12, 58.395], "fit": "letterbox_top_left", "filling": 114},
    "head": {"kind": "nanodet", "strides": [8, 16, 32], "bins": 11},
    "thresholds": {"score": 0.4, "overlap": 0.5}, "licence": "Apache-2.0", "tolerance": 0.0001})");
}

TEST(ModelCard, ReadsADetector) {
  const auto card = parse_card(verge::to_text(detector()));
  ASSERT_TRUE(card) << card.error().message;
  EXPECT_EQ(card->file, "model.onnx");
  EXPECT_THAT(card->labels, ElementsAre("person", "car"));
  EXPECT_EQ(card->head_kind(), "nanodet");
  ASSERT_TRUE(card->picture);
  EXPECT_EQ(card->picture->colours, ColourOrder::bgr);
  EXPECT_EQ(card->picture->fit, PictureFit::letterbox_top_left);
  EXPECT_TRUE(card->picture->is_channels_first);
  EXPECT_FLOAT_EQ(card->picture->mean[0], 103.53F);
  EXPECT_DOUBLE_EQ(card->thresholds.at("score"), 0.4);
  EXPECT_EQ(card->inputs[0].shape, (inference::Shape{1, 3, 416, 416}));
}

TEST(ModelCard, ReadsWhatItWrote) {
  const auto card = *parse_card(verge::to_text(detector()));
  const auto text = verge::to_text(to_json(card));
  const auto again = parse_card(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(verge::to_text(to_json(*again)), text);
}

struct CardSlip {
  const char* place;  ///< JSON pointer that gets `value`.
  const char* value;
  const char* words;
};

TEST(ModelCard, NamesTheMistake) {
  const std::vector<CardSlip> rows{
      {"/task", "\"\"", "card \"nanodet-coco\": /task is missing"},
      {"/family", "\"smell\"", "/family must be one of: vision, audio, telemetry"},
      {"/file", "\"../x\"", "/file must be the name of a file"},
      {"/digest", "\"md5:1\"", "/digest must be sha256:"},
      {"/labels", "[\"a\", \"a\"]", "/labels holds \"a\" twice"},
      {"/labels", "\"person\"", "/labels must be a list"},
      {"/picture/mean", "[1, 2]", "/picture/mean must hold 3 numbers"},
      {"/picture/deviation", "[1, 0, 1]", "/picture/deviation must not hold 0"},
      {"/picture/width", "0", "/picture/width must be a whole number from 1"},
      {"/picture/colours", "\"yuv\"", "/picture/colours must be one of: rgb, bgr, grey"},
      {"/picture/filling", "256", "/picture/filling must be 0 to 255"},
      {"/picture/hight", "416", "/picture/hight is not known; allowed here: width, height"},
      {"/inputs/0/shape", "[-2]", "/inputs/0/shape must hold whole numbers"},
      {"/inputs/0/name", "\"\"", "/inputs/0/name is missing"},
      {"/inputs/0/type", "\"double\"", "/inputs/0/type must be one of: float32"},
      {"/head", "{\"strides\": []}", "/head/kind must name"},
      {"/thresholds/score", "\"high\"", "/thresholds/score must be a number"},
      {"/tolerance", "-1", "/tolerance must be 0 or more"},
      {"/threshold", "{}", "/threshold is not known"},
      {"/version", "2", "/version must be 1"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.place);
    auto json = detector();
    json[Json::json_pointer(row.place)] = Json::parse(row.value);
    const auto card = parse_card(verge::to_text(json));
    ASSERT_FALSE(card);
    EXPECT_EQ(card.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(card.error().message, HasSubstr(row.words));
  }
  EXPECT_FALSE(parse_card("[]"));
  EXPECT_FALSE(parse_card("{"));
}

struct Fit {
  const char* what;
  std::vector<TensorInfo> inputs, outputs;
  const char* words;  ///< Empty: fits.
};

TEST(ModelCard, IsComparedWithTheModel) {
  const TensorInfo images{"images", DataType::float32, {1, 3, 416, 416}};
  const TensorInfo scores{"scores_8", DataType::float32, {1, 2704, 80}};
  const std::vector<Fit> rows{
      {"as the card says", {images}, {scores}, ""},
      {"free sizes fit anything", {{"images", DataType::float32, {-1, 3, -1, -1}}}, {scores}, ""},
      {"another size",
       {{"images", DataType::float32, {1, 3, 640, 640}}},
       {scores},
       "load model \"door.onnx\": input \"images\" is [1,3,640,640], the card says [1,3,416,416]"},
      {"another number of axes", {{"images", DataType::float32, {3, 416, 416}}}, {scores}, "is [3,416,416]"},
      {"another type", {{"images", DataType::uint8, {1, 3, 416, 416}}}, {scores}, "is uint8, the card says float32"},
      {"another name",
       {{"x", DataType::float32, {1, 3, 416, 416}}},
       {scores},
       "the card names input \"images\", the model has: x"},
      {"a missing output", {images}, {}, "the card names output \"scores_8\""},
  };
  const auto card = *parse_card(verge::to_text(detector()));
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    const auto status = check_card(card, "door.onnx", row.inputs, row.outputs);
    EXPECT_EQ(static_cast<bool>(status), std::string_view(row.words).empty());
    if (!status) {
      EXPECT_THAT(status.error().message, HasSubstr(row.words));
    }
  }
  auto wide = card;
  wide.inputs.clear();
  wide.picture->width = 320;
  EXPECT_THAT(check_card(wide, "door.onnx", {images}, {scores}).error().message,
              HasSubstr("the card's picture gives [1,3,416,320]"));
}

class OpenModel : public ::testing::Test {
 protected:
  void SetUp() override {
    GraphBuilder graph("g");
    const auto x = graph.input("x", ElementType::float32, {1, 2});
    graph.output("y", graph.add("Relu", {x}), ElementType::float32, {1, 2});
    ASSERT_TRUE(save_model(*graph.finish(), folder_.path() / "model.onnx"));
    write_card({{"task", "anomaly-score"},
                {"family", "telemetry"},
                {"name", "pump"},
                {"digest", *sha256_digest_of_file(folder_.path() / "model.onnx")}});
  }
  void write_card(const Json& card) { ASSERT_TRUE(write_file(folder_.path() / "card.json", verge::to_text(card))); }
  void expect_error(ErrorCode code, const char* words) {
    const auto model = open_model(folder_.path());
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_THAT(model.error().message, HasSubstr(words));
  }
  TemporaryFolder folder_;
};

TEST_F(OpenModel, LoadsAFolder) {
  const auto model = open_model(folder_.path());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->card.name, "pump");
  EXPECT_EQ(model->session->inputs()[0].name, "x");
  EXPECT_TRUE(open_model(folder_.path() / "card.json"));
}

TEST_F(OpenModel, SaysThatThereIsNoCard) {
  std::filesystem::remove(folder_.path() / "card.json");
  expect_error(ErrorCode::not_found, "there is no card.json");
}

TEST_F(OpenModel, SaysThatTheFileIsMissing) {
  std::filesystem::remove(folder_.path() / "model.onnx");
  expect_error(ErrorCode::not_found, "the card names \"model.onnx\", which is not there");
}

TEST_F(OpenModel, SaysThatTheFileIsAnotherOne) {
  write_card({{"task", "t"}, {"family", "audio"}, {"digest", "sha256:" + std::string(64, '0')}});
  expect_error(ErrorCode::corrupt, "import the model again");
}

TEST_F(OpenModel, SaysThatTheFileIsDamaged) {
  ASSERT_TRUE(write_file(folder_.path() / "model.onnx", "not a model"));
  const auto model = open_model(folder_.path());
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("model.onnx"));
}

TEST_F(OpenModel, SaysThatTheShapeIsAnother) {
  write_card({{"task", "t"}, {"family", "audio"}, {"inputs", Json::parse(R"([{"name": "x", "shape": [1, 3]}])")}});
  expect_error(ErrorCode::invalid_argument, "load model \"model.onnx\": input \"x\" is [1,2], the card says [1,3]");
}

}  // namespace
}  // namespace verge::models
