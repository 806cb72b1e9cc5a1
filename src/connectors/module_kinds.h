// connectors/module_kinds.h -- sources and sinks that go through the module's connection to its router.
//
// Sink router: events to an output, for routes of the manifest. Source and sink mqtt: plain topics on the device.
// Threads: as pipeline::Source and Sink.
#pragma once

#include <memory>

#include "connectors/module_client.h"
#include "pipeline/stage.h"

namespace verge::connectors {

/// With a null module they can be listed and checked, but not opened (unavailable).
pipeline::Kind<pipeline::Sink> router_kind(std::shared_ptr<ModuleClient> module);
pipeline::Kind<pipeline::Source> mqtt_source_kind(std::shared_ptr<ModuleClient> module);
pipeline::Kind<pipeline::Sink> mqtt_sink_kind(std::shared_ptr<ModuleClient> module);

}  // namespace verge::connectors
