// messaging/endpoint_session.h -- one client of an Endpoint: its packets, its flow control, its end.
//
// Inside messaging only; owners see Session.
// Threads: everything on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "messaging/endpoint.h"
#include "messaging/fifo.h"
#include "messaging/inbox.h"
#include "messaging/packets.h"
#include "messaging/publish_queue.h"

namespace verge::messaging {

class EndpointSession;

/// An owner's answer to a publish. The sequence counts the QoS 1 publishes of the session.
struct Acknowledgement {
  std::shared_ptr<EndpointSession> session;
  std::uint64_t sequence = 0;
  Status status = Done{};
};

/// An owner's answer to a CONNECT.
struct Verdict {
  std::shared_ptr<EndpointSession> session;
  ConnectCode code = ConnectCode::unavailable;
  std::string identity;
};

/// What the sessions of one endpoint share. Sessions in `accepted` keep it alive, and it them, until they finish.
struct EndpointCore {
  EndpointCore(Loop& loop_used, Endpoint::Options options_used, Endpoint::Handlers handlers_used)
      : loop(loop_used), options(options_used), handlers(std::move(handlers_used)) {}

  Loop& loop;
  const Endpoint::Options options;
  const Endpoint::Handlers handlers;
  std::unordered_map<const EndpointSession*, std::shared_ptr<EndpointSession>> accepted;
  std::map<std::string, EndpointSession*, std::less<>> by_identity;  ///< Open sessions with an identity.
  std::shared_ptr<Inbox<Acknowledgement>> acknowledgements;
  std::shared_ptr<Inbox<Verdict>> verdicts;
  bool is_closed = false;
  bool is_silent = false;  ///< The endpoint is being destroyed: no call-back any more.
  std::string scratch;     ///< For packets on their way out; saves an allocation per packet.
};

class EndpointSession final : public Session {
 public:
  EndpointSession(std::shared_ptr<EndpointCore> core, ConnectionPointer connection, std::uint16_t local_port);

  const ConnectRequest& request() const override { return request_; }
  const std::string& identity() const override { return identity_; }
  void set_identity(std::string identity) override;
  bool is_open() const override { return state_ == State::open; }
  bool is_subscribed(std::string_view topic) const override;
  std::vector<std::string> subscriptions() const override;
  Status deliver(std::string_view topic, std::string_view payload, std::uint8_t qos,
                 std::function<void(Status)> done) override;
  std::size_t queued_count() const override { return outgoing_.waiting_count(); }
  void close(std::string_view reason) override;

  void start();
  void apply(Verdict& verdict);
  /// Takes acknowledgements of this session in one go, then sends the PUBACKs that are due.
  void apply(Acknowledgement* begin, Acknowledgement* end);
  /// Ends the session now, with its call-backs. No effect the second time.
  void finish(bool is_clean, std::string_view reason);

 private:
  enum class State : std::uint8_t {
    greeting,        ///< Waiting for CONNECT.
    authenticating,  ///< Waiting for the owner's verdict.
    open,
    closing,  ///< Closed by the owner; finish() is on its way.
    finished,
  };
  struct Granted {
    std::string filter;
    std::uint8_t qos = 0;
  };
  /// A QoS 1 publish that the owner has not acknowledged, or an older one still holds back.
  struct Incoming {
    std::uint16_t packet_id = 0;
    bool is_acknowledged = false;
    std::size_t bytes = 0;
  };

  std::shared_ptr<EndpointSession> self();
  void expect_connect_in_time();
  void expect_packets_in_time();
  void check_keep_alive();

  void on_bytes(std::string_view bytes);
  void read(std::string_view bytes);
  PacketReader::Next take(const Frame& frame);
  Status handle(const Frame& frame);
  Status on_connect(const Frame& frame);
  Status refuse(ConnectCode code, std::string_view why);
  void open_as(const std::string& identity);
  Status on_publish(const Frame& frame);
  Status hand_over(const PublishIn& publish, std::uint16_t packet_id);
  bool is_in_flight(std::uint16_t packet_id) const;
  Status on_puback(const Frame& frame);
  Status on_subscribe(const Frame& frame);
  Result<std::uint8_t> judge(const Subscription& wanted);
  void grant(std::string_view filter, std::uint8_t qos);
  Status on_unsubscribe(const Frame& frame);

  bool must_pause() const;
  void resume();
  std::uint8_t granted_qos(std::string_view topic, std::uint8_t qos) const;
  void send(std::string_view bytes);
  void send_waiting();
  void send_connack(ConnectCode code, bool session_present);
  void leave_identity();
  void drop_connection();

  const std::shared_ptr<EndpointCore> core_;
  ConnectionPointer connection_;
  ConnectRequest request_;
  std::string identity_;
  PacketReader reader_;
  PublishQueue outgoing_;
  Fifo<Incoming> incoming_;
  std::uint64_t incoming_sequence_ = 0;  ///< Of the front of incoming_.
  std::size_t incoming_bytes_ = 0;
  std::vector<Granted> granted_;
  std::int64_t heard_us_ = 0;
  std::int64_t silence_us_max_ = 0;  ///< 0: no limit.
  Loop::TimerId timer_ = 0;
  bool has_timer_ = false;
  bool is_paused_ = false;
  bool was_connected_ = false;  ///< The owner knows about it.
  State state_ = State::greeting;
};

}  // namespace verge::messaging
