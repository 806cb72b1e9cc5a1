#include "connectors/add_stages.h"

#include "connectors/camera/camera.h"
#include "connectors/home/home_assistant.h"
#include "connectors/line_sinks.h"
#include "connectors/microphone/microphone.h"
#include "connectors/module_kinds.h"

namespace verge::connectors {

void add_stages(pipeline::Catalog& catalog, const std::shared_ptr<ModuleClient>& module) {
  catalog.add(camera_kind());
  catalog.add(microphone_kind(module));
  catalog.add(mqtt_source_kind(module));
  catalog.add(router_kind(module));
  catalog.add(mqtt_sink_kind(module));
  catalog.add(stdout_kind());
  catalog.add(file_kind());
  catalog.add(home_assistant_kind());
}

}  // namespace verge::connectors
