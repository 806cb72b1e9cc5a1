// connectors/add_stages.h -- puts this part's sources and sinks into a catalogue.
#pragma once

#include <memory>

#include "connectors/module_client.h"
#include "pipeline/stage.h"

namespace verge::connectors {

/// Sources: camera, microphone, mqtt. Sinks: router, mqtt, stdout, file, home_assistant.
/// module  the connection that router and mqtt use; null outside an agent
void add_stages(pipeline::Catalog& catalog, const std::shared_ptr<ModuleClient>& module);

}  // namespace verge::connectors
