// vision/test_boards.h -- a drawn circuit board, moved, turned, lit and damaged by formula; tests only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "vision/picture/registration.h"
#include "vision/test_frames.h"

namespace verge::vision::testing {

inline constexpr int kBoardWide = 160, kBoardHigh = 128;

/// Soft-edged tracks and pads; 0 dark, 1 bright.
inline double board_at(double x, double y) {
  const auto bar = [](double distance, double half) { return 1 / (1 + std::exp((std::abs(distance) - half) * 2.0)); };
  double value = std::max(bar(y - 30, 4), bar(x - 50, 4) * (y > 30 ? 1 : 0));
  value = std::max(value, bar(y - 90, 6) * (x > 20 && x < 140 ? 1 : 0));
  value = std::max(value, bar(std::hypot(x - 110, y - 60), 9));
  return std::max(value, bar(x - 20 - y * 0.2, 3));
}

/// A disc of this tone, 0..1.
struct BoardChange {
  double x = -100, y = -100, radius = 0, tone = 0;
};
struct BoardPose {
  double across = 0, down = 0, radians = 0, gain = 1;
};
inline GreyPicture board(const BoardPose& pose = {}, const std::vector<BoardChange>& changes = {}, unsigned seed = 1) {
  GreyPicture picture{kBoardWide, kBoardHigh, {}};
  std::uint32_t state = seed * 747796405U + 1;
  for (int y = 0; y < kBoardHigh; ++y) {
    for (int x = 0; x < kBoardWide; ++x) {
      const double u = x - (kBoardWide - 1) / 2.0 - pose.across, v = y - (kBoardHigh - 1) / 2.0 - pose.down;
      const double at_x = std::cos(pose.radians) * u + std::sin(pose.radians) * v + (kBoardWide - 1) / 2.0;
      const double at_y = -std::sin(pose.radians) * u + std::cos(pose.radians) * v + (kBoardHigh - 1) / 2.0;
      double tone = board_at(at_x, at_y);
      for (const BoardChange& change : changes) {
        if (std::hypot(at_x - change.x, at_y - change.y) < change.radius) tone = change.tone;
      }
      state = state * 1664525U + 1013904223U;
      const double noise = (static_cast<double>(state >> 8U) / 16777216.0 - 0.5) * 8;
      picture.values.push_back(
          static_cast<std::uint8_t>(std::clamp(pose.gain * (40 + 160 * tone) + noise, 0.0, 255.0)));
    }
  }
  return picture;
}

inline std::shared_ptr<pipeline::Frame> as_frame(const GreyPicture& picture) {
  return make_frame(pipeline::PixelFormat::gray8, picture.width, picture.height, [&](int, int x, int y) {
    return static_cast<int>(picture.values[static_cast<std::size_t>(y * picture.width + x)]);
  });
}

}  // namespace verge::vision::testing
