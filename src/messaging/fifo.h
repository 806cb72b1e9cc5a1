// messaging/fifo.h -- a queue that holds next to no memory while it is empty.
//
// std::deque takes 600 bytes even when empty, three times per idle connection. Not bounded by itself: its users are.
// Threads: a plain value.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace verge::messaging {

template <class T>
class Fifo {
 public:
  bool empty() const { return begin_ == items_.size(); }
  std::size_t size() const { return items_.size() - begin_; }
  /// Index 0 is the front.
  T& operator[](std::size_t index) { return items_[begin_ + index]; }
  const T& operator[](std::size_t index) const { return items_[begin_ + index]; }
  T& front() { return items_[begin_]; }

  void push(T item) { items_.push_back(std::move(item)); }
  T pop() {
    T item = std::move(items_[begin_++]);
    if (empty()) {
      clear();
    } else if (begin_ >= kIdleSlots && begin_ * 2 >= items_.size()) {
      // Half is gone: moving the rest costs no more than the pops that made it so.
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(begin_));
      begin_ = 0;
    }
    return item;
  }
  void clear() {
    begin_ = 0;
    if (items_.capacity() > kIdleSlots) {
      std::vector<T>().swap(items_);
    } else {
      items_.clear();
    }
  }

 private:
  static constexpr std::size_t kIdleSlots = 32;
  std::vector<T> items_;
  std::size_t begin_ = 0;
};

}  // namespace verge::messaging
