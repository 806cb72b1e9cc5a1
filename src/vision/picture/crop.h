// vision/picture/crop.h -- a part of a picture as a picture of its own, without copying pixels; which parts to take.
//
// Threads: values and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pipeline/packet.h"

namespace verge::vision {

struct Crop {
  pipeline::Frame frame;    ///< Points into the whole picture and keeps it alive.
  contract::Region region;  ///< What it shows, parts of the whole picture.

  /// From parts of the crop to parts of the whole picture.
  double across(double x) const { return region.left + x * (region.right - region.left); }
  double down(double y) const { return region.top + y * (region.bottom - region.top); }
  contract::Region to_whole(const contract::Region& box) const;
  pipeline::Keypoint to_whole(const pipeline::Keypoint& point) const;
};

/// The box with `margin` of its width and height added on each side, limited to the picture and widened to whole pixels
/// (even ones in yuv420). Nothing when less than two by two pixels are left.
std::optional<Crop> crop(const pipeline::Frame& frame, const contract::Region& box, double margin);

/// The smallest box around a zone, limited to the picture.
contract::Region bounds_of(const pipeline::Shape& zone);
/// Whether it is a zone with one of the names; none given: any zone.
bool is_wanted(const pipeline::Shape& shape, const std::vector<std::string>& zones);
/// What is seen of a zone: teaching and running both ask this. Nothing when less than two by two pixels are left.
std::optional<Crop> crop(const pipeline::Frame& frame, const pipeline::Shape& zone);
std::vector<std::string> zones_of(const pipeline::Scene& scene);
/// Errors: invalid_argument when `known` lacks one of the zones, or has none at all; `doing` begins the message.
Status check_zones(const std::vector<std::string>& known, const std::vector<std::string>& zones,
                   std::string_view doing);

/// Whether it has one of the labels; none given: always.
bool is_wanted(const pipeline::Object& object, const std::vector<std::string>& labels);
/// Places in `objects` of those with one of the labels (none given: of all), the surest first, at most `count`.
std::vector<std::size_t> strongest(const std::vector<pipeline::Object>& objects, const std::vector<std::string>& labels,
                                   int count);
/// A part of an object's box that is looked at instead of all of it.
enum class BoxPart : std::uint8_t {
  whole,
  top,   ///< The upper half: a standing person's trunk and head.
  head,  ///< The upper third: a standing person's head and shoulders.
};
inline constexpr std::array<std::string_view, 3> kBoxParts{"whole", "top", "head"};  ///< In the order of BoxPart.
std::optional<BoxPart> find_box_part(std::string_view name);
/// Teaching and running both ask this, so that they look at the same.
contract::Region part_of(const contract::Region& box, BoxPart part);

}  // namespace verge::vision
