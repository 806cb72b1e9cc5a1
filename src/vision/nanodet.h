// vision/nanodet.h -- boxes out of the numbers of a NanoDet head.
//
// Source: NanoDet (RangiLyu 2020) with the distribution of Li et al. 2020 (Generalized Focal Loss): each side's
// distance is the expectation over `bins` logits, times the stride, from the cell's centre (i + 0.5) * stride.
// Threads: pure functions.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "inference/session.h"
#include "vision/detector_card.h"
#include "vision/non_max_suppression.h"

namespace verge::vision {

/// The two outputs of one stride, as places in the session's list of outputs.
struct HeadPair {
  int stride = 8;
  std::size_t scores = 0;  ///< [1, cells, labels] float32, 0..1
  std::size_t boxes = 0;   ///< [1, cells, 4 * bins] float32 logits: left, top, right, bottom
};

/// Finds the outputs by their shapes. Errors: invalid_argument saying which shape is missing and which are there.
Result<std::vector<HeadPair>> find_heads(const std::vector<inference::TensorInfo>& outputs, const DetectorCard& card);

/// Appends what scores at least `score_min`, boxes in pixels of the network's input.
/// wanted  indexes of the labels to look for, ascending; empty for all.
void decode_head(std::span<const float> scores, std::span<const float> boxes, int stride, const DetectorCard& card,
                 std::span<const int> wanted, float score_min, std::vector<Detection>& found);

}  // namespace verge::vision
