// vision/crop.h -- a part of a picture as a picture of its own, without copying pixels.
//
// Threads: values and pure functions.
#pragma once

#include <optional>

#include "pipeline/packet.h"

namespace verge::vision {

struct Crop {
  pipeline::Frame frame;    ///< Points into the whole picture and keeps it alive.
  contract::Region region;  ///< What it shows, parts of the whole picture.

  /// From parts of the crop to parts of the whole picture.
  double across(double x) const { return region.left + x * (region.right - region.left); }
  double down(double y) const { return region.top + y * (region.bottom - region.top); }
};

/// The box with `margin` of its width and height added on each side, limited to the picture and widened to whole pixels
/// (even ones in yuv420). Nothing when less than two by two pixels are left.
std::optional<Crop> crop(const pipeline::Frame& frame, const contract::Region& box, double margin);

}  // namespace verge::vision
