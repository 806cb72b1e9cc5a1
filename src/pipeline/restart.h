// pipeline/restart.h -- method `restart` of sources that play something: begin again now.
//
// Answers {"captured_us": n}: nothing captured before that time belongs to the new round.
// Threads: the method runs on the control thread; is_due() and take() on the source's.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/json.h"
#include "base/time.h"
#include "pipeline/stage.h"

namespace verge::pipeline {

class Restart {
 public:
  explicit Restart(const Clock& clock) : clock_(clock) {}

  /// Offers the method; `this` outlives the context's pipeline.
  void offer(const Context& context) {
    if (!context.add_method) return;
    context.add_method("restart", [this](const Json& parameters) {
      if (parameters.value("describe", false)) {
        return MethodReply{200, Json{{"title", "Play from the beginning"}, {"parameters", Json::array()}}};
      }
      const std::int64_t at_us = clock_.now_us() + kDelayUs;
      at_us_ = at_us;
      return MethodReply{200, Json{{"captured_us", at_us}}};
    });
  }

  bool is_due() const {
    const std::int64_t at_us = at_us_;
    return at_us != 0 && clock_.now_us() >= at_us;
  }
  /// True once when it is due.
  bool take() {
    if (!is_due()) return false;
    at_us_ = 0;
    return true;
  }

 private:
  static constexpr std::int64_t kDelayUs = 200'000;  ///< What is under way gets through before.

  const Clock& clock_;
  std::atomic<std::int64_t> at_us_{0};
};

}  // namespace verge::pipeline
