// base/loop.h -- the event loop of a program: timers, posted work, and (net.h, http_server.h) sockets.
//
// One loop per program decides; workers compute and post their results here.
// Threads: run() on one thread. post() and stop() from any thread; all else from the loop's
// thread or before run().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/time.h"

namespace verge {

class Loop {
 public:
  using TimerId = std::uint64_t;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Runs until stop(). Work posted after stop() is dropped with the loop.
  void run();
  /// Runs for at most `duration`, for tests; returns early on stop().
  void run_for(std::chrono::milliseconds duration);
  void stop();
  void post(std::function<void()> work);
  bool is_loop_thread() const;

  /// Calls `work` once, after `delay`.
  TimerId after(std::chrono::milliseconds delay, std::function<void()> work);
  /// Calls `work` every `period`, first after one period; a late call does not make up for missed ones.
  TimerId every(std::chrono::milliseconds period, std::function<void()> work);
  /// No effect on an id that ran or never was.
  void cancel(TimerId id);

  /// Calls `work` when SIGINT, SIGTERM or SIGHUP arrives.
  void on_signal(std::function<void(int signal)> work);

  struct Impl;  ///< Asio's io_context, seen only inside base.
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// A fixed set of threads for work that computes or blocks (engine calls, hashing, inference).
/// Threads: submit from anywhere; the destructor waits for what runs and drops what waits.
class Workers {
 public:
  /// jobs_max bounds the waiting jobs; submit() beyond it returns limit.
  Workers(std::size_t threads, std::size_t jobs_max);
  ~Workers();
  Status submit(std::function<void()> job);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge
