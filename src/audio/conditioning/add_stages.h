// audio/conditioning/add_stages.h -- offers this room's stages to a catalogue.
#pragma once

#include "pipeline/stage.h"

namespace verge::audio {

/// Stage: condition.
void add_conditioning_stages(pipeline::Catalog& catalog);

}  // namespace verge::audio
