#include "vision/tracking/track_colours.h"

#include <algorithm>
#include <cmath>

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;

constexpr int kGrid = 12;  // Points across and down, of each half.
// Parts of the box: the middle of its width, and neither hair nor shoes.
constexpr double kLeft = 0.2, kRight = 0.8;
struct HalfRows {
  double top, bottom;
};
constexpr HalfRows kHalves[] = {{0.15, 0.5}, {0.5, 0.9}};

struct Yuv {
  int y = 0, u = 128, v = 128;
};

Yuv pixel_at(const Frame& frame, int x, int y) {
  const auto at = [&](int plane, int column, int row) {
    return static_cast<int>(frame.planes[plane][static_cast<std::ptrdiff_t>(row) * frame.strides[plane] + column]);
  };
  if (frame.format == PixelFormat::yuv420) return {at(0, x, y), at(1, x / 2, y / 2), at(2, x / 2, y / 2)};
  if (frame.format == PixelFormat::gray8) return {at(0, x, y)};
  const int red = at(0, 3 * x, y), green = at(0, 3 * x + 1, y), blue = at(0, 3 * x + 2, y);
  const int grey = (299 * red + 587 * green + 114 * blue) / 1000;
  return {grey, 128 + (blue - grey) * 564 / 1000, 128 + (red - grey) * 713 / 1000};
}

/// Three steps: clearly below grey, about grey, clearly above.
int chroma_step(int value) {
  constexpr int kGrey = 128, kAbout = 12;
  return value < kGrey - kAbout ? 0 : value < kGrey + kAbout ? 1 : 2;
}

int bin_of(Yuv colour) { return colour.y / 64 * 9 + chroma_step(colour.u) * 3 + chroma_step(colour.v); }

}  // namespace

void Colours::blend(const Colours& seen, float weight) {
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] += weight * (seen.parts[i] - parts[i]);
}

std::optional<Colours> colours_of(const Frame& frame, const contract::Region& box) {
  Colours colours;
  for (std::size_t half = 0; half < std::size(kHalves); ++half) {
    float* const bins = colours.parts.data() + half * Colours::kHalfBins;
    int count = 0;
    for (int row = 0; row < kGrid; ++row) {
      const double part_down = kHalves[half].top + (kHalves[half].bottom - kHalves[half].top) * (row + 0.5) / kGrid;
      const auto y = static_cast<int>(std::floor((box.top + (box.bottom - box.top) * part_down) * frame.height));
      for (int column = 0; column < kGrid; ++column) {
        const double part_across = kLeft + (kRight - kLeft) * (column + 0.5) / kGrid;
        const auto x = static_cast<int>(std::floor((box.left + (box.right - box.left) * part_across) * frame.width));
        if (x < 0 || y < 0 || x >= frame.width || y >= frame.height) continue;
        ++bins[bin_of(pixel_at(frame, x, y))];
        ++count;
      }
    }
    if (count < kGrid * kGrid / 2) return std::nullopt;
    for (int bin = 0; bin < Colours::kHalfBins; ++bin) bins[bin] /= static_cast<float>(count);
  }
  return colours;
}

float likeness(const Colours& a, const Colours& b) {
  float sum = 0;
  for (std::size_t i = 0; i < a.parts.size(); ++i) sum += std::sqrt(a.parts[i] * b.parts[i]);
  return std::min(1.0F, sum / 2);
}

}  // namespace verge::vision
