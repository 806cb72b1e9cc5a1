// apps/infer/module_program.h -- connects pipeline, module client, live view, methods, reports and metrics.
//
// Threads: construct and run on the main thread, which becomes the loop's; pipelines start and stop on a control
// thread.
#pragma once

#include <memory>
#include <string>

#include "base/http_server.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "connectors/evidence_methods.h"
#include "connectors/live_sender.h"
#include "connectors/module_client.h"
#include "connectors/pipeline_host.h"

namespace verge::infer {

struct ProgramOptions {
  std::filesystem::path pipeline;
  std::string metrics;  ///< "address:port" or "off".
  std::string version;
};

class ModuleProgram {
 public:
  /// module  null outside an agent
  ModuleProgram(Loop& loop, Metrics& metrics, const pipeline::Catalog& catalog,
                std::shared_ptr<connectors::ModuleClient> module, ProgramOptions options);
  ~ModuleProgram();
  /// Runs until a signal, or without a module until the sources end. Errors: the pipeline's at start; the metrics
  /// port's; without a module also the executor's outcome.
  Status run();

 private:
  Status serve_metrics();
  void start_module();
  void watch_end();
  void end();
  void call_method(const std::string& name, const Json& parameters, connectors::ModuleClient::MethodAnswer answer);
  pipeline::MethodReply reply_at_once(const std::string& name, const Json& parameters);
  void apply_desired(const Json& desired);
  void report_if_due();
  void expire_evidence();

  Loop& loop_;
  Metrics& metrics_;
  const pipeline::Catalog& catalog_;
  std::shared_ptr<connectors::ModuleClient> module_;
  ProgramOptions options_;
  std::unique_ptr<HttpServer> server_;
  connectors::LiveSender live_;
  connectors::PipelineHost host_;
  connectors::EvidenceMethods evidence_;
  Json reported_structure_;
  std::int64_t reported_us_ = 0;
  bool is_ending_ = false;
  Status outcome_ = Done{};
  Workers control_{1, 64};  ///< Last: ends before what its jobs use.
};

}  // namespace verge::infer
