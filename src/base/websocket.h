// base/websocket.h -- one WebSocket (RFC 6455), accepted by HttpServer or opened by connect_websocket.
//
// Threads: everything on the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/http.h"
#include "base/loop.h"
#include "base/net.h"

namespace verge {

/// Messages up to 16 MiB. Pings are answered; an idle peer is pinged and closed after 60 s without an answer.
class WebSocket {
 public:
  struct Handler {
    std::function<void(std::string_view message, bool is_binary)> message;
    std::function<void(const Error& reason)> closed;  ///< Once, unless we closed.
  };
  virtual ~WebSocket() = default;
  /// Begins reading. Dropping the last pointer closes at once.
  virtual void start(Handler handler) = 0;
  virtual void send_text(std::string message) = 0;
  virtual void send_binary(std::string message) = 0;
  /// Bytes queued and not yet taken by the kernel: drop frames instead of queueing without end.
  virtual std::size_t unsent_bytes() const = 0;
  /// Back-pressure: while paused nothing is read.
  virtual void pause_reading(bool paused) = 0;
  /// Says goodbye and closes; no call-back follows.
  virtual void close() = 0;
  virtual const Peer& peer() const = 0;
};

struct WebSocketOptions {
  ConnectOptions connect{};
  std::string target = "/";
  HttpHeaders headers{};
  std::string protocol{};  ///< Sub-protocol to ask for; empty for none.
};
/// Calls `done` once, on the loop. Errors: as connect_tcp; unavailable when the server refuses the upgrade.
void connect_websocket(Loop& loop, const WebSocketOptions& options,
                       std::function<void(Result<std::shared_ptr<WebSocket>>)> done);

/// A WebSocket as a byte stream, for protocols that ignore its message borders (MQTT over WebSocket).
ConnectionPointer as_connection(std::shared_ptr<WebSocket> socket);

}  // namespace verge
