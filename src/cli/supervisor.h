// cli/supervisor.h -- keeps engine service, hub and agent of one machine running.
//
// The supervisor's own state is one file (supervisor.json: pid and start time of itself and of each child), so that a
// new supervisor adopts what an old one left running, and `verge down` ends exactly what was started and nothing else.
// Threads: run() owns the calling thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/json_fwd.h"
#include "base/process.h"
#include "base/result.h"
#include "cli/home.h"

namespace verge::cli {

/// One program to keep running.
struct ChildSpec {
  std::string name;  ///< "engine", "hub" or "agent".
  ProcessOptions process;
  std::filesystem::path waits_for;  ///< Started only once this file exists; empty: at once.
};

/// A process named for good: the pid alone could be somebody else's by now.
struct ProcessMark {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  bool is_alive() const { return pid > 0 && verge::is_alive(pid, start_ticks); }
};

struct SupervisorState {
  ProcessMark supervisor;
  std::map<std::string, ProcessMark> children;
  std::map<std::string, std::uint64_t> restarts;
  /// The supervisor or one of the children lives.
  bool is_anything_alive() const;
};
/// Empty state when there is no file. Errors: corrupt.
Result<SupervisorState> load_supervisor_state(const Home& home);

/// Back-off between restarts of one child: 0.2 s, doubled up to 10 s, reset after a minute of running.
std::chrono::milliseconds restart_delay(std::uint64_t restarts_in_a_row);

/// Starts and restarts the children until SIGTERM or SIGINT, then returns and leaves them running.
/// Errors: conflict when another supervisor of this home is alive.
Status run_supervisor(const Home& home, const std::vector<ChildSpec>& children);

/// Ends one marked process: SIGTERM, up to `grace`, then SIGKILL. True when it was alive.
bool end_process(const ProcessMark& mark, std::chrono::milliseconds grace = std::chrono::seconds(10));

}  // namespace verge::cli
