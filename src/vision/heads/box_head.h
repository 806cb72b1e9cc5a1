// vision/heads/box_head.h -- boxes out of a detector's numbers, as its model card says.
//
// One file per family: nanodet.cc, yolo.cc, ssd.cc, centernet.cc, fastestdet.cc, blazeface.cc; each says which paper or
// program its layout comes from. docs/formats/model-card.md describes the members of each kind.
// Threads: a head does not change after it was made; decode from anywhere.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "inference/session.h"
#include "models/model_card.h"
#include "vision/recognition/non_max_suppression.h"

namespace verge::vision {

/// What of all that a head says is wanted.
struct Wanted {
  std::span<const int> labels;  ///< Indexes into the card's labels, ascending; empty: all.
  float score_min = 0;          ///< 0..1
};

class BoxHead {
 public:
  virtual ~BoxHead() = default;
  /// Appends boxes and points in pixels of the network's input, overlapping ones too. Numbers that are not finite come
  /// out as they went in.
  ///
  /// outputs  what the session gave, in its order
  /// Errors: invalid_argument when an output has not the shape that it had when the head was made.
  virtual Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                        std::vector<Detection>& found) const = 0;
};

/// Errors: invalid_argument naming the card's member when the card has no picture, no labels or a head that does not
/// fit the model's outputs.
Result<std::unique_ptr<BoxHead>> make_box_head(const models::ModelCard& card,
                                               const std::vector<inference::TensorInfo>& outputs);

/// The kinds that a card's head can have for boxes, in alphabetical order.
std::vector<std::string_view> box_head_kinds();

}  // namespace verge::vision
