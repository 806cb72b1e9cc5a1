// audio/conditioning/condition_stage.h -- stage `condition`: sound as any microphone gives it in, sound as the models
// expect it out; events when the microphone is dead or overdriven.
//
//   - condition: {state: state/gate-microphone.json}
//   - voice: {model: models/silero_vad.onnx}
//
// Sound: see conditioner.h; late by 16 ms at 16 kHz, and captured_us says so. level_db of a block stays what the
// microphone gave. Utterances and other packets pass. Events, family "audio": "microphone.dead" and
// "microphone.clipping" (severity warning), "microphone.alive" and "microphone.clear" when that is over (info, with
// duration_us). What was learned is kept in `state` every five minutes and at the end; a file that cannot be read is
// reported and replaced. Method `microphone` answers how the microphone does. Threads: one stream.
#pragma once

#include <filesystem>

#include "audio/conditioning/conditioner.h"
#include "audio/conditioning/faults.h"
#include "pipeline/stage.h"

namespace verge::audio {

struct ConditionStageOptions {
  ConditionerOptions conditioner;
  FaultOptions faults;
  std::filesystem::path profile;  ///< A file that a stage like this kept as its `state`; empty: none.
  std::filesystem::path state;    ///< Read when it is there, else the profile; empty: nothing is kept.
};

/// Errors: those of load_profile for `profile`.
Result<std::unique_ptr<pipeline::Stage>> make_condition_stage(ConditionStageOptions options,
                                                              const pipeline::Context& context);
pipeline::Kind<pipeline::Stage> condition_kind();

}  // namespace verge::audio
