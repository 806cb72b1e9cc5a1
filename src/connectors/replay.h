// connectors/replay.h -- a stored clip once more through the stages of the pipeline, at full speed.
//
// A second pipeline beside the one that runs: the same stages and privacy, the file in place of the camera, no sinks,
// no evidence. Its clock begins at the file's time, so conditions about the hour are asked as they were. What the
// events would be is answered; nothing is sent. Threads: any; blocks.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "pipeline/executor.h"

namespace verge::connectors {

struct ReplayRequest {
  std::string stream;  ///< Of kind camera.
  std::filesystem::path file;
  std::int64_t captured_us = 0;  ///< When the file begins, wall clock.
  double limit_s = 20;           ///< Then it is stopped.
  std::size_t events_max = 100;  ///< More are counted.
};

/// {"events": […], "left_out": n, "pictures": n, "seconds": n, "is_whole": false when it was stopped}. Errors:
/// not_found (no such stream), invalid_argument (its source is no camera), those of the pipeline's parts.
Result<Json> replay(const pipeline::PipelineSpec& spec, const pipeline::Catalog& catalog,
                    const pipeline::Context& context, const ReplayRequest& request);

}  // namespace verge::connectors
