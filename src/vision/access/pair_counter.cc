#include "vision/access/pair_counter.h"

#include <utility>

namespace verge::vision {

PairCounter::~PairCounter() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const Pairs> PairCounter::count(const People& people, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const auto is_counted = [&] { return counted_.lock() == people; };
  if (is_counted()) return pairs_;
  if (asked_.lock() != people) {
    asked_ = waiting_ = people;
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    changed_.notify_all();
  }
  return changed_.wait_for(lock, patience, is_counted) ? pairs_ : nullptr;
}

void PairCounter::run() {
  PairTable table;
  for (;;) {
    People people;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return is_ending_ || waiting_ != nullptr; });
      if (is_ending_) return;
      people = std::exchange(waiting_, nullptr);
    }
    const bool is_whole = table.update(*people, [&] {
      const std::lock_guard lock(mutex_);
      return is_ending_ || waiting_ != nullptr;
    });
    if (!is_whole) continue;
    auto pairs = std::make_shared<const Pairs>(table.pairs());
    {
      const std::lock_guard lock(mutex_);
      counted_ = people;
      pairs_ = std::move(pairs);
    }
    people.reset();
    changed_.notify_all();
  }
}

}  // namespace verge::vision
