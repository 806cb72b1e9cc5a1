// connectors/live_retry.h -- keeps a live source (a camera, a microphone) connected: tries again for ever, and says so
// once.
//
// A lost, refused or silent one is tried again after kAgainMin, doubling to kAgainMax. Who is refused for the wrong
// password waits kRefusedDelay, because cameras lock out who tries too often. The executor hears of an outage at most
// twice, the log once per reason. Threads: one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"

namespace verge::connectors {

inline constexpr auto kAgainMin = std::chrono::milliseconds(250);
inline constexpr auto kAgainMax = std::chrono::milliseconds(1000);
inline constexpr auto kRefusedDelay = std::chrono::milliseconds(30'000);

/// One connection's view of the source that it works for.
class LiveWatch {
 public:
  virtual ~LiveWatch() = default;
  /// True when the connection has to end: the source stops, or nothing was heard for too long. Cheap; asked while
  /// waiting, at least every 200 ms.
  virtual bool has_to_end() const = 0;
  virtual bool is_stopping() const = 0;
  /// Something came that the other side only sends when it works.
  virtual void hear() = 0;
};

struct LiveRetryOptions {
  std::string sort;    ///< "camera", "microphone": begins messages, and names the part in the log.
  std::string shown;   ///< Which one, without secrets.
  std::string stream;  ///< The source's name.
  std::string again;   ///< What is said when it works again: "pictures come again".
};

class LiveRetry {
 public:
  LiveRetry(LiveRetryOptions options, const Clock& clock, Counter& reconnects)
      : options_(std::move(options)), clock_(clock), reconnects_(reconnects) {}

  /// Calls `attempt` (connects, works, and says why it ended) again and again until should_stop(). `meanwhile` is
  /// called every 50 ms while it waits. Comes back with an error once or twice per outage, so that everybody sees it,
  /// and goes on when called again.
  Status run(const std::function<Status()>& attempt, const std::function<bool()>& should_stop,
             const std::function<void()>& meanwhile = {});

  /// Something came. True for the first on this connection.
  bool note_work();

 private:
  Error attempt_once(const std::function<Status()>& attempt, const std::function<bool()>& should_stop,
                     const std::function<void()>& meanwhile);
  void wait(const std::function<bool()>& should_stop, const std::function<void()>& meanwhile) const;

  const LiveRetryOptions options_;
  const Clock& clock_;
  Counter& reconnects_;
  std::int64_t again_at_us_ = 0;
  std::chrono::milliseconds delay_ = kAgainMin;
  bool works_ = false;  // On this connection.
  int reports_ = 0;
  std::string reported_;
};

}  // namespace verge::connectors
