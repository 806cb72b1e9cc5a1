// vision/access/pair_counter.h -- how alike the people of a gallery are, counted on a thread of its own, so that no
// door waits for it.
//
// One list is counted at a time, and one waits: the newest. A list that is out of date is given up before the next
// person is compared, and what was compared stays (PairTable), so a newcomer among n costs n comparisons. The thread
// begins with the first call. Threads: call from anywhere.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "vision/access/false_accept.h"

namespace verge::vision {

class PairCounter {
 public:
  using People = std::shared_ptr<const std::vector<Person>>;

  PairCounter() = default;
  PairCounter(const PairCounter&) = delete;
  PairCounter& operator=(const PairCounter&) = delete;
  ~PairCounter();

  /// The pairs of this list; null while they are not counted, which is begun then. `patience` waits for them. The list
  /// is let go as soon as it is counted or given up.
  std::shared_ptr<const Pairs> count(const People& people,
                                     std::chrono::milliseconds patience = std::chrono::milliseconds(0));

 private:
  void run();

  std::mutex mutex_;  ///< Of what follows, but the thread.
  std::condition_variable changed_;
  People waiting_;                                    ///< The next to be counted.
  std::weak_ptr<const std::vector<Person>> asked_;    ///< Was asked for last.
  std::weak_ptr<const std::vector<Person>> counted_;  ///< Whose pairs these are.
  std::shared_ptr<const Pairs> pairs_;
  bool is_ending_ = false;
  std::thread thread_;
};

}  // namespace verge::vision
