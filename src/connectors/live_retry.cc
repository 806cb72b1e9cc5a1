#include "connectors/live_retry.h"

#include <algorithm>
#include <thread>

#include "base/log.h"

namespace verge::connectors {
namespace {

constexpr auto kRetryStopCheck = std::chrono::milliseconds(50);
constexpr int kReportsMax = 2;  // Of one outage to the executor, which waits longer after each.

}  // namespace

Status LiveRetry::run(const std::function<Status()>& attempt, const std::function<bool()>& should_stop,
                      const std::function<void()>& meanwhile) {
  while (!should_stop()) {
    Error ending = attempt_once(attempt, should_stop, meanwhile);
    if (should_stop()) break;
    const bool is_new = ending.message != reported_;
    reported_ = ending.message;
    if (is_new && reports_ < kReportsMax) {
      ++reports_;
      return ending;
    }
    if (is_new) log_warning(options_.sort, ending.message, {{"source", options_.stream}});
  }
  return Done{};
}

Error LiveRetry::attempt_once(const std::function<Status()>& attempt, const std::function<bool()>& should_stop,
                              const std::function<void()>& meanwhile) {
  // The executor may have waited a little since the last attempt: that counts.
  wait(should_stop, meanwhile);
  works_ = false;
  Status ended = attempt();
  if (should_stop()) return {};
  Error error = ended ? Error{ErrorCode::unavailable, "it ended the stream"} : std::move(ended).error();
  const bool is_refused = error.code == ErrorCode::invalid_argument;
  if (works_) delay_ = kAgainMin;
  again_at_us_ = clock_.monotonic_us() + 1000 * (is_refused ? kRefusedDelay : delay_).count();
  delay_ = std::min(delay_ * 2, kAgainMax);
  reconnects_.add();
  // Trying again mends what the executor would take for final.
  error.code = error.code == ErrorCode::timeout ? ErrorCode::timeout : ErrorCode::unavailable;
  return std::move(error).within(options_.sort + " " + options_.shown);
}

void LiveRetry::wait(const std::function<bool()>& should_stop, const std::function<void()>& meanwhile) const {
  while (!should_stop() && clock_.monotonic_us() < again_at_us_) {
    std::this_thread::sleep_for(kRetryStopCheck);
    if (meanwhile) meanwhile();
  }
}

bool LiveRetry::note_work() {
  if (works_) return false;
  if (reports_ > 0)
    log_info(options_.sort, options_.again, {{"source", options_.stream}, {options_.sort, options_.shown}});
  works_ = true;
  reports_ = 0;
  reported_.clear();
  return true;
}

}  // namespace verge::connectors
