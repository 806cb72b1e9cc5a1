// vision/logic/scene_event.h -- an event about one object of a scene, with everything that the packet and context tell.
//
// Threads: pure function.
#pragma once

#include "contract/event.h"
#include "pipeline/packet.h"
#include "pipeline/stage.h"

namespace verge::vision {

/// A moment of a stream.
struct Moment {
  std::int64_t captured_us = 0, monotonic_us = 0;
};

/// id, sequence and boot_id are left to the sink.
contract::Event scene_event(std::string type, std::string rule, const pipeline::Object& object,
                            const pipeline::Packet& packet, const pipeline::Scene& scene, Moment moment,
                            const pipeline::Context& context);

/// The event as a packet of the same stream.
pipeline::Packet event_packet(const pipeline::Packet& packet, contract::Event event);

/// Where something stands: the middle of the box's lower edge, parts of the picture.
inline std::pair<double, double> foot_point(const contract::Region& box) {
  return {(box.left + box.right) / 2, box.bottom};
}

}  // namespace verge::vision
