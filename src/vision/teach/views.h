// vision/teach/views.h -- a picture as it might as well have been: mirrored, a little nearer, brighter or darker.
//
// Deterministic: view 0 is the picture as it is, the others follow from number and seed.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "pipeline/packet.h"

namespace verge::vision {

inline constexpr int kViewsMax = 8;

/// `view` 1 .. kViewsMax - 1, as RGB of width x height pixels. Odd ones are mirrored; from 2 on an edge of up to a
/// sixth is cut off and brightness and contrast change by up to a quarter. Errors: invalid_argument (no pixels, another
/// view).
Result<std::shared_ptr<const pipeline::Frame>> make_view(const pipeline::Frame& frame, int view, int width, int height,
                                                         std::uint64_t seed);

/// What a picture looks like from afar, to find pictures that are nearly the same: 32 x 32 grey values less their mean,
/// as a camera's exposure may drift.
Result<std::vector<float>> glance(const pipeline::Frame& frame);
/// Whether two glances are of nearly the same picture: frames of a still camera, a copy saved again. A change that
/// fills a thirtieth of the picture's side makes them different; so does a fine texture that lies elsewhere.
bool is_nearly_the_same(const std::vector<float>& a, const std::vector<float>& b);
/// Per glance the number of its group: nearly the same ones, directly or through others, have one.
/// `together`: numbers given from outside (crops of one picture); equal ones come into one group.
std::vector<int> group_glances(const std::vector<std::vector<float>>& glances, const std::vector<int>& together);

}  // namespace verge::vision
