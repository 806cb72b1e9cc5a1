// audio/transcripts/splits.h -- divides clips into train, dev and test so that nothing is on both sides.
//
// Clips that share a value of a chosen key (a speaker, a device, a room), and those cut from one recording, go
// together; over several keys that is transitive. Groups are dealt the longest first to the part that is furthest below
// its share. Equal clips, options and seed give equal parts. Threads: pure function.
#pragma once

#include <string>
#include <vector>

#include "audio/transcripts/clip.h"

namespace verge::audio {

struct SplitOptions {
  bool by_speaker = true, by_device = false, by_room = false;
  double test_share = 0.2, dev_share = 0;  ///< Of the duration, 0..0.9 each, together below 1.
  std::uint64_t seed = 1;                  ///< Of equally long groups, which comes first.
};

struct SplitPart {
  std::string name;
  std::size_t clips = 0, groups = 0;
  double seconds = 0;
};

/// Sets every clip's split; returns the parts train, dev (when asked for), test. Errors: invalid_argument when shares
/// are out of range, or when there are fewer groups than parts, saying which key leaves too few.
Result<std::vector<SplitPart>> split_clips(std::vector<Clip>& clips, const SplitOptions& options);

}  // namespace verge::audio
