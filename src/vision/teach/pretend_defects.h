// vision/teach/pretend_defects.h -- small changes to good pictures, to try which way of comparing would see them.
//
// They are no defects of the user's parts and nothing is fitted to them; they only choose among a few ways. Source: Li
// et al. 2021 (CutPaste) for pasted pieces. Threads: pure functions.
#pragma once

#include <cstdint>
#include <memory>

#include "pipeline/packet.h"

namespace verge::vision {

/// A copy of the rgb24 picture with one change; which kind (a piece from elsewhere, a line, a spot, a shade, a blur)
/// goes around with the number. Equal numbers give equal changes.
std::shared_ptr<pipeline::Frame> pretend_defect(const pipeline::Frame& rgb, std::uint64_t number);

}  // namespace verge::vision
