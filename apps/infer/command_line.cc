#include "command_line.h"

#include <cstdlib>
#include <string_view>

namespace verge::infer {

std::string help_text() {
  return R"(verge-infer runs one pipeline: sources, stages and sinks of a YAML file.

  verge-infer [FILE | --pipeline FILE] [--metrics ADDRESS:PORT|off]
  verge-infer --check [--pipeline FILE]   reads the file, says what is wrong, ends
  verge-infer --list [--markdown]         all kinds of sources, stages and sinks with their options

  --pipeline FILE   default: $VERGE_PIPELINE, else /verge/pipeline.yaml
  --metrics WHERE   Prometheus metrics; default 127.0.0.1:9600, inside a module 0.0.0.0:9600
  --version, --help

Inside a module (IOTEDGE_* is set) it connects to the device's router, merges the twin's desired "pipeline" over the
file, reports its state, and offers the methods ping, live.start, live.stop, snapshot, clip, evidence, replay, stats and
those of its stages. Elsewhere it runs until its sources end.

  verge-infer --pipeline examples/first_light/vision.yaml
  VERGE_LOG=debug verge-infer --pipeline door.yaml --metrics off

Exit codes: 0 done, 2 mistake in the file or options, 3 something not found, 5 something unavailable, 70 a bug.
)";
}

Result<CommandLine> read_command_line(int count, char** words) {
  CommandLine line;
  const char* given = std::getenv("VERGE_PIPELINE");
  line.pipeline = given != nullptr && *given != '\0' ? given : "/verge/pipeline.yaml";
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    const bool has_value = i + 1 < count;
    if (word == "--check") {
      line.is_check = true;
    } else if (word == "--list") {
      line.is_list = true;
    } else if (word == "--markdown") {
      line.is_markdown = true;
    } else if (word == "--help" || word == "-h") {
      line.is_help = true;
    } else if (word == "--version") {
      line.is_version = true;
    } else if (word == "--pipeline" && has_value) {
      line.pipeline = words[++i];
    } else if (word == "--metrics" && has_value) {
      line.metrics = words[++i];
    } else if (!word.starts_with('-')) {
      line.pipeline = word;  // As the entry point of a module's image says it.
    } else {
      return Error{ErrorCode::invalid_argument,
                   "\"" + std::string(word) + "\" is unknown or lacks its value; see --help"};
    }
  }
  return line;
}

}  // namespace verge::infer
