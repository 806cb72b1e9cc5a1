#include "vision/tracking/track_colours.h"

#include <gtest/gtest.h>

#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::PixelFormat;
using testing::make_frame;

const contract::Region kBox{0.25, 0.1, 0.75, 0.9};

/// Somebody of two colours before a grey wall, in a yuv420 picture of 40 x 60.
std::shared_ptr<pipeline::Frame> dressed_person(std::array<int, 3> trunk, std::array<int, 3> legs) {
  return make_frame(PixelFormat::yuv420, 40, 60, [=](int plane, int x, int y) {
    const int scale = plane > 0 ? 2 : 1;
    if (x * scale < 10 || x * scale >= 30) return 120;
    return (y * scale < 30 ? trunk : legs)[static_cast<std::size_t>(plane)];
  });
}

constexpr std::array<int, 3> kBlack{20, 128, 128}, kRed{90, 100, 200}, kJeans{90, 160, 110};

TEST(Colours, TellTrousersApart) {
  const auto jeans = colours_of(*dressed_person(kBlack, kJeans), kBox),
             black = colours_of(*dressed_person(kBlack, kBlack), kBox);
  ASSERT_TRUE(jeans && black);
  EXPECT_NEAR(likeness(*jeans, *jeans), 1, 1e-5);
  EXPECT_NEAR(likeness(*jeans, *black), 0.5, 0.05);  // the same trunk
  EXPECT_LT(likeness(*jeans, *colours_of(*dressed_person(kRed, kBlack), kBox)), 0.1);
}

TEST(Colours, UpsideDownIsSomebodyElse) {
  EXPECT_LT(
      likeness(*colours_of(*dressed_person(kRed, kJeans), kBox), *colours_of(*dressed_person(kJeans, kRed), kBox)),
      0.1);
}

TEST(Colours, AreTheSameInEveryFormat) {
  const auto rgb = make_frame(PixelFormat::rgb24, 40, 60, [](int, int at, int y) {
    const int red[] = {230, 30, 30}, grey[] = {20, 20, 20};
    return (y < 30 ? red : grey)[at % 3];
  });
  EXPECT_GT(likeness(*colours_of(*rgb, kBox), *colours_of(*dressed_person(kRed, kBlack), kBox)), 0.95F);
  const auto gray = make_frame(PixelFormat::gray8, 40, 60, [](int, int, int) { return 20; });
  EXPECT_GT(likeness(*colours_of(*gray, kBox), *colours_of(*dressed_person(kBlack, kBlack), kBox)), 0.95F);
}

TEST(Colours, NeedMostOfTheBoxInThePicture) {
  const auto frame = dressed_person(kRed, kJeans);
  EXPECT_TRUE(colours_of(*frame, {-0.1, 0.1, 0.4, 0.9}));
  EXPECT_FALSE(colours_of(*frame, {-0.4, 0.1, 0.1, 0.9}));
  EXPECT_FALSE(colours_of(*frame, {0.2, 1.5, 0.4, 1.9}));
}

TEST(Colours, BlendTowardsWhatIsSeen) {
  Colours kept = *colours_of(*dressed_person(kBlack, kJeans), kBox);
  const Colours seen = *colours_of(*dressed_person(kBlack, kBlack), kBox);
  const float before = likeness(kept, seen);
  for (int i = 0; i < 20; ++i) kept.blend(seen, 0.2F);
  EXPECT_GT(likeness(kept, seen), before + 0.3F);
  float sum = 0;
  for (const float part : kept.parts) sum += part;
  EXPECT_NEAR(sum, 2, 1e-4);
}

}  // namespace
}  // namespace verge::vision
