// base/net.h -- byte streams over TCP, TLS and unix sockets, by call-back on the loop.
//
// TCP_NODELAY is always set. Threads: everything on the loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "base/result.h"

namespace verge {

/// Who is at the other end, as far as the transport knows.
struct Peer {
  std::string address{};                 ///< "127.0.0.1:5000" or "unix".
  std::string certificate_thumbprint{};  ///< Of a client certificate that the TLS layer verified; else empty.
  std::int64_t pid = 0;                  ///< Unix sockets only (SO_PEERCRED).
  std::int64_t uid = -1;
};

/// A connected byte stream. The owner keeps the shared pointer (dropping it closes the stream at
/// once) and lets go of it before the loop ends; after closed() no call-back follows.
class Connection {
 public:
  struct Handler {
    /// Bytes as they came; the view is valid only during the call. Call-backs may close the connection.
    std::function<void(std::string_view bytes)> bytes;
    /// Exactly once: the peer closed (code unavailable) or the transport failed. Not called after close().
    std::function<void(const Error& reason)> closed;
    /// Optional: the kernel took everything that was queued; time to queue more of something long.
    std::function<void()> drained{};
  };
  virtual ~Connection() = default;
  /// Begins reading. A later call hands the stream over to another handler.
  virtual void start(Handler handler) = 0;
  /// Queues bytes; everything queued in one turn of the loop leaves in one system call.
  virtual void send(std::string_view bytes) = 0;
  /// Bytes queued and not yet taken by the kernel. The caller bounds this; the connection does not.
  virtual std::size_t unsent_bytes() const = 0;
  /// Back-pressure: while paused nothing is read.
  virtual void pause_reading(bool paused) = 0;
  /// Sends what is queued (bounded by 1 s), then closes. No call-back follows.
  virtual void close() = 0;
  /// Closes at once (TCP reset semantics are allowed).
  virtual void abort() = 0;
  virtual const Peer& peer() const = 0;
};
using ConnectionPointer = std::shared_ptr<Connection>;

/// PEM texts. A server needs certificate chain and key; a client needs trust (empty = system bundle).
struct TlsOptions {
  std::string certificate_chain_pem{};
  std::string key_pem{};
  std::string trust_pem{};
  bool request_client_certificate = false;  ///< Server: ask, accept none; a given one is reported, not judged by chain.
};

/// A loaded TLS configuration (1.2 and 1.3). Share it over listeners; replace it to rotate.
class TlsContext {
 public:
  static Result<std::shared_ptr<TlsContext>> make_server(const TlsOptions& options);
  static Result<std::shared_ptr<TlsContext>> make_client(const TlsOptions& options);
  virtual ~TlsContext() = default;
};
using TlsPointer = std::shared_ptr<TlsContext>;

struct ListenOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;                   ///< 0 picks a free one; see Listener::port().
  TlsPointer tls{};                         ///< Null: plain.
  bool bind_before_address_exists = false;  ///< IP_FREEBIND: the container bridge may not be up yet.
  std::size_t connections_max = 4096;       ///< More are closed at once, counted in refused_count().
  std::chrono::milliseconds handshake_timeout{10'000};
};

/// Accepts until destroyed; accepted connections live on.
class Listener {
 public:
  using OnConnection = std::function<void(ConnectionPointer)>;
  virtual ~Listener() = default;
  virtual std::uint16_t port() const = 0;
  virtual std::uint64_t refused_count() const = 0;
  /// New connections use this certificate from now on.
  virtual void set_tls(TlsPointer tls) = 0;
};

/// Errors: conflict when the address is in use (the message names it), invalid_argument, unavailable.
Result<std::unique_ptr<Listener>> listen_tcp(Loop& loop, const ListenOptions& options,
                                             Listener::OnConnection on_connection);
/// Creates the socket file with `mode`, replacing a stale one.
Result<std::unique_ptr<Listener>> listen_unix(Loop& loop, const std::filesystem::path& path, unsigned mode,
                                              Listener::OnConnection on_connection);

struct ConnectOptions {
  std::string host{};
  std::uint16_t port = 0;
  TlsPointer tls{};           ///< Null: plain. The certificate must match `host` (or server_name).
  std::string server_name{};  ///< When it differs from host.
  std::chrono::milliseconds timeout{10'000};
};
/// Calls `done` once, on the loop.
void connect_tcp(Loop& loop, const ConnectOptions& options, std::function<void(Result<ConnectionPointer>)> done);

}  // namespace verge
