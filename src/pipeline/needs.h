// pipeline/needs.h -- whether each stage gets what it needs of the stages before it, before anything is made.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "pipeline/pipeline_file.h"

namespace verge::pipeline {

struct Unmet {
  std::string stage;
  Error problem;  ///< As Kind::check says it; with the stream's name when streams take different ways.
};

/// The stages whose Kind::check refuses what the stages before them provide, in order, each once. Where a stream comes
/// by several ways, only what all of them provide counts.
std::vector<Unmet> find_unmet(const PipelineSpec& spec, const Catalog& catalog);

}  // namespace verge::pipeline
