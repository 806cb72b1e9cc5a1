#include "base/net.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/stream_connection.h"

namespace verge {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::local::stream_protocol;
using std::chrono::milliseconds;
using LibraryError = boost::system::error_code;
using Resolver = asio::ip::basic_resolver<tcp, asio::io_context::executor_type>;

std::string text_of(const tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  return address.is_v6() ? fmt::format("[{}]:{}", address.to_string(), endpoint.port())
                         : fmt::format("{}:{}", address.to_string(), endpoint.port());
}

using TcpConnection = StreamConnection<tcp>;
using UnixConnection = StreamConnection<stream_protocol>;

Peer peer_of(const TcpConnection::Socket& socket) {
  LibraryError ignored;
  Peer peer;
  peer.address = text_of(socket.remote_endpoint(ignored));
  return peer;
}

Peer peer_of(UnixConnection::Socket& socket) {
  Peer peer;
  peer.address = "unix";
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
    peer.pid = credentials.pid;
    peer.uid = credentials.uid;
  }
  return peer;
}

void prepare(TcpConnection::Socket& socket) {
  LibraryError ignored;
  socket.set_option(tcp::no_delay(true), ignored);
}
void prepare(UnixConnection::Socket&) {}

/// Counts one connection for as long as it lives.
class Ticket {
 public:
  explicit Ticket(std::shared_ptr<std::size_t> count) : count_(std::move(count)) { ++*count_; }
  ~Ticket() { --*count_; }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

 private:
  std::shared_ptr<std::size_t> count_;
};

/// What outlives the Listener while an accept is under way.
template <class Protocol>
class Acceptor : public std::enable_shared_from_this<Acceptor<Protocol>> {
 public:
  using Socket = typename StreamConnection<Protocol>::Socket;
  using ListeningSocket = asio::basic_socket_acceptor<Protocol, asio::io_context::executor_type>;

  Acceptor(Loop& loop, ListenOptions options, Listener::OnConnection on_connection)
      : loop_(loop), options_(std::move(options)), on_connection_(std::move(on_connection)), socket_(loop.impl().io) {}

  ListeningSocket& socket() { return socket_; }
  void set_tls(TlsPointer tls) { options_.tls = std::move(tls); }
  std::uint64_t refused_count() const { return refused_count_; }

  void accept() {
    if (!socket_.is_open()) return;
    auto accepted = std::make_shared<Socket>(loop_.impl().io);
    socket_.async_accept(*accepted, [self = this->shared_from_this(), accepted](const LibraryError& error) {
      if (error == asio::error::operation_aborted) return;
      if (error) return self->rest();
      self->welcome(std::move(*accepted));
      self->accept();
    });
  }

  void close() {
    LibraryError ignored;
    socket_.close(ignored);
    on_connection_ = nullptr;
  }

 private:
  /// Most likely out of file descriptors: the waiting peer stays in the kernel's queue, so trying
  /// at once again would only burn the processor.
  void rest() {
    loop_.after(milliseconds(100), [self = this->shared_from_this()] { self->accept(); });
  }

  void welcome(Socket socket) {
    if (*connection_count_ >= options_.connections_max) {
      ++refused_count_;
      return;  // the socket's destructor closes it
    }
    prepare(socket);
    Peer peer = peer_of(socket);
    auto connection = std::make_shared<StreamConnection<Protocol>>(loop_, std::move(socket), std::move(peer),
                                                                   std::make_shared<Ticket>(connection_count_));
    if (options_.tls == nullptr) return hand_over(std::move(connection));
    auto tls = std::make_unique<TlsEngine>(*options_.tls, "");
    connection->handshake(std::move(tls), options_.handshake_timeout,
                          [self = this->shared_from_this(), tls_context = options_.tls,
                           weak = std::weak_ptr(connection)](const Status& status) {
                            const auto ready = weak.lock();
                            if (status && ready != nullptr) self->hand_over(ready);
                          });
  }

  void hand_over(ConnectionPointer connection) {
    const auto on_connection = on_connection_;  // a copy: the call-back may end the listener
    if (on_connection) on_connection(std::move(connection));
  }

  Loop& loop_;
  ListenOptions options_;
  Listener::OnConnection on_connection_;
  ListeningSocket socket_;
  std::shared_ptr<std::size_t> connection_count_ = std::make_shared<std::size_t>(0);
  std::uint64_t refused_count_ = 0;
};

template <class Protocol>
class SocketListener final : public Listener {
 public:
  SocketListener(std::shared_ptr<Acceptor<Protocol>> acceptor, std::uint16_t port, std::filesystem::path path)
      : acceptor_(std::move(acceptor)), port_(port), path_(std::move(path)) {
    acceptor_->accept();
  }
  ~SocketListener() override {
    acceptor_->close();
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  std::uint16_t port() const override { return port_; }
  std::uint64_t refused_count() const override { return acceptor_->refused_count(); }
  void set_tls(TlsPointer tls) override { acceptor_->set_tls(std::move(tls)); }

 private:
  std::shared_ptr<Acceptor<Protocol>> acceptor_;
  std::uint16_t port_;
  std::filesystem::path path_;
};

Error listen_error(const std::string& where, const LibraryError& error) {
  if (error == asio::error::address_in_use) {
    return {ErrorCode::conflict,
            fmt::format("listen on {}: the address is in use; stop the other program or choose another port", where)};
  }
  return {ErrorCode::unavailable, fmt::format("listen on {}: {}", where, error.message())};
}

template <class ListeningSocket>
LibraryError open_and_bind(ListeningSocket& socket, const tcp::endpoint& endpoint, bool before_address_exists) {
  LibraryError error;
  socket.open(endpoint.protocol(), error);
  if (!error) socket.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && before_address_exists) {
    const int on = 1;
    if (::setsockopt(socket.native_handle(), IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) != 0) {
      error.assign(errno, boost::system::system_category());
    }
  }
  if (!error) socket.bind(endpoint, error);
  if (!error) socket.listen(asio::socket_base::max_listen_connections, error);
  return error;
}

/// True when a program answers on the socket file.
bool is_served(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool is_connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  const bool is_busy = !is_connected && errno == EAGAIN;
  ::close(fd);
  return is_connected || is_busy;
}

Status make_room_for_socket(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return Done{};
  if (!S_ISSOCK(status.st_mode)) {
    return Error{ErrorCode::conflict,
                 fmt::format("listen on \"{}\": a file that is no socket is there", path.string())};
  }
  if (is_served(path)) {
    return Error{ErrorCode::conflict, fmt::format("listen on \"{}\": another program serves it", path.string())};
  }
  ::unlink(path.c_str());
  return Done{};
}

template <class ListeningSocket>
LibraryError open_and_bind(ListeningSocket& socket, const std::filesystem::path& path, unsigned mode) {
  LibraryError error;
  socket.open(stream_protocol(), error);
  // The mode goes to the socket before bind, so that the file is never wider open than wanted; the
  // second time is for the bits that the umask took away.
  if (!error && ::fchmod(socket.native_handle(), mode) != 0) error.assign(errno, boost::system::system_category());
  if (!error) socket.bind(stream_protocol::endpoint(path.string()), error);
  if (!error && ::chmod(path.c_str(), mode) != 0) error.assign(errno, boost::system::system_category());
  if (!error) socket.listen(asio::socket_base::max_listen_connections, error);
  return error;
}

/// One connect_tcp: resolve, try address after address, shake hands, all within the timeout.
class Connector : public std::enable_shared_from_this<Connector> {
 public:
  using OnConnected = std::function<void(Result<ConnectionPointer>)>;

  Connector(Loop& loop, ConnectOptions options, OnConnected done)
      : loop_(loop),
        options_(std::move(options)),
        done_(std::move(done)),
        resolver_(loop.impl().io),
        socket_(loop.impl().io),
        last_error_{ErrorCode::unavailable, where() + ": the name has no address"} {}

  void begin() {
    timer_ = loop_.after(options_.timeout, [self = shared_from_this()] {
      self->finish(Error{ErrorCode::timeout,
                         fmt::format("{}: no answer within {} ms", self->where(), self->options_.timeout.count())});
    });
    LibraryError error;
    const auto address = asio::ip::make_address(options_.host, error);
    if (!error) {
      endpoints_ = {tcp::endpoint(address, options_.port)};
      return asio::post(loop_.impl().io, [self = shared_from_this()] { self->try_next(); });
    }
    resolver_.async_resolve(options_.host, std::to_string(options_.port), Resolver::numeric_service,
                            [self = shared_from_this()](const LibraryError& failed, const auto& found) {
                              if (failed) return self->finish_with("the name cannot be resolved", failed);
                              for (const auto& entry : found) self->endpoints_.push_back(entry.endpoint());
                              self->try_next();
                            });
  }

 private:
  std::string where() const { return fmt::format("connect to {}:{}", options_.host, options_.port); }

  void finish_with(std::string_view what, const LibraryError& error) {
    finish(Error{ErrorCode::unavailable, fmt::format("{}: {} ({})", where(), what, error.message())});
  }

  void finish(Result<ConnectionPointer> result) {
    const auto done = std::exchange(done_, nullptr);
    if (!done) return;
    const auto self = shared_from_this();
    loop_.cancel(timer_);
    resolver_.cancel();
    LibraryError ignored;
    socket_.close(ignored);
    if (!result && connection_ != nullptr) connection_->abort();
    connection_.reset();
    done(std::move(result));
  }

  void try_next() {
    if (!done_) return;
    if (next_ == endpoints_.size()) return finish(last_error_);
    const auto endpoint = endpoints_[next_++];
    LibraryError ignored;
    socket_.close(ignored);
    socket_.async_connect(endpoint, [self = shared_from_this(), endpoint](const LibraryError& error) {
      if (!self->done_) return;
      if (!error) return self->connected();
      self->last_error_ = {ErrorCode::unavailable, fmt::format("{}: {}", self->where(), error.message())};
      self->try_next();
    });
  }

  void connected() {
    prepare(socket_);
    Peer peer = peer_of(socket_);
    connection_ = std::make_shared<TcpConnection>(loop_, std::move(socket_), std::move(peer), nullptr);
    if (options_.tls == nullptr) return finish(ConnectionPointer(connection_));
    const std::string& name = options_.server_name.empty() ? options_.host : options_.server_name;
    connection_->handshake(std::make_unique<TlsEngine>(*options_.tls, name), options_.timeout,
                           [self = shared_from_this()](const Status& status) {
                             if (!status) return self->finish(status.error().within(self->where()));
                             self->finish(ConnectionPointer(self->connection_));
                           });
  }

  Loop& loop_;
  const ConnectOptions options_;
  OnConnected done_;
  Resolver resolver_;
  TcpConnection::Socket socket_;
  std::vector<tcp::endpoint> endpoints_;
  std::size_t next_ = 0;
  Error last_error_;
  std::shared_ptr<TcpConnection> connection_;
  Loop::TimerId timer_ = 0;
};

}  // namespace

Result<std::unique_ptr<Listener>> listen_tcp(Loop& loop, const ListenOptions& options,
                                             Listener::OnConnection on_connection) {
  LibraryError error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("listen on \"{}\": expected an IP address such as 127.0.0.1 or ::1", options.address)};
  }
  const tcp::endpoint endpoint(address, options.port);
  auto acceptor = std::make_shared<Acceptor<tcp>>(loop, options, std::move(on_connection));
  error = open_and_bind(acceptor->socket(), endpoint, options.bind_before_address_exists);
  if (error) return listen_error(text_of(endpoint), error);
  const std::uint16_t port = acceptor->socket().local_endpoint(error).port();
  return std::unique_ptr<Listener>(std::make_unique<SocketListener<tcp>>(std::move(acceptor), port, ""));
}

Result<std::unique_ptr<Listener>> listen_unix(Loop& loop, const std::filesystem::path& path, unsigned mode,
                                              Listener::OnConnection on_connection) {
  const std::string where = fmt::format("\"{}\"", path.string());
  if (path.empty() || path.native().size() >= sizeof(sockaddr_un::sun_path)) {
    return Error{ErrorCode::invalid_argument, fmt::format("listen on {}: the path must have 1 to {} bytes", where,
                                                          sizeof(sockaddr_un::sun_path) - 1)};
  }
  VERGE_CHECK(make_room_for_socket(path));
  auto acceptor = std::make_shared<Acceptor<stream_protocol>>(loop, ListenOptions{}, std::move(on_connection));
  const LibraryError error = open_and_bind(acceptor->socket(), path, mode);
  if (error) return listen_error(where, error);
  return std::unique_ptr<Listener>(std::make_unique<SocketListener<stream_protocol>>(std::move(acceptor), 0, path));
}

void connect_tcp(Loop& loop, const ConnectOptions& options, std::function<void(Result<ConnectionPointer>)> done) {
  std::make_shared<Connector>(loop, options, std::move(done))->begin();
}

}  // namespace verge
