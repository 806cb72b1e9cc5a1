// cli/fake_hub_for_tests.h -- an HTTP server in the test's own process that answers as a hub would.
#pragma once

#include <functional>
#include <string>

#include "base/http_server.h"
#include "base/json.h"
#include "base/loop_for_tests.h"
#include "cli/hub_client.h"

namespace verge::cli {

class FakeHub {
 public:
  using Answer = std::function<HttpResponse(const HttpRequest&)>;

  explicit FakeHub(Answer answer)
      : answer_(std::move(answer)), server_(loop_.on_loop([this] {
          return std::make_unique<HttpServer>(
              loop_.loop(), HttpServer::Handlers{.request = [this](HttpRequest request, const Respond& respond) {
                respond(answer_(request));
              }});
        })) {
    port_ = loop_.on_loop([this] { return *server_->listen({.address = "127.0.0.1", .port = 0}); });
  }
  ~FakeHub() {
    loop_.on_loop([this] {
      server_.reset();
      return 0;
    });
  }
  FakeHub(const FakeHub&) = delete;
  FakeHub& operator=(const FakeHub&) = delete;

  HubClient client() const {
    HubAddress address;
    address.host = "127.0.0.1";
    address.https_port = port_;
    address.is_plain = true;
    address.connection_string = "HostName=127.0.0.1;SharedAccessKeyName=service;SharedAccessKey=c2VjcmV0";
    return HubClient(std::move(address));
  }
  std::uint16_t port() const { return port_; }

 private:
  Answer answer_;
  LoopThread loop_;
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
};

/// {"code", "message"}, as the hub's own API says errors.
inline HttpResponse hub_error(int status, std::string_view message) {
  return json_response({{"code", "error"}, {"message", message}}, status);
}

}  // namespace verge::cli
