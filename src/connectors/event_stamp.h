// connectors/event_stamp.h -- numbers events as they leave the module and gives them their ids.
//
// Threads: an EventStamp is used by one thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "contract/event.h"

namespace verge::connectors {

class EventStamp {
 public:
  EventStamp(std::string device, std::string module, const Clock& clock);
  /// Sets sequence (from 1), boot_id, id, and device and module where they are empty. The id is a name-based UUID of
  /// device, module, boot, time of this start and sequence: the same event always has the same id.
  void stamp(contract::Event& event);

 private:
  std::string device_, module_, boot_, seed_;
  std::uint64_t last_sequence_ = 0;
};

}  // namespace verge::connectors
