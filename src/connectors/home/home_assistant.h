// connectors/home/home_assistant.h -- a sink that tells a house what cameras and sensors see, by the user's MQTT
// broker.
//
// Home Assistant finds its entities by itself (home_entities.h); whoever reads Frigate's MQTT events reads these
// (object_diary.h); anything else reads plain topics. docs/home_assistant.md lists them all. Entities that the pipeline
// no longer has, after a change by the twin for example, are taken back: what the broker retains of this node is
// compared with what there is, at each connection. Snapshots are those that events name (option `evidence` of a stage),
// hidden as the pipeline's privacy says. Threads: as pipeline::Sink.
#pragma once

#include "connectors/secret_url.h"
#include "pipeline/stage.h"

namespace verge::connectors {

pipeline::Kind<pipeline::Sink> home_assistant_kind(Environment environment = process_environment());

}  // namespace verge::connectors
