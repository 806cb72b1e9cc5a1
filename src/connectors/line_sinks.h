// connectors/line_sinks.h -- events as lines of JSON, on standard output or in a file.
//
// Threads: as pipeline::Sink.
#pragma once

#include "pipeline/stage.h"

namespace verge::connectors {

pipeline::Kind<pipeline::Sink> stdout_kind();
pipeline::Kind<pipeline::Sink> file_kind();

}  // namespace verge::connectors
