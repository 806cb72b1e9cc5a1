#include "vision/teach/pretend_defects.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "vision/picture/registration.h"

namespace verge::vision {
namespace {

/// An rgb24 picture that may be changed.
class Canvas {
 public:
  Canvas(int width, int height)
      : bytes_(std::make_shared<std::vector<std::uint8_t>>(static_cast<std::size_t>(width * height) * 3)),
        width_(width),
        height_(height) {}
  int width() const { return width_; }
  int height() const { return height_; }
  std::uint8_t* data() { return bytes_->data(); }
  std::uint8_t* at(int x, int y) { return bytes_->data() + static_cast<std::size_t>(y * width_ + x) * 3; }
  /// 0 keeps, 1 replaces.
  void blend(int x, int y, const float (&colour)[3], float share) {
    if (x < 0 || y < 0 || x >= width_ || y >= height_ || share <= 0) return;
    std::uint8_t* pixel = at(x, y);
    for (int c = 0; c < 3; ++c) {
      pixel[c] = static_cast<std::uint8_t>(
          std::clamp(static_cast<float>(pixel[c]) * (1 - share) + colour[c] * share + 0.5F, 0.0F, 255.0F));
    }
  }
  std::shared_ptr<pipeline::Frame> frame() const { return rgb_frame(width_, height_, bytes_); }

 private:
  std::shared_ptr<std::vector<std::uint8_t>> bytes_;
  int width_, height_;
};

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}
  float between(float low, float high) {
    return low + (high - low) * static_cast<float>(static_cast<double>(engine_() >> 11U) * 0x1p-53);
  }
  int whole(int low, int high) {
    return std::min(high, static_cast<int>(between(static_cast<float>(low), static_cast<float>(high + 1))));
  }

 private:
  std::mt19937_64 engine_;
};

void paste_piece(Canvas& canvas, Draw& draw, float side) {
  const int width = std::min(canvas.width(), static_cast<int>(side * draw.between(0.04F, 0.10F)) + 2);
  const int height = std::min(canvas.height(), static_cast<int>(side * draw.between(0.04F, 0.10F)) + 2);
  const int from_x = draw.whole(0, canvas.width() - width), from_y = draw.whole(0, canvas.height() - height);
  const int to_x = draw.whole(0, canvas.width() - width), to_y = draw.whole(0, canvas.height() - height);
  std::vector<std::uint8_t> piece(static_cast<std::size_t>(width * height) * 3);
  const std::size_t line = static_cast<std::size_t>(width) * 3;
  for (int y = 0; y < height; ++y)
    std::memcpy(&piece[static_cast<std::size_t>(y) * line], canvas.at(from_x, from_y + y), line);
  for (int y = 0; y < height; ++y)
    std::memcpy(canvas.at(to_x, to_y + y), &piece[static_cast<std::size_t>(y) * line], line);
}

void draw_line(Canvas& canvas, Draw& draw, float side) {
  float x = static_cast<float>(canvas.width()) * draw.between(0.1F, 0.9F);
  float y = static_cast<float>(canvas.height()) * draw.between(0.1F, 0.9F);
  float angle = draw.between(0, 6.2832F);
  const float bend = draw.between(-0.02F, 0.02F), radius = std::max(0.6F, side / 400);
  const float change = draw.between(35, 75) * (draw.between(0, 1) < 0.5F ? -1.0F : 1.0F);
  const int reach = static_cast<int>(radius) + 1;
  std::vector<std::pair<int, int>> touched;
  for (int step = 0; step < static_cast<int>(side * 0.12F); ++step) {
    for (int v = -reach; v <= reach; ++v) {
      for (int u = -reach; u <= reach; ++u) {
        if (static_cast<float>(u * u + v * v) <= radius * radius)
          touched.emplace_back(static_cast<int>(x) + u, static_cast<int>(y) + v);
      }
    }
    x += std::cos(angle);
    y += std::sin(angle);
    angle += bend;
  }
  std::ranges::sort(touched);
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  for (const auto& [u, v] : touched) {
    if (u < 0 || v < 0 || u >= canvas.width() || v >= canvas.height()) continue;
    const std::uint8_t* pixel = canvas.at(u, v);
    const float colour[3] = {static_cast<float>(pixel[0]) + change, static_cast<float>(pixel[1]) + change,
                             static_cast<float>(pixel[2]) + change};
    canvas.blend(u, v, colour, 1);
  }
}

/// A soft ellipse: of one colour, or as a factor of what lies below.
void draw_spot(Canvas& canvas, Draw& draw, float side, bool is_shade) {
  const float wide = side * (is_shade ? draw.between(0.04F, 0.09F) : draw.between(0.010F, 0.025F)) + 1;
  const float high = side * (is_shade ? draw.between(0.04F, 0.09F) : draw.between(0.010F, 0.025F)) + 1;
  const float x = static_cast<float>(canvas.width()) * draw.between(0.1F, 0.9F);
  const float y = static_cast<float>(canvas.height()) * draw.between(0.1F, 0.9F);
  float colour[3] = {draw.between(0, 255), draw.between(0, 255), draw.between(0, 255)};
  const float factor = draw.between(0, 1) < 0.5F ? draw.between(0.7F, 0.85F) : draw.between(1.15F, 1.3F);
  for (int v = static_cast<int>(y - 1.5F * high); v <= static_cast<int>(y + 1.5F * high); ++v) {
    for (int u = static_cast<int>(x - 1.5F * wide); u <= static_cast<int>(x + 1.5F * wide); ++u) {
      if (u < 0 || v < 0 || u >= canvas.width() || v >= canvas.height()) continue;
      const float across = (static_cast<float>(u) - x) / wide, down = (static_cast<float>(v) - y) / high;
      const float share = std::clamp(4 * (1.1F - std::sqrt(across * across + down * down)), 0.0F, 1.0F);
      if (is_shade) {
        for (int c = 0; c < 3; ++c) colour[c] = static_cast<float>(canvas.at(u, v)[c]) * factor;
      }
      canvas.blend(u, v, colour, share);
    }
  }
}

void blur_piece(Canvas& canvas, Draw& draw, float side) {
  const int wide = static_cast<int>(side * draw.between(0.07F, 0.15F)) + 2,
            high = static_cast<int>(side * draw.between(0.07F, 0.15F)) + 2;
  const int left = draw.whole(0, std::max(0, canvas.width() - wide)),
            top = draw.whole(0, std::max(0, canvas.height() - high));
  const int reach = std::max(2, static_cast<int>(side / 120));
  Canvas before(canvas.width(), canvas.height());
  std::memcpy(before.data(), canvas.data(), static_cast<std::size_t>(canvas.width() * canvas.height()) * 3);
  for (int y = top; y < std::min(canvas.height(), top + high); ++y) {
    for (int x = left; x < std::min(canvas.width(), left + wide); ++x) {
      float sum[3] = {};
      float count = 0;
      for (int v = std::max(0, y - reach); v <= std::min(canvas.height() - 1, y + reach); ++v) {
        for (int u = std::max(0, x - reach); u <= std::min(canvas.width() - 1, x + reach); ++u, ++count) {
          for (int c = 0; c < 3; ++c) sum[c] += static_cast<float>(before.at(u, v)[c]);
        }
      }
      const float colour[3] = {sum[0] / count, sum[1] / count, sum[2] / count};
      canvas.blend(x, y, colour, 1);
    }
  }
}

}  // namespace

std::shared_ptr<pipeline::Frame> pretend_defect(const pipeline::Frame& rgb, std::uint64_t number) {
  Canvas canvas(rgb.width, rgb.height);
  for (int y = 0; y < rgb.height; ++y) {
    std::memcpy(canvas.at(0, y), rgb.planes[0] + static_cast<std::ptrdiff_t>(y) * rgb.strides[0],
                static_cast<std::size_t>(rgb.width) * 3);
  }
  Draw draw(number * 0x9E3779B97F4A7C15ULL + 1);
  const float side = static_cast<float>(std::min(rgb.width, rgb.height));
  switch (number % 5) {
    case 0:
      paste_piece(canvas, draw, side);
      break;
    case 1:
      draw_line(canvas, draw, side);
      break;
    case 2:
      draw_spot(canvas, draw, side, false);
      break;
    case 3:
      draw_spot(canvas, draw, side, true);
      break;
    default:
      blur_piece(canvas, draw, side);
      break;
  }
  return canvas.frame();
}

}  // namespace verge::vision
