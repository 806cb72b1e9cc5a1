// base/http_site_for_tests.h -- a small HTTP server on a thread of its own, for tests of clients.
#pragma once

#include "base/disk.h"
#include "base/http_server.h"
#include "base/json.h"
#include "base/loop_for_tests.h"

namespace verge {

/// Answers with what it got, so that a test sees how a request was understood.
inline HttpResponse echo(const HttpRequest& request) {
  Json query = Json::object();
  for (const auto& [key, value] : request.query) query[key] = value;
  std::string body = request.body;
  if (!request.body_file.empty()) body = *read_file(request.body_file);
  return json_response({{"method", request.method},
                        {"path", request.path},
                        {"segments", request.segments()},
                        {"query", query},
                        {"body_bytes", body.size()},
                        {"body_start", body.substr(0, 8)},
                        {"spooled", !request.body_file.empty()},
                        {"header", request.headers.get("X-Test")},
                        {"tls", request.is_tls},
                        {"peer", request.peer.address}});
}

inline void answer_echo(const HttpRequest& request, const Respond& respond) { respond(echo(request)); }

/// Listens on a free loopback port until destroyed.
class ServedSite {
 public:
  explicit ServedSite(HttpServer::Handlers handlers) {
    loop_.on_loop([&] {
      server_ = std::make_unique<HttpServer>(loop_.loop(), std::move(handlers));
      port_ = *server_->listen({});
      return true;
    });
  }
  ~ServedSite() {
    loop_.on_loop([&] {
      server_.reset();
      return true;
    });
  }
  ServedSite(const ServedSite&) = delete;
  ServedSite& operator=(const ServedSite&) = delete;

  template <class Act>
  auto on_server(Act act) {
    return loop_.on_loop([&] { return act(*server_); });
  }
  std::string url(const std::string& target) const { return "http://127.0.0.1:" + std::to_string(port_) + target; }

 private:
  LoopThread loop_;
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
};

}  // namespace verge
