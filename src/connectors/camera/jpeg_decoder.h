// connectors/camera/jpeg_decoder.h -- JPEG pictures to yuv420 frames in half of the time that FFmpeg takes.
//
// libjpeg-turbo writes the planes as the file holds them: no colours are converted. Only whole 4:2:0 pictures without a
// flaw are taken; all others are FFmpeg's, which knows every kind and says what is broken.
// Threads: one at a time; frames may be given back from any thread.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "pipeline/packet.h"

namespace verge::connectors {

class JpegDecoder {
 public:
  static constexpr int kSideMax = 8192;  ///< Pixels; no sender makes us reserve more.

  JpegDecoder();
  /// Null when the picture is not of the kind above.
  std::shared_ptr<pipeline::Frame> decode(std::string_view bytes);

 private:
  using Pixels = std::vector<std::uint8_t>;
  std::shared_ptr<Pixels> lend(std::size_t bytes);

  std::shared_ptr<void> decompressor_;
  std::vector<std::shared_ptr<Pixels>> pool_;  ///< Free ones are those that nobody else holds.
};

}  // namespace verge::connectors
