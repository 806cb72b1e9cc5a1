#include "messaging/client.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "base/time.h"
#include "base/websocket.h"
#include "messaging/packets.h"
#include "messaging/publish_queue.h"

namespace verge::messaging {
namespace {

/// A connection that lived this long starts the back-off anew; a shorter one counts as a failed attempt, so that two
/// clients with one identity do not throw each other out all the time.
constexpr std::int64_t kStableUs = 10'000'000;
/// Keeps a SUBSCRIBE within what small servers take.
constexpr std::size_t kFiltersPerPacketMax = 8;

std::minstd_rand seeded_random() {
  unsigned seed = 0;
  for (const char byte : random_bytes(sizeof seed)) seed = seed << 8U | static_cast<unsigned char>(byte);
  return std::minstd_rand(seed);
}

Error refusal(std::uint8_t code) {
  switch (code) {
    case 1:
      return Error{ErrorCode::invalid_argument, "CONNECT refused: the server does not speak MQTT 3.1.1"};
    case 2:
      return Error{ErrorCode::invalid_argument, "CONNECT refused: the server does not take this client id"};
    case 3:
      return Error{ErrorCode::unavailable, "CONNECT refused: the server is not available now"};
    case 4:
      return Error{ErrorCode::invalid_argument, "CONNECT refused: bad user name or password"};
    default:
      return Error{ErrorCode::invalid_argument, "CONNECT refused: not authorised"};
  }
}

PublishQueueLimits queue_limits(const ClientOptions& options) {
  return {.window = options.inflight_max,
          .waiting_max = options.queued_max,
          .bytes_max = options.queued_bytes_max,
          .packet_bytes_max = options.packet_bytes_max,
          .repeats = true};
}

void tell(const std::function<void(Status)>& done, Status status) {
  if (done) done(std::move(status));
}

}  // namespace

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  enum class State : std::uint8_t {
    stopped,
    preparing,    ///< Waiting for the password.
    connecting,   ///< Waiting for the byte stream.
    greeting,     ///< CONNECT is sent.
    subscribing,  ///< Accepted; waiting for the SUBACKs of remembered subscriptions.
    ready,
    waiting,  ///< Before the next attempt.
  };
  struct Remembered {
    std::string filter;
    std::uint8_t qos = 0;
    std::function<void(Status)> done;
  };
  struct Asked {
    std::uint16_t packet_id = 0;
    std::vector<std::string> filters;
  };

  Impl(Loop& loop_used, ClientOptions options_used, Handlers handlers_used)
      : loop(loop_used),
        options(std::move(options_used)),
        handlers(std::move(handlers_used)),
        publishes(queue_limits(options)) {}

  void attempt();
  void ask_for_password();
  void open(std::optional<std::string> password);
  void open_stream(std::function<void(Result<ConnectionPointer>)> done);
  void greet(ConnectionPointer stream, const std::optional<std::string>& password);
  Status send_connect(const std::optional<std::string>& password);

  void on_bytes(std::string_view bytes);
  Status handle(const Frame& frame);
  Status on_connack(const Frame& frame);
  Status on_publish(const Frame& frame);
  Status on_puback(const Frame& frame);
  Status on_suback(const Frame& frame);

  void ask_for_subscriptions(const std::vector<const Remembered*>& wanted);
  void settle(const std::string& filter, std::uint8_t code);
  void become_ready();
  void begin_pings();
  void ping();

  void send(std::string_view bytes) const { connection->send(bytes); }
  void send_publishes();
  bool is_accepted() const { return state == State::subscribing || state == State::ready; }
  void watch(std::string_view step);
  void end_connection(bool is_graceful);
  void fail(const Error& reason);
  std::chrono::milliseconds next_delay();
  void cancel(std::optional<Loop::TimerId>& timer) const {
    if (timer) loop.cancel(*timer);
    timer.reset();
  }

  Loop& loop;
  const ClientOptions options;
  const Handlers handlers;
  State state = State::stopped;
  std::uint64_t generation = 0;  ///< Of the attempt; answers to older ones are ignored.
  ConnectionPointer connection;
  std::optional<PacketReader> reader;
  PublishQueue publishes;
  std::vector<Remembered> remembered;
  std::vector<Asked> asked;
  std::uint16_t last_asked_id = PublishQueue::kPacketIdMax;
  bool session_present = false;
  bool is_heard = false;  ///< Since the last ping tick.
  int silent_ticks = 0;
  std::int64_t ready_since_us = 0;
  unsigned failed_attempts = 0;
  std::optional<Loop::TimerId> watch_timer, ping_timer, retry_timer;
  std::minstd_rand random = seeded_random();
};

// ---------------------------------------------------------------- one attempt: password, stream, CONNECT

void Client::Impl::attempt() {
  ++generation;
  state = State::preparing;
  if (handlers.password) {
    ask_for_password();
  } else {
    open(std::nullopt);
  }
}

void Client::Impl::ask_for_password() {
  watch("asking for the password");
  const std::weak_ptr<Impl> weak = weak_from_this();
  handlers.password([weak, attempt_asking = generation](Result<std::string> password) {
    const auto self = weak.lock();
    if (!self || self->generation != attempt_asking || self->state != State::preparing) return;
    if (!password) {
      self->fail(password.error().within("get the password of " + self->options.client_id));
      return;
    }
    self->open(*std::move(password));
  });
}

void Client::Impl::open(std::optional<std::string> password) {
  cancel(watch_timer);
  state = State::connecting;
  const std::weak_ptr<Impl> weak = weak_from_this();
  open_stream([weak, attempt_opening = generation, password = std::move(password)](Result<ConnectionPointer> stream) {
    const auto self = weak.lock();
    if (!self || self->generation != attempt_opening || self->state != State::connecting) {
      if (stream) (*stream)->abort();
      return;
    }
    if (!stream) {
      self->fail(stream.error());
      return;
    }
    self->greet(*std::move(stream), password);
  });
}

void Client::Impl::open_stream(std::function<void(Result<ConnectionPointer>)> done) {
  if (options.websocket_target.empty()) {
    connect_tcp(loop, options.connect, std::move(done));
    return;
  }
  WebSocketOptions socket_options;
  socket_options.connect = options.connect;
  socket_options.target = options.websocket_target;
  socket_options.protocol = "mqtt";
  connect_websocket(loop, socket_options, [done = std::move(done)](Result<std::shared_ptr<WebSocket>> socket) {
    if (socket) {
      done(as_connection(*std::move(socket)));
    } else {
      done(std::move(socket).error());
    }
  });
}

void Client::Impl::greet(ConnectionPointer stream, const std::optional<std::string>& password) {
  state = State::greeting;
  connection = std::move(stream);
  reader.emplace(options.packet_bytes_max);
  const std::weak_ptr<Impl> weak = weak_from_this();
  Connection::Handler handler;
  handler.bytes = [weak, attempt_reading = generation](std::string_view bytes) {
    const auto self = weak.lock();
    if (self && self->generation == attempt_reading) self->on_bytes(bytes);
  };
  handler.closed = [weak, attempt_reading = generation](const Error& reason) {
    const auto self = weak.lock();
    if (self && self->generation == attempt_reading) self->fail(reason);
  };
  watch("waiting for CONNACK and SUBACK");
  const ConnectionPointer held = connection;
  held->start(std::move(handler));
  if (state != State::greeting || connection != held) return;
  if (const Status sent = send_connect(password); !sent) fail(sent.error());
}

Status Client::Impl::send_connect(const std::optional<std::string>& password) {
  VERGE_CHECK(check_text(options.client_id));
  VERGE_CHECK(check_text(options.username));
  if (password && password->size() > 0xFFFF) {
    return Error{ErrorCode::invalid_argument, "CONNECT: the password is longer than 65535 bytes"};
  }
  ConnectPacket packet;
  packet.clean_session = options.clean_session;
  packet.keep_alive_s = options.keep_alive_s;
  packet.client_id = options.client_id;
  if (!options.username.empty() || password) packet.username = options.username;
  if (password) packet.password = *password;
  if (options.will) {
    VERGE_CHECK(check_topic(options.will->topic));
    packet.will = Will{options.will->topic, options.will->payload, 1, options.will->is_retained};
  }
  std::string bytes;
  append_connect(bytes, packet);
  send(bytes);
  return Done{};
}

// ---------------------------------------------------------------- packets from the server

void Client::Impl::on_bytes(std::string_view bytes) {
  is_heard = true;
  const std::uint64_t attempt_reading = generation;
  const Status read = reader->read(bytes, [&](const Frame& frame) {
    const Status handled = handle(frame);
    if (!handled && generation == attempt_reading) fail(handled.error());
    return generation == attempt_reading ? PacketReader::Next::go_on : PacketReader::Next::stop;
  });
  if (!read && generation == attempt_reading) fail(read.error());
}

Status Client::Impl::handle(const Frame& frame) {
  if (!is_accepted() && frame.type != PacketType::connack) {
    return Error{ErrorCode::corrupt, "the server sent " + std::string(name_of(frame.type)) + " before CONNACK"};
  }
  switch (frame.type) {
    case PacketType::connack:
      return on_connack(frame);
    case PacketType::publish:
      return on_publish(frame);
    case PacketType::puback:
      return on_puback(frame);
    case PacketType::suback:
      return on_suback(frame);
    case PacketType::unsuback: {
      VERGE_TRY([[maybe_unused]] const auto packet_id, decode_packet_id(frame));
      return Done{};
    }
    case PacketType::pingresp:
      return decode_empty(frame);
    default:
      return Error{ErrorCode::corrupt, "the server sent " + std::string(name_of(frame.type))};
  }
}

Status Client::Impl::on_connack(const Frame& frame) {
  if (state != State::greeting) return Error{ErrorCode::corrupt, "the server sent a second CONNACK"};
  VERGE_TRY(const ConnackPacket packet, decode_connack(frame));
  if (packet.code != 0) return refusal(packet.code);
  session_present = packet.session_present;
  state = State::subscribing;
  begin_pings();
  std::vector<const Remembered*> wanted;
  for (const Remembered& one : remembered) wanted.push_back(&one);
  ask_for_subscriptions(wanted);
  publishes.rewind();
  send_publishes();
  if (asked.empty()) become_ready();
  return Done{};
}

Status Client::Impl::on_publish(const Frame& frame) {
  VERGE_TRY(const PublishPacket packet, decode_publish(frame));
  if (packet.qos > 1) return Error{ErrorCode::corrupt, "the server sent PUBLISH with QoS 2, which was not asked for"};
  const std::uint64_t attempt_reading = generation;
  if (handlers.message) handlers.message(packet.topic, packet.payload, packet.qos);
  if (packet.qos == 0 || generation != attempt_reading) return Done{};
  std::string bytes;
  append_packet_id(bytes, PacketType::puback, packet.packet_id);
  send(bytes);
  return Done{};
}

Status Client::Impl::on_puback(const Frame& frame) {
  VERGE_TRY(const std::uint16_t packet_id, decode_packet_id(frame));
  const PublishQueue::OnDone done = publishes.acknowledge(packet_id);
  send_publishes();
  tell(done, Done{});
  return Done{};
}

Status Client::Impl::on_suback(const Frame& frame) {
  VERGE_TRY(const SubackPacket packet, decode_suback(frame));
  const auto found =
      std::find_if(asked.begin(), asked.end(), [&](const Asked& one) { return one.packet_id == packet.packet_id; });
  if (found == asked.end() || found->filters.size() != packet.codes.size()) {
    return Error{ErrorCode::corrupt, "the server sent a SUBACK that fits no SUBSCRIBE"};
  }
  const std::vector<std::string> filters = std::move(found->filters);
  asked.erase(found);
  const std::uint64_t attempt_reading = generation;
  for (std::size_t index = 0; index < filters.size() && generation == attempt_reading; ++index) {
    settle(filters[index], packet.codes[index]);
  }
  if (generation == attempt_reading && state == State::subscribing && asked.empty()) become_ready();
  return Done{};
}

// ---------------------------------------------------------------- subscriptions, pings

void Client::Impl::ask_for_subscriptions(const std::vector<const Remembered*>& wanted) {
  std::string bytes;
  for (std::size_t begin = 0; begin < wanted.size(); begin += kFiltersPerPacketMax) {
    const std::size_t end = std::min(begin + kFiltersPerPacketMax, wanted.size());
    last_asked_id = last_asked_id == 0xFFFF ? PublishQueue::kPacketIdMax + 1 : last_asked_id + 1U;
    SubscribePacket packet{last_asked_id, {}};
    Asked one{last_asked_id, {}};
    for (std::size_t index = begin; index < end; ++index) {
      packet.subscriptions.push_back({wanted[index]->filter, wanted[index]->qos});
      one.filters.push_back(wanted[index]->filter);
    }
    append_subscribe(bytes, packet);
    asked.push_back(std::move(one));
  }
  if (!bytes.empty()) send(bytes);
}

void Client::Impl::settle(const std::string& filter, std::uint8_t code) {
  const auto found =
      std::find_if(remembered.begin(), remembered.end(), [&](const Remembered& one) { return one.filter == filter; });
  if (found == remembered.end()) return;
  const auto done = std::exchange(found->done, nullptr);
  if (code != kSubscriptionRefused) {
    tell(done, Done{});
    return;
  }
  Error refused{ErrorCode::invalid_argument, "subscribe \"" + filter + "\": the server refused it"};
  if (done) {
    done(std::move(refused));
  } else {
    log_warning("messaging", refused.message, {{"client", options.client_id}});
  }
}

void Client::Impl::become_ready() {
  cancel(watch_timer);
  state = State::ready;
  ready_since_us = system_clock().monotonic_us();
  if (handlers.connected) handlers.connected(session_present);
}

void Client::Impl::begin_pings() {
  silent_ticks = 0;
  if (options.keep_alive_s == 0) return;
  const std::weak_ptr<Impl> weak = weak_from_this();
  ping_timer = loop.every(std::chrono::milliseconds(500) * options.keep_alive_s, [weak] {
    if (const auto self = weak.lock()) self->ping();
  });
}

/// Every half keep-alive, whether or not there was other traffic: the answer proves that the server is alive.
void Client::Impl::ping() {
  if (!is_accepted()) return;
  silent_ticks = std::exchange(is_heard, false) ? 0 : silent_ticks + 1;
  if (silent_ticks >= 2) {
    fail(Error{ErrorCode::timeout,
               "nothing heard from the server for " + std::to_string(options.keep_alive_s) + " s in spite of PINGREQ"});
    return;
  }
  std::string bytes;
  append_empty(bytes, PacketType::pingreq);
  send(bytes);
}

void Client::Impl::send_publishes() {
  if (!is_accepted()) return;
  std::string bytes;
  publishes.take(bytes);
  if (!bytes.empty()) send(bytes);
}

// ---------------------------------------------------------------- ends and retries

/// A step that does not come to its end counts as a failed attempt.
void Client::Impl::watch(std::string_view step) {
  cancel(watch_timer);
  const std::weak_ptr<Impl> weak = weak_from_this();
  watch_timer = loop.after(options.connect.timeout, [weak, step = std::string(step)] {
    const auto self = weak.lock();
    if (!self) return;
    self->watch_timer.reset();
    self->fail(Error{ErrorCode::timeout,
                     step + " took longer than " + std::to_string(self->options.connect.timeout.count()) + " ms"});
  });
}

void Client::Impl::end_connection(bool is_graceful) {
  ++generation;
  cancel(watch_timer);
  cancel(ping_timer);
  cancel(retry_timer);
  asked.clear();
  if (!connection) return;
  if (is_graceful && is_accepted()) {
    std::string bytes;
    append_empty(bytes, PacketType::disconnect);
    send(bytes);
  }
  is_graceful ? connection->close() : connection->abort();
  // We may be inside one of its call-backs.
  loop.post([held = std::move(connection)] {});
  connection = nullptr;
}

void Client::Impl::fail(const Error& reason) {
  if (state == State::stopped || state == State::waiting) return;
  const bool was_stable = state == State::ready && system_clock().monotonic_us() - ready_since_us >= kStableUs;
  if (was_stable) failed_attempts = 0;
  end_connection(false);
  state = State::waiting;
  const std::weak_ptr<Impl> weak = weak_from_this();
  retry_timer = loop.after(next_delay(), [weak] {
    const auto self = weak.lock();
    if (!self || self->state != State::waiting) return;
    self->retry_timer.reset();
    self->attempt();
  });
  const Error told = reason;
  if (handlers.disconnected) handlers.disconnected(told);
}

/// Doubles from retry_delay_min to retry_delay_max; each is drawn from its upper half, so that a fleet spreads out.
std::chrono::milliseconds Client::Impl::next_delay() {
  constexpr unsigned kDoublingsMax = 20;
  const auto doublings = std::min(failed_attempts++, kDoublingsMax);
  const auto delay = std::min(options.retry_delay_min * (1 << doublings), options.retry_delay_max);
  std::uniform_real_distribution<double> share(0.5, 1.0);
  return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(delay.count()) * share(random)));
}

// ---------------------------------------------------------------- Client

Client::Client(Loop& loop, ClientOptions options, Handlers handlers)
    : impl_(std::make_shared<Impl>(loop, std::move(options), std::move(handlers))) {}

Client::~Client() {
  impl_->end_connection(true);
  impl_->state = Impl::State::stopped;
}

void Client::start() {
  if (impl_->state != Impl::State::stopped) return;
  impl_->failed_attempts = 0;
  const auto alive = impl_;
  alive->attempt();
}

void Client::stop() {
  if (impl_->state == Impl::State::stopped) return;
  const auto alive = impl_;
  alive->end_connection(true);
  alive->state = Impl::State::stopped;
  const Error stopped{ErrorCode::unavailable, "the client was stopped before the server answered"};
  std::vector<std::function<void(Status)>> unfinished = alive->publishes.clear();
  for (Impl::Remembered& one : alive->remembered) unfinished.push_back(std::exchange(one.done, nullptr));
  for (const auto& done : unfinished) tell(done, stopped);
}

bool Client::is_connected() const { return impl_->state == Impl::State::ready; }

void Client::subscribe(std::string_view filter, std::uint8_t qos, std::function<void(Status)> done) {
  const auto alive = impl_;
  if (Status checked = check_filter(filter); !checked) {
    tell(done, std::move(checked));
    return;
  }
  auto& remembered = alive->remembered;
  const auto known = std::find_if(remembered.begin(), remembered.end(),
                                  [&](const Impl::Remembered& one) { return one.filter == filter; });
  std::function<void(Status)> replaced;
  if (known == remembered.end()) {
    remembered.push_back({std::string(filter), qos, std::move(done)});
    if (alive->is_accepted()) alive->ask_for_subscriptions({&remembered.back()});
    return;
  }
  known->qos = qos;
  replaced = std::exchange(known->done, std::move(done));
  if (alive->is_accepted()) alive->ask_for_subscriptions({&*known});
  tell(replaced, Error{ErrorCode::conflict, "subscribe \"" + std::string(filter) + "\": asked for again meanwhile"});
}

void Client::unsubscribe(std::string_view filter) {
  const auto alive = impl_;
  auto& remembered = alive->remembered;
  const auto known = std::find_if(remembered.begin(), remembered.end(),
                                  [&](const Impl::Remembered& one) { return one.filter == filter; });
  if (known == remembered.end()) return;
  const std::function<void(Status)> done = std::move(known->done);
  remembered.erase(known);
  if (alive->is_accepted()) {
    auto& id = alive->last_asked_id;
    id = id == 0xFFFF ? PublishQueue::kPacketIdMax + 1 : id + 1U;
    std::string bytes;
    append_unsubscribe(bytes, {id, {filter}});
    alive->send(bytes);
  }
  tell(done, Error{ErrorCode::conflict, "subscribe \"" + std::string(filter) + "\": given up meanwhile"});
}

Status Client::publish(std::string_view topic, std::string_view payload, std::uint8_t qos,
                       std::function<void(Status)> done, bool is_retained) {
  const auto alive = impl_;
  if (qos > 1) return Error{ErrorCode::invalid_argument, "publish: QoS 2 is not supported; use 1"};
  if (qos == 1) {
    VERGE_CHECK(alive->publishes.push(topic, payload, std::move(done), is_retained));
    alive->send_publishes();
    return Done{};
  }
  VERGE_CHECK(check_topic(topic));
  const std::size_t packet_bytes = publish_bytes(topic.size(), payload.size());
  if (packet_bytes > alive->options.packet_bytes_max) {
    return Error{ErrorCode::limit, "publish " + std::to_string(payload.size()) + " bytes: the packet would exceed " +
                                       std::to_string(alive->options.packet_bytes_max) + " bytes"};
  }
  if (alive->state != Impl::State::ready) {
    tell(done, Error{ErrorCode::unavailable, "publish with QoS 0: not connected"});
    return Done{};
  }
  if (alive->connection->unsent_bytes() + packet_bytes > alive->options.queued_bytes_max) {
    tell(done, Error{ErrorCode::limit, "publish with QoS 0: the server does not read fast enough"});
    return Done{};
  }
  std::string bytes;
  bytes.reserve(packet_bytes);
  PublishPacket packet;
  packet.topic = topic;
  packet.payload = payload;
  packet.retain = is_retained;
  append_publish(bytes, packet);
  alive->send(bytes);
  tell(done, Done{});
  return Done{};
}

std::size_t Client::unacknowledged_count() const { return impl_->publishes.unacknowledged_count(); }

void Client::reconnect() {
  const auto alive = impl_;
  if (alive->state == Impl::State::stopped) return;
  const bool was_ready = alive->state == Impl::State::ready;
  alive->end_connection(true);
  alive->state = Impl::State::preparing;
  const std::uint64_t generation = alive->generation;
  if (was_ready && alive->handlers.disconnected) {
    alive->handlers.disconnected(Error{ErrorCode::unavailable, "reconnecting, as asked"});
  }
  if (alive->generation == generation) alive->attempt();
}

}  // namespace verge::messaging
