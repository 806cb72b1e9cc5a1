// vision/test_stages.h -- a stage as a pipeline file makes it; tests only.
#pragma once

#include "base/json.h"
#include "pipeline/stage.h"

namespace verge::vision::testing {

/// The options with defaults for those that are not given.
template <class Part>
Json with_defaults(const pipeline::Kind<Part>& kind, Json options) {
  for (const pipeline::OptionInfo& option : kind.options) {
    if (!options.contains(option.name) && !option.fallback.is_null()) options[option.name] = option.fallback;
  }
  return options;
}

/// Options that are not given have their defaults. The stream is "gate".
inline Result<std::unique_ptr<pipeline::Stage>> make_stage(const pipeline::Kind<pipeline::Stage>& kind, Json options,
                                                           Metrics& metrics) {
  pipeline::Context context;
  context.stream = "gate";
  context.metrics = &metrics;
  return kind.make(with_defaults(kind, std::move(options)), context);
}

}  // namespace verge::vision::testing
