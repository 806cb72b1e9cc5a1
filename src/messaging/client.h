// messaging/client.h -- an MQTT 3.1.1 client that stays connected.
//
// Reconnects with back-off and jitter, asks for fresh credentials at each attempt, subscribes again, and sends
// unacknowledged QoS 1 publishes again in their order, before newer ones.
// Threads: everything on the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "base/net.h"
#include "base/result.h"

namespace verge::messaging {

/// What the server tells others when this client goes without DISCONNECT. QoS 1.
struct LastWill {
  std::string topic, payload;
  bool is_retained = true;
};

struct ClientOptions {
  ConnectOptions connect;
  std::string websocket_target;  ///< Not empty: MQTT over WebSocket at this path (sub-protocol "mqtt").
  std::string client_id;
  std::string username;
  bool clean_session = false;
  std::optional<LastWill> will{};
  std::uint16_t keep_alive_s = 60;
  std::size_t inflight_max = 256;             ///< QoS 1 publishes on the wire without PUBACK.
  std::size_t queued_max = 10'000;            ///< Publishes waiting, up to 27,232; more are refused with limit.
  std::size_t queued_bytes_max = 64U << 20U;  ///< Of all packets held; more are refused. QoS 0 is dropped beyond it.
  std::size_t packet_bytes_max = 512U << 10U;
  std::chrono::milliseconds retry_delay_min{500};
  std::chrono::milliseconds retry_delay_max{30'000};
};

class Client {
 public:
  struct Handlers {
    /// The password of the next attempt (a SAS token), now or later. An error counts as a failed attempt.
    std::function<void(std::function<void(Result<std::string>)>)> password;
    /// After CONNACK and the renewed subscriptions. session_present as the server said.
    std::function<void(bool session_present)> connected;
    /// Also after a failed attempt. Code invalid_argument: the server refused identity or credentials; else
    /// the connection failed (unavailable, timeout, corrupt, limit). Attempts go on in any case.
    std::function<void(const Error& reason)> disconnected;
    /// A message; for QoS 1 PUBACK follows when the call returns.
    std::function<void(std::string_view topic, std::string_view payload, std::uint8_t qos)> message;
  };

  Client(Loop& loop, ClientOptions options, Handlers handlers);
  /// DISCONNECT and closed, without any call-back.
  ~Client();

  void start();
  /// DISCONNECT, then closed; pending publishes get unavailable. `disconnected` is not called. May start() again.
  void stop();
  /// Between `connected` and `disconnected`.
  bool is_connected() const;
  /// Remembered over reconnects. `done` (may be empty) gets the first SUBACK's verdict: invalid_argument when the
  /// filter is malformed or refused.
  void subscribe(std::string_view filter, std::uint8_t qos, std::function<void(Status)> done = {});
  void unsubscribe(std::string_view filter);
  /// qos 0: sent if connected, else dropped (done gets unavailable). qos 1: done when PUBACK came, however many
  /// reconnects that takes. Errors (then `done` is not called): limit when the queue is full or the packet would
  /// exceed packet_bytes_max, invalid_argument for a malformed topic or qos above 1.
  /// is_retained: the server keeps it for later subscribers; an empty payload makes it forget.
  Status publish(std::string_view topic, std::string_view payload, std::uint8_t qos,
                 std::function<void(Status)> done = {}, bool is_retained = false);
  std::size_t unacknowledged_count() const;
  /// Drops the connection and connects again, with new credentials (before a token ends).
  void reconnect();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::messaging
