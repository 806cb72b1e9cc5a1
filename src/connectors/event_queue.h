// connectors/event_queue.h -- events that wait for the connection: bounded, and the unimportant ones go first.
//
// Threads: used by one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "contract/event.h"

namespace verge::connectors {

struct OutgoingEvent {
  std::string output;
  contract::Event event;
};

class EventQueue {
 public:
  explicit EventQueue(std::size_t events_max) : events_max_(events_max) {}
  /// When full, the oldest event of severity "info" goes; if there is none, the oldest.
  void push(OutgoingEvent event);
  std::optional<OutgoingEvent> pop();
  std::size_t size() const { return events_.size(); }
  std::uint64_t dropped_count() const { return dropped_; }

 private:
  std::size_t events_max_;
  std::deque<OutgoingEvent> events_;
  std::uint64_t dropped_ = 0;
};

}  // namespace verge::connectors
