// pipeline/stillness.h -- what the stages at a source tell it: nothing moves, and until when they can wait.
//
// Stages work behind their source and cannot speak to it; this is the way back. A source that knows that nobody needs
// every packet may leave out work: a camera decodes key pictures only. It may when all who take its packets say so.
// A stage or sink that says nothing needs every packet, so a source that feeds one of those never rests.
// Threads: any.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/guarded.h"

namespace verge::pipeline {

/// Times are monotonic, microseconds.
struct StillWord {
  bool is_still = false;       ///< Nothing moves, and not only just now.
  std::int64_t judged_us = 0;  ///< Of the newest packet that was looked at.
  /// While it is still, a packet of that time at the latest is needed; then a new word follows.
  std::int64_t needed_by_us = std::numeric_limits<std::int64_t>::max();
};

class Stillness {
 public:
  /// Who takes the source's packets, by names that say() uses. Nothing is still before.
  void set_takers(const std::vector<std::string>& names) {
    words_.with([&](auto& words) {
      words.clear();
      for (const std::string& name : names) words.emplace(name, StillWord{});
    });
  }
  /// The newest word of one of the takers; of anybody else it means nothing.
  void say(const std::string& taker, const StillWord& word) {
    words_.with([&](auto& words) {
      if (const auto at = words.find(taker); at != words.end()) at->second = word;
    });
  }
  /// Of all together: still when all are, judged as far as the slowest has looked, needed when the first needs it.
  StillWord word() const {
    return words_.with([](const auto& words) {
      if (words.empty()) return StillWord{};
      StillWord all{true, std::numeric_limits<std::int64_t>::max()};
      for (const auto& [taker, word] : words) {
        all.is_still = all.is_still && word.is_still;
        all.judged_us = std::min(all.judged_us, word.judged_us);
        all.needed_by_us = std::min(all.needed_by_us, word.needed_by_us);
      }
      return all;
    });
  }

 private:
  Guarded<std::map<std::string, StillWord>> words_;
};

}  // namespace verge::pipeline
