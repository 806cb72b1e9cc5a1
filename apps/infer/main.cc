// apps/infer/main.cc -- program verge-infer: builds the parts and connects them.
#include <cstdio>
#include <cstdlib>
#include <malloc.h>

#include "audio/add_stages.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "command_line.h"
#include "connectors/add_stages.h"
#include "module_program.h"
#include "pipeline/catalog_text.h"
#include "pipeline/pipeline_file.h"
#include "telemetry/add_stages.h"
#include "vision/add_stages.h"

namespace verge::infer {
namespace {

void fill(pipeline::Catalog& catalog, const std::shared_ptr<connectors::ModuleClient>& module) {
  connectors::add_stages(catalog, module);
  vision::add_stages(catalog);
  audio::add_stages(catalog);
  telemetry::add_stages(catalog);
}

int fail(const Error& error) {
  std::fprintf(stderr, "verge-infer: %s\n", error.message.c_str());
  return exit_code_of(error.code);
}

Status check_file(const std::filesystem::path& file, const pipeline::Catalog& catalog) {
  VERGE_TRY(const std::string text, read_file(file, 2U << 20U));
  VERGE_TRY(const auto spec, pipeline::parse_pipeline(text, file.string(), catalog));
  std::printf("%s: sound, %zu sources, %zu stages, %zu sinks, %s\n", file.c_str(), spec.sources.size(),
              spec.stages.size(), spec.sinks.size(), spec.hash.c_str());
  return Done{};
}

Result<std::shared_ptr<connectors::ModuleClient>> make_module(Loop& loop, Metrics& metrics) {
  if (std::getenv("IOTEDGE_MODULEID") == nullptr) return std::shared_ptr<connectors::ModuleClient>();
  VERGE_TRY(auto environment, connectors::read_module_environment());
  connectors::ModuleClientOptions options;
  options.environment = std::move(environment);
  return std::make_shared<connectors::ModuleClient>(loop, std::move(options), metrics);
}

int run(const CommandLine& line) {
  Loop loop;
  Metrics metrics;
  auto module = make_module(loop, metrics);
  if (!module) return fail(module.error());
  pipeline::Catalog catalog;
  fill(catalog, *module);
  ProgramOptions options{line.pipeline, line.metrics, VERGE_VERSION};
  if (options.metrics.empty()) options.metrics = *module ? "0.0.0.0:9600" : "127.0.0.1:9600";
  ModuleProgram program(loop, metrics, catalog, *module, std::move(options));
  if (auto status = program.run(); !status) return fail(status.error());
  return 0;
}

int main_of(int count, char** words) {
  auto line = read_command_line(count, words);
  if (!line) return fail(line.error());
  if (line->is_help) return std::fputs(help_text().c_str(), stdout) < 0 ? 1 : 0;
  if (line->is_version) return std::puts("verge-infer " VERGE_VERSION) < 0 ? 1 : 0;
  if (!line->is_list && !line->is_check) return run(*line);
  pipeline::Catalog catalog;
  fill(catalog, nullptr);
  if (line->is_list) {
    const std::string text = line->is_markdown ? catalog_as_markdown(catalog) : catalog_as_text(catalog);
    return std::fputs(text.c_str(), stdout) < 0 ? 1 : 0;
  }
  if (auto status = check_file(line->pipeline, catalog); !status) return fail(status.error());
  return 0;
}

}  // namespace
}  // namespace verge::infer

int main(int count, char** words) {
  // With an arena per thread each one reaches a high-water mark of its own, at a time of its own: memory creeps up in
  // steps. One arena is level, smaller, and no slower at the rates at which packets come.
  mallopt(M_ARENA_MAX, 1);
  // What is large goes back to the system when it is freed. By itself malloc would raise these limits with the first
  // model that is loaded, and keep the holes: 3 MB of 105 with NanoDet.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
  return verge::infer::main_of(count, words);
}
