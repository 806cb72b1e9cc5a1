// messaging/publish_queue.h -- QoS 1 publishes of one direction, from waiting to acknowledged, in their order.
//
// Packet identifiers follow the order of the publishes, so an acknowledgement finds its publish without a search.
// Source: MQTT 3.1.1, 4.3.2 and 4.6. Threads: by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "messaging/fifo.h"

namespace verge::messaging {

struct PublishQueueLimits {
  std::size_t window = 64;             ///< On the wire at a time, 1..32,768.
  std::size_t waiting_max = 10'000;    ///< Not sent yet, up to 27,232; more are refused.
  std::size_t bytes_max = 16U << 20U;  ///< Of all packets held; more are refused.
  std::size_t packet_bytes_max = 512U << 10U;
  bool repeats = false;  ///< Packets are kept until acknowledged, for rewind().
};

class PublishQueue {
 public:
  using OnDone = std::function<void(Status)>;
  /// Identifiers above this are free for SUBSCRIBE and UNSUBSCRIBE.
  static constexpr std::uint16_t kPacketIdMax = 60'000;

  explicit PublishQueue(const PublishQueueLimits& limits);

  /// Errors: invalid_argument (topic), limit (queue full, packet too large); `done` is dropped then.
  Status push(std::string_view topic, std::string_view payload, OnDone done, bool is_retained = false);
  /// Appends the packets that the window admits now; repeated ones have DUP set.
  void take(std::string& out);
  /// The `done` of a publish that was sent and not yet acknowledged; an empty function otherwise.
  OnDone acknowledge(std::uint16_t packet_id);
  /// A new connection: everything unacknowledged is to be sent again. Needs `repeats`.
  void rewind() { sent_count_ = 0; }
  /// Forgets all; returns every `done` that was not called.
  std::vector<OnDone> clear();

  std::size_t waiting_count() const { return items_.size() - ever_sent_count_; }
  std::size_t unacknowledged_count() const { return items_.size() - acknowledged_count_; }

 private:
  struct Item {
    std::string packet;
    OnDone done;
    bool is_acknowledged = false;
  };
  void drop_acknowledged_front();

  const PublishQueueLimits limits_;
  Fifo<Item> items_;
  std::uint64_t front_sequence_ = 0;    ///< Sequence 0 has identifier 1.
  std::size_t sent_count_ = 0;          ///< From the front: sent on this connection.
  std::size_t ever_sent_count_ = 0;     ///< From the front: sent on any connection.
  std::size_t acknowledged_count_ = 0;  ///< Acknowledged before an older one was.
  std::size_t held_bytes_ = 0;
};

}  // namespace verge::messaging
