// base/loop_for_tests.h -- runs a loop inside a test, on its own or on a thread beside it.
#pragma once

#include <future>
#include <thread>

#include "base/loop.h"

namespace verge {

/// Runs the loop until `condition` holds; false when it does not within `timeout`.
inline bool run_until(Loop& loop, const std::function<bool()>& condition,
                      std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    loop.run_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A loop on its own thread, for tests that call something blocking.
class LoopThread {
 public:
  LoopThread() : thread_([this] { loop_.run(); }) {}
  ~LoopThread() {
    loop_.stop();
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Loop& loop() { return loop_; }

  /// Calls `act` on the loop's thread and returns what it returns.
  template <class Act>
  auto on_loop(Act act) {
    std::packaged_task<decltype(act())()> task(std::move(act));
    auto result = task.get_future();
    loop_.post([&task] { task(); });
    return result.get();
  }

 private:
  Loop loop_;
  std::thread thread_;
};

}  // namespace verge
