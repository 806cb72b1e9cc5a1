// vision/simulated/canvas.h -- pixels to paint on, and the light and noise with which a camera sees them.
//
// Threads: values; one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "pipeline/packet.h"

namespace verge::vision::simulated {

/// Red, green, blue, 0..255; between and beyond while it is computed.
using Colour = std::array<float, 3>;

inline Colour scaled(const Colour& colour, float factor) {
  return {colour[0] * factor, colour[1] * factor, colour[2] * factor};
}
/// From a (part 0) to b (part 1).
Colour mixed(const Colour& a, const Colour& b, float part);

/// The same numbers on every machine, which std's distributions do not promise.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  double uniform() { return static_cast<double>(random_() >> 11U) * 0x1p-53; }
  double between(double low, double high) { return low + (high - low) * uniform(); }
  int below(int count) { return static_cast<int>(uniform() * count); }
  bool happens(double probability) { return uniform() < probability; }
  /// Mean 0, deviation 1: a sum of twelve.
  double normal();

 private:
  std::mt19937_64 random_;
};

/// RGB pixels, rows without gaps. Painting beyond the edges is cut off.
struct Canvas {
  int width = 0, height = 0;
  std::vector<std::uint8_t> bytes;

  Canvas(int w, int h) : width(w), height(h), bytes(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3) {}
  std::uint8_t* at(int x, int y) {
    return bytes.data() +
           (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) * 3;
  }
  const std::uint8_t* at(int x, int y) const { return const_cast<Canvas*>(this)->at(x, y); }
  bool holds(int x, int y) const { return x >= 0 && y >= 0 && x < width && y < height; }
  void set(int x, int y, const Colour& colour);
  /// part  how much of it covers the pixel, 0..1
  void blend(int x, int y, const Colour& colour, float part);
  /// Right and bottom exclusive; from the colour above to the one below.
  void fill(int left, int top, int right, int bottom, const Colour& above, const Colour& below);
  void fill(int left, int top, int right, int bottom, const Colour& colour) {
    fill(left, top, right, bottom, colour, colour);
  }
};

/// A picture that is painted once and put into others often: pixels with how much each covers.
struct Sprite {
  Canvas colours;
  std::vector<std::uint8_t> cover;  ///< 0..255 of each pixel.

  Sprite(int width, int height)
      : colours(width, height), cover(static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {}
  void set(int x, int y, const Colour& colour, float part = 1);
  /// Its lower left corner there, its brightness times `gain` (0..2).
  void put(Canvas& canvas, int left, int bottom, float gain) const;
};

struct Light {
  float gain = 1;      ///< 0.2..2
  float warmth = 0;    ///< -0.2 (bluish)..0.2 (reddish)
  float noise = 2.5F;  ///< Deviation, grey levels.
};

/// What a camera makes of a canvas: brightness, tint, noise; yuv420, full range.
class Film {
 public:
  explicit Film(std::uint64_t seed);
  std::shared_ptr<pipeline::Frame> develop(const Canvas& canvas, const Light& light);

 private:
  static constexpr std::size_t kGrains = 1U << 16U;
  std::vector<std::int8_t> grains_;  ///< Normal numbers times 16.
  Dice dice_;
};

}  // namespace verge::vision::simulated
