// connectors/microphone/pcm_pieces.h -- raw samples that come in pieces of any length, as whole frames.
//
// Threads: one at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/sound/sample_format.h"

namespace verge::connectors {

class PcmPieces {
 public:
  PcmPieces(const pipeline::SoundShape& shape, pipeline::Channel channel) : shape_(shape), channel_(channel) {}

  /// The samples of all frames that are whole by now, valid until the next call; of the last one up to a frame's bytes
  /// are kept. clipped: how many of them are at full scale.
  const std::vector<float>& put(std::string_view bytes, std::size_t& clipped) {
    mono_.clear();
    kept_.append(bytes);
    const std::size_t whole = kept_.size() / shape_.frame_bytes() * shape_.frame_bytes();
    clipped = pipeline::append_mono(std::string_view(kept_).substr(0, whole), shape_, channel_, mono_);
    kept_.erase(0, whole);
    return mono_;
  }
  std::size_t kept_bytes() const { return kept_.size(); }

 private:
  const pipeline::SoundShape shape_;
  const pipeline::Channel channel_;
  std::string kept_;
  std::vector<float> mono_;
};

}  // namespace verge::connectors
