#include "vision/teach/shown_picture.h"

#include <algorithm>
#include <cmath>

#include "vision/live.h"
#include "vision/picture/registration.h"

namespace verge::vision {
namespace {

constexpr int kOutline = 2;
constexpr int kHeightMax = 2000;
constexpr Colour kHeat{255, 0, 0};

}  // namespace

Result<ShownPicture> ShownPicture::make(const pipeline::Frame& frame, int width) {
  const int height = std::clamp(frame.height * width / std::max(1, frame.width), 1, kHeightMax);
  VERGE_TRY(const auto rgb, as_rgb(frame, width, height));
  ShownPicture shown;
  shown.bytes_ = std::make_shared<std::vector<std::uint8_t>>(
      rgb->planes[0], rgb->planes[0] + static_cast<std::ptrdiff_t>(width) * height * 3);
  shown.frame_ = *rgb;
  shown.frame_.planes[0] = shown.bytes_->data();
  shown.frame_.storage = shown.bytes_;
  return shown;
}

void ShownPicture::heat(const std::function<float(int x, int y)>& share) {
  for (int y = 0; y < height(); ++y) {
    for (int x = 0; x < width(); ++x) {
      const float part = std::clamp(share(x, y), 0.0F, 1.0F);
      std::uint8_t* pixel = at(x, y);
      for (std::size_t c = 0; c < 3; ++c)
        pixel[c] =
            static_cast<std::uint8_t>(static_cast<float>(pixel[c]) * (1 - part) + static_cast<float>(kHeat[c]) * part);
    }
  }
}

void ShownPicture::box(double left, double top, double right, double bottom, const Colour& colour) {
  const int x_from = static_cast<int>(std::floor(left)), y_from = static_cast<int>(std::floor(top));
  const int x_to = static_cast<int>(std::ceil(right)), y_to = static_cast<int>(std::ceil(bottom));
  for (int y = std::max(0, y_from); y < std::min(height(), y_to); ++y) {
    for (int x = std::max(0, x_from); x < std::min(width(), x_to); ++x) {
      const bool is_inside =
          x >= x_from + kOutline && x < x_to - kOutline && y >= y_from + kOutline && y < y_to - kOutline;
      if (!is_inside) std::ranges::copy(colour, at(x, y));
    }
  }
}

std::string ShownPicture::to_jpeg() const {
  auto jpeg = vision::to_jpeg(frame_, width());
  return jpeg ? *std::move(jpeg) : std::string();
}

}  // namespace verge::vision
