// agent/agent.h -- the whole agent: connects engine, reconciler, router, outbox and hub.
//
// Starts from what HOME/state holds, without waiting for hub or engine; both may come and go. Containers outlive the
// agent: the next one adopts them by their labels.
// Threads: construct, start and stop on the loop's thread.
#pragma once

#include <functional>
#include <memory>

#include "agent/engine/container_engine.h"
#include "agent/settings.h"
#include "base/disk.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/time.h"

namespace verge::agent {

/// What comes from outside; all live longer than the agent.
struct AgentSurroundings {
  Loop& loop;
  ContainerEngine& engine;
  Disk& disk;
  const Clock& clock;
  std::function<bool(std::int64_t pid)> is_process_alive;
  std::string version;  ///< Of this program, for the report.
};

class Agent {
 public:
  Agent(AgentSurroundings surroundings, Settings settings);
  ~Agent();

  /// Errors: those of the outbox, of the listening sockets, and conflict when another agent uses this HOME.
  Status start();
  /// Says so to the hub (at most 2 s), writes positions; `done` on the loop. Modules keep running.
  void stop(std::function<void()> done);
  /// Prometheus text.
  std::string metrics_text() const;
  std::uint16_t router_mqtt_port() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Removes this agent's containers, network and sockets; messages and identities stay. Errors: conflict while an
/// agent runs in HOME.
Status remove_all(ContainerEngine& engine, const Settings& settings);

/// Held by one process per HOME; released by the kernel when the process ends, however it ends.
class HomeLock {
 public:
  /// Errors: conflict.
  static Result<HomeLock> take(const std::filesystem::path& home);
  HomeLock(HomeLock&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  HomeLock& operator=(HomeLock&&) = delete;
  ~HomeLock();

 private:
  explicit HomeLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace verge::agent
