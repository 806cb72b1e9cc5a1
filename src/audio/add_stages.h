// audio/add_stages.h -- offers this family's sources and stages to a catalogue.
#pragma once

#include "pipeline/stage.h"

namespace verge::audio {

/// Sources: recording. Stages: level, voice, speech. Live view of sound.
void add_stages(pipeline::Catalog& catalog);

}  // namespace verge::audio
