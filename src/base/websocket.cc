#include "base/websocket.h"

#include <cstring>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/websocket_frames.h"
#include "base/websocket_internal.h"

namespace verge {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::size_t kMessageBytesMax = 16U << 20U;
constexpr std::size_t kAnswerHeadBytesMax = 64U << 10U;
constexpr seconds kPingAfter{30};   // of silence
constexpr seconds kCloseAfter{60};  // of silence
constexpr std::uint16_t kNormalClosure = 1000;

std::string close_payload(std::uint16_t code, std::string_view reason) {
  std::string payload{static_cast<char>(code >> 8U), static_cast<char>(code & 0xFFU)};
  return payload.append(reason.substr(0, 120));
}

/// The code of a close frame, or 1005 ("none given").
std::uint16_t close_code_in(std::string_view payload) {
  if (payload.size() < 2) return 1005;
  return static_cast<std::uint16_t>(static_cast<unsigned char>(payload[0]) << 8U |
                                    static_cast<unsigned char>(payload[1]));
}

class FramedWebSocket final : public WebSocket, public std::enable_shared_from_this<FramedWebSocket> {
 public:
  FramedWebSocket(Loop& loop, ConnectionPointer connection, bool is_client, std::string early)
      : loop_(loop),
        connection_(std::move(connection)),
        is_client_(is_client),
        early_(std::move(early)),
        reader_(!is_client, kMessageBytesMax) {}

  ~FramedWebSocket() override { loop_.cancel(timer_); }
  FramedWebSocket(const FramedWebSocket&) = delete;
  FramedWebSocket& operator=(const FramedWebSocket&) = delete;

  void start(Handler handler) override {
    if (is_closed_) return;
    handler_ = std::make_shared<const Handler>(std::move(handler));
    if (timer_ == 0) begin();
  }

  void send_text(std::string message) override { send(WebSocketOpcode::text, std::move(message)); }
  void send_binary(std::string message) override { send(WebSocketOpcode::binary, std::move(message)); }
  std::size_t unsent_bytes() const override { return connection_->unsent_bytes(); }
  void pause_reading(bool paused) override { connection_->pause_reading(paused); }
  const Peer& peer() const override { return connection_->peer(); }

  void close() override { end(kNormalClosure, ""); }

 private:
  void begin() {
    last_heard_ = steady_clock::now();
    const auto weak = weak_from_this();
    timer_ = loop_.every(kPingAfter / 2, [weak] {
      if (const auto self = weak.lock()) self->check_silence();
    });
    // Strong until the first turn: the bytes that came with the handshake belong to the handler.
    loop_.post([self = shared_from_this()] { self->begin_reading(); });
  }

  void begin_reading() {
    if (is_closed_) return;
    const auto weak = weak_from_this();
    Connection::Handler stream;
    stream.bytes = [weak](std::string_view bytes) {
      if (const auto self = weak.lock()) self->take(bytes);
    };
    stream.closed = [weak](const Error& reason) {
      if (const auto self = weak.lock()) self->fail(reason);
    };
    connection_->start(std::move(stream));
    if (!early_.empty()) take(std::exchange(early_, {}));
  }

  void take(std::string_view bytes) {
    last_heard_ = steady_clock::now();
    const auto fault = reader_.feed(bytes, [this](WebSocketOpcode opcode, std::string_view payload) {
      take_message(opcode, payload);
      return !is_closed_;
    });
    if (!fault) return;
    const Error reason{ErrorCode::corrupt, "read from the WebSocket: " + fault->reason};
    const auto handler = handler_;
    end(fault->close_code, fault->reason);
    if (handler != nullptr && handler->closed) handler->closed(reason);
  }

  void take_message(WebSocketOpcode opcode, std::string_view payload) {
    const auto handler = handler_;  // the call-back may close us
    switch (opcode) {
      case WebSocketOpcode::text:
      case WebSocketOpcode::binary:
        if (handler->message) handler->message(payload, opcode == WebSocketOpcode::binary);
        return;
      case WebSocketOpcode::ping:
        return send(WebSocketOpcode::pong, std::string(payload));
      case WebSocketOpcode::close: {
        const std::uint16_t code = close_code_in(payload);
        end(code == 1005 ? kNormalClosure : code, "");
        if (!handler->closed) return;
        return handler->closed({ErrorCode::unavailable, fmt::format("the peer closed the WebSocket (code {})", code)});
      }
      case WebSocketOpcode::pong:
      case WebSocketOpcode::continuation:
        return;
    }
  }

  void send(WebSocketOpcode opcode, std::string payload) {
    if (is_closed_) return;
    // A fresh mask keeps a client's bytes unguessable for proxies; servers send plain (RFC 6455 5.3).
    const std::string head = websocket_head(opcode, payload, is_client_ ? std::optional(next_mask()) : std::nullopt);
    connection_->send(head);
    connection_->send(payload);
  }

  std::uint32_t next_mask() {
    if (mask_bytes_.size() < 4) mask_bytes_ = random_bytes(1024);
    std::uint32_t mask = 0;
    std::memcpy(&mask, mask_bytes_.data() + mask_bytes_.size() - 4, 4);
    mask_bytes_.resize(mask_bytes_.size() - 4);
    return mask;
  }

  void check_silence() {
    const auto silence = steady_clock::now() - last_heard_;
    if (silence >= kCloseAfter) {
      connection_->abort();
      return fail({ErrorCode::timeout, "the WebSocket's peer has been silent for 60 s"});
    }
    if (silence >= kPingAfter) send(WebSocketOpcode::ping, "");
  }

  void end(std::uint16_t code, std::string_view reason) {
    if (is_closed_) return;
    send(WebSocketOpcode::close, close_payload(code, reason));
    mark_closed();
    connection_->close();
  }

  void fail(const Error& reason) {
    if (is_closed_) return;
    const auto handler = handler_;
    mark_closed();
    if (handler != nullptr && handler->closed) handler->closed(reason);
  }

  void mark_closed() {
    is_closed_ = true;
    handler_.reset();
    loop_.cancel(timer_);
  }

  Loop& loop_;
  const ConnectionPointer connection_;
  const bool is_client_;
  std::string early_;
  WebSocketReader reader_;
  std::shared_ptr<const Handler> handler_;
  steady_clock::time_point last_heard_;
  Loop::TimerId timer_ = 0;
  std::string mask_bytes_;
  bool is_closed_ = false;
};

/// The client's handshake: request, the answer's head, then a WebSocket.
class Opening : public std::enable_shared_from_this<Opening> {
 public:
  using OnOpen = std::function<void(Result<std::shared_ptr<WebSocket>>)>;

  Opening(Loop& loop, WebSocketOptions options, OnOpen done)
      : loop_(loop), options_(std::move(options)), done_(std::move(done)), key_(to_base64(random_bytes(16))) {}

  void begin() {
    timer_ = loop_.after(options_.connect.timeout, [self = shared_from_this()] {
      self->finish(Error{ErrorCode::timeout, "no answer in time"});
    });
    connect_tcp(loop_, options_.connect, [self = shared_from_this()](Result<ConnectionPointer> connection) {
      if (!self->done_) return;
      if (!connection) return self->finish(connection.error());
      self->connection_ = std::move(*connection);
      self->ask();
    });
  }

 private:
  void ask() {
    std::string request = fmt::format(
        "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
        options_.target, options_.connect.host, options_.connect.port, key_);
    if (!options_.protocol.empty()) request += fmt::format("Sec-WebSocket-Protocol: {}\r\n", options_.protocol);
    for (const auto& [name, value] : options_.headers.all()) request += fmt::format("{}: {}\r\n", name, value);
    connection_->send(request + "\r\n");
    Connection::Handler stream;
    stream.bytes = [self = shared_from_this()](std::string_view bytes) { self->take(bytes); };
    stream.closed = [self = shared_from_this()](const Error& reason) { self->finish(reason); };
    connection_->start(std::move(stream));
  }

  void take(std::string_view bytes) {
    if (!done_) return;
    answer_.append(bytes);
    const auto end = answer_.find("\r\n\r\n");
    if (end == std::string::npos) {
      if (answer_.size() > kAnswerHeadBytesMax) finish(Error{ErrorCode::corrupt, "the answer is too long"});
      return;
    }
    const std::string_view head = std::string_view(answer_).substr(0, end + 2);
    const std::string_view status_line = head.substr(0, head.find("\r\n"));
    if (!status_line.starts_with("HTTP/1.1 101")) {
      return finish(Error{ErrorCode::unavailable, fmt::format("the server answered \"{:.100}\"", status_line)});
    }
    if (field(head, "Sec-WebSocket-Accept") != websocket_accept_key(key_)) {
      return finish(Error{ErrorCode::corrupt, "the server does not speak WebSocket (wrong Sec-WebSocket-Accept)"});
    }
    finish(make_websocket(loop_, connection_, true, answer_.substr(end + 4)));
  }

  static std::string_view field(std::string_view head, std::string_view name) {
    while (!head.empty()) {
      const std::string_view line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(line.size() + 2);
      const auto colon = line.find(':');
      if (colon == std::string_view::npos || !equal_ignoring_case(line.substr(0, colon), name)) continue;
      return trimmed(line.substr(colon + 1), " \t");
    }
    return {};
  }

  void finish(Result<std::shared_ptr<WebSocket>> result) {
    const auto done = std::exchange(done_, nullptr);
    if (!done) return;
    loop_.cancel(timer_);
    const auto connection = std::exchange(connection_, nullptr);
    if (result) return done(std::move(result));
    if (connection != nullptr) connection->abort();
    done(result.error().within(
        fmt::format("open WebSocket {} at {}:{}", options_.target, options_.connect.host, options_.connect.port)));
  }

  Loop& loop_;
  const WebSocketOptions options_;
  OnOpen done_;
  const std::string key_;
  ConnectionPointer connection_;
  std::string answer_;
  Loop::TimerId timer_ = 0;
};

class WebSocketConnection final : public Connection {
 public:
  explicit WebSocketConnection(std::shared_ptr<WebSocket> socket) : socket_(std::move(socket)) {}

  void start(Handler handler) override {
    WebSocket::Handler messages;
    messages.message = [bytes = std::move(handler.bytes)](std::string_view message, bool) {
      if (!message.empty()) bytes(message);
    };
    messages.closed = std::move(handler.closed);
    socket_->start(std::move(messages));
  }
  void send(std::string_view bytes) override { socket_->send_binary(std::string(bytes)); }
  std::size_t unsent_bytes() const override { return socket_->unsent_bytes(); }
  void pause_reading(bool paused) override { socket_->pause_reading(paused); }
  void close() override { socket_->close(); }
  void abort() override { socket_->close(); }
  const Peer& peer() const override { return socket_->peer(); }

 private:
  const std::shared_ptr<WebSocket> socket_;
};

}  // namespace

std::string websocket_accept_key(std::string_view client_key) {
  return to_base64(sha1(std::string(client_key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
}

std::shared_ptr<WebSocket> make_websocket(Loop& loop, ConnectionPointer connection, bool is_client, std::string early) {
  return std::make_shared<FramedWebSocket>(loop, std::move(connection), is_client, std::move(early));
}

void connect_websocket(Loop& loop, const WebSocketOptions& options,
                       std::function<void(Result<std::shared_ptr<WebSocket>>)> done) {
  std::make_shared<Opening>(loop, options, std::move(done))->begin();
}

ConnectionPointer as_connection(std::shared_ptr<WebSocket> socket) {
  return std::make_shared<WebSocketConnection>(std::move(socket));
}

}  // namespace verge
