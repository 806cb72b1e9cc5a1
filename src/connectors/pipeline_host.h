// connectors/pipeline_host.h -- runs the pipeline of a file, changed by the twin, and keeps one running when a change
// is bad.
//
// Threads: run_file and apply on one thread (they may take seconds); everything else from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "evidence/keeper.h"
#include "pipeline/engine_reports.h"
#include "pipeline/executor.h"

namespace verge::connectors {

class PipelineHost {
 public:
  /// `changed` gets each new executor, after start; null before the old one is stopped. Called on run_file's thread.
  using Changed = std::function<void(std::shared_ptr<pipeline::Executor>)>;
  PipelineHost(std::filesystem::path file, const pipeline::Catalog& catalog, pipeline::Context context,
               pipeline::ExecutorOptions options, Changed changed);
  ~PipelineHost();

  /// Starts what the file says. Errors: those of the file and of its parts; nothing runs then.
  Status run_file();
  /// The twin's desired "pipeline" (null: none). Nothing happens when the pipeline stays the same. On an error the one
  /// before goes on, or is started again, and error() says why.
  /// version  of the twin's desired properties, told by report()
  Status apply(const Json& patch, std::int64_t version = 0);
  /// Returns the outcome of what ran.
  Status stop();

  std::shared_ptr<pipeline::Executor> executor() const;
  /// Of the pipeline that runs; null when none does.
  std::shared_ptr<evidence::Keeper> evidence() const;
  std::shared_ptr<const pipeline::PipelineSpec> spec() const;
  /// What runs the models (pipeline/engine_reports.h); [] when no pipeline runs.
  Json engines() const;
  const pipeline::Context& context() const { return context_; }
  /// {"pipeline": {"hash", "error", "desired", "stages": [{"name", "kind", "inputs", texts among its options}]},
  /// "engines": [what runs the models (pipeline/engine_reports.h)], "streams": [{"name", "family", "kind", "rate_hz",
  /// "dropped", "failed", "error"}]}
  Json report() const;
  /// What of the report is structure: a report is due when it differs.
  static Json structure_of(const Json& report);

 private:
  Status switch_to(const pipeline::PipelineSpec& spec);
  Status start(const pipeline::PipelineSpec& spec);
  Status stop_running();

  Metrics unread_;  ///< When the context has none.
  const std::filesystem::path file_;
  const pipeline::Catalog& catalog_;
  pipeline::Context context_;
  const pipeline::ExecutorOptions options_;
  const Changed changed_;
  std::string text_;                                 ///< Of the file.
  std::unique_ptr<pipeline::PipelineSpec> running_;  ///< What runs now.
  mutable std::mutex mutex_;                         ///< Of what follows.
  std::shared_ptr<const pipeline::PipelineSpec> spec_;
  std::shared_ptr<evidence::Keeper> evidence_;  ///< Outlives the executor.
  std::shared_ptr<pipeline::EngineReports> engines_;
  std::shared_ptr<pipeline::Executor> executor_;
  std::string hash_, error_;
  std::map<std::string, std::string> families_;  ///< Of the streams that ended last; until the new ones know theirs.
  std::int64_t desired_ = 0;  ///< Version of the desired properties that were applied or refused last.
};

}  // namespace verge::connectors
