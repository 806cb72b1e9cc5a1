#include "vision/crop.h"

#include <algorithm>
#include <cmath>

namespace verge::vision {
namespace {

struct PixelRange {
  int first = 0, count = 0;
};

/// Pixels that parts of a side of `size` pixels touch; `first` is a multiple of `grain`.
std::optional<PixelRange> pixels_of(double from, double to, int size, int grain) {
  if (!std::isfinite(from) || !std::isfinite(to)) return std::nullopt;
  // A corner that was a whole pixel stays one, whatever its product with the size was rounded to.
  constexpr double kSlack = 1e-6;
  const int first = static_cast<int>(std::floor(std::clamp(from, 0.0, 1.0) * size + kSlack)) / grain * grain;
  const int end = static_cast<int>(std::ceil(std::clamp(to, 0.0, 1.0) * size - kSlack));
  if (end - first < 2) return std::nullopt;
  return PixelRange{first, end - first};
}

}  // namespace

std::optional<Crop> crop(const pipeline::Frame& frame, const contract::Region& box, double margin) {
  const double wider = (box.right - box.left) * margin;
  const double higher = (box.bottom - box.top) * margin;
  const int grain = frame.format == pipeline::PixelFormat::yuv420 ? 2 : 1;
  const auto x = pixels_of(box.left - wider, box.right + wider, frame.width, grain);
  const auto y = pixels_of(box.top - higher, box.bottom + higher, frame.height, grain);
  if (!x || !y) return std::nullopt;
  Crop part{frame, {}};
  part.frame.width = x->count;
  part.frame.height = y->count;
  const int pixel_bytes = frame.format == pipeline::PixelFormat::rgb24 ? 3 : 1;
  for (int p = 0; p < (grain == 2 ? 3 : 1); ++p) {
    const int share = p == 0 ? 1 : 2;
    part.frame.planes[p] += static_cast<std::ptrdiff_t>(y->first / share) * frame.strides[p] +
                            static_cast<std::ptrdiff_t>(x->first / share) * pixel_bytes;
  }
  part.region = {static_cast<double>(x->first) / frame.width, static_cast<double>(y->first) / frame.height,
                 static_cast<double>(x->first + x->count) / frame.width,
                 static_cast<double>(y->first + y->count) / frame.height};
  return part;
}

}  // namespace verge::vision
