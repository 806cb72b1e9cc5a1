#include "vision/nanodet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::vision {
namespace {

using inference::DataType;
using ::testing::HasSubstr;

DetectorCard small_card() {
  DetectorCard card;
  card.input.width = card.input.height = 32;
  card.strides = {8, 16};
  card.bins = 3;
  card.labels = {"person", "car"};
  return card;
}

TEST(NanoDet, FindsItsOutputsByShape) {
  const std::vector<inference::TensorInfo> outputs = {{"c", DataType::float32, {1, 4, 12}},
                                                      {"a", DataType::float32, {1, 16, 2}},
                                                      {"d", DataType::float32, {1, 4, 2}},
                                                      {"b", DataType::float32, {1, 16, 12}}};
  auto heads = find_heads(outputs, small_card());
  ASSERT_TRUE(heads) << heads.error().message;
  ASSERT_EQ(heads->size(), 2U);
  EXPECT_EQ((*heads)[0].scores, 1U);
  EXPECT_EQ((*heads)[0].boxes, 3U);
  EXPECT_EQ((*heads)[1].scores, 2U);
  EXPECT_EQ((*heads)[1].boxes, 0U);
  auto missing = find_heads({outputs[0], outputs[1]}, small_card());
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("wants outputs [1,16,2] and [1,16,12] for stride 8"));
}

TEST(NanoDet, DecodesACellByTheDefinition) {
  std::vector<float> scores(16 * 2, 0.1F);
  std::vector<float> boxes(16 * 12, 0.0F);
  scores[5 * 2 + 1] = 0.8F;  // cell 5: column 1, row 1, a car
  // left: all weight on bin 0; top: on bin 1; right: even over 0, 1, 2; bottom: on bin 2.
  float* sides = boxes.data() + 5 * 12;
  sides[0] = 50;
  sides[3 + 1] = 50;
  sides[9 + 2] = 50;
  std::vector<Detection> found;
  decode_head(scores, boxes, 8, small_card(), {}, 0.5F, found);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].label, 1);
  EXPECT_FLOAT_EQ(found[0].score, 0.8F);
  EXPECT_FLOAT_EQ(found[0].box.left, 12);  // centre (1 + 0.5) * 8 = 12
  EXPECT_FLOAT_EQ(found[0].box.top, 12 - 8);
  EXPECT_FLOAT_EQ(found[0].box.right, 12 + 8);
  EXPECT_FLOAT_EQ(found[0].box.bottom, 12 + 16);
}

TEST(NanoDet, LooksOnlyForWantedLabels) {
  std::vector<float> scores(16 * 2, 0.0F);
  const std::vector<float> boxes(16 * 12, 0.0F);
  scores[0] = 0.6F;
  scores[1] = 0.9F;
  scores[3] = 0.9F;
  std::vector<Detection> found;
  const int wanted[] = {0};
  decode_head(scores, boxes, 8, small_card(), wanted, 0.5F, found);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].label, 0);
  scores[0] = std::numeric_limits<float>::quiet_NaN();
  found.clear();
  decode_head(scores, boxes, 8, small_card(), wanted, 0.5F, found);
  EXPECT_TRUE(found.empty());
}

}  // namespace
}  // namespace verge::vision
