// vision/add_stages.h -- puts this part's stages and its live renderer into a catalogue.
#pragma once

#include "pipeline/stage.h"

namespace verge::vision {

/// detect, track, zone, line.
void add_stages(pipeline::Catalog& catalog);

}  // namespace verge::vision
