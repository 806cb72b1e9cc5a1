#include "messaging/endpoint_session.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/time.h"

namespace verge::messaging {
namespace {

constexpr std::int64_t kUsPerMs = 1'000;
/// 1.5 times the keep-alive (MQTT-3.1.2-24).
constexpr std::int64_t kSilenceUsPerKeepAliveS = 1'500'000;

Error violation(std::string what) { return Error{ErrorCode::corrupt, std::move(what)}; }

PublishQueueLimits queue_limits(const EndpointLimits& limits) {
  return {.window = limits.delivery_window,
          .waiting_max = limits.queued_max,
          .bytes_max = limits.unsent_bytes_max,
          .packet_bytes_max = limits.packet_bytes_max,
          .repeats = false};
}

}  // namespace

EndpointSession::EndpointSession(std::shared_ptr<EndpointCore> core, ConnectionPointer connection,
                                 std::uint16_t local_port)
    : core_(std::move(core)),
      connection_(std::move(connection)),
      reader_(core_->options.limits.packet_bytes_max),
      outgoing_(queue_limits(core_->options.limits)) {
  request_.peer = connection_->peer();
  request_.local_port = local_port;
}

std::shared_ptr<EndpointSession> EndpointSession::self() {
  return std::static_pointer_cast<EndpointSession>(shared_from_this());
}

// ---------------------------------------------------------------- the connection's side

void EndpointSession::start() {
  expect_connect_in_time();
  const std::weak_ptr<EndpointSession> weak = self();
  Connection::Handler handler;
  handler.bytes = [weak](std::string_view bytes) {
    if (const auto session = weak.lock()) session->on_bytes(bytes);
  };
  handler.closed = [weak](const Error& reason) {
    if (const auto session = weak.lock()) session->finish(false, reason.message);
  };
  const ConnectionPointer connection = connection_;
  connection->start(std::move(handler));
}

void EndpointSession::expect_connect_in_time() {
  const std::weak_ptr<EndpointSession> weak = self();
  timer_ = core_->loop.after(core_->options.limits.connect_timeout, [weak] {
    const auto session = weak.lock();
    if (!session) return;
    session->has_timer_ = false;
    session->finish(false, "no accepted CONNECT in time");
  });
  has_timer_ = true;
}

void EndpointSession::expect_packets_in_time() {
  if (has_timer_) core_->loop.cancel(timer_);
  has_timer_ = false;
  const auto most = static_cast<std::int64_t>(core_->options.limits.keep_alive_s_max);
  const auto asked = static_cast<std::int64_t>(request_.keep_alive_s);
  // A client that asks for no limit gets ours: a dead peer must not hold a session for ever.
  const std::int64_t keep_alive_s = asked == 0 || (most > 0 && asked > most) ? most : asked;
  silence_us_max_ = keep_alive_s * kSilenceUsPerKeepAliveS;
  heard_us_ = system_clock().monotonic_us();
  if (silence_us_max_ > 0) check_keep_alive();
}

/// One timer that runs to the earliest possible end and then looks again; so a packet costs no timer.
void EndpointSession::check_keep_alive() {
  has_timer_ = false;
  if (state_ != State::open) return;
  const std::int64_t now_us = system_clock().monotonic_us();
  if (is_paused_) heard_us_ = now_us;  // It is us who do not listen.
  const std::int64_t rest_us = heard_us_ + silence_us_max_ - now_us;
  if (rest_us <= 0) {
    finish(false, "nothing heard for 1.5 times the keep-alive of " + std::to_string(request_.keep_alive_s) + " s");
    return;
  }
  const std::weak_ptr<EndpointSession> weak = self();
  timer_ = core_->loop.after(std::chrono::milliseconds(rest_us / kUsPerMs + 1), [weak] {
    if (const auto session = weak.lock()) session->check_keep_alive();
  });
  has_timer_ = true;
}

void EndpointSession::on_bytes(std::string_view bytes) {
  heard_us_ = system_clock().monotonic_us();
  read(bytes);
}

void EndpointSession::read(std::string_view bytes) {
  if (state_ == State::closing || state_ == State::finished) return;
  const Status status = reader_.read(bytes, [this](const Frame& frame) { return take(frame); });
  if (!status) finish(false, status.error().message);
  if (!connection_ || is_paused_ == must_pause()) return;
  is_paused_ = !is_paused_;
  connection_->pause_reading(is_paused_);
}

PacketReader::Next EndpointSession::take(const Frame& frame) {
  if (const Status status = handle(frame); !status) finish(false, status.error().message);
  const bool is_ended = state_ == State::closing || state_ == State::finished;
  return is_ended || must_pause() ? PacketReader::Next::stop : PacketReader::Next::go_on;
}

Status EndpointSession::handle(const Frame& frame) {
  const bool is_connect = frame.type == PacketType::connect;
  if (state_ == State::greeting && !is_connect) {
    return violation(std::string(name_of(frame.type)) + " before CONNECT");
  }
  switch (frame.type) {
    case PacketType::connect:
      return on_connect(frame);
    case PacketType::publish:
      return on_publish(frame);
    case PacketType::puback:
      return on_puback(frame);
    case PacketType::subscribe:
      return on_subscribe(frame);
    case PacketType::unsubscribe:
      return on_unsubscribe(frame);
    case PacketType::pingreq:
      VERGE_CHECK(decode_empty(frame));
      core_->scratch.clear();
      append_empty(core_->scratch, PacketType::pingresp);
      send(core_->scratch);
      return Done{};
    case PacketType::disconnect:
      VERGE_CHECK(decode_empty(frame));
      finish(true, "DISCONNECT");
      return Done{};
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
      return violation(std::string(name_of(frame.type)) + ": QoS 2 is not supported");
    default:
      return violation(std::string(name_of(frame.type)) + " from a client");
  }
}

// ---------------------------------------------------------------- CONNECT

Status EndpointSession::on_connect(const Frame& frame) {
  if (state_ != State::greeting) return violation("a second CONNECT");
  VERGE_TRY(const ConnectPacket packet, decode_connect(frame));
  if (!packet.is_supported()) return refuse(ConnectCode::bad_protocol, "not MQTT 3.1.1");
  if (packet.client_id.empty() && !packet.clean_session) {
    return refuse(ConnectCode::bad_client_id, "an empty client id needs a clean session");
  }
  request_.client_id = packet.client_id;
  request_.username = packet.username.value_or("");
  request_.password = packet.password.value_or("");
  request_.clean_session = packet.clean_session;
  request_.keep_alive_s = packet.keep_alive_s;
  if (packet.will) {
    request_.has_will = true;
    request_.will_topic = packet.will->topic;
    request_.will_payload = packet.will->payload;
    request_.will_qos = packet.will->qos;
    request_.will_is_retained = packet.will->retain;
  }
  state_ = State::authenticating;
  core_->handlers.authenticate(request_, [session = self()](ConnectCode code, std::string identity) {
    session->core_->verdicts->put({session, code, std::move(identity)});
  });
  return Done{};
}

Status EndpointSession::refuse(ConnectCode code, std::string_view why) {
  send_connack(code, false);
  return Error{ErrorCode::invalid_argument,
               "CONNECT refused with code " + std::to_string(static_cast<unsigned>(code)) + ": " + std::string(why)};
}

void EndpointSession::apply(Verdict& verdict) {
  if (state_ != State::authenticating) return;
  if (verdict.code == ConnectCode::accepted) {
    open_as(verdict.identity);
    resume();
    return;
  }
  const Status refused = refuse(verdict.code, "the owner's decision");
  finish(false, refused.error().message);
}

void EndpointSession::open_as(const std::string& identity) {
  if (!identity.empty()) {
    if (const auto older = core_->by_identity.find(identity); older != core_->by_identity.end()) {
      older->second->self()->finish(false, "a newer connection has the same identity");
    }
    // The owner was called and may have closed us.
    if (state_ != State::authenticating) return;
    core_->by_identity[identity] = this;
  }
  identity_ = identity;
  state_ = State::open;
  const auto& has_session = core_->handlers.has_session;
  send_connack(ConnectCode::accepted, !request_.clean_session && has_session && has_session(identity_));
  expect_packets_in_time();
  was_connected_ = true;
  if (core_->handlers.connected) core_->handlers.connected(self());
}

void EndpointSession::send_connack(ConnectCode code, bool session_present) {
  core_->scratch.clear();
  append_connack(core_->scratch, {session_present, static_cast<std::uint8_t>(code)});
  send(core_->scratch);
}

// ---------------------------------------------------------------- publishes from the client

Status EndpointSession::on_publish(const Frame& frame) {
  VERGE_TRY(const PublishPacket packet, decode_publish(frame));
  if (packet.qos > 1) return violation("PUBLISH with QoS 2, which is not supported");
  if (packet.topic.size() > core_->options.limits.topic_bytes_max) {
    return Error{ErrorCode::limit, "PUBLISH with a topic of " + std::to_string(packet.topic.size()) +
                                       " bytes; the limit is " + std::to_string(core_->options.limits.topic_bytes_max)};
  }
  const PublishIn publish{packet.topic, packet.payload, packet.qos, packet.retain, packet.duplicate};
  if (packet.qos == 0) return core_->handlers.publish(self(), publish, [](const Status&) {});
  if (packet.duplicate && is_in_flight(packet.packet_id)) return Done{};
  return hand_over(publish, packet.packet_id);
}

bool EndpointSession::is_in_flight(std::uint16_t packet_id) const {
  for (std::size_t index = 0; index < incoming_.size(); ++index) {
    if (incoming_[index].packet_id == packet_id) return true;
  }
  return false;
}

Status EndpointSession::hand_over(const PublishIn& publish, std::uint16_t packet_id) {
  const std::uint64_t sequence = incoming_sequence_ + incoming_.size();
  const std::size_t bytes = publish.topic.size() + publish.payload.size();
  incoming_.push({packet_id, false, bytes});
  incoming_bytes_ += bytes;
  std::shared_ptr<EndpointSession> session = self();
  const SessionPointer shown = session;
  return core_->handlers.publish(shown, publish, [session = std::move(session), sequence](Status status) {
    session->core_->acknowledgements->put({session, sequence, std::move(status)});
  });
}

void EndpointSession::apply(Acknowledgement* begin, Acknowledgement* end) {
  for (Acknowledgement* given = begin; given != end && state_ == State::open; ++given) {
    if (!given->status) {
      finish(false, "a publish was not accepted: " + given->status.error().message);
      return;
    }
    const std::uint64_t index = given->sequence - incoming_sequence_;
    if (index < incoming_.size()) incoming_[index].is_acknowledged = true;
    // Anything else was acknowledged before.
  }
  if (state_ != State::open) return;
  core_->scratch.clear();
  while (!incoming_.empty() && incoming_.front().is_acknowledged) {
    append_packet_id(core_->scratch, PacketType::puback, incoming_.front().packet_id);
    incoming_bytes_ -= incoming_.front().bytes;
    incoming_.pop();
    ++incoming_sequence_;
  }
  if (!core_->scratch.empty()) send(core_->scratch);
  resume();
}

bool EndpointSession::must_pause() const {
  if (state_ == State::authenticating) return true;
  const EndpointLimits& limits = core_->options.limits;
  // Once paused, half must have gone before we read again: few long pauses instead of many short ones.
  const std::size_t divisor = is_paused_ ? 2 : 1;
  return incoming_.size() > 0 && (incoming_.size() >= std::max<std::size_t>(limits.inflight_max / divisor, 1) ||
                                  incoming_bytes_ >= limits.inflight_bytes_max / divisor);
}

/// Goes on with packets that came before the pause, then with the connection.
void EndpointSession::resume() {
  if (state_ != State::open || !is_paused_ || must_pause()) return;
  is_paused_ = false;
  read({});
  if (!connection_) return;
  // read() paused the connection again if the packets at hand filled the window; else it is still paused from before.
  if (!is_paused_) connection_->pause_reading(false);
}

// ---------------------------------------------------------------- subscriptions

Status EndpointSession::on_subscribe(const Frame& frame) {
  VERGE_TRY(const SubscribePacket packet, decode_subscribe(frame));
  SubackPacket answer{packet.packet_id, {}};
  for (const Subscription& wanted : packet.subscriptions) {
    VERGE_TRY(const std::uint8_t code, judge(wanted));
    answer.codes.push_back(code);
    if (state_ != State::open) return Done{};
  }
  core_->scratch.clear();
  append_suback(core_->scratch, answer);
  send(core_->scratch);
  if (!core_->handlers.subscribed) return Done{};
  for (std::size_t index = 0; index < answer.codes.size() && state_ == State::open; ++index) {
    if (answer.codes[index] == kSubscriptionRefused) continue;
    core_->handlers.subscribed(self(), packet.subscriptions[index].filter);
  }
  return Done{};
}

/// The SUBACK code of one filter, or the reason to close.
Result<std::uint8_t> EndpointSession::judge(const Subscription& wanted) {
  const std::uint8_t qos = std::min<std::uint8_t>(wanted.qos, 1);
  const bool is_known =
      std::any_of(granted_.begin(), granted_.end(), [&](const Granted& one) { return one.filter == wanted.filter; });
  const bool has_room = is_known || granted_.size() < core_->options.limits.subscriptions_max;
  const auto& may_subscribe = core_->handlers.may_subscribe;
  if (has_room && (!may_subscribe || may_subscribe(self(), wanted.filter, qos))) {
    grant(wanted.filter, qos);
    return qos;
  }
  if (!core_->options.closes_on_refused_subscription) return kSubscriptionRefused;
  return Error{ErrorCode::invalid_argument, "subscription refused: " + std::string(wanted.filter.substr(0, 200))};
}

void EndpointSession::grant(std::string_view filter, std::uint8_t qos) {
  for (Granted& known : granted_) {
    if (known.filter != filter) continue;
    known.qos = qos;
    return;
  }
  granted_.push_back({std::string(filter), qos});
}

Status EndpointSession::on_unsubscribe(const Frame& frame) {
  VERGE_TRY(const UnsubscribePacket packet, decode_unsubscribe(frame));
  for (const std::string_view filter : packet.filters) {
    const auto gone =
        std::remove_if(granted_.begin(), granted_.end(), [&](const Granted& known) { return known.filter == filter; });
    const bool was_granted = gone != granted_.end();
    granted_.erase(gone, granted_.end());
    if (was_granted && core_->handlers.unsubscribed) core_->handlers.unsubscribed(self(), filter);
    if (state_ != State::open) return Done{};
  }
  core_->scratch.clear();
  append_packet_id(core_->scratch, PacketType::unsuback, packet.packet_id);
  send(core_->scratch);
  return Done{};
}

bool EndpointSession::is_subscribed(std::string_view topic) const {
  return std::any_of(granted_.begin(), granted_.end(),
                     [&](const Granted& known) { return topic_matches(known.filter, topic); });
}

std::vector<std::string> EndpointSession::subscriptions() const {
  std::vector<std::string> filters;
  for (const Granted& known : granted_) filters.push_back(known.filter);
  return filters;
}

// ---------------------------------------------------------------- publishes to the client

Status EndpointSession::deliver(std::string_view topic, std::string_view payload, std::uint8_t qos,
                                std::function<void(Status)> done) {
  if (state_ != State::open) return Error{ErrorCode::unavailable, "deliver: the session of the client is closed"};
  if (granted_qos(topic, qos) > 0) {
    VERGE_CHECK(outgoing_.push(topic, payload, std::move(done)));
    send_waiting();
    return Done{};
  }
  VERGE_CHECK(check_topic(topic));
  const std::size_t packet_bytes_max = core_->options.limits.packet_bytes_max;
  if (publish_bytes(topic.size(), payload.size()) > packet_bytes_max) {
    return Error{ErrorCode::limit, "deliver " + std::to_string(payload.size()) + " bytes: the packet would exceed " +
                                       std::to_string(packet_bytes_max) + " bytes; send less at a time"};
  }
  PublishPacket packet;
  packet.topic = topic;
  packet.payload = payload;
  core_->scratch.clear();
  append_publish(core_->scratch, packet);
  send(core_->scratch);
  if (done) done(Done{});
  return Done{};
}

/// Lowered to the best that a matching subscription was granted (MQTT-3.8.4-6); unchanged when none matches.
std::uint8_t EndpointSession::granted_qos(std::string_view topic, std::uint8_t qos) const {
  bool is_matched = false;
  for (const Granted& known : granted_) {
    if (qos == 0 || !topic_matches(known.filter, topic)) continue;
    if (known.qos >= qos) return qos;
    is_matched = true;
  }
  return is_matched ? 0 : std::min<std::uint8_t>(qos, 1);
}

void EndpointSession::send_waiting() {
  core_->scratch.clear();
  outgoing_.take(core_->scratch);
  if (!core_->scratch.empty()) send(core_->scratch);
}

Status EndpointSession::on_puback(const Frame& frame) {
  VERGE_TRY(const std::uint16_t packet_id, decode_packet_id(frame));
  const PublishQueue::OnDone done = outgoing_.acknowledge(packet_id);
  send_waiting();
  if (done) done(Done{});
  return Done{};
}

void EndpointSession::send(std::string_view bytes) {
  if (!connection_ || state_ == State::closing) return;
  connection_->send(bytes);
  const std::size_t unsent_bytes = connection_->unsent_bytes();
  if (unsent_bytes <= core_->options.limits.unsent_bytes_max) return;
  connection_->abort();
  close("the client does not read: " + std::to_string(unsent_bytes) + " bytes wait for it");
}

// ---------------------------------------------------------------- identity and end

void EndpointSession::set_identity(std::string identity) {
  if (state_ != State::open || identity == identity_) return;
  leave_identity();
  identity_ = std::move(identity);
  if (identity_.empty()) return;
  EndpointSession*& holder = core_->by_identity[identity_];
  EndpointSession* const older = std::exchange(holder, this);
  if (older != nullptr) older->close("another connection was given the same identity");
}

void EndpointSession::leave_identity() {
  const auto place = core_->by_identity.find(identity_);
  if (place != core_->by_identity.end() && place->second == this) core_->by_identity.erase(place);
}

/// Its call-backs come in a turn of their own, because the owner may be in the middle of something.
void EndpointSession::close(std::string_view reason) {
  if (state_ == State::closing || state_ == State::finished) return;
  state_ = State::closing;
  connection_->close();
  core_->loop.post([session = self(), reason = std::string(reason)] { session->finish(false, reason); });
}

void EndpointSession::finish(bool is_clean, std::string_view reason) {
  if (state_ == State::finished) return;
  const std::shared_ptr<EndpointSession> alive = self();
  state_ = State::finished;
  drop_connection();
  leave_identity();
  core_->accepted.erase(this);
  const std::vector<PublishQueue::OnDone> unfinished = outgoing_.clear();
  incoming_.clear();
  if (core_->is_silent) return;
  for (const PublishQueue::OnDone& done : unfinished) {
    done(Error{ErrorCode::unavailable, "the connection ended before the client acknowledged: " + std::string(reason)});
  }
  if (was_connected_) {
    if (core_->handlers.closed) core_->handlers.closed(alive, is_clean, reason);
  } else {
    log_debug("messaging", "connection ended before it was accepted",
              {{"peer", request_.peer.address}, {"reason", reason}});
  }
}

/// The connection outlives this turn, because we may be inside one of its call-backs.
void EndpointSession::drop_connection() {
  if (has_timer_) core_->loop.cancel(timer_);
  has_timer_ = false;
  if (!connection_) return;
  connection_->close();
  core_->loop.post([connection = std::move(connection_)] {});
  connection_ = nullptr;
}

}  // namespace verge::messaging
