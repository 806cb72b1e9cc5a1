// The comparison as a graph equals the one in C++, and the stage around it says what is to be seen.
#include "vision/teach/template_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/recognition/compare.h"
#include "vision/test_boards.h"

namespace verge::vision {
namespace {

using testing::as_frame;
using testing::board;
using testing::BoardChange;
using ::testing::HasSubstr;

TemplatePictures some_pictures() {
  const auto inspector =
      TemplateInspector::make(std::vector<GreyPicture>{board(), board({}, {{130, 110, 8, 0.7}}, 4), board({}, {}, 5)});
  return inspector->pictures();
}

models::LoadedModel model_of(const TemplatePictures& pictures, int shift, const Json& more = Json::object()) {
  models::LoadedModel model;
  model.card.name = "board";
  model.card.picture = models::PictureInput{};
  model.card.picture->width = pictures.good.width;
  model.card.picture->height = pictures.good.height;
  model.card.picture->colours = models::ColourOrder::grey;
  model.card.picture->mean = {0};
  model.card.picture->deviation = {1};
  model.card.picture->fit = models::PictureFit::stretch;
  model.card.head = {{"kind", "template"}, {"shift", shift}};
  model.card.head.update(more);
  const auto graph = template_graph(pictures, shift);
  EXPECT_TRUE(graph) << graph.error().message;
  auto session = inference::load_onnx_bytes(models::to_bytes(*graph));
  EXPECT_TRUE(session) << session.error().message;
  model.session = *std::move(session);
  return model;
}

std::unique_ptr<TemplateComparer> comparer_of(const TemplatePictures& pictures, const CompareOptions& options = {}) {
  auto comparer = TemplateComparer::make(model_of(pictures, 2), options);
  EXPECT_TRUE(comparer) << comparer.error().message;
  return comparer ? *std::move(comparer) : nullptr;
}

TEST(TemplateGraph, EqualsTheInspectorPixelForPixel) {
  const TemplatePictures pictures = some_pictures();
  const GreyPicture over = board({}, {{80, 75, 5, 1}, {100, 90, 9, 0}, {3, 3, 5, 1}}, 9);
  for (const int shift : {1, 2, 5}) {
    const auto inspector = TemplateInspector::make(pictures, {.shift = shift});
    ASSERT_TRUE(inspector);
    const auto model = model_of(pictures, shift);
    const auto input = inference::Tensor::of<std::uint8_t>({1, 1, over.height, over.width},
                                                           std::span<const std::uint8_t>(over.values));
    const inference::NamedTensor inputs[] = {{"picture", &input}};
    const std::string_view wanted[] = {"excess", "good"};
    const auto outputs = model.session->run(inputs, wanted);
    ASSERT_TRUE(outputs) << outputs.error().message;
    const auto excess = (*outputs)[0].values<float>();
    const auto expected = inspector->excess_of(over);
    EXPECT_TRUE(std::ranges::equal(excess, expected)) << "shift " << shift;
    EXPECT_GT(std::ranges::max(expected), 50) << "there is something to compare";
    const auto good = (*outputs)[1].values<std::uint8_t>();
    const auto pixels = over.values.size();
    EXPECT_TRUE(std::ranges::equal(good.first(pixels), pictures.good.values));
    EXPECT_TRUE(std::ranges::equal(good.last(pixels), pictures.highest.values));
  }
}

struct LookCase {
  const char* name;
  testing::BoardPose pose;
  std::vector<BoardChange> changes;
  const char* says;
};
TEST(TemplateComparer, SaysGoodDefectAndWhere) {
  const LookCase cases[] = {{"as it is", {}, {}, "good"},
                            {"moved and darker", {5, -4, 0.03, 0.8}, {}, "good"},
                            {"an open track", {6, 3, 0, 0.9}, {{80, 30, 6, 0}}, "defect"},
                            {"two", {-4, 2, 0, 1.1}, {{100, 90, 5, 0}, {75, 45, 5, 1}}, "defect"}};
  const auto comparer = comparer_of(some_pictures());
  ASSERT_TRUE(comparer);
  for (const auto& row : cases) {
    const auto seen = comparer->look(*as_frame(board(row.pose, row.changes, 7)));
    ASSERT_TRUE(seen) << row.name << ": " << seen.error().message;
    EXPECT_EQ(seen->attribute.name, row.says) << row.name;
    EXPECT_GE(seen->attribute.score, 0.5F) << row.name;
    ASSERT_EQ(seen->regions.size(), row.changes.size()) << row.name;
    for (const BoardChange& change : row.changes) {
      EXPECT_TRUE(std::ranges::any_of(seen->regions, [&](const pipeline::Object& region) {
        const double x = (change.x + row.pose.across) / testing::kBoardWide;
        const double y = (change.y + row.pose.down) / testing::kBoardHigh;
        return region.label == "defect" && region.box.left < x && region.box.right > x && region.box.top < y &&
               region.box.bottom > y && region.box.right - region.box.left < 0.3;
      })) << row.name;
    }
  }
}

TEST(TemplateComparer, SaysWhenThePartIsMissing) {
  const auto comparer = comparer_of(some_pictures());
  ASSERT_TRUE(comparer);
  std::uint32_t state = 9;
  const auto noise = testing::make_frame(pipeline::PixelFormat::gray8, 160, 128, [&](int, int, int) {
    return static_cast<int>((state = state * 1664525U + 1013904223U) >> 24U);
  });
  const auto seen = comparer->look(*noise);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->attribute.name, "missing");
  EXPECT_GT(seen->attribute.score, 0.7F);
  EXPECT_THAT(seen->regions, ::testing::IsEmpty());
}

TEST(TemplateComparer, ToleranceAlarmsLessAndRegionsAreBounded) {
  const std::vector<BoardChange> faint{{75, 45, 2, 0.5}}, many{{80, 30, 6, 0}, {75, 60, 5, 1}, {100, 90, 5, 0}};
  const auto usual = comparer_of(some_pictures()), patient = comparer_of(some_pictures(), {10, 20}),
             one = comparer_of(some_pictures(), {1, 1});
  ASSERT_TRUE(usual && patient && one);
  EXPECT_EQ(usual->look(*as_frame(board({}, faint, 7)))->attribute.name, "defect");
  EXPECT_EQ(patient->look(*as_frame(board({}, faint, 7)))->attribute.name, "good");
  EXPECT_THAT(one->look(*as_frame(board({}, many, 7)))->regions, ::testing::SizeIs(1));
  EXPECT_THAT(usual->look(*as_frame(board({}, many, 7)))->regions, ::testing::SizeIs(3));
}

struct CardCase {
  const char* name;
  Json head;
  const char* told;
};
TEST(TemplateComparer, RefusesCardsThatDoNotFit) {
  const TemplatePictures pictures = some_pictures();
  const CardCase cases[] = {
      {"another head", {{"kind", "anomaly-map"}}, "/head/kind must be \"template\""},
      {"a word too many", {{"cell", 8}}, "/head/cell must be left out"},
      {"a wide shift", {{"shift", 9}}, "/head/shift must be a whole number, 1 to 8"},
      {"no correlation", {{"correlation_min", 2}}, "/head/correlation_min must be a number, -1 to 1"},
      {"half a filter", {{"filter", {{"weights", {1, 2}}, {"offset", 0}}}}, "a list of 19 numbers"}};
  for (const auto& row : cases) {
    const auto refused = TemplateComparer::make(model_of(pictures, 2, row.head), {});
    ASSERT_FALSE(refused) << row.name;
    EXPECT_THAT(refused.error().message, HasSubstr(row.told)) << row.name;
  }
  auto colourful = model_of(pictures, 2);
  colourful.card.picture->colours = models::ColourOrder::rgb;
  colourful.card.picture->mean = colourful.card.picture->deviation = {1, 1, 1};
  EXPECT_FALSE(TemplateComparer::make(std::move(colourful), {}));
}

}  // namespace
}  // namespace verge::vision
