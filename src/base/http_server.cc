#include "base/http_server.h"

#include <algorithm>

#include "base/http_session.h"

namespace verge {
namespace {

using Sessions = std::unordered_map<HttpSession*, std::shared_ptr<HttpSession>>;

/// A session leaves the map while being told to, so the caller walks over a copy.
template <class Act>
void for_each(const Sessions& sessions, Act act) {
  const Sessions copy = sessions;
  for (const auto& [key, session] : copy) act(*session);
}

Listener::OnConnection welcome(std::weak_ptr<HttpSession::Server> weak, bool is_tls) {
  return [weak = std::move(weak), is_tls](ConnectionPointer connection) {
    const auto server = weak.lock();
    if (server == nullptr || server->is_closing) return;
    const auto session = std::make_shared<HttpSession>(server, std::move(connection), is_tls);
    server->sessions.emplace(session.get(), session);
    session->start();
  };
}

}  // namespace

HttpServer::HttpServer(Loop& loop, Handlers handlers, HttpLimits limits)
    : impl_(std::make_shared<Impl>(loop, std::move(handlers), limits)) {
  VERGE_ASSERT(impl_->handlers.request != nullptr);
  // Often enough for the shortest limit (tests have short ones), seldom enough to cost nothing.
  const auto shortest = std::min({limits.idle, limits.request, limits.answer, limits.progress});
  const auto period = std::clamp(shortest / 4, std::chrono::milliseconds(10), std::chrono::milliseconds(1000));
  impl_->sweep_timer = loop.every(period, [weak = std::weak_ptr(impl_)] {
    if (const auto impl = weak.lock()) {
      for_each(impl->sessions, [](HttpSession& session) { session.check_time(); });
    }
  });
}

HttpServer::~HttpServer() {
  close();
  impl_->loop.cancel(impl_->sweep_timer);
  for_each(impl_->sessions, [](HttpSession& session) { session.abort(); });
}

Result<std::uint16_t> HttpServer::listen(const ListenOptions& options) {
  const bool is_tls = options.tls != nullptr;
  VERGE_TRY(auto listener, listen_tcp(impl_->loop, options, welcome(impl_, is_tls)));
  const std::uint16_t port = listener->port();
  impl_->listeners.emplace_back(std::move(listener), is_tls);
  return port;
}

Status HttpServer::listen_unix(const std::filesystem::path& path, unsigned mode) {
  VERGE_TRY(auto listener, verge::listen_unix(impl_->loop, path, mode, welcome(impl_, false)));
  impl_->listeners.emplace_back(std::move(listener), false);
  return Done{};
}

void HttpServer::set_tls(TlsPointer tls) {
  for (auto& [listener, is_tls] : impl_->listeners) {
    if (is_tls) listener->set_tls(tls);
  }
}

void HttpServer::close() {
  impl_->is_closing = true;
  impl_->listeners.clear();
  for_each(impl_->sessions, [](HttpSession& session) { session.finish(); });
}

}  // namespace verge
