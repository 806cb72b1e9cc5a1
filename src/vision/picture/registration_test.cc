#include "vision/picture/registration.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/test_boards.h"

namespace verge::vision {
namespace {

using testing::board;

struct AlignCase {
  const char* name;
  testing::BoardPose pose;
};
TEST(Align, FindsShiftTurnAndLightToPartsOfAPixel) {
  const AlignCase cases[] = {{"the same", {0, 0, 0, 1}},         {"parts of a pixel", {0.4, -0.3, 0, 1}},
                             {"some pixels", {7, -5, 0, 1}},     {"turned", {2, 1, 0.05, 1}},
                             {"turned back", {-6, 4, -0.08, 1}}, {"darker", {3, 3, 0.02, 0.7}},
                             {"brighter", {-3, -2, -0.01, 1.2}}};
  const GreyPicture good = board();
  for (const auto& row : cases) {
    const Alignment found = align(good, board(row.pose, {}, 2));
    EXPECT_NEAR(found.across, row.pose.across, 0.15) << row.name;
    EXPECT_NEAR(found.down, row.pose.down, 0.15) << row.name;
    EXPECT_NEAR(found.turn, std::sin(row.pose.radians), 0.003) << row.name;
    EXPECT_NEAR(found.gain * row.pose.gain, 1, 0.06) << row.name;
    EXPECT_GT(found.correlation, 0.95) << row.name;
  }
}

TEST(Align, ADefectPullsLittle) {
  const Alignment found = align(board(), board({3, -2, 0.02, 0.9}, {{80, 75, 14, 1}, {110, 60, 12, 0}}, 2));
  EXPECT_NEAR(found.across, 3, 0.2);
  EXPECT_NEAR(found.down, -2, 0.2);
  EXPECT_NEAR(found.turn, 0.02, 0.004);
}

TEST(LaidOver, ThePictureComesToLieOnTheGoodOne) {
  const GreyPicture good = board(), moved = board({4, -3, 0.04, 0.8}, {}, 3);
  const GreyPicture over = laid_over(good, moved, align(good, moved));
  double apart = 0;
  for (std::size_t i = 0; i < good.values.size(); ++i) apart += std::abs(over.values[i] - good.values[i]);
  EXPECT_LT(apart / static_cast<double>(good.values.size()), 4) << "as much as both pictures' noise";
}

TEST(LaidOver, ColoursGoWithThePictureAndWhatItDoesNotShowIsLitLikeIt) {
  const auto coloured = [](int across, int gain_percent) {
    return testing::make_frame(pipeline::PixelFormat::rgb24, 40, 30, [=](int, int byte, int y) {
      return (20 + (byte / 3 - across) + 2 * y + 30 * (byte % 3)) * gain_percent / 100;
    });
  };
  const auto good = coloured(0, 100), moved = coloured(4, 50);
  Alignment alignment{1, 0, 4, 0};  // Pixels of the good picture are four to the right in the other.
  alignment.gain = 2;
  const auto over = laid_over(*good, *moved, alignment);
  ASSERT_TRUE(over);
  for (const int x : {0, 20, 35, 36, 39}) {
    for (int c = 0; c < 3; ++c) {
      EXPECT_NEAR(over->planes[0][(7 * 40 + x) * 3 + c], (20 + x + 14 + 30 * c) / 2.0, 1.01) << x << ' ' << c;
    }
  }
}

TEST(AsRgb, KeepsColoursAndStretches) {
  const auto frame =
      testing::make_frame(pipeline::PixelFormat::rgb24, 8, 4, [](int, int byte, int) { return byte % 3 * 50; });
  const auto half = as_rgb(*frame, 4, 2);
  ASSERT_TRUE(half) << half.error().message;
  EXPECT_EQ((*half)->width, 4);
  EXPECT_EQ((*half)->planes[0][3 * 5 + 1], 50);
  EXPECT_EQ((*half)->planes[0][3 * 5 + 2], 100);
  EXPECT_FALSE(as_rgb(pipeline::Frame{}, 4, 2));
}

TEST(Boxes, GoWithThePictureAndBack) {
  const GreyPicture good = board();
  const PixelBox box{100, 50, 120, 70};  // Around the pad.
  const Alignment moved = align(good, board({5, -4, 0, 1}, {}, 2));
  const PixelBox there = box_in_picture(box, good, good.width, good.height, moved);
  EXPECT_NEAR(there.left, 105, 0.3);
  EXPECT_NEAR(there.bottom, 66, 0.3);
  Alignment turned{0.99, 0.06, 3, -2};
  const PixelBox corner{10, 20, 10, 20};  // A point comes back exactly.
  const PixelBox back = box_in_good(box_in_picture(corner, good, 200, 100, turned), good, 200, 100, turned);
  EXPECT_NEAR(back.left, 10, 1e-9);
  EXPECT_NEAR(back.top, 20, 1e-9);
}

TEST(AsGrey, KeepsGreyPicturesAsTheyAreAndStretchesWhenAsked) {
  const auto frame =
      testing::make_frame(pipeline::PixelFormat::gray8, 20, 10, [](int, int x, int y) { return x * 5 + y; });
  const auto grey = as_grey(*frame);
  ASSERT_TRUE(grey) << grey.error().message;
  EXPECT_EQ(grey->values[0], 0);
  EXPECT_EQ(grey->values[3 * 20 + 7], 38);
  const auto half = as_grey(*frame, 10, 5);
  ASSERT_TRUE(half);
  EXPECT_EQ(half->width, 10);
  EXPECT_NEAR(half->values[0], 3, 1);
  EXPECT_FALSE(as_grey(*frame, 5000, 5));
}

}  // namespace
}  // namespace verge::vision
