#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "vision/heads/test_heads.h"

namespace verge::vision {
namespace {

using testing::card_of;
using testing::decoded;
using testing::expect_found;
using ::testing::HasSubstr;
using testing::NamedNumbers;

/// 32 x 32 pixels, two labels, distances over three bins.
models::ModelCard small_card() { return card_of({{"kind", "nanodet"}, {"strides", {8, 16}}, {"bins", 3}}, 32, 32, 2); }

/// In an order of its own: the shapes say which is which.
std::vector<NamedNumbers> empty_answer() {
  return {{"c", {1, 4, 12}, std::vector<float>(4 * 12)},
          {"a", {1, 16, 2}, std::vector<float>(16 * 2)},
          {"d", {1, 4, 2}, std::vector<float>(4 * 2)},
          {"b", {1, 16, 12}, std::vector<float>(16 * 12)}};
}

TEST(NanoDet, DecodesCellsByTheDefinition) {
  auto answer = empty_answer();
  answer[1].numbers[5 * 2 + 1] = 0.8F;  // stride 8, cell 5: column 1, row 1, label b
  // left: all weight on bin 0; top: on bin 1; right: even over 0, 1, 2; bottom: on bin 2.
  float* sides = answer[3].numbers.data() + 5 * 12;
  sides[0] = 50;
  sides[3 + 1] = 50;
  sides[9 + 2] = 50;
  answer[2].numbers[3 * 2] = 0.7F;  // stride 16, cell 3: its centre is (24, 24), even distances of one stride
  expect_found(decoded(small_card(), answer, 0.5F),
               {{{12, 12 - 8, 12 + 8, 12 + 16}, 0.8F, 1}, {{8, 8, 40, 40}, 0.7F, 0}});
}

TEST(NanoDet, SaysWhichOutputIsMissing) {
  auto outputs = testing::infos_of(empty_answer());
  outputs.pop_back();
  const auto missing = make_box_head(small_card(), outputs);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("reads boxes_8 from an output [1,16,12] float32"));
}

TEST(NanoDet, LooksOnlyForWantedLabels) {
  auto answer = empty_answer();
  answer[1].numbers[0] = 0.6F;
  answer[1].numbers[1] = 0.9F;
  answer[1].numbers[3] = 0.9F;
  expect_found(decoded(small_card(), answer, 0.5F, {0}), {{{4 - 8, 4 - 8, 4 + 8, 4 + 8}, 0.6F, 0}});
  answer[1].numbers[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(decoded(small_card(), answer, 0.5F, {0}).empty());
}

}  // namespace
}  // namespace verge::vision
