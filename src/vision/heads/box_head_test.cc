#include "vision/heads/box_head.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <sstream>

#include "base/disk.h"
#include "models/catalogue.h"
#include "vision/heads/test_heads.h"
#include "vision/recognition/picture_model.h"

namespace verge::vision {
namespace {

using inference::DataType;
using testing::card_of;
using testing::decoded;
using ::testing::ElementsAre;
using testing::expect_found;
using testing::Expected;
using ::testing::HasSubstr;
using testing::NamedNumbers;

const float kNaN = std::numeric_limits<float>::quiet_NaN();

struct HeadRow {
  const char* name;
  Json head;
  int width, height;
  std::size_t labels;
  std::vector<NamedNumbers> outputs;
  float score_min;
  std::vector<int> wanted;
  std::vector<Expected> expected;
};

void run(const std::vector<HeadRow>& rows) {
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    expect_found(decoded(card_of(row.head, row.width, row.height, row.labels), row.outputs, row.score_min, row.wanted),
                 row.expected);
  }
}

TEST(YoloHead, ReadsRowsAndColumns) {
  // Two rows: centre (50, 40), 20 x 10 pixels, objectness 0.8; the second one is weak.
  const NamedNumbers rows{"y", {1, 2, 7}, {50, 40, 20, 10, 0.8F, 0.25F, 0.75F, 10, 10, 4, 4, 0.1F, 1, 1}};
  const NamedNumbers parts{"y", {1, 1, 7}, {0.5F, 0.25F, 0.1F, 0.5F, 1, 0.5F, 0.4F}};
  // Logits: sigmoid(0) = 0.5, sigmoid(ln 3) = 0.75.
  const NamedNumbers logits{"y", {1, 1, 7}, {50, 40, 20, 10, std::log(3.0F), -9, 0}};
  // Three columns: x, y, width, height, a, b.
  const NamedNumbers columns{"y",
                             {1, 6, 3},
                             {50, 10, 30, 40, 20, 30, 20, 4, 2, 10, 4, 2,  //
                              0.1F, 0.2F, 0.6F, 0.7F, 0.3F, 0.9F}};
  run({
      {"rows", {{"kind", "yolo"}}, 100, 80, 2, {rows}, 0.5F, {}, {{{40, 35, 60, 45}, 0.6F, 1}}},
      {"only wanted labels", {{"kind", "yolo"}}, 100, 80, 2, {rows}, 0.15F, {0}, {{{40, 35, 60, 45}, 0.2F, 0}}},
      {"parts of the input",
       {{"kind", "yolo"}, {"unit", "parts"}},
       100,
       80,
       2,
       {parts},
       0.3F,
       {},
       {{{45, 0, 55, 40}, 0.5F, 0}}},
      {"logits",
       {{"kind", "yolo"}, {"activation", "sigmoid"}},
       100,
       80,
       2,
       {logits},
       0.3F,
       {},
       {{{40, 35, 60, 45}, 0.375F, 1}}},
      {"columns",
       {{"kind", "yolo-v8"}},
       100,
       80,
       2,
       {columns},
       0.5F,
       {},
       {{{40, 35, 60, 45}, 0.7F, 1}, {{29, 29, 31, 31}, 0.9F, 1}}},
      {"columns, wanted", {{"kind", "yolo-v8"}}, 100, 80, 2, {columns}, 0.5F, {0}, {{{29, 29, 31, 31}, 0.6F, 0}}},
      {"columns, logits and parts",
       {{"kind", "yolo-v8"}, {"unit", "parts"}, {"activation", "sigmoid"}},
       100,
       80,
       1,
       {{"y", {1, 5, 1}, {0.5F, 0.5F, 0.2F, 0.1F, 0}}},
       0.5F,
       {},
       {{{40, 36, 60, 44}, 0.5F, 0}}},
  });
}

TEST(YoloHead, DecodesGrids) {
  // 16 x 8 pixels: stride 8 has cells (0,0) and (1,0), stride 16 has one.
  std::vector<float> numbers(3 * 6, 0.0F);
  const auto set = [&](std::size_t row, std::initializer_list<float> values) {
    std::copy(values.begin(), values.end(), numbers.begin() + static_cast<std::ptrdiff_t>(6 * row));
  };
  set(1, {0.5F, 0.25F, std::log(2.0F), 0, 0.9F, 1});   // x (1 + 0.5) * 8 = 12, y 2, 16 x 8
  set(2, {0.25F, 0.25F, 0, std::log(0.5F), 1, 0.8F});  // x 4, y 4, 16 x 8
  run({{"strides in turn",
        {{"kind", "yolox"}, {"strides", {8, 16}}},
        16,
        8,
        1,
        {{"y", {1, 3, 6}, numbers}},
        0.5F,
        {},
        {{{4, -2, 20, 6}, 0.9F, 0}, {{-4, 0, 12, 8}, 0.8F, 0}}}});
}

TEST(SsdHead, ReadsEveryLayout) {
  const NamedNumbers scores{"scores", {1, 2, 2}, {0.1F, 0.9F, 0.6F, 0.2F}};
  const NamedNumbers corners{"boxes", {1, 2, 4}, {0.1F, 0.2F, 0.3F, 0.4F, 0, 0, 1, 1}};
  // Background and two labels: softmax of (0, ln 2, 0) is 1/4, 1/2, 1/4.
  const NamedNumbers logits{"scores", {1, 1, 3}, {0, std::log(2.0F), 0}};
  const NamedNumbers one{"boxes", {1, 1, 4}, {10, 20, 30, 40}};
  const NamedNumbers zero{"boxes", {1, 1, 4}, {1, -1, 0, 5 * std::log(2.0F)}};
  const NamedNumbers single{"scores", {1, 1, 1}, {0.5F}};
  run({
      {"corners in parts",
       {{"kind", "ssd"}},
       100,
       50,
       2,
       {corners, scores},
       0.5F,
       {},
       {{{10, 10, 30, 20}, 0.9F, 1}, {{0, 0, 100, 50}, 0.6F, 0}}},
      {"y before x",
       {{"kind", "ssd"}, {"order", "corners_yx"}},
       100,
       50,
       2,
       {corners, scores},
       0.8F,
       {},
       {{{20, 5, 40, 15}, 0.9F, 1}}},
      {"centre in pixels, background first, softmax",
       {{"kind", "ssd"}, {"order", "centre"}, {"unit", "pixels"}, {"background", "first"}, {"activation", "softmax"}},
       100,
       50,
       2,
       {one, logits},
       0.4F,
       {},
       {{{-5, 0, 25, 40}, 0.5F, 0}}},
      {"background last, sigmoid, the other label wanted",
       {{"kind", "ssd"}, {"unit", "pixels"}, {"background", "last"}, {"activation", "sigmoid"}},
       100,
       50,
       2,
       {one, logits},
       0.4F,
       {0},
       {{{10, 20, 30, 40}, 0.5F, 0}}},
      // Prior: centre (50, 25), 20 x 10. x = 50 + 1 * 0.1 * 20 = 52, y = 25 - 0.1 * 10 = 24, height 10 * exp(0.2 * 5 ln
      // 2)
      {"listed priors",
       {{"kind", "ssd"}, {"priors", Json::array({{0.5, 0.5, 0.2, 0.2}})}},
       100,
       50,
       1,
       {zero, single},
       0.4F,
       {},
       {{{42, 14, 62, 34}, 0.5F, 0}}},
      {"variances",
       {{"kind", "ssd"}, {"priors", Json::array({{0.5, 0.5, 0.2, 0.2}})}, {"variances", {1, 0.4}}},
       100,
       50,
       1,
       {zero, single},
       0.4F,
       {},
       {{{60, -5, 80, 35}, 0.5F, 0}}},
      // 16 x 8: stride 8 has 2 cells with sizes 4 and 6, stride 16 one cell of size 12.
      {"priors by rule",
       {{"kind", "ssd"}, {"priors", {{"strides", {8, 16}}, {"sizes", {{4, 6}, {12}}}}}},
       16,
       8,
       1,
       {{"boxes", {1, 5, 4}, std::vector<float>(20, 0.0F)}, {"scores", {1, 5, 1}, {0, 0, 0, 0.7F, 0.8F}}},
       0.5F,
       {},
       {{{9, 1, 15, 7}, 0.7F, 0}, {{2, 2, 14, 14}, 0.8F, 0}}},
      {"outputs by name",
       {{"kind", "ssd"}, {"unit", "pixels"}, {"outputs", {{"boxes", "q"}, {"scores", "p"}}}},
       100,
       50,
       4,
       {{"p", {1, 1, 4}, {0.1F, 0.2F, 0.9F, 0.3F}}, {"q", {1, 1, 4}, {1, 2, 3, 4}}},
       0.5F,
       {},
       {{{1, 2, 3, 4}, 0.9F, 2}}},
  });
}

TEST(CenternetHead, ReadsRows) {
  const NamedNumbers rows{
      "d", {1, 4, 6}, {1, 2, 3, 4, 0.9F, 1, 5, 6, 7, 8, 0.5F, 0, 0, 0, 9, 9, 0.2F, 0, 0, 0, 9, 9, 0.9F, 7}};
  run({
      {"all that is strong and known",
       {{"kind", "centernet"}},
       64,
       64,
       2,
       {rows},
       0.4F,
       {},
       {{{1, 2, 3, 4}, 0.9F, 1}, {{5, 6, 7, 8}, 0.5F, 0}}},
      {"only wanted labels", {{"kind", "centernet"}}, 64, 64, 2, {rows}, 0.4F, {0}, {{{5, 6, 7, 8}, 0.5F, 0}}},
  });
}

TEST(FastestdetHead, ReadsItsGrid) {
  // Two cells side by side over 100 x 50 pixels; the second has objectness 0.81 and label b at 0.64.
  std::vector<float> grid(7 * 2, 0.0F);
  const auto set = [&](std::size_t channel, float value) { grid[channel * 2 + 1] = value; };
  set(0, 0.81F);
  set(1, std::atanh(0.5F));  // x = (1 + 0.5) / 2 of 100
  set(2, std::atanh(0.4F));  // y = (0 + 0.4) / 1 of 50
  set(3, std::log(0.25F));   // width = 0.2 of 100
  set(4, 0);                 // height = 0.5 of 50
  set(5, 0.36F);
  set(6, 0.64F);
  const float score = std::pow(0.81F, 0.6F) * std::pow(0.64F, 0.4F);
  run({
      {"one cell",
       {{"kind", "fastestdet"}},
       100,
       50,
       2,
       {{"g", {1, 7, 1, 2}, grid}},
       0.5F,
       {},
       {{{65, 7.5F, 85, 32.5F}, score, 1}}},
      {"too weak", {{"kind", "fastestdet"}}, 100, 50, 2, {{"g", {1, 7, 1, 2}, grid}}, 0.8F, {}, {}},
  });
}

TEST(BlazefaceHead, ReadsFacesAndTheirPoints) {
  // 16 x 16 pixels: stride 8 has four cells with two anchors, stride 16 one cell with one anchor; two points.
  const Json head{{"kind", "blazeface"}, {"strides", {8, 16}}, {"anchors", {2, 1}}, {"points", {"eye", "nose"}}};
  std::vector<float> scores(8, -5.0F);
  std::vector<float> boxes(8 * 8, 0.0F);
  scores[5] = std::log(4.0F);  // sigmoid 0.8; anchor 5 is in cell 2: column 0, row 1, centre (4, 12)
  const float row[] = {1, -2, 6, 4, -1, 0, 2, 3};
  std::copy(std::begin(row), std::end(row), boxes.begin() + 5 * 8);
  const auto found = decoded(card_of(head, 16, 16, 1),
                             {{"s8", {1, 8, 1}, scores},
                              {"s16", {1, 1, 1}, {0}},
                              {"b8", {1, 8, 8}, boxes},
                              {"b16", {1, 1, 8}, std::vector<float>(8, 2.0F)}},
                             0.5F);
  expect_found(found, {{{2, 8, 8, 12}, 0.8F, 0}, {{9, 9, 11, 11}, 0.5F, 0}});
  ASSERT_EQ(found[0].points.size(), 2U);
  EXPECT_FLOAT_EQ(found[0].points[0].x, 3);
  EXPECT_FLOAT_EQ(found[0].points[0].y, 12);
  EXPECT_FLOAT_EQ(found[0].points[1].x, 6);
  EXPECT_FLOAT_EQ(found[0].points[1].y, 15);
  EXPECT_FLOAT_EQ(found[1].points[1].y, 10);
}

TEST(BoxHead, NaNNeverWins) {
  run({
      {"yolo", {{"kind", "yolo"}}, 10, 10, 1, {{"y", {1, 1, 6}, {1, 1, 1, 1, kNaN, 1}}}, 0, {}, {}},
      {"yolo-v8", {{"kind", "yolo-v8"}}, 10, 10, 1, {{"y", {1, 5, 1}, {1, 1, 1, 1, kNaN}}}, 0, {}, {}},
      {"centernet", {{"kind", "centernet"}}, 10, 10, 1, {{"y", {1, 1, 6}, {1, 1, 1, 1, 1, kNaN}}}, 0, {}, {}},
      {"ssd",
       {{"kind", "ssd"}, {"activation", "softmax"}},
       10,
       10,
       1,
       {{"b", {1, 1, 4}, {0, 0, 1, 1}}, {"s", {1, 1, 1}, {kNaN}}},
       0,
       {},
       {}},
  });
}

TEST(BoxHead, NamesTheMistake) {
  const Json yolo{{"kind", "yolo"}};
  const inference::Shape good{1, 9, 7};
  const struct {
    const char* name;
    Json head;
    std::vector<inference::TensorInfo> outputs;
    const char* words;
  } rows[] = {
      {"no such kind", {{"kind", "magic"}}, {}, "/head/kind must be one of blazeface, centernet, fastestdet, nanodet"},
      {"a member too many",
       {{"kind", "yolo"}, {"strides", {8}}},
       {{"y", DataType::float32, good}},
       "/head/strides must be left out: a head of kind \"yolo\" knows kind, outputs, unit, activation"},
      {"another word",
       {{"kind", "yolo"}, {"unit", "metres"}},
       {{"y", DataType::float32, good}},
       "/head/unit must be one of: pixels, parts"},
      {"another shape",
       yolo,
       {{"y", DataType::float32, {1, 9, 85}}},
       "\"yolo\" with 2 labels reads rows from an output [1,?,7] float32, the model has: y [1,9,85] float32"},
      {"another type", yolo, {{"y", DataType::float16, good}}, "the model has: y [1,9,7] float16"},
      {"no outputs", yolo, {}, "the model has: none"},
      {"two that fit",
       yolo,
       {{"y", DataType::float32, good}, {"z", DataType::float32, good}},
       "/head/outputs/rows must be given: several outputs are [1,?,7]"},
      {"a name that is not there",
       {{"kind", "yolo"}, {"outputs", {{"rows", "x"}}}},
       {{"y", DataType::float32, good}},
       "/head/outputs/rows must be the name of an output; the model has: y"},
      {"a name of another shape",
       {{"kind", "yolo"}, {"outputs", {{"rows", "y"}}}},
       {{"y", DataType::float32, {1, 2}}},
       "/head/outputs/rows must be a float32 output [1,?,7]; \"y\" is [1,2] float32"},
      {"strides", {{"kind", "yolox"}, {"strides", {0}}}, {}, "/head/strides must be whole numbers, 1 to 1024"},
      {"bins", {{"kind", "nanodet"}, {"bins", 1}}, {}, "/head/bins must be a whole number, 2 to 64"},
      {"two labels of faces", {{"kind", "blazeface"}}, {}, "/labels must be one word"},
      {"variances alone", {{"kind", "ssd"}, {"variances", {0.1, 0.2}}}, {}, "/head/variances must be left out"},
      {"variances", {{"kind", "ssd"}, {"variances", {0, 1}}}, {}, "/head/variances must be 2 numbers above 0"},
      {"order with priors",
       {{"kind", "ssd"}, {"priors", Json::array({{0, 0, 1, 1}})}, {"order", "centre"}},
       {},
       "/head/order must be left out where there are priors"},
      {"priors", {{"kind", "ssd"}, {"priors", Json::array({{0, 0, 1}})}}, {}, "/head/priors must be boxes of four"},
      {"a rule for priors", {{"kind", "ssd"}, {"priors", {{"strides", {8}}}}}, {}, "/head/priors must be like"},
      {"as many priors as boxes",
       {{"kind", "ssd"}, {"priors", Json::array({{0, 0, 1, 1}})}},
       {{"b", DataType::float32, {1, 2, 4}}},
       "reads boxes from an output [1,1,4]"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const auto made = make_box_head(card_of(row.head, 64, 64, 2), row.outputs);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(made.error().message, HasSubstr(row.words));
    EXPECT_THAT(made.error().message, HasSubstr("use card \"door\""));
  }
  auto blind = card_of(yolo, 64, 64, 2);
  blind.picture.reset();
  EXPECT_THAT(make_box_head(blind, {}).error().message, HasSubstr("/picture must be there"));
  EXPECT_THAT(make_box_head(card_of(yolo, 64, 64, 0), {}).error().message, HasSubstr("/labels must be a list"));
}

TEST(BoxHead, ARunWithAnotherShapeIsSaid) {
  const auto head =
      make_box_head(card_of({{"kind", "centernet"}}, 64, 64, 2), {{"y", DataType::float32, {-1, -1, -1}}});
  ASSERT_TRUE(head);
  std::vector<Detection> found;
  const auto tensors = testing::tensors_of({{"y", {1, 2, 5}, std::vector<float>(10)}});
  const auto status = (*head)->decode(tensors, {}, found);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("output 0 is [1,2,5], the card's head reads float32 [1,?,6]"));
  EXPECT_FALSE((*head)->decode({}, {}, found));
}

/// Each example of a detector in the format's page is read up to its outputs, which a page does not have.
TEST(BoxHead, TheDocumentsExamplesAreSound) {
  const auto page = read_file("docs/formats/model-card.md", 1U << 20U);
  ASSERT_TRUE(page) << page.error().message;
  std::set<std::string> kinds;
  std::istringstream lines(*page);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("{\"head\"")) continue;
    SCOPED_TRACE(line);
    const Json head = Json::parse(line)["head"];
    kinds.insert(head["kind"].get<std::string>());
    EXPECT_THAT(make_box_head(card_of(head, 320, 320, 1), {}).error().message, HasSubstr("the model has: none"));
  }
  EXPECT_EQ(kinds.size(), box_head_kinds().size());
}

/// The same for the cards of the catalogue; and pictures can be prepared as they say.
TEST(BoxHead, TheCataloguesCardsAreSound) {
  int detectors = 0;
  for (const auto& entry : models::catalogue()) {
    SCOPED_TRACE(entry.name);
    if (entry.kind != "model") continue;
    const auto card = models::parse_card(to_text(entry.card));
    ASSERT_TRUE(card);
    if (card->family != "vision") continue;
    const auto options = letterbox_of(*card, DataType::float32);
    EXPECT_TRUE(options) << options.error().message;
    if (std::ranges::count(box_head_kinds(), card->head_kind()) == 0) continue;
    EXPECT_THAT(make_box_head(*card, {}).error().message, HasSubstr("the model has: none"));
    ++detectors;
  }
  EXPECT_GE(detectors, 3);
}

TEST(BoxHead, KnowsItsKinds) {
  EXPECT_THAT(box_head_kinds(),
              ElementsAre("blazeface", "centernet", "fastestdet", "nanodet", "ssd", "yolo", "yolo-v8", "yolox"));
}

}  // namespace
}  // namespace verge::vision
