#include "connectors/camera/tls_tunnel.h"

#include <charconv>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <thread>

#include "base/unjudged_tls.h"
#include "connectors/secret_url.h"

namespace verge::connectors {
namespace {

constexpr std::chrono::milliseconds kTunnelConnectTimeout{5'000};
constexpr std::uint16_t kRtspsPort = 322, kHttpsPort = 443;

/// Where a URL leads and what is left of it.
struct Target {
  std::string plain_scheme, user, host, path;  ///< "rtsp", "me:secret@", "192.0.2.7", "/stream1?x"
  std::uint16_t port = 0;
};

Result<Target> target_of(std::string_view url) {
  const UrlParts parts = split_url(url);
  Target target;
  target.plain_scheme = parts.scheme == "https" ? "http" : "rtsp";
  target.port = parts.scheme == "https" ? kHttpsPort : kRtspsPort;
  if (parts.has_user) target.user = std::string(parts.user) + "@";
  const auto end = std::min(parts.rest.find_first_of("/?#"), parts.rest.size());
  std::string_view place = parts.rest.substr(0, end);
  target.path = parts.rest.substr(end);
  std::string_view port;
  const auto bracket = place.starts_with('[') ? place.find(']') : std::string_view::npos;
  const auto colon = bracket == std::string_view::npos ? place.find(':') : place.find(':', bracket);
  if (colon != std::string_view::npos) port = place.substr(colon + 1), place = place.substr(0, colon);
  if (bracket != std::string_view::npos) place = place.substr(1, bracket - 1);
  target.host = place;
  if (!port.empty()) {
    const auto [last, error] = std::from_chars(port.data(), port.data() + port.size(), target.port);
    if (error != std::errc() || last != port.data() + port.size() || target.port == 0) {
      return Error{ErrorCode::invalid_argument, fmt::format("its port is \"{}\"", port)};
    }
  }
  if (target.host.empty()) return Error{ErrorCode::invalid_argument, "it has no host"};
  return target;
}

std::string ways_out(const std::string& fingerprint) {
  return fmt::format(
      "if it is your camera's (compare: verge camera check), give `fingerprint: sha256:{}`; or `ca`, the PEM file of "
      "who "
      "signed it; or `insecure: true`, and anybody may answer",
      fingerprint);
}

}  // namespace

bool is_tls_url(std::string_view url) {
  const std::string_view scheme = split_url(url).scheme;
  return scheme == "rtsps" || scheme == "https";
}

struct TlsTunnel::Impl {
  using Id = std::uint64_t;
  /// A connection of FFmpeg and the one that goes on to the camera.
  struct Pipe {
    ConnectionPointer near, far;
  };

  Impl(Target target_used, CameraTrust trust_used, TlsPointer tls_used)
      : target(std::move(target_used)), trust(std::move(trust_used)), tls(std::move(tls_used)) {}

  Status listen() {
    ListenOptions options;
    options.connections_max = kConnectionsMax;
    VERGE_TRY(listener, listen_tcp(loop, options, [this](ConnectionPointer near) { accept(std::move(near)); }));
    return Done{};
  }

  // ---- on the loop

  void accept(ConnectionPointer near) {
    note(Done{});
    const Id id = ++last_id;
    pipes[id].near = std::move(near);
    connect_tcp(loop, address(tls), [this, id](Result<ConnectionPointer> far) { on_connected(id, std::move(far)); });
  }

  ConnectOptions address(const TlsPointer& with) const {
    return {target.host, target.port, with, {}, kTunnelConnectTimeout};
  }

  void on_connected(Id id, Result<ConnectionPointer> far) {
    if (!far) {
      const bool is_refused = far.error().message.find("certificate is refused") != std::string::npos;
      if (!is_refused) return give_up(id, std::move(far).error());
      return explain_refusal(id, far.error());
    }
    const std::string& found = (*far)->peer().certificate_thumbprint;
    if (!trust.fingerprint.empty() && found != trust.fingerprint) {
      (*far)->abort();
      return give_up(id, Error{ErrorCode::invalid_argument,
                               fmt::format("its certificate is another than the one asked for: {}", ways_out(found))});
    }
    join(id, *std::move(far));
  }

  /// Connects once more, sends nothing, and looks at the certificate.
  void explain_refusal(Id id, const Error& refusal) {
    auto unjudged = make_unjudged_tls();
    if (!unjudged) return give_up(id, refusal);
    connect_tcp(loop, address(*unjudged), [this, id, refusal](Result<ConnectionPointer> far) {
      if (!far) return give_up(id, refusal);
      const std::string found = (*far)->peer().certificate_thumbprint;
      (*far)->abort();
      give_up(id, Error{ErrorCode::invalid_argument, fmt::format("{}; {}", refusal.message, ways_out(found))});
    });
  }

  void give_up(Id id, Error reason) {
    note(std::move(reason));
    close(id);
  }

  void close(Id id) {
    const auto at = pipes.find(id);
    if (at == pipes.end()) return;
    Pipe pipe = std::move(at->second);
    pipes.erase(at);
    if (pipe.near) pipe.near->close();
    if (pipe.far) pipe.far->close();
    loop.post([held = std::move(pipe)] {});  // We may be inside one of their call-backs.
  }

  void join(Id id, ConnectionPointer far) {
    const auto at = pipes.find(id);
    if (at == pipes.end()) return far->abort();
    at->second.far = std::move(far);
    const Pipe pipe = at->second;
    pipe.far->start(handler(id, pipe.far.get(), pipe.near.get()));
    pipe.near->start(handler(id, pipe.near.get(), pipe.far.get()));
  }

  /// The pipe holds both ends until close(), after which neither calls back.
  Connection::Handler handler(Id id, Connection* from, Connection* to) {
    Connection::Handler on;
    on.bytes = [from, to](std::string_view bytes) {
      to->send(bytes);
      if (to->unsent_bytes() > kUnsentBytesMax) from->pause_reading(true);
    };
    on.drained = [to] { to->pause_reading(false); };
    on.closed = [this, id](const Error&) { close(id); };
    return on;
  }

  void note(Status newest) {
    const std::lock_guard lock(mutex);
    state = std::move(newest);
  }

  const Target target;
  const CameraTrust trust;
  const TlsPointer tls;
  mutable std::mutex mutex;  ///< Of state.
  Status state = Done{};
  Loop loop;
  std::unique_ptr<Listener> listener;  ///< This and what follows: only on the loop once it runs.
  std::map<Id, Pipe> pipes;
  Id last_id = 0;
  std::uint16_t port = 0;
  std::thread thread;
};

TlsTunnel::TlsTunnel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<TlsTunnel>> TlsTunnel::open(std::string_view url, const CameraTrust& trust) {
  VERGE_TRY(Target target, target_of(url));
  VERGE_TRY(TlsPointer tls, make_camera_tls(trust));
  auto impl = std::make_unique<Impl>(std::move(target), trust, std::move(tls));
  VERGE_CHECK(impl->listen());
  impl->port = impl->listener->port();
  impl->thread = std::thread([running = impl.get()] { running->loop.run(); });
  return std::unique_ptr<TlsTunnel>(new TlsTunnel(std::move(impl)));
}

TlsTunnel::~TlsTunnel() {
  impl_->loop.post([impl = impl_.get()] {
    impl->listener.reset();
    for (auto& [id, pipe] : impl->pipes) {
      if (pipe.near) pipe.near->abort();
      if (pipe.far) pipe.far->abort();
    }
    impl->pipes.clear();
    impl->loop.stop();
  });
  impl_->thread.join();
}

std::string TlsTunnel::url() const {
  return fmt::format("{}://{}127.0.0.1:{}{}", impl_->target.plain_scheme, impl_->target.user, impl_->port,
                     impl_->target.path);
}

std::string TlsTunnel::host() const {
  const bool is_six = impl_->target.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_six ? "[" : "", impl_->target.host, is_six ? "]" : "", impl_->target.port);
}

Status TlsTunnel::state() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->state;
}

}  // namespace verge::connectors
