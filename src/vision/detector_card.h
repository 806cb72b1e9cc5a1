// vision/detector_card.h -- what a detector wants in and what its numbers mean, out of its model card.
//
// The card's head: {"kind": "nanodet", "strides": [8, 16, 32], "bins": 11}; thresholds "score" and "overlap".
// Threads: plain values, pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "models/model_card.h"
#include "vision/letterbox.h"

namespace verge::vision {

struct DetectorCard {
  LetterboxOptions input;
  std::vector<int> strides{8, 16, 32};  ///< Pixels of the input per cell.
  int bins = 11;                        ///< Of the distance distribution of each side.
  std::vector<std::string> labels;
  float score_min = 0.4F;    ///< 0..1
  float overlap_max = 0.5F;  ///< 0..1
};

/// Errors: invalid_argument naming the card's member and what is allowed.
Result<DetectorCard> detector_card_of(const models::ModelCard& card);

}  // namespace verge::vision
