// pipeline/pipeline_file.h -- the YAML file that says what a module does; read, checked, merged, hashed.
//
// docs/formats/pipeline.md describes it. A mistake is reported with file, line, column and what is allowed there.
// Threads: pure functions.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "pipeline/privacy.h"
#include "pipeline/stage.h"

namespace verge::pipeline {

struct SourceSpec {
  std::string name, kind;
  Json options = Json::object();
};
struct StageSpec {
  std::string name;  ///< Unique; the kind's name unless given, with a number when used twice.
  std::string kind;
  std::vector<std::string> inputs;  ///< Names of sources or stages; default: the stage before (first: all sources).
  Json options = Json::object();
};
struct SinkSpec {
  std::string name, kind;
  std::vector<std::string> inputs;  ///< Empty (the default): events of all, other packets of the last stages.
  Json options = Json::object();
};

struct PipelineSpec {
  int version = 1;
  std::vector<SourceSpec> sources;
  std::vector<StageSpec> stages;
  std::vector<SinkSpec> sinks;
  Privacy privacy;
  EvidenceSettings evidence;
  Json effective = Json::object();  ///< The whole file after the merge.
  std::string hash;                 ///< "sha256:…" of the effective file's canonical JSON.
};

/// Each stage behind all that it takes from. Stages that wait for themselves are left out.
std::vector<const StageSpec*> in_order(const PipelineSpec& spec);

/// A YAML text as JSON (numbers, booleans and null by YAML's core schema). Errors: invalid_argument "file:line:column:
/// …".
Result<Json> yaml_to_json(std::string_view text, std::string_view file_name);

/// Reads `text`, applies `patch` (the module twin's desired "pipeline", a merge patch; null for none, also within it:
/// there the file's own counts) and checks everything against the catalogue: keys, kinds, options, types, names,
/// inputs, cycles, and what stages need of those before them (Kind::check). Errors: invalid_argument with
/// file:line:column (or "twin: /stages/…" when the mistake came from the patch), the nearest allowed word and all
/// allowed ones.
Result<PipelineSpec> parse_pipeline(std::string_view text, std::string_view file_name, const Catalog& catalog,
                                    const Json& patch = nullptr);

}  // namespace verge::pipeline
