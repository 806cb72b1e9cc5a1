// connectors/home/broker_link.h -- a connection to a user's MQTT broker that stays up, with bounded queues.
//
// Says "online" on the topic `available` (retained) while it is connected; the broker says "offline" there when this
// program dies, and stop() does. All states are sent again after each connection. At most in_flight_max publishes wait
// for the broker's acknowledgement; what waits behind them is bounded by Outgoing. A user or password that the broker
// refuses is told once, without them, and tried again with back-off.
// Threads: the loop runs on a thread of its own, on which the handlers are called; everything else from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/net.h"
#include "base/time.h"
#include "connectors/home/broker_url.h"
#include "connectors/home/outgoing.h"

namespace verge::connectors {

struct BrokerLinkOptions {
  BrokerUrl broker;
  TlsPointer tls;         ///< Null: plain.
  std::string client_id;  ///< Of its own at this broker, or two programs throw each other out.
  std::string available;  ///< Topic.
  std::string filter;     ///< What to hear; empty: nothing.
  OutgoingLimits limits{};
  std::size_t in_flight_max = 16;
  std::size_t packet_bytes_max = 4U << 20U;   ///< A larger publish is dropped and counted.
  std::chrono::milliseconds stop_max{2'000};  ///< For what waits, before the connection ends.
  std::chrono::milliseconds retry_delay_min{500}, retry_delay_max{30'000};
};

class BrokerLink {
 public:
  struct Handlers {
    /// What came on `filter`.
    std::function<void(std::string_view topic, std::string_view payload)> heard;
    /// Once a second.
    std::function<void()> tick;
  };

  BrokerLink(BrokerLinkOptions options, const Clock& clock, Metrics& metrics, Handlers handlers);
  ~BrokerLink();  ///< Stops.
  BrokerLink(const BrokerLink&) = delete;
  BrokerLink& operator=(const BrokerLink&) = delete;

  void start();
  /// Sends what waits, "offline" last, for at most stop_max. Not on the link's own thread.
  void stop();

  /// The broker keeps it for later readers; only the newest counts. Empty: the topic is forgotten.
  void set_state(const std::string& topic, std::string payload);
  /// Sent once; see Outgoing.
  void send(std::string topic, std::string payload);
  bool is_connected() const;
  /// Why it is not connected; Done while it is, or before the first attempt ended.
  Status state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge::connectors
