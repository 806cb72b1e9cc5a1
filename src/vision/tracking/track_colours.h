// vision/tracking/track_colours.h -- which colours an object wears, small enough to compare everybody with everybody in
// each picture.
//
// Trunk and legs (of anything else: its upper and its lower half) have a histogram each, of brightness and colour in
// coarse steps: who wears blue jeans is told from who wears black trousers, whoever walks where. Taken from a fixed
// grid of points, so that large objects cost no more than small ones. Only pictures of one stream compare. Source: the
// likeness is Bhattacharyya 1943's.
// Threads: values and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "pipeline/packet.h"

namespace verge::vision {

/// Parts of the points that have a colour; each half sums to 1.
struct Colours {
  static constexpr int kHalfBins = 36;  ///< 4 steps of brightness, 3 each of both chroma axes.
  std::array<float, std::size_t{2} * kHalfBins> parts{};

  /// Moves towards what was seen now by `weight`, 0..1.
  void blend(const Colours& seen, float weight);
};

/// Of the middle of a box, given in parts of the picture. Nothing when too little of it lies in the picture.
std::optional<Colours> colours_of(const pipeline::Frame& frame, const contract::Region& box);

/// 0: no colour in common, 1: the same mixture in both halves.
float likeness(const Colours& a, const Colours& b);

}  // namespace verge::vision
