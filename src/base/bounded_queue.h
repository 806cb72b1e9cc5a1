// base/bounded_queue.h -- a queue between threads with a stated limit and a stated answer when full.
//
// Threads: any number of producers and consumers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace verge {

enum class WhenFull : std::uint8_t {
  wait,         ///< push blocks until there is room or the queue is closed.
  drop_oldest,  ///< push makes room by dropping the front.
  refuse,       ///< push returns false.
};

template <class T>
class BoundedQueue {
 public:
  BoundedQueue(std::size_t items_max, WhenFull when_full) : items_max_(items_max), when_full_(when_full) {}

  /// False when refused or closed. With drop_oldest the dropped count grows instead.
  bool push(T item) {
    std::unique_lock lock(mutex_);
    if (when_full_ == WhenFull::wait) {
      changed_.wait(lock, [&] { return closed_ || items_.size() < items_max_; });
    }
    if (closed_) return false;
    if (items_.size() >= items_max_) {
      ++dropped_count_;
      if (when_full_ == WhenFull::refuse) return false;
      items_.pop_front();
    }
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  /// Waits for an item; nothing once the queue is closed and empty.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return take();
  }
  std::optional<T> pop_within(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return closed_ || !items_.empty(); });
    return take();
  }
  std::optional<T> try_pop() {
    const std::lock_guard lock(mutex_);
    return take();
  }

  /// No more pushes; what is inside can still be popped.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }
  std::uint64_t dropped_count() const {
    const std::lock_guard lock(mutex_);
    return dropped_count_;
  }

 private:
  std::optional<T> take() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  const std::size_t items_max_;
  const WhenFull when_full_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  std::uint64_t dropped_count_ = 0;
  bool closed_ = false;
};

}  // namespace verge
