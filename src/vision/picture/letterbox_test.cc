#include "vision/picture/letterbox.h"

#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>

#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using inference::DataType;
using inference::Tensor;
using models::PictureFit;
using pipeline::PixelFormat;
using testing::make_frame;

Tensor tensor_for(const LetterboxOptions& options) { return Tensor(options.type, shape_of(options)); }

/// The tensor's numbers, whatever their type.
std::vector<float> numbers_in(const Tensor& tensor) {
  if (tensor.type() == DataType::uint8) {
    return {tensor.values<std::uint8_t>().begin(), tensor.values<std::uint8_t>().end()};
  }
  std::vector<float> numbers;
  if (tensor.type() == DataType::int32) {
    for (const auto value : tensor.values<std::int32_t>()) numbers.push_back(static_cast<float>(value));
    return numbers;
  }
  return {tensor.values<float>().begin(), tensor.values<float>().end()};
}

float worst_difference(const Tensor& a, const Tensor& b) {
  const auto left = numbers_in(a);
  const auto right = numbers_in(b);
  float worst = 0;
  for (std::size_t i = 0; i < left.size(); ++i) worst = std::max(worst, std::abs(left[i] - right[i]));
  return worst;
}

std::shared_ptr<pipeline::Frame> noisy_frame(int width, int height) {
  std::mt19937 random(7);
  return make_frame(PixelFormat::yuv420, width, height,
                    [&](int, int x, int y) { return (x * 7 + y * 13 + static_cast<int>(random() % 40)) & 0xFF; });
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
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto frame = noisy_frame(c.width, c.height);
    frame->is_full_range = c.is_full;
    const LetterboxOptions options{c.to_width, c.to_height, c.is_bgr, {103.5F, 116.3F, 123.7F}, {57.4F, 57.1F, 58.4F},
                                   20};
    auto fast = tensor_for(options);
    auto plain = tensor_for(options);
    Letterbox letterbox(options);
    for (int round = 0; round < 2; ++round) ASSERT_TRUE(letterbox.fill(*frame, fast));
    ASSERT_TRUE(letterbox_plain(*frame, options, plain));
    EXPECT_LT(worst_difference(fast, plain) * 57, 2.5F);  // grey levels; weights are rounded to 1/256
  }
}

TEST(Letterbox, EveryLevelGivesTheSame) {
  const struct {
    const char* name;
    int width, height, to_width, to_height;
  } cases[] = {
      {"three to one", 1920, 1080, 640, 640}, {"a network's usual side", 1920, 1080, 416, 416},
      {"twelve to one", 1990, 90, 166, 32},   {"too strong for bytes side by side", 1990, 90, 100, 32},
      {"larger", 131, 70, 300, 200},          {"as narrow as can be", 128, 64, 61, 61},
      {"same size", 144, 96, 144, 96},        {"two to one", 641, 481, 320, 240},
  };
  for (const auto& c : cases) {
    const auto frame = noisy_frame(c.width, c.height);
    for (const auto type : {DataType::float32, DataType::uint8}) {
      SCOPED_TRACE(fmt::format("{} {}", c.name, inference::name_of(type)));
      LetterboxOptions options{c.to_width, c.to_height, true, {3, 2, 1}, {1.01F, 1.1F, 1.2F}, 90};
      options.type = type;
      auto plain = tensor_for(options);
      ASSERT_TRUE(Letterbox(options, KernelLevel::plain).fill(*frame, plain));
      for (const auto level : {KernelLevel::avx2, KernelLevel::avx512}) {
        if (level > kernel_level()) continue;
        auto fast = tensor_for(options);
        ASSERT_TRUE(Letterbox(options, level).fill(*frame, fast));
        EXPECT_LE(worst_difference(fast, plain), type == DataType::uint8 ? 1.0F : 0.01F) << static_cast<int>(level);
      }
    }
  }
}

TEST(Letterbox, PaddingThatStaysIsNotWrittenAgain) {
  const LetterboxOptions options{32, 32, false, {0, 0, 0}, {1, 1, 1}, 20};
  Letterbox letterbox(options);
  auto tensor = tensor_for(options);
  const auto wide = noisy_frame(64, 32);
  ASSERT_TRUE(letterbox.fill(*wide, tensor));
  const float first = tensor.values<float>().back();
  EXPECT_EQ(first, 20);
  tensor.values<float>().back() = 7;
  ASSERT_TRUE(letterbox.fill(*wide, tensor, true));
  EXPECT_EQ(tensor.values<float>().back(), 7);
  ASSERT_TRUE(letterbox.fill(*noisy_frame(32, 64), tensor, true));  // The padding is elsewhere.
  EXPECT_EQ(tensor.values<float>().back(), 20);
  tensor.values<float>().back() = 7;
  ASSERT_TRUE(letterbox.fill(*noisy_frame(32, 64), tensor));
  EXPECT_EQ(tensor.values<float>().back(), 20);
}

TEST(Letterbox, FastEqualsTheDefinitionInEveryForm) {
  const auto frame = noisy_frame(61, 37);
  for (const auto fit : {PictureFit::letterbox, PictureFit::letterbox_top_left, PictureFit::stretch}) {
    for (const auto type : {DataType::float32, DataType::uint8, DataType::int32}) {
      for (int form = 0; form < 8; ++form) {
        SCOPED_TRACE(fmt::format("fit {} {} form {}", static_cast<int>(fit), inference::name_of(type), form));
        LetterboxOptions options{40, 32, (form & 1) != 0, {3, 2, 1}, {1.5F, 1.25F, 1.75F}, 90};
        options.fit = fit;
        options.type = type;
        options.is_grey = (form & 2) != 0;
        options.is_channels_first = (form & 4) != 0;
        auto fast = tensor_for(options);
        auto plain = tensor_for(options);
        ASSERT_TRUE(Letterbox(options).fill(*frame, fast));
        ASSERT_TRUE(letterbox_plain(*frame, options, plain));
        EXPECT_LT(worst_difference(fast, plain), type == DataType::float32 ? 2.0F : 2.6F);
      }
    }
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
      const auto values = tensor.values<float>();
      EXPECT_NEAR(values[is_bgr ? 128 : 0], c.red, 2);
      EXPECT_NEAR(values[64], c.green, 2);
      EXPECT_NEAR(values[is_bgr ? 0 : 128], c.blue, 2);
    }
  }
}

struct PlacementRow {
  const char* name;
  PictureFit fit;
  int width, height;  ///< Of the picture; the tensor is 16 x 16.
  Placement placement;
};

TEST(Letterbox, ThePictureLiesWhereTheFitSays) {
  const PlacementRow rows[] = {
      {"top left, wide", PictureFit::letterbox_top_left, 20, 10, {0, 0, 16, 8}},
      {"middle, wide", PictureFit::letterbox, 20, 10, {0, 4, 16, 8}},
      {"middle, high", PictureFit::letterbox, 10, 20, {4, 0, 8, 16}},
      {"middle, an odd rest", PictureFit::letterbox, 16, 9, {0, 3, 16, 9}},
      {"stretched", PictureFit::stretch, 20, 10, {0, 0, 16, 16}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    LetterboxOptions options{16, 16, false, {}, {1, 1, 1}, 7};
    options.fit = row.fit;
    const auto frame = make_frame(PixelFormat::gray8, row.width, row.height, [](int, int, int) { return 200; });
    auto tensor = tensor_for(options);
    const auto placed = Letterbox(options).fill(*frame, tensor);
    ASSERT_TRUE(placed);
    EXPECT_EQ(placed->left, row.placement.left);
    EXPECT_EQ(placed->top, row.placement.top);
    EXPECT_EQ(placed->width, row.placement.width);
    EXPECT_EQ(placed->height, row.placement.height);
    for (int y = 0; y < 16; ++y) {
      for (int x = 0; x < 16; ++x) {
        const bool is_inside = x >= placed->left && x < placed->left + placed->width && y >= placed->top &&
                               y < placed->top + placed->height;
        EXPECT_EQ(tensor.values<float>()[static_cast<std::size_t>(16 * y + x)], is_inside ? 200 : 7);
      }
    }
    // Corners of the picture are corners again.
    EXPECT_DOUBLE_EQ(part_across(*placed, static_cast<float>(placed->left)), 0);
    EXPECT_DOUBLE_EQ(part_across(*placed, static_cast<float>(placed->left + placed->width)), 1);
    EXPECT_DOUBLE_EQ(part_down(*placed, static_cast<float>(placed->top)), 0);
    EXPECT_DOUBLE_EQ(part_down(*placed, static_cast<float>(placed->top + placed->height)), 1);
  }
}

TEST(Letterbox, APointOfThePictureIsFoundAgain) {
  // A white square on black; its middle in the tensor, weighed by brightness, must map back to its middle.
  const auto frame = make_frame(PixelFormat::gray8, 160, 90,
                                [](int, int x, int y) { return x >= 96 && x < 112 && y >= 30 && y < 46 ? 255 : 0; });
  for (const auto fit : {PictureFit::letterbox, PictureFit::letterbox_top_left, PictureFit::stretch}) {
    LetterboxOptions options{64, 64, false, {}, {1, 1, 1}, 0};
    options.fit = fit;
    auto tensor = tensor_for(options);
    const auto placed = Letterbox(options).fill(*frame, tensor);
    ASSERT_TRUE(placed);
    double sum = 0, across = 0, down = 0;
    for (int i = 0; i < 64 * 64; ++i) {
      const double weight = static_cast<double>(tensor.values<float>()[static_cast<std::size_t>(i)]);
      sum += weight;
      across += weight * (i % 64 + 0.5);
      down += weight * (i / 64 + 0.5);
    }
    EXPECT_NEAR(part_across(*placed, static_cast<float>(across / sum)), 104.0 / 160, 0.002);
    EXPECT_NEAR(part_down(*placed, static_cast<float>(down / sum)), 38.0 / 90, 0.003);
  }
}

TEST(Letterbox, ReadsRgbPictures) {
  auto frame = make_frame(PixelFormat::rgb24, 4, 4, [](int, int x, int) { return 10 * (x % 3 + 1); });
  LetterboxOptions options{4, 4, true, {}, {1, 1, 1}, 0};
  auto tensor = tensor_for(options);
  ASSERT_TRUE(Letterbox(options).fill(*frame, tensor));
  EXPECT_EQ(tensor.values<float>()[0], 30);
  EXPECT_EQ(tensor.values<float>()[16], 20);
  EXPECT_EQ(tensor.values<float>()[32], 10);
  options.is_channels_first = false;
  options.type = DataType::uint8;
  auto bytes = tensor_for(options);
  ASSERT_TRUE(Letterbox(options).fill(*frame, bytes));
  EXPECT_EQ(numbers_in(bytes)[0], 30);
  EXPECT_EQ(numbers_in(bytes)[1], 20);
  EXPECT_EQ(numbers_in(bytes)[5], 10);
  options.is_grey = true;
  auto grey = tensor_for(options);
  ASSERT_TRUE(Letterbox(options).fill(*frame, grey));
  EXPECT_EQ(grey.shape(), (inference::Shape{1, 4, 4, 1}));
  EXPECT_EQ(numbers_in(grey)[0], 18);  // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
}

TEST(Letterbox, WholeNumbersAreRoundedAndLimited) {
  auto frame = make_frame(PixelFormat::gray8, 3, 1, [](int, int x, int) { return 100 * x; });
  LetterboxOptions options{3, 1, false, {50}, {0.8F}, 0};
  options.is_grey = true;
  options.type = DataType::uint8;
  auto bytes = tensor_for(options);
  ASSERT_TRUE(Letterbox(options).fill(*frame, bytes));
  EXPECT_EQ(numbers_in(bytes), (std::vector<float>{0, 63, 188}));  // -62.5, 62.5, 187.5
  options.type = DataType::int32;
  auto integers = tensor_for(options);
  ASSERT_TRUE(Letterbox(options).fill(*frame, integers));
  EXPECT_EQ(numbers_in(integers), (std::vector<float>{-62, 63, 188}));
}

TEST(Letterbox, RefusesWhatCannotBe) {
  LetterboxOptions options{4, 4, false, {}, {1, 1, 1}, 0};
  Letterbox letterbox(options);
  auto frame = make_frame(PixelFormat::yuv420, 4, 4, [](int, int, int) { return 0; });
  Tensor small(DataType::float32, {1, 3, 4, 5});
  const auto refused = letterbox.fill(*frame, small);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "prepare a picture for the network: the tensor is [1,3,4,5] float32, needed is [1,3,4,4] float32");
  Tensor bytes(DataType::uint8, {1, 3, 4, 4});
  EXPECT_EQ(letterbox.fill(*frame, bytes).error().code, ErrorCode::invalid_argument);
  auto tensor = tensor_for(options);
  EXPECT_EQ(letterbox.fill(pipeline::Frame{}, tensor).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace verge::vision
