#include "vision/picture/row_sampler.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace verge::vision {
namespace {

std::vector<std::uint8_t> noise_row(int count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(count));
  for (auto& value : row) value = static_cast<std::uint8_t>(random());
  return row;
}

TEST(RowSampler, BothWaysGiveTheSame) {
  RowSampler sampler;
  for (const int plane : {1, 2, 9, 15, 16, 17, 33, 61, 384, 768, 1920, 3840}) {
    // Every source byte is on the heap by itself: reading past a row is an error under the address sanitizer.
    const auto upper = noise_row(plane, 1);
    const auto lower = noise_row(plane, 2);
    for (const int target : {1, 7, 8, 9, 16, 61, 240, 416, 640}) {
      for (const int picture : {plane, 2 * plane - 1}) {
        sampler.prepare(plane, picture, target);
        std::vector<float> wide(static_cast<std::size_t>(target), -1.0F), plain = wide;
        for (const int weight : {0, 1, 128, 255, 256}) {
          sampler.sample(upper.data(), lower.data(), weight, wide.data());
          sampler.sample_plain(upper.data(), lower.data(), weight, plain.data());
          for (std::size_t i = 0; i < wide.size(); ++i) {
            ASSERT_NEAR(wide[i], plain[i], 1e-3) << plane << " of " << picture << " to " << target << " at " << i;
          }
        }
      }
    }
  }
}

TEST(RowSampler, APixelsCentreIsItsPlace) {
  EXPECT_EQ(source_position(0, 640, 1920, 1920).first, 1);
  EXPECT_EQ(source_position(0, 640, 1920, 1920).weight, 0);
  EXPECT_FLOAT_EQ(source_position(0, 640, 1920, 960).weight, 0.25F);
  EXPECT_EQ(source_position(639, 640, 640, 640).first, 638);
  EXPECT_EQ(source_position(639, 640, 640, 640).weight, 1);
  EXPECT_EQ(source_position(5, 8, 1, 1).first, 0);
}

}  // namespace
}  // namespace verge::vision
