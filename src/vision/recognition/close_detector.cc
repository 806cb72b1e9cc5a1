#include "vision/recognition/close_detector.h"

#include "vision/picture/crop.h"

namespace verge::vision {
namespace {

using contract::Region;
using pipeline::Object;

}  // namespace

CloseDetector::Lately& CloseDetector::lately_of(const std::string& stream) {
  const std::lock_guard lock(mutex_);
  return lately_[stream];
}

std::vector<Region> CloseDetector::parts_of(PixelSize picture, const std::vector<Region>& moving,
                                            const Lately& lately) const {
  const int parts_max = options_.runs_max - 1;
  if (options_.way == LookOptions::Way::motion) {
    std::vector<Region> places = moving;
    places.insert(places.end(), lately.small.begin(), lately.small.end());
    return windows_around(places, picture, detector_->input_size(), parts_max, lately.pictures);
  }
  const TileGrid grid = options_.way == LookOptions::Way::tiles
                            ? options_.grid
                            : tiles_for(picture, detector_->input_size(), options_.overlap, parts_max);
  // One tile is the whole picture.
  return grid.count() == 1 ? std::vector<Region>() : tiles_of(grid, options_.overlap);
}

Status CloseDetector::look(const pipeline::Frame& frame, const Region& part, std::vector<Seen>& seen,
                           pipeline::People* people) {
  const auto shown = crop(frame, part, 0);
  if (!shown) return Done{};
  pipeline::People close;
  VERGE_TRY(auto objects, detector_->detect(shown->frame, people != nullptr ? &close : nullptr));
  for (Object& object : objects) {
    object.box = shown->to_whole(object.box);
    for (pipeline::Keypoint& point : object.keypoints) point = shown->to_whole(point);
    seen.push_back({std::move(object), shown->region});
  }
  if (people == nullptr) return Done{};
  for (const Region& box : close.persons) people->persons.push_back(shown->to_whole(box));
  for (const Region& box : close.faces) people->faces.push_back(shown->to_whole(box));
  return Done{};
}

Result<CloseDetector::Found> CloseDetector::detect(const pipeline::Frame& frame, const std::vector<Region>& moving,
                                                   const std::string& stream, pipeline::People* people) {
  Found found;
  VERGE_TRY(found.objects, detector_->detect(frame, people));
  found.runs = 1;
  if (options_.way == LookOptions::Way::whole) return found;
  std::vector<Seen> seen;
  for (Object& object : found.objects) seen.push_back({std::move(object)});
  Lately& lately = lately_of(stream);
  for (const Region& part : parts_of({frame.width, frame.height}, moving, lately)) {
    VERGE_CHECK(look(frame, part, seen, people));
    ++found.runs;
  }
  lately.small.clear();
  ++lately.pictures;
  found.objects.clear();
  for (Seen& each : unite(std::move(seen), detector_->overlap_max())) {
    const bool is_close = each.part.right - each.part.left < 1 || each.part.bottom - each.part.top < 1;
    if (is_close) lately.small.push_back(each.object.box);
    found.objects.push_back(std::move(each.object));
  }
  return found;
}

}  // namespace verge::vision
