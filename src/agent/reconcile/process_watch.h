// agent/reconcile/process_watch.h -- tells at once when a process ends, whatever the container engine believes.
//
// Source: pidfd_open(2), Linux 5.3; on older kernels nothing is watched and the reconciler's period has to do.
// Threads: call from anywhere; `ended` comes from an own thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>

namespace verge::agent {

class ProcessWatch {
 public:
  explicit ProcessWatch(std::function<void(std::int64_t pid)> ended);
  ~ProcessWatch();
  /// From now on exactly these. A pid that is not there counts as ended, once. At most 1024 are watched.
  void set(const std::set<std::int64_t>& pids);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge::agent
