// base/process.h -- child processes and paths of the running program.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"

namespace verge {

struct ProcessOptions {
  std::vector<std::string> arguments{};              ///< arguments[0] is the program (looked up in PATH).
  std::map<std::string, std::string> environment{};  ///< Added to ours.
  std::filesystem::path folder{};                    ///< Working folder; empty: ours.
  std::filesystem::path log_file{};                  ///< Standard output and error are appended there; empty: ours.
  bool own_session = false;                          ///< setsid: outlives our terminal.
};

/// Starts and does not wait. Errors: not_found when there is no such program.
Result<pid_t> start_process(const ProcessOptions& options);

struct ProcessOutput {
  int exit_code = 0;     ///< 128 + signal when killed.
  std::string output{};  ///< Standard output and error together, at most 1 MiB.
};
/// Starts, waits, collects. Errors: not_found, timeout (the child is killed).
Result<ProcessOutput> run_process(ProcessOptions options, std::chrono::milliseconds timeout);

/// True while a process with this pid exists, is not a zombie, and (if start_ticks is not 0) is the same one.
bool is_alive(pid_t pid, std::uint64_t start_ticks = 0);
/// The start time of a process in clock ticks since boot (/proc/PID/stat field 22); 0 when it is gone.
/// Together with the pid it names a process for good.
std::uint64_t process_start_ticks(pid_t pid);

/// The folder that holds the running program.
std::filesystem::path program_folder();

}  // namespace verge
