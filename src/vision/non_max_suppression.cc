#include "vision/non_max_suppression.h"

#include <algorithm>

namespace verge::vision {

float overlap(const Box& a, const Box& b) {
  const auto area = [](const Box& box) { return std::max(0.0F, box.width()) * std::max(0.0F, box.height()); };
  const Box shared{std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
                   std::min(a.bottom, b.bottom)};
  const float both = area(shared);
  const float either = area(a) + area(b) - both;
  return either > 0 ? both / either : 0;
}

std::vector<Detection> suppress_weaker(std::vector<Detection> detections, float overlap_max, std::size_t kept_max) {
  std::ranges::stable_sort(detections, std::ranges::greater{}, &Detection::score);
  std::vector<Detection> kept;
  for (const Detection& candidate : detections) {
    if (kept.size() == kept_max) break;
    const bool is_covered = std::ranges::any_of(kept, [&](const Detection& stronger) {
      return stronger.label == candidate.label && overlap(stronger.box, candidate.box) > overlap_max;
    });
    if (!is_covered) kept.push_back(candidate);
  }
  return kept;
}

}  // namespace verge::vision
