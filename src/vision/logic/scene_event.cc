#include "vision/logic/scene_event.h"

namespace verge::vision {

contract::Event scene_event(std::string type, std::string rule, const pipeline::Object& object,
                            const pipeline::Packet& packet, const pipeline::Scene& scene, Moment moment,
                            const pipeline::Context& context) {
  contract::Event event;
  event.type = std::move(type);
  event.family = "vision";
  event.device = context.device;
  event.module = context.module;
  event.stream = packet.stream ? *packet.stream : context.stream;
  event.captured_us = moment.captured_us;
  event.monotonic_us = moment.monotonic_us;
  event.label = object.label;
  event.score = static_cast<double>(object.score);
  event.region = object.box;
  event.track = object.track;
  event.rule = std::move(rule);
  if (scene.model) event.model = *scene.model;
  event.pipeline = context.pipeline_hash;
  return event;
}

pipeline::Packet event_packet(const pipeline::Packet& packet, contract::Event event) {
  pipeline::Packet out = packet;
  out.payload = std::make_shared<const contract::Event>(std::move(event));
  return out;
}

}  // namespace verge::vision
