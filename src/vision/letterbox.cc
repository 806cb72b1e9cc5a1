#include "vision/letterbox.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

// The row kernels are compiled twice and chosen at run time where the compiler can; elsewhere once. Sanitizers cannot
// run inside the chooser.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define VERGE_KERNEL __attribute__((target_clones("arch=haswell", "default"), optimize("O3")))
#else
#define VERGE_KERNEL
#endif

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;

struct ColourMatrix {
  float luma_offset, luma, red_v, green_u, green_v, blue_u;
};
constexpr ColourMatrix kLimited{16, 1.164383F, 1.596027F, -0.391762F, -0.812968F, 2.017232F};
constexpr ColourMatrix kFull{0, 1.0F, 1.402F, -0.344136F, -0.714136F, 1.772F};

/// Source position of an output pixel's centre, limited to the picture.
struct Position {
  int first = 0;
  float weight = 0;  ///< Of first + 1.
};
Position position_of(int target_index, int target_count, int picture_count, int plane_count) {
  const float scale = static_cast<float>(picture_count) / static_cast<float>(target_count);
  float at = (static_cast<float>(target_index) + 0.5F) * scale - 0.5F;
  // A chroma sample stands for two pixels; its centre lies between them.
  if (plane_count != picture_count) at = (at + 0.5F) / 2 - 0.5F;
  at = std::clamp(at, 0.0F, static_cast<float>(plane_count - 1));
  const int first = std::min(static_cast<int>(at), std::max(0, plane_count - 2));
  return {first, plane_count == 1 ? 0.0F : at - static_cast<float>(first)};
}

/// target = upper * (256 - weight) + lower * weight, for whole rows.
VERGE_KERNEL void blend_rows(const std::uint8_t* upper, const std::uint8_t* lower, std::uint16_t weight, int count,
                             std::uint16_t* target) {
  const auto other = static_cast<std::uint16_t>(256 - weight);
  for (int i = 0; i < count; ++i) {
    target[i] = static_cast<std::uint16_t>(upper[i] * other + lower[i] * weight);
  }
}

/// Neighbours lie side by side, so one load brings both (the first one in the lower half: little-endian, as all that
/// we build for). Loads first, then arithmetic: only so does the second loop become vector code.
VERGE_KERNEL void sample_columns(const std::uint16_t* row, const std::int32_t* left, const std::int32_t* weight,
                                 int count, float* target) {
  static_assert(std::endian::native == std::endian::little);
  constexpr float kOne = 1.0F / 65536.0F;
  constexpr int kAtOnce = 64;
  std::uint32_t pairs[kAtOnce];
  for (int begin = 0; begin < count; begin += kAtOnce) {
    const int at_once = std::min(kAtOnce, count - begin);
    for (int i = 0; i < at_once; ++i) std::memcpy(&pairs[i], row + left[begin + i], sizeof(pairs[i]));
    for (int i = 0; i < at_once; ++i) {
      const auto a = static_cast<std::int32_t>(pairs[i] & 0xFFFFU);
      const auto b = static_cast<std::int32_t>(pairs[i] >> 16U);
      target[begin + i] = static_cast<float>(a * 256 + (b - a) * weight[begin + i]) * kOne;
    }
  }
}

struct Channel {
  float mean, factor;
};

/// One row of Y, U, V (0..255) to three rows of the tensor.
VERGE_KERNEL void convert_row(const float* __restrict luma, const float* __restrict u, const float* __restrict v,
                              int count, ColourMatrix m, Channel red, Channel green, Channel blue,
                              float* __restrict red_row, float* __restrict green_row, float* __restrict blue_row) {
  for (int i = 0; i < count; ++i) {
    const float grey = (luma[i] - m.luma_offset) * m.luma;
    const float cb = u[i] - 128;
    const float cr = v[i] - 128;
    const float r = std::min(std::max(grey + m.red_v * cr, 0.0F), 255.0F);
    const float g = std::min(std::max(grey + m.green_u * cb + m.green_v * cr, 0.0F), 255.0F);
    const float b = std::min(std::max(grey + m.blue_u * cb, 0.0F), 255.0F);
    red_row[i] = (r - red.mean) * red.factor;
    green_row[i] = (g - green.mean) * green.factor;
    blue_row[i] = (b - blue.mean) * blue.factor;
  }
}

Status check(const Frame& frame, const LetterboxOptions& options, std::span<const float> tensor) {
  const std::size_t wanted = 3U * static_cast<std::size_t>(options.width) * static_cast<std::size_t>(options.height);
  if (frame.width < 1 || frame.height < 1 || frame.planes[0] == nullptr) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("prepare a picture for the network: it is {}x{} pixels", frame.width, frame.height)};
  }
  if (tensor.size() != wanted) {
    return Error{ErrorCode::invalid_argument, fmt::format("prepare a picture for the network: the tensor holds {} "
                                                          "numbers, 3x{}x{} need {}",
                                                          tensor.size(), options.height, options.width, wanted)};
  }
  return Done{};
}

float bilinear(const std::uint8_t* plane, int stride, int step, Position x, Position y) {
  const auto at = [&](int column, int row) { return static_cast<float>(plane[row * stride + column * step]); };
  const int right = x.weight > 0 ? x.first + 1 : x.first;
  const int below = y.weight > 0 ? y.first + 1 : y.first;
  const float upper = at(x.first, y.first) * (1 - x.weight) + at(right, y.first) * x.weight;
  const float lower = at(x.first, below) * (1 - x.weight) + at(right, below) * x.weight;
  return upper * (1 - y.weight) + lower * y.weight;
}

/// Red, green and blue, 0..255, of one output pixel.
std::array<float, 3> pixel(const Frame& frame, Placement placement, int column, int row) {
  const Position x = position_of(column, placement.width, frame.width, frame.width);
  const Position y = position_of(row, placement.height, frame.height, frame.height);
  if (frame.format == PixelFormat::gray8) {
    const float grey = bilinear(frame.planes[0], frame.strides[0], 1, x, y);
    return {grey, grey, grey};
  }
  if (frame.format == PixelFormat::rgb24) {
    std::array<float, 3> colour{};
    for (std::size_t c = 0; c < 3; ++c) colour[c] = bilinear(frame.planes[0] + c, frame.strides[0], 3, x, y);
    return colour;
  }
  const Position cx = position_of(column, placement.width, frame.width, (frame.width + 1) / 2);
  const Position cy = position_of(row, placement.height, frame.height, (frame.height + 1) / 2);
  const ColourMatrix& m = frame.is_full_range ? kFull : kLimited;
  const float grey = (bilinear(frame.planes[0], frame.strides[0], 1, x, y) - m.luma_offset) * m.luma;
  const float cb = bilinear(frame.planes[1], frame.strides[1], 1, cx, cy) - 128;
  const float cr = bilinear(frame.planes[2], frame.strides[2], 1, cx, cy) - 128;
  const auto limit = [](float value) { return std::clamp(value, 0.0F, 255.0F); };
  return {limit(grey + m.red_v * cr), limit(grey + m.green_u * cb + m.green_v * cr), limit(grey + m.blue_u * cb)};
}

}  // namespace

Placement place(int picture_width, int picture_height, const LetterboxOptions& options) {
  const double scale = std::min(static_cast<double>(options.width) / picture_width,
                                static_cast<double>(options.height) / picture_height);
  const auto scaled = [&](int size, int most) {
    return std::clamp(static_cast<int>(std::lround(size * scale)), 1, most);
  };
  return {scaled(picture_width, options.width), scaled(picture_height, options.height)};
}

Letterbox::Letterbox(LetterboxOptions options) : options_(options) {
  VERGE_ASSERT(options.width > 0 && options.width <= 8192 && options.height > 0 && options.height <= 8192);
}

void Letterbox::prepare(Columns& columns, int plane_width, int picture_width, int target) const {
  if (columns.source == picture_width && columns.target == target) return;
  columns.source = picture_width;
  columns.target = target;
  columns.left.resize(static_cast<std::size_t>(target));
  columns.weight.resize(static_cast<std::size_t>(target));
  for (int i = 0; i < target; ++i) {
    const Position at = position_of(i, target, picture_width, plane_width);
    columns.left[static_cast<std::size_t>(i)] = at.first;
    columns.weight[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(std::lround(at.weight * 256));
  }
}

void Letterbox::fill_yuv(const Frame& frame, Placement placement, std::span<float> tensor) {
  const int chroma_width = (frame.width + 1) / 2;
  const int chroma_height = (frame.height + 1) / 2;
  const auto width = static_cast<std::size_t>(placement.width);
  prepare(luma_, frame.width, frame.width, placement.width);
  prepare(chroma_, chroma_width, frame.width, placement.width);
  blended_.resize(static_cast<std::size_t>(frame.width) + 1);  // one more: the last column's right neighbour
  rows_.resize(3 * width);
  const std::size_t red = options_.is_bgr ? 2 : 0;
  const std::size_t blue = 2 - red;
  const auto channel = [&](std::size_t c) { return Channel{options_.mean[c], 1 / options_.deviation[c]}; };
  const std::size_t plane = static_cast<std::size_t>(options_.width) * static_cast<std::size_t>(options_.height);

  for (int row = 0; row < placement.height; ++row) {
    for (int p = 0; p < 3; ++p) {
      const Columns& columns = p == 0 ? luma_ : chroma_;
      const int plane_width = p == 0 ? frame.width : chroma_width;
      const Position y = position_of(row, placement.height, frame.height, p == 0 ? frame.height : chroma_height);
      const std::uint8_t* upper = frame.planes[p] + static_cast<std::ptrdiff_t>(y.first) * frame.strides[p];
      const auto weight = static_cast<std::uint16_t>(std::lround(y.weight * 256));
      blend_rows(upper, weight == 0 ? upper : upper + frame.strides[p], weight, plane_width, blended_.data());
      blended_[static_cast<std::size_t>(plane_width)] = blended_[static_cast<std::size_t>(plane_width) - 1];
      sample_columns(blended_.data(), columns.left.data(), columns.weight.data(), placement.width,
                     rows_.data() + static_cast<std::size_t>(p) * width);
    }
    float* target = tensor.data() + static_cast<std::size_t>(row) * static_cast<std::size_t>(options_.width);
    convert_row(rows_.data(), rows_.data() + width, rows_.data() + 2 * width, placement.width,
                frame.is_full_range ? kFull : kLimited, channel(red), channel(1), channel(blue), target + red * plane,
                target + plane, target + blue * plane);
  }
}

void Letterbox::fill_padding(Placement placement, std::span<float> tensor) const {
  const auto width = static_cast<std::size_t>(options_.width);
  const auto height = static_cast<std::size_t>(options_.height);
  for (std::size_t c = 0; c < 3; ++c) {
    const float value = (options_.padding - options_.mean[c]) / options_.deviation[c];
    float* plane = tensor.data() + c * width * height;
    if (placement.width < options_.width) {
      for (std::size_t row = 0; row < static_cast<std::size_t>(placement.height); ++row) {
        std::fill(plane + row * width + static_cast<std::size_t>(placement.width), plane + (row + 1) * width, value);
      }
    }
    std::fill(plane + static_cast<std::size_t>(placement.height) * width, plane + height * width, value);
  }
}

Result<Placement> Letterbox::fill(const Frame& frame, std::span<float> tensor) {
  if (frame.format != PixelFormat::yuv420) return letterbox_plain(frame, options_, tensor);
  VERGE_CHECK(check(frame, options_, tensor));
  const Placement placement = place(frame.width, frame.height, options_);
  fill_yuv(frame, placement, tensor);
  fill_padding(placement, tensor);
  return placement;
}

Result<Placement> letterbox_plain(const Frame& frame, const LetterboxOptions& options, std::span<float> tensor) {
  VERGE_CHECK(check(frame, options, tensor));
  const Placement placement = place(frame.width, frame.height, options);
  const std::size_t plane = static_cast<std::size_t>(options.width) * static_cast<std::size_t>(options.height);
  for (int row = 0; row < options.height; ++row) {
    for (int column = 0; column < options.width; ++column) {
      std::array<float, 3> colour{options.padding, options.padding, options.padding};
      if (row < placement.height && column < placement.width) colour = pixel(frame, placement, column, row);
      if (options.is_bgr) std::swap(colour[0], colour[2]);
      const auto at =
          static_cast<std::size_t>(row) * static_cast<std::size_t>(options.width) + static_cast<std::size_t>(column);
      for (std::size_t c = 0; c < 3; ++c) {
        tensor[c * plane + at] = (colour[c] - options.mean[c]) / options.deviation[c];
      }
    }
  }
  return placement;
}

}  // namespace verge::vision
