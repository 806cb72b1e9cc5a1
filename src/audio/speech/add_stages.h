// audio/speech/add_stages.h -- offers the stages of speech to a catalogue.
#pragma once

#include "pipeline/stage.h"

namespace verge::audio {

/// Stages: voice, speech.
void add_speech_stages(pipeline::Catalog& catalog);

}  // namespace verge::audio
