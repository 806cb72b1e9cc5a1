#include "vision/letterbox.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::PixelFormat;
using testing::make_frame;

std::vector<float> tensor_for(const LetterboxOptions& options) {
  return std::vector<float>(3U * static_cast<std::size_t>(options.width) * static_cast<std::size_t>(options.height),
                            99);
}

TEST(Letterbox, FastEqualsTheDefinition) {
  const struct {
    const char* name;
    int width, height, to_width, to_height;
    bool is_full, is_bgr;
  } cases[] = {
      {"smaller, wide", 768, 576, 416, 416, false, true}, {"smaller, high", 90, 160, 64, 64, false, false},
      {"larger", 40, 30, 128, 96, true, false},           {"same size", 64, 48, 64, 48, true, true},
      {"odd sizes", 61, 37, 33, 47, false, false},        {"one pixel", 1, 1, 8, 8, true, false},
      {"one column", 1, 9, 16, 16, false, true},          {"one row", 9, 1, 16, 16, false, true},
      {"extreme", 200, 3, 16, 16, true, false},
  };
  std::mt19937 random(7);
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto frame = make_frame(PixelFormat::yuv420, c.width, c.height, [&](int, int x, int y) {
      return (x * 7 + y * 13 + static_cast<int>(random() % 40)) & 0xFF;
    });
    frame->is_full_range = c.is_full;
    LetterboxOptions options{c.to_width, c.to_height, c.is_bgr, {103.5F, 116.3F, 123.7F}, {57.4F, 57.1F, 58.4F}, 20};
    auto fast = tensor_for(options);
    auto plain = tensor_for(options);
    Letterbox letterbox(options);
    for (int round = 0; round < 2; ++round) ASSERT_TRUE(letterbox.fill(*frame, fast));
    ASSERT_TRUE(letterbox_plain(*frame, options, plain));
    float worst = 0;
    for (std::size_t i = 0; i < fast.size(); ++i) worst = std::max(worst, std::abs(fast[i] - plain[i]));
    EXPECT_LT(worst * 57, 2.5F);  // grey levels; weights are rounded to 1/256
  }
}

TEST(Letterbox, ColoursAreRight) {
  const struct {
    const char* name;
    int y, u, v;
    bool is_full;
    float red, green, blue;
  } cases[] = {
      {"television black", 16, 128, 128, false, 0, 0, 0},  {"television white", 235, 128, 128, false, 255, 255, 255},
      {"full black", 0, 128, 128, true, 0, 0, 0},          {"full white", 255, 128, 128, true, 255, 255, 255},
      {"television red", 81, 90, 240, false, 254, 0, 0},   {"television green", 145, 54, 34, false, 0, 255, 1},
      {"television blue", 41, 240, 110, false, 0, 0, 255}, {"full red", 76, 85, 255, true, 254, 0, 0},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto frame = make_frame(PixelFormat::yuv420, 8, 8, [&](int p, int, int) {
      return p == 0 ? c.y : p == 1 ? c.u : c.v;
    });
    frame->is_full_range = c.is_full;
    for (const bool is_bgr : {false, true}) {
      const LetterboxOptions options{8, 8, is_bgr, {}, {1, 1, 1}, 0};
      auto tensor = tensor_for(options);
      ASSERT_TRUE(Letterbox(options).fill(*frame, tensor));
      EXPECT_NEAR(tensor[is_bgr ? 128 : 0], c.red, 2);
      EXPECT_NEAR(tensor[64], c.green, 2);
      EXPECT_NEAR(tensor[is_bgr ? 0 : 128], c.blue, 2);
    }
  }
}

TEST(Letterbox, ThePictureLiesInTheTopLeft) {
  auto frame = make_frame(PixelFormat::gray8, 20, 10, [](int, int, int) { return 200; });
  const LetterboxOptions options{16, 16, false, {}, {1, 1, 1}, 7};
  auto tensor = tensor_for(options);
  const auto placement = Letterbox(options).fill(*frame, tensor);
  ASSERT_TRUE(placement);
  EXPECT_EQ(placement->width, 16);
  EXPECT_EQ(placement->height, 8);
  EXPECT_EQ(tensor[0], 200);
  EXPECT_EQ(tensor[7 * 16 + 15], 200);
  EXPECT_EQ(tensor[8 * 16], 7);
  EXPECT_EQ(tensor[3 * 256 - 1], 7);
}

TEST(Letterbox, ReadsRgbPictures) {
  auto frame = make_frame(PixelFormat::rgb24, 4, 4, [](int, int x, int) { return 10 * (x % 3 + 1); });
  const LetterboxOptions options{4, 4, true, {}, {1, 1, 1}, 0};
  auto tensor = tensor_for(options);
  ASSERT_TRUE(Letterbox(options).fill(*frame, tensor));
  EXPECT_EQ(tensor[0], 30);
  EXPECT_EQ(tensor[16], 20);
  EXPECT_EQ(tensor[32], 10);
}

TEST(Letterbox, RefusesWhatCannotBe) {
  const LetterboxOptions options{4, 4, false, {}, {1, 1, 1}, 0};
  Letterbox letterbox(options);
  auto frame = make_frame(PixelFormat::yuv420, 4, 4, [](int, int, int) { return 0; });
  std::vector<float> small(10);
  EXPECT_EQ(letterbox.fill(*frame, small).error().code, ErrorCode::invalid_argument);
  auto tensor = tensor_for(options);
  EXPECT_EQ(letterbox.fill(pipeline::Frame{}, tensor).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace verge::vision
