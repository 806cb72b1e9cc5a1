#include "agent/live/live_uplink.h"

#include <map>

#include "base/json.h"
#include "base/log.h"
#include "base/websocket.h"

namespace verge::agent {
namespace {
constexpr std::size_t kHeaderBytesMax = 256U << 10U;
}  // namespace

struct LiveUplink::Impl : std::enable_shared_from_this<LiveUplink::Impl> {
  Impl(Loop& l, Metrics& m, LiveOptions o, std::function<Result<std::string>()> t)
      : loop(l),
        options(std::move(o)),
        token(std::move(t)),
        sent(m.counter("verge_live_frames_total", "Live frames pushed to the hub.")),
        dropped(m.counter("verge_live_dropped_total", "Live frames dropped.")) {}

  Loop& loop;
  const LiveOptions options;
  const std::function<Result<std::string>()> token;
  Counter &sent, &dropped;
  std::shared_ptr<WebSocket> socket;
  bool is_connecting = false;                  // An attempt is under way.
  bool is_pausing = false;                     // After a failed one.
  std::map<std::string, std::string> waiting;  // "module/stream" -> newest frame
  Loop::TimerId idle_timer = 0, flush_timer = 0, retry_timer = 0;

  void push(const std::string& key, std::string_view frame) {
    if (frame.size() > options.frame_bytes_max) return dropped.add();
    loop.cancel(idle_timer);
    idle_timer = loop.after(options.idle, [this] { close(); });
    const auto place = waiting.find(key);
    if (place != waiting.end()) {
      place->second = frame;
      dropped.add();
    } else if (waiting.size() < options.streams_max) {
      waiting.emplace(key, frame);
    } else {
      dropped.add();
    }
    if (socket != nullptr) {
      flush();
    } else {
      connect();
    }
  }

  void connect() {
    if (is_connecting || is_pausing) return;
    const auto authorization = token();
    if (!authorization) return log_error("live", authorization.error());
    is_connecting = true;
    WebSocketOptions wanted;
    wanted.connect = options.connect;
    wanted.target = options.target;
    wanted.headers.set("Authorization", *authorization);
    connect_websocket(loop, wanted, [weak = weak_from_this()](Result<std::shared_ptr<WebSocket>> result) {
      const auto self = weak.lock();
      if (self != nullptr) self->on_connected(std::move(result));
    });
  }

  void on_connected(Result<std::shared_ptr<WebSocket>> result) {
    is_connecting = false;
    if (!result) {
      log_warning("live", result.error().message);
      is_pausing = true;
      retry_timer = loop.after(options.retry, [this] {
        is_pausing = false;
        if (!waiting.empty()) connect();
      });
      return;
    }
    if (waiting.empty()) return (*result)->close();  // Nobody looks any more.
    socket = *std::move(result);
    WebSocket::Handler handler;
    handler.message = [](std::string_view, bool) {};
    handler.closed = [weak = weak_from_this()](const Error&) {
      if (const auto self = weak.lock()) self->socket.reset();
    };
    socket->start(std::move(handler));
    flush();
  }

  void flush() {
    loop.cancel(flush_timer);
    while (socket != nullptr && !waiting.empty() && socket->unsent_bytes() < options.unsent_bytes_max) {
      auto first = waiting.begin();
      socket->send_binary(std::move(first->second));
      waiting.erase(first);
      sent.add();
    }
    if (socket != nullptr && !waiting.empty()) {
      flush_timer = loop.after(std::chrono::milliseconds(50), [this] { flush(); });
    }
  }

  void close() {
    for (const auto timer : {idle_timer, flush_timer, retry_timer}) loop.cancel(timer);
    waiting.clear();
    is_pausing = false;
    if (socket == nullptr) return;
    const auto closing = std::move(socket);
    socket.reset();
    closing->close();
  }
};

LiveUplink::LiveUplink(Loop& loop, Metrics& metrics, LiveOptions options, std::function<Result<std::string>()> token)
    : impl_(std::make_shared<Impl>(loop, metrics, std::move(options), std::move(token))) {}
LiveUplink::~LiveUplink() { impl_->close(); }

void LiveUplink::push(const std::string& module, const std::string& stream, std::string_view frame) {
  if (!is_frame_of(frame, module, stream)) return impl_->dropped.add();
  impl_->push(module + "/" + stream, frame);
}
bool LiveUplink::is_open() const { return impl_->socket != nullptr; }

bool is_frame_of(std::string_view frame, std::string_view module, std::string_view stream) {
  if (frame.size() < 4) return false;
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; ++i) length = length << 8U | static_cast<unsigned char>(frame[i]);
  if (length > kHeaderBytesMax || length > frame.size() - 4) return false;
  const auto header = parse_json(frame.substr(4, length));
  if (!header || !header->is_object()) return false;
  const auto named = [&header](std::string_view key) {
    const auto text = string_member(*header, key);
    return text ? *text : std::string();
  };
  return named("module") == module && named("stream") == stream;
}

}  // namespace verge::agent
