#include "audio/conditioning/add_stages.h"

#include "audio/conditioning/condition_stage.h"

namespace verge::audio {

void add_conditioning_stages(pipeline::Catalog& catalog) { catalog.add(condition_kind()); }

}  // namespace verge::audio
