#include "connectors/event_queue.h"

#include <algorithm>

namespace verge::connectors {

void EventQueue::push(OutgoingEvent event) {
  if (events_.size() >= events_max_) {
    auto victim = std::ranges::find_if(events_, [](const OutgoingEvent& e) { return e.event.severity == "info"; });
    if (victim == events_.end()) victim = events_.begin();
    if (victim != events_.end()) events_.erase(victim);
    ++dropped_;
  }
  events_.push_back(std::move(event));
}

std::optional<OutgoingEvent> EventQueue::pop() {
  if (events_.empty()) return std::nullopt;
  OutgoingEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace verge::connectors
