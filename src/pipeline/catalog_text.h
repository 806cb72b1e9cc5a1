// pipeline/catalog_text.h -- the catalogue for people: what `verge run --help` and docs/ print.
//
// Threads: pure functions.
#pragma once

#include <string>

#include "pipeline/stage.h"

namespace verge::pipeline {

/// Plain text: each kind with its summary and one line per option.
std::string catalog_as_text(const Catalog& catalog);
/// The same as Markdown, a table per kind.
std::string catalog_as_markdown(const Catalog& catalog);

}  // namespace verge::pipeline
