// vision/recognition/non_max_suppression.h -- of boxes of one class that overlap, the strongest stays.
//
// Source: greedy suppression as in Girshick et al. 2014 (R-CNN).
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/packet.h"

namespace verge::vision {

/// Corners in pixels or in parts of the picture, x right, y down; right and bottom are exclusive.
struct Box {
  float left = 0, top = 0, right = 0, bottom = 0;
  float width() const { return right - left; }
  float height() const { return bottom - top; }
};

struct Detection {
  Box box;
  float score = 0;                              ///< 0..1
  int label = 0;                                ///< Index into the model's labels.
  std::vector<pipeline::Keypoint> points = {};  ///< In the box's unit; empty for most models.
};

/// Intersection over union, 0..1; 0 for boxes without area.
float overlap(const Box& a, const Box& b);

/// The places in `detections` of those that stay, as suppress_weaker.
std::vector<std::size_t> places_kept(const std::vector<Detection>& detections, float overlap_max,
                                     std::size_t kept_max = 300);

/// Strongest first; equal scores keep their order. Boxes of different labels do not suppress each other.
/// `kept_max` bounds the answer, so that a bad model cannot flood us. Cost: O(N log N + N * kept).
std::vector<Detection> suppress_weaker(std::vector<Detection> detections, float overlap_max,
                                       std::size_t kept_max = 300);

}  // namespace verge::vision
