// audio/recording/recording_source.h -- plays recordings at their own pace, as a microphone would deliver them.
//
// Emits AudioBlocks of 512 samples at 16 kHz (32 ms); silence follows each file. Method `restart` begins again with the
// first file and answers {"captured_us": n}: when the first sample of that file counts as captured.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/stage.h"

namespace verge::audio {

struct RecordingOptions {
  std::vector<std::filesystem::path> files;  ///< Played in this order.
  double pause_s = 2.0;                      ///< Silence after each file, 0..60.
  bool loop = true;                          ///< Begin again after the last.
  bool is_paced = true;                      ///< False: as fast as the pipeline takes it.
};

Result<std::unique_ptr<pipeline::Source>> make_recording_source(RecordingOptions options,
                                                                const pipeline::Context& context);

}  // namespace verge::audio
