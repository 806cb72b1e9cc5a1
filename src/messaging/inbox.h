// messaging/inbox.h -- brings items of any thread to the loop, many with one post.
//
// Threads: put() from any thread, also after close(); the rest on the loop's.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/loop.h"

namespace verge::messaging {

template <class Item>
class Inbox : public std::enable_shared_from_this<Inbox<Item>> {
 public:
  /// `take` runs on the loop with all items put since the last time; it may close the inbox.
  Inbox(Loop& loop, std::function<void(std::vector<Item>&)> take) : loop_(&loop), take_(std::move(take)) {}

  /// Not bounded by itself: its users put one item for each thing that they were given.
  void put(Item item) {
    const std::lock_guard lock(mutex_);
    if (loop_ == nullptr) return;
    items_.push_back(std::move(item));
    if (std::exchange(is_posted_, true)) return;
    // Under the lock, because close() lets the loop go.
    loop_->post([self = this->shared_from_this()] { self->hand_over(); });
  }

  /// What was not taken yet is dropped, and so is everything that comes later.
  void close() {
    std::vector<Item> dropped;
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    dropped.swap(items_);
  }

 private:
  void hand_over() {
    {
      const std::lock_guard lock(mutex_);
      is_posted_ = false;
      if (loop_ == nullptr) return;
      items_.swap(batch_);
    }
    take_(batch_);
    batch_.clear();
  }

  std::mutex mutex_;
  Loop* loop_;
  std::vector<Item> items_;
  bool is_posted_ = false;
  const std::function<void(std::vector<Item>&)> take_;
  std::vector<Item> batch_;  ///< Loop only; the two vectors take turns, so that their memory is used again.
};

}  // namespace verge::messaging
