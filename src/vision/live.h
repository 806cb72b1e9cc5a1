// vision/live.h -- a scene as the live view shows it: a small JPEG and what was found in it.
//
// docs/formats/live.md describes the header. People are hidden (blur.h) before anything is compressed.
// Threads: pure functions.
#pragma once

#include <optional>

#include "base/result.h"
#include "pipeline/packet.h"
#include "pipeline/stage.h"
#include "vision/picture/blur.h"

namespace verge::vision {

/// A JPEG of the picture, at most `width_max` wide, without what is to be hidden. Errors: invalid_argument (no pixels),
/// internal (the library's words).
Result<std::string> to_jpeg(const pipeline::Frame& frame, int width_max = 640, int quality = 70,
                            const Hiding& hiding = {});

/// The picture at its own size without what is to be hidden; the same frame when nothing is.
pipeline::Frame hidden(const pipeline::Frame& frame, const Hiding& hiding);

/// Nothing for packets that are not scenes.
std::optional<pipeline::LiveFrame> render_live(const pipeline::Packet& packet, const pipeline::LiveRequest& request);

}  // namespace verge::vision
