#include "vision/picture/crop.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "pipeline/nearest_word.h"

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

contract::Region Crop::to_whole(const contract::Region& box) const {
  return {across(box.left), down(box.top), across(box.right), down(box.bottom)};
}

pipeline::Keypoint Crop::to_whole(const pipeline::Keypoint& point) const {
  return {static_cast<float>(across(static_cast<double>(point.x))),
          static_cast<float>(down(static_cast<double>(point.y))), point.score};
}

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

contract::Region bounds_of(const pipeline::Shape& zone) {
  contract::Region bounds{1, 1, 0, 0};
  for (const auto& [x, y] : zone.points) {
    bounds = {std::min(bounds.left, x), std::min(bounds.top, y), std::max(bounds.right, x), std::max(bounds.bottom, y)};
  }
  return {std::max(bounds.left, 0.0), std::max(bounds.top, 0.0), std::min(bounds.right, 1.0),
          std::min(bounds.bottom, 1.0)};
}

bool is_wanted(const pipeline::Shape& shape, const std::vector<std::string>& zones) {
  return shape.is_closed && (zones.empty() || std::ranges::find(zones, shape.name) != zones.end());
}

std::optional<Crop> crop(const pipeline::Frame& frame, const pipeline::Shape& zone) {
  return crop(frame, bounds_of(zone), 0);
}

std::vector<std::string> zones_of(const pipeline::Scene& scene) {
  std::vector<std::string> names;
  for (const pipeline::Shape& shape : scene.shapes) {
    if (shape.is_closed) names.push_back(shape.name);
  }
  return names;
}

Status check_zones(const std::vector<std::string>& known, const std::vector<std::string>& zones,
                   std::string_view doing) {
  if (known.empty())
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{}: no stage before it has a zone; put a stage zone before it", doing)};
  for (const std::string& zone : zones) {
    if (std::ranges::find(known, zone) != known.end()) continue;
    return Error{ErrorCode::invalid_argument, fmt::format("{}: no stage before it has a zone \"{}\"{}", doing, zone,
                                                          pipeline::suggestion(zone, known))};
  }
  return Done{};
}

bool is_wanted(const pipeline::Object& object, const std::vector<std::string>& labels) {
  return labels.empty() || std::ranges::find(labels, object.label) != labels.end();
}

std::vector<std::size_t> strongest(const std::vector<pipeline::Object>& objects, const std::vector<std::string>& labels,
                                   int count) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (is_wanted(objects[i], labels)) places.push_back(i);
  }
  std::ranges::stable_sort(places, std::ranges::greater{}, [&](std::size_t i) { return objects[i].score; });
  if (places.size() > static_cast<std::size_t>(count)) places.resize(static_cast<std::size_t>(count));
  return places;
}

std::optional<BoxPart> find_box_part(std::string_view name) {
  const auto* const found = std::ranges::find(kBoxParts, name);
  if (found == kBoxParts.end()) return std::nullopt;
  return static_cast<BoxPart>(found - kBoxParts.begin());
}

contract::Region part_of(const contract::Region& box, BoxPart part) {
  contract::Region seen = box;
  if (part == BoxPart::top) seen.bottom = box.top + (box.bottom - box.top) / 2;
  if (part == BoxPart::head) seen.bottom = box.top + (box.bottom - box.top) / 3;
  return seen;
}

}  // namespace verge::vision
