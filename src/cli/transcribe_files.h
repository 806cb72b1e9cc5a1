// cli/transcribe_files.h -- recordings become a dataset of clips with texts; goes on where a kill ended it.
//
// Threads: the call blocks; inside, as many recordings at a time as `threads`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/home.h"

namespace verge::cli {

struct TranscribeRequest {
  std::vector<std::filesystem::path> inputs;  ///< Recordings, or folders of them.
  std::filesystem::path target;               ///< The dataset; made when it is not there.
  std::string model = "moonshine-tiny";       ///< Name in the cache's models, or a folder.
  std::string language = "en";
  std::string speaker, room, device;  ///< Labels of all clips; empty: not known.
  int threads = 1;                    ///< 1..64; one a recording.
};

struct TranscribeProgress {
  std::size_t recordings_done = 0, recordings = 0, clips = 0;
  double part = 0;    ///< 0..1, by the size of the files.
  double left_s = 0;  ///< As long as the rest takes at the pace so far; 0 when not known yet.
};

struct TranscribeOutcome {
  std::size_t recordings = 0, known = 0;  ///< All; those that were finished before.
  std::size_t clips = 0, new_clips = 0;   ///< In the dataset; of this call.
  double sound_s = 0;                     ///< Recorded, of this call.
  double took_s = 0;
  std::vector<std::string> problems;  ///< One a recording that could not be read.
};

/// Errors: not_found (no recording, no model; says how to fetch it), conflict (another program changes the dataset),
/// those of the disk. A recording that cannot be read is a problem of the outcome; the others are transcribed.
Result<TranscribeOutcome> transcribe_files(const TranscribeRequest& request,
                                           const std::function<void(const TranscribeProgress&)>& tell);

/// Files below a folder whose ending says sound, sorted; a file itself. Errors: not_found, limit (100,000).
Result<std::vector<std::filesystem::path>> find_recordings(const std::filesystem::path& input);

}  // namespace verge::cli
