#include "connectors/camera/packet_ring.h"

#include <algorithm>

namespace verge::connectors {

void PacketRing::put(HeldPacket packet) {
  if (span_us_ <= 0 || (packets_.empty() && !packet.is_key)) return;
  bytes_ += packet.bytes;
  if (packet.is_key) key_times_us_.push_back(packet.arrival.monotonic_us);
  const std::int64_t oldest_us = packet.arrival.monotonic_us - span_us_;
  packets_.push_back(std::move(packet));
  while (key_times_us_.size() > 1 && key_times_us_[1] <= oldest_us) drop_group();
  while (bytes_ > bytes_max_ && !packets_.empty()) drop_group();
}

/// Up to the next key picture.
void PacketRing::drop_group() {
  do {
    bytes_ -= packets_.front().bytes;
    packets_.pop_front();
  } while (!packets_.empty() && !packets_.front().is_key);
  key_times_us_.pop_front();
}

std::vector<HeldPacket> PacketRing::from(std::int64_t monotonic_us) const {
  auto begin = packets_.begin();
  for (auto at = packets_.begin(); at != packets_.end() && at->arrival.monotonic_us <= monotonic_us; ++at) {
    if (at->is_key) begin = at;
  }
  return {begin, packets_.end()};
}

void PacketRing::clear() {
  packets_.clear();
  key_times_us_.clear();
  bytes_ = 0;
}

}  // namespace verge::connectors
