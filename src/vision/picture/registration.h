// vision/picture/registration.h -- lays a picture over another of the same thing: shift, turn and scale to parts of a
// pixel, gain and offset of the light.
//
// Source: Lucas and Kanade 1981, Baker and Matthews 2004 (image alignment by Gauss-Newton over a pyramid), with the
// good picture's slopes; differences weigh less the larger they are (Geman and McClure 1987), so that a defect pulls
// little.
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "pipeline/packet.h"

namespace verge::vision {

struct GreyPicture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> values;  ///< [height, width]
  std::size_t place(int x, int y) const { return static_cast<std::size_t>(y * width + x); }
};
inline constexpr int kGreySideMax = 4096;
/// Stretched to this size; 0: its own. Errors: invalid_argument (no pixels, a side above 4,096).
Result<GreyPicture> as_grey(const pipeline::Frame& frame, int width = 0, int height = 0);

/// An rgb24 frame of these bytes, [height, width, 3].
std::shared_ptr<pipeline::Frame> rgb_frame(int width, int height, std::shared_ptr<std::vector<std::uint8_t>> bytes);
/// The picture as rgb24 of this size, stretched. Errors: invalid_argument (no pixels).
Result<std::shared_ptr<pipeline::Frame>> as_rgb(const pipeline::Frame& frame, int width, int height);

/// Where a pixel of the good picture is in the other, both from their middles: right x - turn y + across,
/// turn x + right y + down; and good = gain * other + offset.
struct Alignment {
  double right = 1, turn = 0, across = 0, down = 0;
  double gain = 1, offset = 0;
  double correlation = 0;  ///< Of both where they overlap, -1..1.
};
/// Finds shifts to a seventh of the shorter side, turns to about 8 degrees, scales to about 5 %. The answer may be
/// poor: see its correlation. Both sides at least 16 pixels.
Alignment align(const GreyPicture& good, const GreyPicture& picture);

/// The correlation of two pictures of one size as they lie.
double unmoved_correlation(const GreyPicture& good, const GreyPicture& picture);

/// The picture at the good one's pixels; what lies outside of it is as in the good one.
GreyPicture laid_over(const GreyPicture& good, const GreyPicture& picture, const Alignment& alignment);
/// The same of two rgb24 pictures; the light stays the picture's, and what comes from the good one is lit like it.
std::shared_ptr<pipeline::Frame> laid_over(const pipeline::Frame& good, const pipeline::Frame& picture,
                                           const Alignment& alignment);

/// In pixels; right and bottom exclusive.
struct PixelBox {
  double left = 0, top = 0, right = 0, bottom = 0;
};
/// Around the box's corners, from pixels of the good picture to those of the other one, and back.
PixelBox box_in_picture(const PixelBox& box, const GreyPicture& good, int picture_width, int picture_height,
                        const Alignment& alignment);
PixelBox box_in_good(const PixelBox& box, const GreyPicture& good, int picture_width, int picture_height,
                     const Alignment& alignment);

}  // namespace verge::vision
