// vision/tracking/assignment.h -- pairs rows with columns so that the sum of costs is smallest.
//
// Source: Kuhn 1955, as shortest augmenting paths with potentials (Jonker and Volgenant 1987). Cost: O(rows² *
// columns). Threads: pure function.
#pragma once

#include <span>
#include <vector>

namespace verge::vision {

/// costs  rows * columns numbers, row by row, all finite
/// Returns for each row its column, or -1. As many pairs as possible are made, except those that cost `cost_max` or
/// more.
std::vector<int> assign(std::span<const float> costs, int rows, int columns, float cost_max);

}  // namespace verge::vision
