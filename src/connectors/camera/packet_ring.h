// connectors/camera/packet_ring.h -- the last seconds of a camera as they came: compressed, in order, from a key
// picture on.
//
// Threads: one at a time. A HeldPacket may go to another thread: nobody changes it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "connectors/camera/picture_decoder.h"

namespace verge::connectors {

struct HeldPacket {
  std::shared_ptr<const AVPacket> packet;
  Arrival arrival;
  bool is_key = false;
  std::size_t bytes = 0;
};

class PacketRing {
 public:
  /// Holds at least `seconds` (and up to one group of pictures more), but at most `bytes_max`.
  PacketRing(double seconds, std::size_t bytes_max)
      : span_us_(static_cast<std::int64_t>(seconds * 1e6)), bytes_max_(bytes_max) {}

  void put(HeldPacket packet);
  /// From the last key picture at or before the time on; from the first one that is held when that is later.
  std::vector<HeldPacket> from(std::int64_t monotonic_us) const;
  void clear();
  std::size_t bytes() const { return bytes_; }

 private:
  void drop_group();

  const std::int64_t span_us_;
  const std::size_t bytes_max_;
  std::deque<HeldPacket> packets_;         ///< Begins with a key picture.
  std::deque<std::int64_t> key_times_us_;  ///< Of the key pictures in it.
  std::size_t bytes_ = 0;
};

}  // namespace verge::connectors
