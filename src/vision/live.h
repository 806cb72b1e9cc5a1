// vision/live.h -- a scene as the live view shows it: a small JPEG and what was found in it.
//
// docs/formats/live.md describes the header. Pictures wider than 640 pixels are made smaller; JPEG quality 70.
// Threads: pure functions.
#pragma once

#include <optional>

#include "base/result.h"
#include "pipeline/packet.h"
#include "pipeline/stage.h"

namespace verge::vision {

/// A JPEG of the picture, at most `width_max` wide. Errors: invalid_argument (no pixels), internal (the library's
/// words).
Result<std::string> to_jpeg(const pipeline::Frame& frame, int width_max = 640, int quality = 70);

/// Nothing for packets that are not scenes.
std::optional<pipeline::LiveFrame> render_live(const pipeline::Packet& packet);

}  // namespace verge::vision
