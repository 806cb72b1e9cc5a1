// connectors/evidence_methods.h -- the methods with which a person or a program looks at a module: what it sees now,
// what it kept, how it does.
//
//   snapshot {"stream", "width"?}             a picture now: stored, and as a JPEG that fits into the answer
//   clip     {"stream", "before_s", "after_s"}  202 {"clip"}; {"clip": id}: 202 until it is stored, then 200 {"digest"}
//   evidence {"digest", "offset"?}            a piece of a stored file; without a digest: what is there, newest first
//   stats    {}                               streams, stages, queues, engines
//   replay   {"stream", "digest", "limit_s"?}  a stored clip through the same stages at full speed: the events
//   (replay.h)
//
// Whatever leaves is as the pipeline's privacy says; a file that shows more stays, and the answer (403) says so.
// Answers are at most kAnswerBytesMax of JSON. docs/evidence.md describes them. Threads: construct, set and call on one
// thread; answers come from a thread of its own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "evidence/keeper.h"
#include "pipeline/executor.h"

namespace verge::connectors {

class EvidenceMethods {
 public:
  static constexpr std::size_t kAnswerBytesMax = 96U << 10U;
  static constexpr std::size_t kPieceBytes = 64U << 10U;  ///< Of a file in one answer, before base64.

  using Answer = std::function<void(pipeline::MethodReply)>;
  /// What runs; both null when nothing does.
  struct Running {
    std::shared_ptr<pipeline::Executor> executor;
    std::shared_ptr<evidence::Keeper> keeper;
    std::shared_ptr<const pipeline::PipelineSpec> spec{};  ///< What the executor was made of.
    pipeline::Context context{};                           ///< The program's.
    Json engines = Json::array();                          ///< What runs the models.
  };
  EvidenceMethods(const pipeline::Catalog& catalog, const Clock& clock) : catalog_(catalog), clock_(clock) {}

  static bool offers(const std::string& name);
  /// Answers once, from another thread, in any order; 503 at once when too many wait.
  void call(const std::string& name, const Json& parameters, const Running& running, Answer answer);

 private:
  pipeline::MethodReply reply_to(const std::string& name, const Json& parameters, const Running& running) const;
  pipeline::MethodReply snapshot(const Json& parameters, const Running& running) const;
  pipeline::MethodReply replay_clip(const Json& parameters, const Running& running) const;

  const pipeline::Catalog& catalog_;
  const Clock& clock_;
  mutable std::atomic<bool> is_replaying_{false};
  Workers workers_{2, 16};  ///< Last: ends before what its jobs use.
};

}  // namespace verge::connectors
