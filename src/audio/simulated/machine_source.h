// audio/simulated/machine_source.h -- source `simulated_sound`: machines by formula, as a microphone would deliver
// them.
//
// Emits AudioBlocks of 512 samples at 16 kHz (32 ms): the first sound of the list, then the next, `each_s` long each,
// and again from the front. Method `play` {"sound": NAME, "seconds": n} puts a sound in at once; `truth` tells what has
// been heard: {"heard": [{"sound", "captured_us"}, …]}, the last 100.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/stage.h"

namespace verge::audio {

struct MachineSourceOptions {
  std::vector<std::string> sounds;  ///< Names of simulated/machines.h.
  double each_s = 30;               ///< 1..3600
  std::uint64_t seed = 1;
  bool is_paced = true;  ///< False: as fast as the pipeline takes it, once through the list.
};

/// Errors: not_found (the message lists the sounds there are), invalid_argument.
Result<std::unique_ptr<pipeline::Source>> make_machine_source(MachineSourceOptions options,
                                                              const pipeline::Context& context);

/// Source: simulated_sound.
void add_simulated_stages(pipeline::Catalog& catalog);

}  // namespace verge::audio
