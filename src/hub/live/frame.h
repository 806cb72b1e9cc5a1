// hub/live/frame.h -- one live frame: a JSON header and the bytes of a picture, sound or row.
//
// Source: docs/formats/live.md: u32 big-endian length | header | payload. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace verge::hub {

struct Frame {
  Json header;               ///< An object.
  std::string_view payload;  ///< Points into the message.
};

/// Errors: corrupt (shorter than it says, header no JSON object or longer than 64 KiB).
Result<Frame> parse_frame(std::string_view message);
std::string frame_bytes(const Json& header, std::string_view payload);

}  // namespace verge::hub
