// messaging/endpoint.h -- an MQTT 3.1.1 server endpoint: sessions and packets; who may do what is the owner's decision.
//
// Used by the hub (closed topic set per identity) and by the agent's router (Azure's topics plus a small
// tree of plain topics). It is not a broker: it routes nothing by itself. What a client publishes goes to
// Handlers::publish; what a client gets is what the owner delivers to its session.
//
// Source: OASIS MQTT 3.1.1. QoS 2 publishes close the connection, QoS 2 subscriptions are granted QoS 1,
// as Azure does.
// Threads: everything on the loop's thread, except Acknowledge and the reply of authenticate: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "base/net.h"
#include "base/result.h"

namespace verge::messaging {

/// What a CONNECT packet says.
struct ConnectRequest {
  std::string client_id;
  std::string username;
  std::string password;
  bool clean_session = true;
  std::uint16_t keep_alive_s = 0;
  bool has_will = false;
  std::string will_topic, will_payload;
  std::uint8_t will_qos = 0;
  bool will_is_retained = false;
  Peer peer;
  std::uint16_t local_port = 0;
};

enum class ConnectCode : std::uint8_t {
  accepted = 0,
  bad_protocol = 1,
  bad_client_id = 2,
  unavailable = 3,
  bad_credentials = 4,
  not_authorized = 5,
};

struct EndpointLimits {
  /// A larger packet closes the connection; Azure's message bound is 256 KiB plus its topic.
  std::size_t packet_bytes_max = 512U << 10U;
  std::size_t topic_bytes_max = 16U << 10U;
  /// Unacknowledged QoS 1 publishes taken from one client before we stop reading from it; we go on at half of it.
  std::size_t inflight_max = 4096;
  std::size_t inflight_bytes_max = 8U << 20U;  ///< The same in bytes, exceeded by at most one message.
  /// QoS 1 messages sent to one client and not yet acknowledged; more wait in its queue.
  std::size_t delivery_window = 64;
  std::size_t queued_max = 10'000;  ///< Waiting deliveries of one session; more are refused (deliver returns limit).
  /// A client that does not read is closed beyond this; also bounds the waiting deliveries.
  std::size_t unsent_bytes_max = 16U << 20U;
  std::size_t subscriptions_max = 64;  ///< Of one session; more are refused.
  /// Azure drops at 1.5 times this at the latest (1767 s). Also for clients that ask for none.
  std::uint16_t keep_alive_s_max = 1177;
  std::chrono::milliseconds connect_timeout{30'000};  ///< From accept to CONNACK.
};

struct PublishIn {
  std::string_view topic;    ///< Valid during the call.
  std::string_view payload;  ///< Valid during the call.
  std::uint8_t qos = 0;
  bool retain = false;
  bool duplicate = false;
};

/// One connected client. The shared pointer may be kept; after `closed` its calls have no effect.
class Session : public std::enable_shared_from_this<Session> {
 public:
  virtual ~Session() = default;
  virtual const ConnectRequest& request() const = 0;
  /// The owner's tag, for example the authenticated identity: "device" or "device/module".
  virtual const std::string& identity() const = 0;
  virtual void set_identity(std::string identity) = 0;
  virtual bool is_open() const = 0;
  virtual bool is_subscribed(std::string_view topic) const = 0;
  virtual std::vector<std::string> subscriptions() const = 0;
  /// Sends a message. With qos 1 `done` is called once: Done when the client acknowledged it, unavailable
  /// when the connection ended first. With qos 0 `done` is called before deliver returns. MQTT lowers qos to what
  /// the client's matching subscription was granted; it stays as given when none matches.
  /// Errors (then `done` is not called): limit when the session's queue is full or the packet would exceed
  /// packet_bytes_max, invalid_argument for a topic with wildcards, unavailable after `closed`.
  virtual Status deliver(std::string_view topic, std::string_view payload, std::uint8_t qos,
                         std::function<void(Status)> done = {}) = 0;
  virtual std::size_t queued_count() const = 0;
  /// MQTT 3.1.1 has no error reply: closing is how a server says no. Handlers::closed follows in a later turn of the
  /// loop.
  virtual void close(std::string_view reason) = 0;
};
using SessionPointer = std::shared_ptr<Session>;

/// Call it when what was published is durable; then PUBACK is sent. With an error the connection is closed
/// without PUBACK, so that the client sends the message again. Any thread, once. QoS 0: no effect, still call it.
using Acknowledge = std::function<void(Status)>;

class Endpoint {
 public:
  struct Handlers {
    /// Decides on a connection, now or later (any thread), once. `identity` becomes Session::identity(); sessions
    /// with an empty one do not displace each other and find() does not know them. The request is valid during the
    /// call.
    std::function<void(const ConnectRequest&, std::function<void(ConnectCode, std::string identity)>)> authenticate;
    /// Optional, asked for clients without clean session: CONNACK's "session present". False without it.
    std::function<bool(std::string_view identity)> has_session;
    /// After CONNACK. An older session of the same identity is closed first.
    std::function<void(const SessionPointer&)> connected;
    /// True grants; false closes the connection when the owner's protocol says so, else SUBACK 0x80.
    std::function<bool(const SessionPointer&, std::string_view filter, std::uint8_t qos)> may_subscribe;
    /// After SUBACK: deliver what waits for this filter.
    std::function<void(const SessionPointer&, std::string_view filter)> subscribed;
    std::function<void(const SessionPointer&, std::string_view filter)> unsubscribed;
    /// A publish. What a client sends again with DUP while the first is not acknowledged does not come twice. PUBACKs
    /// leave in the order of the publishes, so one that is not acknowledged holds back those behind it. Return an error
    /// to close the connection at once (unauthorised or malformed topic).
    std::function<Status(const SessionPointer&, const PublishIn&, Acknowledge)> publish;
    /// `clean` after a DISCONNECT packet; otherwise the will (if any) is due.
    std::function<void(const SessionPointer&, bool clean, std::string_view reason)> closed;
  };

  struct Options {
    EndpointLimits limits;
    bool closes_on_refused_subscription = true;  ///< Azure's hub closes; a broker answers 0x80.
  };

  Endpoint(Loop& loop, Options options, Handlers handlers);
  /// Closes all without any call-back. Not inside one of the handlers.
  ~Endpoint();

  /// Takes over an accepted byte stream (from listen_tcp, or as_connection of a WebSocket).
  void accept(ConnectionPointer connection, std::uint16_t local_port = 0);
  /// The open session of an identity, or null.
  SessionPointer find(std::string_view identity) const;
  std::vector<SessionPointer> sessions() const;
  std::size_t session_count() const;
  /// Closes all sessions, with Handlers::closed before it returns, and stops accepting.
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// MQTT's filter match: + for one level, # for the rest; neither matches a first level that begins with $.
bool topic_matches(std::string_view filter, std::string_view topic);

}  // namespace verge::messaging
