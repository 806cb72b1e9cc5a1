// apps/infer/command_line.h -- the options of verge-infer.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace verge::infer {

struct CommandLine {
  std::filesystem::path pipeline;  ///< A bare word or --pipeline, else $VERGE_PIPELINE, else /verge/pipeline.yaml.
  std::string metrics;             ///< --metrics ADDRESS:PORT or "off"; default by where it runs.
  bool is_check = false;           ///< --check: read the file, say what is wrong, end.
  bool is_list = false;            ///< --list: print all kinds and options.
  bool is_markdown = false;        ///< --markdown: --list as Markdown.
  bool is_help = false;
  bool is_version = false;
};

/// Errors: invalid_argument naming the option.
Result<CommandLine> read_command_line(int count, char** words);
std::string help_text();

}  // namespace verge::infer
