// audio/sound/add_stages.h -- offers this room's stages to a catalogue.
#pragma once

#include "pipeline/stage.h"

namespace verge::audio {

/// Stage: sound.
void add_sound_stages(pipeline::Catalog& catalog);

}  // namespace verge::audio
