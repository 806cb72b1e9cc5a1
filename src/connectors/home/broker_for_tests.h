// connectors/home/broker_for_tests.h -- a broker with retained messages and last wills, on the loopback; tests only.
//
// Made of our endpoint, on a loop and thread of its own. Threads: from the test's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/loop_for_tests.h"
#include "messaging/endpoint.h"

namespace verge::connectors {

class TestBroker {
 public:
  struct Options {
    std::uint16_t port = 0;
    TlsPointer tls{};
    std::string password{};                         ///< Not empty: nobody else gets in.
    bool acknowledges = true;                       ///< Else PUBACKs are held until release().
    std::map<std::string, std::string> retained{};  ///< From an earlier life.
  };

  TestBroker() : TestBroker(Options()) {}
  explicit TestBroker(Options options) : options_(std::move(options)), retained_(options_.retained) {
    thread_.on_loop([this] { open(); });
  }
  ~TestBroker() {
    thread_.on_loop([this] {
      endpoint_.reset();
      listener_.reset();
      held_.clear();
    });
  }

  std::uint16_t port() const { return port_; }
  std::map<std::string, std::string> retained() const {
    const std::lock_guard lock(mutex_);
    return retained_;
  }
  /// "topic=payload" of what was not retained.
  std::vector<std::string> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  std::size_t publish_count() const {
    const std::lock_guard lock(mutex_);
    return publishes_;
  }
  int refused_count() const {
    const std::lock_guard lock(mutex_);
    return refused_;
  }
  /// Acknowledges what was held and all that comes.
  void release() {
    thread_.on_loop([this] {
      options_.acknowledges = true;
      for (auto& acknowledge : held_) acknowledge(Done{});
      held_.clear();
    });
  }

 private:
  void open() {
    messaging::Endpoint::Handlers on;
    on.authenticate = [this](const messaging::ConnectRequest& request, auto reply) {
      const bool is_welcome = options_.password.empty() || request.password == options_.password;
      const std::lock_guard lock(mutex_);
      refused_ += is_welcome ? 0 : 1;
      reply(is_welcome ? messaging::ConnectCode::accepted : messaging::ConnectCode::bad_credentials, request.client_id);
    };
    on.may_subscribe = [](const auto&, std::string_view, std::uint8_t) { return true; };
    on.subscribed = [this](const messaging::SessionPointer& session, std::string_view) {
      for (const auto& [topic, payload] : retained()) {
        if (session->is_subscribed(topic)) (void)session->deliver(topic, payload, 1);
      }
    };
    on.publish = [this](const auto&, const messaging::PublishIn& publish,
                        messaging::Acknowledge acknowledge) -> Status {
      take(publish.topic, publish.payload, publish.retain);
      if (options_.acknowledges) acknowledge(Done{});
      if (!options_.acknowledges) held_.push_back(std::move(acknowledge));
      return Done{};
    };
    on.closed = [this](const messaging::SessionPointer& session, bool is_clean, std::string_view) {
      const auto& request = session->request();
      if (!is_clean && request.has_will) take(request.will_topic, request.will_payload, request.will_is_retained);
    };
    messaging::Endpoint::Options limits;
    limits.limits.packet_bytes_max = 8U << 20U;
    endpoint_.emplace(thread_.loop(), limits, std::move(on));
    ListenOptions listen;
    listen.port = options_.port;
    listen.tls = options_.tls;
    auto listening = listen_tcp(thread_.loop(), listen,
                                [this](ConnectionPointer connection) { endpoint_->accept(std::move(connection)); });
    listener_ = *std::move(listening);
    port_ = listener_->port();
  }

  void take(std::string_view topic, std::string_view payload, bool is_retained) {
    const std::lock_guard lock(mutex_);
    ++publishes_;
    if (!is_retained) {
      messages_.push_back(std::string(topic) + "=" + std::string(payload));
    } else if (payload.empty()) {
      retained_.erase(std::string(topic));
    } else {
      retained_[std::string(topic)] = payload;
    }
  }

  Options options_;
  mutable std::mutex mutex_;  ///< Of the next four.
  std::map<std::string, std::string> retained_;
  std::vector<std::string> messages_;
  std::size_t publishes_ = 0;
  int refused_ = 0;
  std::uint16_t port_ = 0;
  std::vector<messaging::Acknowledge> held_;
  std::unique_ptr<Listener> listener_;
  std::optional<messaging::Endpoint> endpoint_;
  LoopThread thread_;
};

/// False when it does not come true within a minute.
inline bool comes_true(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace verge::connectors
