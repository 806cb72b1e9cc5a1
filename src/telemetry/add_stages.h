// telemetry/add_stages.h -- offers this family's sources, stages and sinks to a catalogue.
#pragma once

#include "pipeline/stage.h"

namespace verge::telemetry {

/// Source: machine. Stage: score. Sink: csv. Live view of sensor rows.
void add_stages(pipeline::Catalog& catalog);

}  // namespace verge::telemetry
