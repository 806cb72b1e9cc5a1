// messaging/memory_connection.h -- a Connection without a network, for tests and fuzzers: the other end is the caller.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/net.h"

namespace verge::messaging {

class MemoryConnection final : public Connection {
 public:
  MemoryConnection() { peer_.address = "memory"; }
  void start(Handler handler) override { handler_ = std::move(handler); }
  void send(std::string_view bytes) override {
    if (is_open()) sent_.append(bytes);
  }
  std::size_t unsent_bytes() const override { return is_peer_reading_ ? 0 : sent_.size(); }
  void pause_reading(bool paused) override { is_paused_ = paused; }
  void close() override { is_closed_ = true; }
  void abort() override { is_closed_ = is_aborted_ = true; }
  const Peer& peer() const override { return peer_; }

  /// What the other end sends; kept while reading is paused, lost after close.
  void give(std::string_view bytes) {
    held_.append(bytes);
    if (is_paused_ || !is_open()) return;
    const std::string given = std::exchange(held_, {});
    // A copy, because the call may replace or destroy the handler's owner.
    const auto use = handler_.bytes;
    if (use) use(given);
  }
  /// The other end goes away.
  void end() {
    if (std::exchange(is_closed_, true)) return;
    const auto use = handler_.closed;
    if (use) use(Error{ErrorCode::unavailable, "the peer closed the connection"});
  }
  void set_peer_reading(bool is_reading) { is_peer_reading_ = is_reading; }
  std::string take_sent() { return std::exchange(sent_, {}); }
  bool is_open() const { return !is_closed_; }
  bool is_aborted() const { return is_aborted_; }
  bool is_paused() const { return is_paused_; }

 private:
  Handler handler_;
  Peer peer_;
  std::string sent_, held_;
  bool is_paused_ = false;
  bool is_closed_ = false;
  bool is_aborted_ = false;
  bool is_peer_reading_ = true;
};

}  // namespace verge::messaging
