#include "vision/recognition/non_max_suppression.h"

#include <algorithm>
#include <numeric>

namespace verge::vision {

float overlap(const Box& a, const Box& b) {
  const auto area = [](const Box& box) { return std::max(0.0F, box.width()) * std::max(0.0F, box.height()); };
  const Box shared{std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
                   std::min(a.bottom, b.bottom)};
  const float both = area(shared);
  const float either = area(a) + area(b) - both;
  return either > 0 ? both / either : 0;
}

std::vector<std::size_t> places_kept(const std::vector<Detection>& detections, float overlap_max,
                                     std::size_t kept_max) {
  std::vector<std::size_t> places(detections.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::ranges::stable_sort(places, std::ranges::greater{}, [&](std::size_t place) { return detections[place].score; });
  std::vector<std::size_t> kept;
  for (const std::size_t place : places) {
    if (kept.size() == kept_max) break;
    const Detection& candidate = detections[place];
    const bool is_covered = std::ranges::any_of(kept, [&](std::size_t stronger) {
      return detections[stronger].label == candidate.label &&
             overlap(detections[stronger].box, candidate.box) > overlap_max;
    });
    if (!is_covered) kept.push_back(place);
  }
  return kept;
}

std::vector<Detection> suppress_weaker(std::vector<Detection> detections, float overlap_max, std::size_t kept_max) {
  std::vector<Detection> kept;
  for (const std::size_t place : places_kept(detections, overlap_max, kept_max)) {
    kept.push_back(std::move(detections[place]));
  }
  return kept;
}

}  // namespace verge::vision
