// audio/recording/recording.h -- a sound file as mono samples at the rate we want.
//
// Reads what libsndfile reads (WAV, FLAC, MP3, Ogg with Vorbis or Opus); several channels are averaged; other rates are
// converted by libsoxr. Threads: pure function.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"

namespace verge::audio {

struct Recording {
  int rate_hz = 0;
  std::vector<float> samples;  ///< -1..1
};

/// Errors: not_found, invalid_argument (not a sound file, longer than seconds_max, more than eight channels), corrupt
/// (nothing of it can be read), the message names the file. Of one that breaks off, what came before it.
Result<Recording> read_recording(const std::filesystem::path& path, int rate_hz, double seconds_max = 3600);

}  // namespace verge::audio
