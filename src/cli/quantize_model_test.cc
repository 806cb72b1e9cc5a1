#include "cli/quantize_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/temporary_folder.h"
#include "models/onnx_graph.h"
#include "vision/test_frames.h"

namespace verge::cli {
namespace {

using models::ElementType;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kSide = 16;

/// "bright" when red is over 50, by the difference of two sums that 8 bits cannot tell apart.
models::OnnxModel hair_splitter(int plain_layers) {
  models::GraphBuilder graph("hair-splitter");
  const auto images = graph.input("images", ElementType::float32, {1, 3, kSide, kSide});
  std::string value = images;
  for (int i = 0; i < plain_layers; ++i) {
    value = graph.add("Conv", {value, graph.floats({3, 3, 1, 1}, {1, 0, 0, 0, 1, 0, 0, 0, 1})});
  }
  graph.append({"Conv",
                "",
                "",
                {value, graph.floats({2, 3, 1, 1}, {0.997F, 0, 0, 1, 0, 0}), graph.floats({2}, {0.15F, 0})},
                {"subtle"},
                {}});
  const auto mean = graph.add("GlobalAveragePool", {"subtle"});
  graph.output("scores", graph.add("Reshape", {mean, graph.ints({1, 2})}), ElementType::float32, {1, 2});
  auto model = graph.finish();
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

/// Pictures are files that hold their red value.
Result<std::shared_ptr<pipeline::Frame>> read_red(const std::filesystem::path& file) {
  VERGE_TRY(const auto text, read_file(file));
  const int red = std::stoi(text);
  return vision::testing::make_frame(pipeline::PixelFormat::rgb24, kSide, kSide,
                                     [red](int, int x, int) { return x % 3 == 0 ? red : 90; });
}

class QuantizeModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    request_ = {
        .source = root_.path() / "model", .pictures = root_.path() / "pictures", .target = root_.path() / "small"};
    request_.read = read_red;
    std::filesystem::create_directories(request_.source);
    std::filesystem::create_directories(request_.pictures);
    use(hair_splitter(3));
    for (int i = 0; i < 24; ++i) put(fmt_name(i), i * 41 % 24 < 12 ? 5 + i : 255 - 5 * i);
  }

  void use(const models::OnnxModel& model) {
    models::ModelCard card;
    card.name = "splitter";
    card.task = "image-classification";
    card.family = "vision";
    card.licence = "MIT";
    card.labels = {"dark", "bright"};
    card.head = {{"kind", "classes"}, {"activation", "none"}};
    card.picture = models::PictureInput{};
    card.picture->width = card.picture->height = kSide;
    card.digest = sha256_digest(models::to_bytes(model));
    ASSERT_TRUE(models::save_model(model, request_.source / "model.onnx"));
    ASSERT_TRUE(write_file(request_.source / "card.json", to_pretty_text(models::to_json(card))));
  }

  static std::string fmt_name(int number) { return (number < 10 ? "0" : "") + std::to_string(number) + ".jpg"; }
  void put(const std::string& name, int red) { ASSERT_TRUE(write_file(request_.pictures / name, std::to_string(red))); }
  Result<QuantizeOutcome> run() {
    return quantize_model(request_, [this](const std::string& line) { told_.push_back(line); });
  }

  TemporaryFolder root_;
  QuantizeRequest request_;
  std::vector<std::string> told_;
};

TEST_F(QuantizeModelTest, WhatCannotBeInEightBitsStaysFloatTheEndsOfTheNetworkFirstAndNoMoreThanNeeded) {
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message << ::testing::PrintToString(told_);
  // The other end came back with it, and was not needed.
  EXPECT_THAT(outcome->float_layers, ElementsAre("subtle"));
  EXPECT_EQ(outcome->layers, 4U);
  EXPECT_EQ(outcome->calibrated, 12U);
  EXPECT_EQ(outcome->chosen, 6U);
  EXPECT_EQ(outcome->judged.pictures, 6U);
  EXPECT_EQ(outcome->judged.found_share(), 1);
  EXPECT_EQ(outcome->judged.precision(), 1);
  // What everything in 8 bits came to was said, and what the ends changed.
  EXPECT_THAT(told_, Contains(HasSubstr("0 of 4 layers in float32: ")));
  EXPECT_THAT(told_,
              Contains(AllOf(HasSubstr("2 of 4 layers in float32, at last "), HasSubstr(": 100.0 % found again"))));
  const auto opened = models::open_model(request_.target);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->card.name, "splitter-int8");
  EXPECT_EQ(opened->card.metrics["quantised"]["float_layers"], 1);
  EXPECT_EQ(opened->card.metrics["quantised"]["weight_bits"], 7);
}

TEST_F(QuantizeModelTest, WhatCannotAgreeIsNotWritten) {
  use(hair_splitter(0));
  const auto refused = run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_THAT(refused.error().message, HasSubstr("half of its layers in float32 do not make it find 98.0 % again"));
  EXPECT_FALSE(std::filesystem::exists(request_.target));
}

TEST_F(QuantizeModelTest, AskingForLessKeepsEverythingInEightBits) {
  request_.agree_min = request_.precision_min = 0;
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->float_layers.empty());
  EXPECT_LT(outcome->judged.found_share(), 1);
}

TEST_F(QuantizeModelTest, RefusesWhatCannotBeDone) {
  request_.agree_min = 1.5;
  EXPECT_THAT(run().error().message, HasSubstr("a share of 1.5; give 0 to 1"));
  request_.agree_min = 0.98;
  request_.weight_bits = 5;
  EXPECT_THAT(run().error().message, HasSubstr("5 bits; give 7 or 8"));
  for (int i = 4; i < 24; ++i) std::filesystem::remove(request_.pictures / fmt_name(i));
  EXPECT_THAT(run().error().message, HasSubstr("it has 4 pictures; at least 8"));
}

}  // namespace
}  // namespace verge::cli
