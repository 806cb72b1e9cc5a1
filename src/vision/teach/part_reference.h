// vision/teach/part_reference.h -- which of some good pictures the others are laid over, and whether that means
// anything.
//
// Threads: pure function.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vision/recognition/part_aligner.h"

namespace verge::vision {

struct PartReference {
  std::size_t picture = 0;            ///< The one that the others lie over best.
  std::vector<Alignment> alignments;  ///< Of each picture.
  std::size_t fitting = 0;            ///< Pictures that lie over it.
  double explained = 0;  ///< Share of the difference from it that goes when they are laid over, the middle one, 0..1.
  double moved = 0;      ///< By how much of the longer side they lie elsewhere, the middle one.
  PartAligner aligner;

  /// Nearly all pictures lie over it.
  bool is_one_part() const;
  /// They lie differently, and laying them over it takes much of the difference away.
  bool is_moving() const;
};

/// good  at least two pictures; each is stretched to this size, at least 16 by 16
/// tell  called with 0..1
Result<PartReference> find_part_reference(std::span<const std::shared_ptr<const pipeline::Frame>> good, int width,
                                          int height, const std::function<Status(double)>& tell);

}  // namespace verge::vision
