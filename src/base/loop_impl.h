// base/loop_impl.h -- what is behind Loop; only base's socket files include this.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/loop.h"

namespace verge {

struct Loop::Impl {
  struct Timer {
    boost::asio::steady_timer timer;
    std::function<void()> work;
    std::chrono::milliseconds period{0};  // 0: once
  };

  ~Impl() {
    // Work that is dropped with the context may call cancel() or post() from its destructors:
    // these find is_ending and the (empty) map, which therefore come before the context.
    is_ending = true;
    const auto dropped = std::exchange(timers, {});
  }

  void arm(TimerId id);
  void fire(TimerId id);

  bool is_ending = false;
  std::unordered_map<TimerId, std::unique_ptr<Timer>> timers;
  TimerId last_timer = 0;
  std::atomic<std::thread::id> thread;
  // Shared by all connections: they read when there is something, so an idle one needs no buffer.
  std::array<char, 65536> read_buffer{};
  std::string plain_buffer;

  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{io.get_executor()};
  std::unique_ptr<boost::asio::signal_set> signals;
  std::function<void(int)> on_signal;
};

}  // namespace verge
