// vision/add_stages.h -- puts this part's stages and its live renderer into a catalogue.
#pragma once

#include "pipeline/stage.h"

namespace verge::vision {

/// simulated_camera, detect, track, zone, rule, pictures, …
void add_stages(pipeline::Catalog& catalog);

}  // namespace verge::vision
