// agent/reconcile/reconciler.h -- looks, plans, acts, remembers, and looks again.
//
// A round: list our containers, compare with the manifest (plan.h), run the commands group by group. Rounds come every
// 5 s, when a process ends, and when the manifest changes. Commands of one group run at the same time, at most
// one per module. A failed command cools off by itself and never stops the others.
// Threads: everything on the loop's thread; engine calls happen on the workers.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "agent/images/image_source.h"
#include "agent/reconcile/create_body.h"
#include "agent/reconcile/plan.h"
#include "agent/settings.h"
#include "base/loop.h"

namespace verge::agent {

struct ReconcileOptions {
  std::chrono::milliseconds period{5'000};
  std::chrono::milliseconds gap{200};           ///< Between a round that did something and the next.
  std::chrono::milliseconds lost_after{1'500};  ///< So long the engine may say "running" without a process.
  int stop_grace_s = 10;
};

class Reconciler {
 public:
  struct Surroundings {
    Loop& loop;
    Workers& engine_workers;
    Workers& transfer_workers;  ///< Image downloads, which take minutes.
    Workers& file_workers;      ///< One thread, so that files are written in order.
    ContainerEngine& engine;
    ImageSource& images;
    const Clock& clock;
    const Settings& settings;
    std::function<bool(std::int64_t pid)> is_process_alive;
  };

  /// `changed` follows every round.
  Reconciler(Surroundings surroundings, ReconcileOptions options, std::function<void()> changed);
  ~Reconciler();

  /// Reads what is remembered and begins the first round.
  void start();
  /// The modules to run. Registries hold passwords; they are never logged.
  void set_desired(const contract::AgentConfig& config);
  /// Module -> generation of its identity. A module without one is not created yet.
  void set_generations(std::map<std::string, std::string> generations);
  /// Begins a round now, or right after the one that runs.
  void wake();
  /// Stops and starts a module because somebody asked; not counted as a failure. Errors: not_found.
  void restart(const std::string& module, std::function<void(Status)> done);
  /// No more rounds; commands that run are waited for by the workers. Containers stay as they are.
  void stop();

  const PlanInput& state() const;
  const EngineInfo& engine_info() const;
  bool is_engine_reachable() const;
  std::map<std::string, std::string> image_hashes() const;
  std::map<std::string, std::string> remarks() const;
  std::uint64_t round_count() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::agent
