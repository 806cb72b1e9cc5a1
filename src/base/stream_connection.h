// base/stream_connection.h -- the one implementation of Connection, over any stream socket, with
// or without TLS; private to base.
//
// Reads and writes happen when the kernel says ready (no buffer waits in an idle connection);
// what is sent in one turn of the loop is gathered and written at its end.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/loop_impl.h"
#include "base/net.h"
#include "base/tls_engine.h"

namespace verge {

template <class Protocol>
class StreamConnection final : public Connection, public std::enable_shared_from_this<StreamConnection<Protocol>> {
 public:
  using Socket = boost::asio::basic_stream_socket<Protocol, boost::asio::io_context::executor_type>;
  using OnReady = std::function<void(Status)>;

  /// `ticket` is let go when the socket closes; a listener counts its connections by it.
  StreamConnection(Loop& loop, Socket socket, Peer peer, std::shared_ptr<void> ticket)
      : loop_(loop), socket_(std::move(socket)), peer_(std::move(peer)), ticket_(std::move(ticket)) {
    boost::system::error_code ignored;
    socket_.non_blocking(true, ignored);
  }

  /// Calls `on_ready` once, when the stream is encrypted or failed to be. Keeps itself alive meanwhile.
  void handshake(std::unique_ptr<TlsEngine> tls, std::chrono::milliseconds timeout, OnReady on_ready) {
    tls_ = std::move(tls);
    on_ready_ = std::move(on_ready);
    timer_ = loop_.after(timeout, [self = this->shared_from_this(), timeout] {
      self->fail({ErrorCode::timeout, "TLS handshake: not finished within " + std::to_string(timeout.count()) + " ms"});
    });
    const Status begun = tls_->begin(out_);
    if (!begun) return fail_later(begun.error());
    schedule_flush();
    wait_readable();
  }

  void start(Handler handler) override {
    if (phase_ != Phase::open) return;
    handler_ = std::make_shared<const Handler>(std::move(handler));
    if (early_.empty() && !(tls_ && tls_->is_closed_by_peer())) return wait_readable();
    // Content that came with the last step of the handshake.
    boost::asio::post(socket_.get_executor(), [self = this->shared_from_this()] {
      self->deliver(std::exchange(self->early_, {}));
      self->wait_readable();
    });
  }

  void send(std::string_view bytes) override {
    if (phase_ != Phase::open || bytes.empty()) return;
    (tls_ ? plain_ : out_).append(bytes);
    schedule_flush();
  }

  std::size_t unsent_bytes() const override { return plain_.size() - encrypted_ + out_.size() - sent_; }

  void pause_reading(bool paused) override {
    is_paused_ = paused;
    wait_readable();
  }

  void close() override {
    if (phase_ != Phase::open) return;
    phase_ = Phase::closing;
    handler_.reset();
    is_paused_ = false;
    loop_.cancel(timer_);
    timer_ = loop_.after(std::chrono::seconds(1), [self = this->shared_from_this()] { self->close_socket(); });
    schedule_flush();
  }

  void abort() override {
    handler_.reset();
    close_socket();
  }

  const Peer& peer() const override { return peer_; }

 private:
  using ErrorCodeOfLibrary = boost::system::error_code;
  enum class Phase : std::uint8_t { open, closing, closed };

  // Encrypting further ahead than this would only hold memory.
  static constexpr std::size_t kEncryptedAheadMax = 256U << 10U;
  static constexpr std::size_t kKeptCapacityMax = 64U << 10U;

  // -- reading

  /// Nothing is read before start(), except for the handshake.
  bool wants_to_read() const {
    if (phase_ == Phase::open) return !is_paused_ && (handler_ != nullptr || on_ready_ != nullptr);
    return phase_ == Phase::closing;
  }

  void wait_readable() {
    if (is_waiting_to_read_ || !wants_to_read()) return;
    is_waiting_to_read_ = true;
    socket_.async_wait(Socket::wait_read, [weak = this->weak_from_this()](const ErrorCodeOfLibrary& error) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->is_waiting_to_read_ = false;
      if (!error) self->read();
    });
  }

  void read() {
    if (!wants_to_read()) return;
    auto& buffer = loop_.impl().read_buffer;
    ErrorCodeOfLibrary error;
    const std::size_t count = socket_.read_some(boost::asio::buffer(buffer), error);
    if (error && error != boost::asio::error::would_block && error != boost::asio::error::interrupted) {
      return fail_reading(error);
    }
    if (count > 0) take({buffer.data(), count});
    wait_readable();
  }

  void fail_reading(const ErrorCodeOfLibrary& error) {
    if (error == boost::asio::error::eof) return fail({ErrorCode::unavailable, "the peer closed the connection"});
    fail({ErrorCode::unavailable, "read from the connection: " + error.message()});
  }

  void take(std::string_view bytes) {
    if (phase_ != Phase::open) return;  // closing: the peer's last words are read only to end cleanly
    if (tls_ == nullptr) return deliver(bytes);
    std::string& plain = loop_.impl().plain_buffer;
    plain.clear();
    const Status fed = tls_->feed(bytes, plain, out_);
    if (out_.size() > sent_) schedule_flush();
    if (!fed) return fail_after_alert(fed.error());
    if (on_ready_) {
      if (tls_->is_ready()) finish_handshake(plain);
      return;
    }
    deliver(plain);
  }

  void finish_handshake(std::string_view early) {
    loop_.cancel(std::exchange(timer_, 0));
    peer_.certificate_thumbprint = tls_->peer_thumbprint();
    early_ = early;
    const auto on_ready = std::exchange(on_ready_, nullptr);
    on_ready(Done{});
  }

  void deliver(std::string_view bytes) {
    const auto handler = handler_;  // the call-back may close us
    if (handler != nullptr && !bytes.empty()) handler->bytes(bytes);
    if (tls_ != nullptr && tls_->is_closed_by_peer()) fail({ErrorCode::unavailable, "the peer closed the connection"});
  }

  // -- writing

  void schedule_flush() {
    if (is_flush_posted_ || is_waiting_to_write_) return;
    is_flush_posted_ = true;
    boost::asio::post(socket_.get_executor(), [self = this->shared_from_this()] {
      self->is_flush_posted_ = false;
      self->flush();
    });
  }

  void flush() {
    if (phase_ == Phase::closed || is_waiting_to_write_) return;
    const bool had_work = unsent_bytes() > 0;
    do {
      if (!encrypt_some() || !write_some()) return;
    } while (encrypted_ < plain_.size());
    if (phase_ == Phase::closing) return say_goodbye();
    const auto handler = handler_;
    if (had_work && handler != nullptr && handler->drained) handler->drained();
  }

  bool encrypt_some() {
    if (tls_ == nullptr || plain_.empty() || !tls_->is_ready()) return true;
    const std::string_view next = std::string_view(plain_).substr(encrypted_, kEncryptedAheadMax);
    const Status encrypted = tls_->encrypt(next, out_);
    if (!encrypted) {
      fail(encrypted.error());
      return false;
    }
    encrypted_ += next.size();
    drop_front(plain_, encrypted_);
    return true;
  }

  /// False when the kernel's buffer is full, or the connection failed.
  bool write_some() {
    while (sent_ < out_.size()) {
      ErrorCodeOfLibrary error;
      sent_ += socket_.write_some(boost::asio::buffer(out_.data() + sent_, out_.size() - sent_), error);
      if (error == boost::asio::error::would_block) {
        drop_front(out_, sent_);
        wait_writable();
        return false;
      }
      if (error && error != boost::asio::error::interrupted) {
        fail({ErrorCode::unavailable, "write to the connection: " + error.message()});
        return false;
      }
    }
    drop_front(out_, sent_);
    return true;
  }

  /// Forgets the first `done` bytes, but moves the rest only when that is cheap for what it frees.
  static void drop_front(std::string& queue, std::size_t& done) {
    if (done == queue.size()) {
      queue.clear();
      if (queue.capacity() > kKeptCapacityMax) queue.shrink_to_fit();
    } else if (done > kEncryptedAheadMax && done > queue.size() / 2) {
      queue.erase(0, done);
    } else {
      return;
    }
    done = 0;
  }

  void wait_writable() {
    is_waiting_to_write_ = true;
    socket_.async_wait(Socket::wait_write, [weak = this->weak_from_this()](const ErrorCodeOfLibrary& error) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->is_waiting_to_write_ = false;
      if (!error) self->flush();
    });
  }

  // -- ending

  /// All is sent. Closing now with unread input would make the kernel reset the connection, and the
  /// peer could lose what we sent; so only our direction ends, until the peer ends its own (or 1 s).
  void say_goodbye() {
    if (is_goodbye_said_) return;
    is_goodbye_said_ = true;
    ErrorCodeOfLibrary ignored;
    if (tls_ != nullptr) {
      tls_->shut_down(out_);
      if (!write_some()) {
        is_goodbye_said_ = false;
        return;
      }
    }
    socket_.shutdown(Socket::shutdown_send, ignored);
    wait_readable();
  }

  void fail_later(Error error) {
    boost::asio::post(socket_.get_executor(), [self = this->shared_from_this(), error] { self->fail(error); });
  }

  /// TLS failed: the peer gets the alert that says why, if it takes it at once.
  void fail_after_alert(const Error& error) {
    if (sent_ < out_.size() && !is_waiting_to_write_) {
      ErrorCodeOfLibrary ignored;
      socket_.write_some(boost::asio::buffer(out_.data() + sent_, out_.size() - sent_), ignored);
    }
    fail(error);
  }

  void fail(const Error& error) {
    if (phase_ == Phase::closed) return;
    const auto self = this->shared_from_this();
    const auto handler = std::exchange(handler_, nullptr);
    const auto on_ready = std::exchange(on_ready_, nullptr);
    close_socket();
    if (on_ready) on_ready(error);
    if (handler != nullptr && handler->closed) handler->closed(error);
  }

  void close_socket() {
    if (phase_ == Phase::closed) return;
    const auto self = this->weak_from_this().lock();
    phase_ = Phase::closed;
    ErrorCodeOfLibrary ignored;
    socket_.close(ignored);
    ticket_.reset();
    out_.clear();
    plain_.clear();
    encrypted_ = 0;
    sent_ = 0;
    loop_.cancel(std::exchange(timer_, 0));
  }

  Loop& loop_;
  Socket socket_;
  Peer peer_;
  std::shared_ptr<void> ticket_;
  std::unique_ptr<TlsEngine> tls_;
  OnReady on_ready_;
  std::shared_ptr<const Handler> handler_;
  std::string early_;  // content that came before start()
  std::string plain_;  // queued for TLS; the first encrypted_ bytes are in out_
  std::string out_;    // for the wire; the first sent_ bytes are gone
  std::size_t encrypted_ = 0;
  std::size_t sent_ = 0;
  Loop::TimerId timer_ = 0;  // of the handshake, later of close()
  Phase phase_ = Phase::open;
  bool is_paused_ = false;
  bool is_waiting_to_read_ = false;
  bool is_waiting_to_write_ = false;
  bool is_flush_posted_ = false;
  bool is_goodbye_said_ = false;
};

}  // namespace verge
