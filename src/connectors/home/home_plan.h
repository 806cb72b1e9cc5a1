// connectors/home/home_plan.h -- what of a pipeline a house can be told about, and how it is called there.
//
// Reads the stages of the pipeline by their kinds and options, as docs/formats/pipeline.md describes them: which labels
// are looked for, which zones, lines and rules there are in each stream. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pipeline/pipeline_file.h"

namespace verge::connectors {

/// A name as one level of a topic and part of an identifier: letters, digits, "-" and single "_"; blanks become "_".
/// Whatever else is in it is told apart by six digits of its hash: "Tür" is "T_r_9f86d0".
std::string topic_name(std::string_view name);

/// Something drawn into a picture or asked of it.
struct HomePart {
  std::string name;   ///< As in the pipeline.
  std::string topic;  ///< topic_name() of it.
};
struct HomeRule : HomePart {
  bool tells_end = false;
};

struct HomeStream {
  std::string name, topic, kind;
  bool shows_objects = false;       ///< A detector looks at it.
  std::vector<std::string> labels;  ///< As topics, sorted; what its detectors look for.
  bool knows_all_labels = false;    ///< Else a detector reports whatever its model knows.
  std::vector<HomePart> zones, lines;
  std::vector<HomeRule> rules;
  bool has_scores = false;  ///< Sensors that are scored.
};

/// In the order of the file. Errors: invalid_argument when two names of the same kind would be one topic.
Result<std::vector<HomeStream>> home_plan(const pipeline::PipelineSpec& spec);

}  // namespace verge::connectors
