// hub/test_hub.h -- a whole hub on free ports for one test, with callers: REST, a device, a WebSocket.
#pragma once

#include <chrono>
#include <condition_variable>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/disk.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/loop_for_tests.h"
#include "base/temporary_folder.h"
#include "base/websocket.h"
#include "contract/sas.h"
#include "contract/topics.h"
#include "hub/hub.h"
#include "messaging/client.h"

namespace verge::hub {

/// The machine's clock, moved forward by a test.
class ShiftedClock final : public Clock {
 public:
  std::int64_t now_us() const override { return system_clock().now_us() + shift_us_; }
  std::int64_t monotonic_us() const override { return system_clock().monotonic_us() + shift_us_; }
  void advance_us(std::int64_t step_us) { shift_us_ += step_us; }

 private:
  std::atomic<std::int64_t> shift_us_{0};
};

inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// A hub's folder after its first start; made once per program, since that start hashes a password.
inline const std::filesystem::path& home_after_first_start() {
  static const TemporaryFolder folder;
  static const std::filesystem::path home = [] {
    LoopThread loop;
    HubOptions options;
    options.home = folder.path() / "hub";
    options.mqtt_port = options.https_port = options.http_port = 0;
    loop.on_loop([&] { return static_cast<bool>(Hub::start(loop.loop(), system_disk(), system_clock(), options)); });
    return options.home;
  }();
  return home;
}

class TestHub {
 public:
  explicit TestHub(Disk& disk = system_disk(), HubOptions options = {}) : disk_(disk), options_(std::move(options)) {
    options_.home = folder_.path() / "hub";
    options_.mqtt_port = options_.https_port = options_.http_port = 0;
    std::filesystem::copy(home_after_first_start(), options_.home, std::filesystem::copy_options::recursive);
    start();
  }
  ~TestHub() { stop(); }

  void start() {
    Result<std::unique_ptr<Hub>> started =
        loop_.on_loop([&] { return Hub::start(loop_.loop(), disk_, clock_, options_); });
    ASSERT_TRUE(started) << started.error().message;
    hub_ = *std::move(started);
    connection_ = *parse_json(*read_file(options_.home / "connection.json"));
    ca_pem_ = *read_file(connection_["ca_pem_file"].get<std::string>());
    owner_ = *contract::parse_connection_string(connection_["connection_string"].get<std::string>());
  }
  void stop() {
    if (!hub_) return;
    loop_.on_loop([&] {
      hub_->stop();
      hub_.reset();
      return true;
    });
  }

  LoopThread& loop() { return loop_; }
  ShiftedClock& clock() { return clock_; }
  const HubOptions& options() const { return options_; }
  const std::string& ca_pem() const { return ca_pem_; }
  std::uint16_t mqtt_port() const { return hub_->mqtt_port(); }
  std::uint16_t https_port() const { return hub_->https_port(); }
  std::uint16_t http_port() const { return hub_->http_port(); }
  std::string first_password() const {
    std::string text = *read_file(options_.home / "first-password");
    text.pop_back();
    return text;
  }
  std::int64_t in_an_hour_s() const { return clock_.now_us() / 1'000'000 + 3600; }
  std::string owner_token() const {
    return *contract::make_sas("localhost", owner_.key, in_an_hour_s(), owner_.policy);
  }
  std::string url(const std::string& target) const {
    return "https://localhost:" + std::to_string(https_port()) + target;
  }

  struct Reply {
    int status = 0;
    Json body;
    HttpHeaders headers;
    std::string text;
  };
  Reply call(const std::string& method, const std::string& target, const std::string& body = {},
             const std::vector<std::pair<std::string, std::string>>& headers = {}) const {
    HttpCall http;
    http.method = method;
    http.url = url(target);
    http.trust_pem = ca_pem_;
    http.body = body;
    for (const auto& [name, value] : headers) http.headers.set(name, value);
    const auto response = fetch(http);
    if (!response) {
      ADD_FAILURE() << method << " " << target << ": " << response.error().message;
      return {};
    }
    auto json = parse_json(response->body);
    return {response->status, json ? *std::move(json) : Json(), response->headers, response->body};
  }
  /// As iothubowner.
  Reply owner(const std::string& method, const std::string& target, const Json& body = nullptr,
              std::vector<std::pair<std::string, std::string>> headers = {}) const {
    headers.emplace_back("Authorization", owner_token());
    headers.emplace_back("Content-Type", "application/json");
    return call(method, target, body.is_null() ? std::string() : to_text(body), headers);
  }
  /// Creates a device and returns its primary key.
  std::string create_device(const std::string& id, bool is_edge = false) const {
    const auto reply = owner("PUT", "/devices/" + id, {{"deviceId", id}, {"capabilities", {{"iotEdge", is_edge}}}});
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.body["authentication"]["symmetricKey"]["primaryKey"];
  }
  std::string create_module(const std::string& device, const std::string& module) const {
    const auto reply =
        owner("PUT", "/devices/" + device + "/modules/" + module, {{"deviceId", device}, {"moduleId", module}});
    EXPECT_EQ(reply.status, 201) << reply.text;
    return reply.body["authentication"]["symmetricKey"]["primaryKey"];
  }
  std::string device_token(const contract::Identity& who, const std::string& key, std::int64_t end_s = 0) const {
    const std::string resource =
        "localhost/devices/" + who.device + (who.module.empty() ? "" : "/modules/" + who.module);
    return *contract::make_sas(resource, key, end_s == 0 ? in_an_hour_s() : end_s);
  }
  Json events(const std::string& filter = {}) const {
    return owner("GET", "/api/v1/events?limit=1000" + filter).body["events"];
  }
  TlsPointer client_tls() const {
    TlsOptions tls;
    tls.trust_pem = ca_pem_;
    return *TlsContext::make_client(tls);
  }

 private:
  TemporaryFolder folder_;
  ShiftedClock clock_;
  LoopThread loop_;
  Disk& disk_;
  HubOptions options_;
  std::unique_ptr<Hub> hub_;
  Json connection_;
  std::string ca_pem_;
  contract::ConnectionString owner_;
};

/// A device or module over MQTT; what arrives is collected.
class TestDevice {
  template <class Act>
  auto with(Act act) {
    const std::lock_guard lock(mutex_);
    return act();
  }

 public:
  struct Message {
    std::string topic, payload;
  };

  TestDevice(TestHub& hub, contract::Identity who, std::string key, std::string token = {}, std::string websocket = {})
      : who_(std::move(who)), token_(token.empty() ? hub.device_token(who_, key) : std::move(token)) {
    messaging::ClientOptions options;
    options.connect.host = "localhost";
    options.connect.port = websocket.empty() ? hub.mqtt_port() : hub.https_port();
    options.connect.tls = hub.client_tls();
    options.websocket_target = std::move(websocket);
    options.client_id = who_.to_text();
    options.username = contract::connect_username("localhost", who_, "test");
    options.retry_delay_min = std::chrono::milliseconds(20);
    options.retry_delay_max = std::chrono::milliseconds(100);
    loop_.on_loop([&] {
      client_ = std::make_unique<messaging::Client>(loop_.loop(), options, handlers());
      client_->start();
      return true;
    });
  }
  ~TestDevice() {
    loop_.on_loop([&] {
      client_->stop();
      client_.reset();
      return true;
    });
  }

  bool wait_connected(std::size_t times = 1) {
    return eventually([&] { return with([&] { return connects_ >= times; }); });
  }
  bool wait_disconnected(std::size_t times = 1) {
    return eventually([&] { return with([&] { return disconnects_ >= times; }); });
  }
  std::string last_error() {
    return with([&] { return last_error_; });
  }
  bool subscribe(const std::string& filter) {
    std::promise<bool> done;
    loop_.on_loop([&] {
      client_->subscribe(filter, 1, [&](const Status& status) { done.set_value(static_cast<bool>(status)); });
      return true;
    });
    return done.get_future().get();
  }
  /// Publishes with QoS 1; true when it was acknowledged, be it after another connection.
  bool publish(const std::string& topic, const std::string& payload) {
    auto answer = begin_publish(topic, payload);
    return answer.wait_for(std::chrono::seconds(60)) == std::future_status::ready && answer.get();
  }
  /// The same over this connection only; false when it ended instead.
  bool publish_once(const std::string& topic, const std::string& payload) {
    const std::size_t before = with([&] { return disconnects_; });
    auto answer = begin_publish(topic, payload);
    const auto is_answered = [&] { return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready; };
    eventually([&] { return is_answered() || with([&] { return disconnects_ > before; }); });
    return is_answered() && answer.get();
  }
  bool send(const std::string& payload, const contract::PropertyBag& properties = {}) {
    return publish(contract::telemetry_topic(who_, properties), payload);
  }
  /// As an outbox does.
  bool send_numbered(const std::string& payload, const std::string& epoch, std::uint64_t sequence) {
    contract::PropertyBag properties;
    properties.set("verge-epoch", epoch);
    properties.set("verge-seq", std::to_string(sequence));
    return send(payload, properties);
  }
  /// The first message whose topic begins with `prefix`; empty topic after a while without one.
  Message wait_message(const std::string& prefix) {
    Message found;
    eventually([&] {
      return with([&] {
        for (const auto& message : messages_) {
          if (message.topic.starts_with(prefix)) return found = message, true;
        }
        return false;
      });
    });
    return found;
  }
  /// Answers methods with status 200 and {"echo": payload}.
  void answer_methods(std::string body = {}) {
    with([&] { return answers_methods_ = true, method_body_ = std::move(body), true; });
  }
  messaging::Client& client() { return *client_; }
  LoopThread& loop() { return loop_; }

 private:
  std::future<bool> begin_publish(const std::string& topic, const std::string& payload) {
    auto done = std::make_shared<std::promise<bool>>();
    loop_.on_loop([&] {
      return static_cast<bool>(client_->publish(
          topic, payload, 1, [done](const Status& status) { done->set_value(static_cast<bool>(status)); }));
    });
    return done->get_future();
  }
  messaging::Client::Handlers handlers() {
    messaging::Client::Handlers handlers;
    handlers.password = [this](auto done) { done(token_); };
    handlers.connected = [this](bool) { with([&] { return ++connects_; }); };
    handlers.disconnected = [this](const Error& error) {
      with([&] { return last_error_ = error.message, ++disconnects_; });
    };
    handlers.message = [this](std::string_view topic, std::string_view payload, std::uint8_t) {
      received(topic, payload);
    };
    return handlers;
  }
  void received(std::string_view topic, std::string_view payload) {
    const bool answers = with([&] {
      return messages_.push_back({std::string(topic), std::string(payload)}), answers_methods_;
    });
    const auto parsed = contract::parse_received_topic(topic);
    const auto* method = parsed ? std::get_if<contract::MethodRequest>(&*parsed) : nullptr;
    if (method == nullptr || !answers) return;
    const std::string body = method_body_.empty() ? "{\"echo\":" + std::string(payload) + "}" : method_body_;
    (void)client_->publish(contract::method_response_topic(200, method->request_id), body, 0);
  }

  const contract::Identity who_;
  const std::string token_;
  std::mutex mutex_;
  std::size_t connects_ = 0, disconnects_ = 0;
  std::string last_error_;
  std::vector<Message> messages_;
  bool answers_methods_ = false;
  std::string method_body_;
  LoopThread loop_;
  std::unique_ptr<messaging::Client> client_;
};

}  // namespace verge::hub
