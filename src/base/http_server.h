// base/http_server.h -- HTTP/1.1 and WebSocket server on the loop, over TCP, TLS and unix sockets.
//
// Bounds: HttpLimits, the body by BodyPlan. Keep-alive and pipelining are handled.
// Threads: everything on the loop's thread; Respond may be called from any thread, once.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/http.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/websocket.h"

namespace verge {

using Respond = std::function<void(HttpResponse)>;

/// How to receive a body, decided from the request's head. A larger body is answered 413.
struct BodyPlan {
  std::uint64_t bytes_max = 1U << 20U;
  std::filesystem::path spool_folder{};  ///< Not empty: the body goes to a file there (HttpRequest::body_file).
};

/// Connections over a limit are closed (a slow request is answered 408 first).
struct HttpLimits {
  std::size_t header_bytes_max = 64U << 10U;
  std::chrono::milliseconds idle{75'000};      ///< Between requests.
  std::chrono::milliseconds request{60'000};   ///< From a head's first byte to its last; between pieces of a body.
  std::chrono::milliseconds answer{310'000};   ///< From the request to Respond: Azure's methods wait 300 s.
  std::chrono::milliseconds progress{60'000};  ///< While sending: until the peer takes some more.
};

class HttpServer {
 public:
  struct Handlers {
    /// Answers a request now or later.
    std::function<void(HttpRequest, Respond)> request;
    /// Optional; default BodyPlan for all.
    std::function<BodyPlan(const HttpRequest& head)> plan_body{};
    /// Optional: decides on an upgrade. Return false to refuse (403), or true and, in `protocol`, the
    /// sub-protocol chosen from those offered.
    std::function<bool(const HttpRequest& head, std::string& protocol)> accept_websocket{};
    std::function<void(const HttpRequest& head, std::shared_ptr<WebSocket>)> websocket{};
  };

  HttpServer(Loop& loop, Handlers handlers, HttpLimits limits = {});
  ~HttpServer();

  /// May be called several times, to listen in several places. Errors: as listen_tcp.
  Result<std::uint16_t> listen(const ListenOptions& options);
  Status listen_unix(const std::filesystem::path& path, unsigned mode);
  /// For new connections of the listeners that were given a TLS context.
  void set_tls(TlsPointer tls);
  /// Stops accepting and closes idle connections; requests under way are still answered.
  void close();

  struct Impl;  ///< Shared with the sessions inside base.

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge
