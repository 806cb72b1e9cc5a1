#include "agent/router/router.h"

#include <gtest/gtest.h>
#include <thread>

#include "base/bytes.h"
#include "base/http_client.h"
#include "contract/sas.h"
#include "messaging/client.h"

namespace verge::agent {
namespace {

const std::string kRouterKey = to_base64("module key");

/// What a stock module SDK does, over the same library that our own modules use.
class FakeModule {
 public:
  FakeModule(Loop& loop, std::uint16_t port, const std::string& name, const std::string& key = kRouterKey,
             std::int64_t token_end_s = 4'000'000'000) {
    messaging::ClientOptions options;
    options.connect.host = "127.0.0.1";
    options.connect.port = port;
    options.client_id = "d/" + name;
    options.username = "hub.example/d/" + name + "/?api-version=2021-04-12";
    options.retry_delay_min = std::chrono::milliseconds(20);
    messaging::Client::Handlers handlers;
    handlers.password = [name, key, token_end_s](const std::function<void(Result<std::string>)>& give) {
      give(contract::make_sas("hub.example/devices/d/modules/" + name, key, token_end_s));
    };
    handlers.connected = [this](bool) { is_connected = true; };
    handlers.disconnected = [this](const Error&) { is_connected = false, ++disconnect_count; };
    handlers.message = [this](std::string_view topic, std::string_view payload, std::uint8_t) {
      messages.emplace_back(topic, payload);
      if (on_message) on_message(std::string(topic), std::string(payload));
    };
    client = std::make_unique<messaging::Client>(loop, options, handlers);
    client->start();
  }

  std::unique_ptr<messaging::Client> client;
  bool is_connected = false;
  int disconnect_count = 0;
  std::vector<std::pair<std::string, std::string>> messages;
  std::function<void(const std::string& topic, const std::string& payload)> on_message;
};

class RouterTest : public testing::Test {
 protected:
  RouterTest() : folder_(std::filesystem::temp_directory_path() / ("verge-router-" + new_uuid())) {
    std::filesystem::create_directories(folder_);
    settings_.device = "d";
    settings_.hub.host = "hub.example";
    settings_.gateway_host = "gate";
    OutboxOptions options;
    options.folder = "/outbox";
    options.free_bytes_min = 0;
    disk_.set_capacity_bytes(1ULL << 30);
    auto opened = Outbox::open(loop_, *workers_, disk_, clock_, metrics_, options, [this](const std::string& target) {
      return target == "up:m" ? std::optional(upstream_sink()) : router_->input_sink(target);
    });
    VERGE_ASSERT(opened);
    outbox_ = *std::move(opened);
    ModuleTwins::Upstream offline{[](const std::string&) { return false; },
                                  [](const std::string&, const auto& done) {
                                    done(Error{ErrorCode::unavailable, "away"});
                                  },
                                  [](const std::string&, const Json&, const auto& done) {
                                    done(Error{ErrorCode::unavailable, "away"});
                                  }};
    twins_ = std::make_unique<ModuleTwins>(
        loop_, *workers_, folder_, offline, [](const std::string&, std::int64_t, const Json&) {},
        ModuleTwinsOptions{std::chrono::milliseconds(10)});
    build();
  }
  ~RouterTest() override {
    router_.reset();
    twins_.reset();
    outbox_.reset();
    workers_.reset();  // Waits for what is being written.
    std::filesystem::remove_all(folder_);
  }

  void build() {
    RouterOptions options;
    options.address = "127.0.0.1";
    options.mqtt_port = options.https_port = 0;
    options.token_sweep = std::chrono::milliseconds(10);
    Router::Handlers handlers;
    handlers.connected = [this](const std::string& name) { connected_.push_back(name); };
    handlers.disconnected = [](const std::string&) {};
    handlers.live = [this](const std::string& module, const std::string& stream, std::string_view frame) {
      live_.push_back(module + " " + stream + " " + std::string(frame));
    };
    router_ = std::make_unique<Router>(Router::Surroundings{loop_, clock_, settings_, metrics_, *outbox_, *twins_},
                                       options, handlers);
    ASSERT_TRUE(router_->listen(nullptr));
    ModuleIdentity identity;
    identity.primary_key = kRouterKey;
    router_->set_identities({{"m", identity}, {"n", identity}});
    set_routes({"FROM /messages/modules/m/outputs/up INTO $upstream",
                "FROM /messages/modules/m/outputs/local INTO BrokeredEndpoint(\"/modules/n/inputs/in\")"});
  }
  void set_routes(const std::vector<const char*>& texts) {
    contract::RouterConfig config;
    for (const char* text : texts) config.routes.push_back({"r", text, 0, 0});
    router_->set_routes(RouteTable::make(config).value());
  }
  Outbox::Sink upstream_sink() {
    return {[this] { return is_upstream_there_; },
            [this](const OutboxRecord& record, const std::function<void(Status)>& done) -> Status {
              upstream_.push_back(record);
              done(Done{});
              return Done{};
            }};
  }
  bool until(const std::function<bool()>& is_reached) {
    for (int i = 0; i < 10'000; ++i) {
      if (is_reached()) return true;
      loop_.run_for(std::chrono::milliseconds(2));
    }
    return is_reached();
  }
  std::unique_ptr<FakeModule> join(const std::string& name) {
    auto module = std::make_unique<FakeModule>(loop_, router_->mqtt_port(), name);
    EXPECT_TRUE(until([&] { return module->is_connected; }));
    return module;
  }
  void subscribe(FakeModule& module, const std::string& filter, std::uint8_t qos = 1) {
    bool is_done = false;
    module.client->subscribe(filter, qos, [&](const Status& status) {
      EXPECT_TRUE(status);
      is_done = true;
    });
    ASSERT_TRUE(until([&] { return is_done; }));
  }

  std::filesystem::path folder_;
  Loop loop_;
  ManualClock clock_;
  FaultyDisk disk_;
  Metrics metrics_;
  Settings settings_;
  bool is_upstream_there_ = true;
  std::vector<OutboxRecord> upstream_;
  std::vector<std::string> connected_, live_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<ModuleTwins> twins_;
  std::unique_ptr<Router> router_;
  std::optional<Workers> workers_{std::in_place, 1U, 100U};
};

TEST_F(RouterTest, TakesAnOutputUpstream) {
  const auto module = join("m");
  EXPECT_EQ(connected_, std::vector<std::string>{"m"});
  std::optional<Status> acknowledged;
  (void)module->client->publish("devices/d/modules/m/messages/events/%24.on=up&a=b/", "payload", 1,
                                [&](Status status) { acknowledged = std::move(status); });
  ASSERT_TRUE(until([&] { return acknowledged && !upstream_.empty(); }));
  EXPECT_TRUE(*acknowledged);
  EXPECT_EQ(upstream_.front().payload, "payload");
  EXPECT_EQ(upstream_.front().properties, "%24.on=up&a=b");
  EXPECT_EQ(upstream_.front().sequence, 1U);
}

TEST_F(RouterTest, AcknowledgesOnlyWhatIsStored) {
  const auto module = join("m");
  disk_.fail_syncs(1'000'000);
  std::optional<Status> acknowledged;
  (void)module->client->publish("devices/d/modules/m/messages/events/%24.on=up", "x", 1,
                                [&](Status status) { acknowledged = std::move(status); });
  ASSERT_TRUE(until([&] { return module->disconnect_count > 0; }));
  EXPECT_FALSE(acknowledged);
  disk_.fail_syncs(0);
  ASSERT_TRUE(until([&] { return acknowledged.has_value(); })) << "the client sent it again";
  EXPECT_TRUE(*acknowledged);
}

TEST_F(RouterTest, DeliversToAnotherModulesInputAlsoLater) {
  const auto sender = join("m");
  (void)sender->client->publish("devices/d/modules/m/messages/events/%24.on=local&k=v", "early", 1);
  ASSERT_TRUE(until([&] { return outbox_->has_pending("in:n/in"); }));
  const auto receiver = join("n");
  subscribe(*receiver, "devices/d/modules/n/inputs/#");
  ASSERT_TRUE(until([&] { return receiver->messages.size() == 1; }));
  (void)sender->client->publish("devices/d/modules/m/messages/events/%24.on=local&k=v", "late", 1);
  ASSERT_TRUE(until([&] { return receiver->messages.size() == 2; }));
  EXPECT_EQ(receiver->messages[0].second, "early");
  const auto topic = contract::parse_received_topic(receiver->messages[0].first);
  ASSERT_TRUE(topic);
  const auto& input = std::get<contract::InputMessage>(*topic);
  EXPECT_EQ(input.input, "in");
  EXPECT_EQ(input.properties.get("k"), "v");
  EXPECT_EQ(input.properties.get("$.cmid"), "m");
  EXPECT_TRUE(until([&] { return !outbox_->has_pending("in:n/in"); }));
}

TEST_F(RouterTest, RefusesWhoCannotProveIt) {
  FakeModule wrong_key(loop_, router_->mqtt_port(), "m", to_base64("another key"));
  FakeModule unknown(loop_, router_->mqtt_port(), "x");
  FakeModule late(loop_, router_->mqtt_port(), "n", kRouterKey, 1000);
  ASSERT_TRUE(until(
      [&] { return wrong_key.disconnect_count > 0 && unknown.disconnect_count > 0 && late.disconnect_count > 0; }));
  EXPECT_TRUE(connected_.empty());
}

TEST_F(RouterTest, ClosesOnWhatAModuleMayNotSay) {
  const char* topics[] = {"devices/d/modules/n/messages/events/", "devices/d/messages/events/", "$iothub/nonsense",
                          "verge/live/n/gate"};
  for (const char* topic : topics) {
    const auto module = join("m");
    (void)module->client->publish(topic, "x", 0);
    EXPECT_TRUE(until([&] { return module->disconnect_count > 0; })) << topic;
  }
  const auto module = join("m");
  (void)module->client->publish("devices/d/modules/m/messages/events/", std::string(262'145, 'x'), 0);
  EXPECT_TRUE(until([&] { return module->disconnect_count > 0; })) << "too large";
}

TEST_F(RouterTest, PassesPlainTopicsBetweenModules) {
  const auto sender = join("m");
  const auto receiver = join("n");
  subscribe(*receiver, "sensors/+/temperature");
  (void)sender->client->publish("sensors/press/temperature", "21.5", 1);
  (void)sender->client->publish("sensors/press/pressure", "7", 0);
  (void)sender->client->publish("sensors/press/temperature", "22.5", 0);
  ASSERT_TRUE(until([&] { return receiver->messages.size() == 2; }));
  EXPECT_EQ(receiver->messages[1].second, "22.5");
  EXPECT_TRUE(upstream_.empty());
}

TEST_F(RouterTest, TakesLiveFrames) {
  const auto module = join("m");
  (void)module->client->publish("verge/live/m/gate", "jpeg", 0);
  ASSERT_TRUE(until([&] { return !live_.empty(); }));
  EXPECT_EQ(live_.front(), "m gate jpeg");
}

TEST_F(RouterTest, AnswersTwinCallsWithoutTheHub) {
  const auto module = join("m");
  subscribe(*module, "$iothub/twin/res/#", 0);
  (void)module->client->publish("$iothub/twin/GET/?$rid=7", " ", 0);
  ASSERT_TRUE(until([&] { return module->messages.size() == 1; }));
  EXPECT_EQ(module->messages[0].first, "$iothub/twin/res/503/?$rid=7");
  (void)module->client->publish("$iothub/twin/PATCH/properties/reported/?$rid=8", R"({"a": 1})", 1);
  ASSERT_TRUE(until([&] { return module->messages.size() == 2; }));
  EXPECT_EQ(module->messages[1].first, "$iothub/twin/res/204/?$rid=8&$version=2");
  (void)module->client->publish("$iothub/twin/PATCH/properties/reported/?$rid=9", "nonsense", 1);
  ASSERT_TRUE(until([&] { return module->messages.size() == 3; }));
  EXPECT_TRUE(module->messages[2].first.starts_with("$iothub/twin/res/400/")) << module->messages[2].first;
  EXPECT_TRUE(parse_json(module->messages[2].second).value().contains("errorCode"));
}

TEST_F(RouterTest, CallsMethods) {
  const auto module = join("m");
  std::optional<Result<std::pair<int, std::string>>> answer;
  const auto keep = [&](Result<std::pair<int, std::string>> result) { answer = std::move(result); };
  router_->call_method({"m", "go", "{}", std::chrono::seconds(60)}, keep);
  ASSERT_TRUE(answer && !*answer);
  EXPECT_EQ(answer->error().code, ErrorCode::not_found) << "it does not listen yet";
  answer.reset();

  subscribe(*module, "$iothub/methods/POST/#", 0);
  module->on_message = [&](const std::string& topic, const std::string&) {
    const auto request = std::get<contract::MethodRequest>(contract::parse_received_topic(topic).value());
    if (request.name != "go") return;
    (void)module->client->publish(contract::method_response_topic(201, request.request_id), R"({"ok":true})", 0);
  };
  router_->call_method({"m", "go", "{}", std::chrono::seconds(60)}, keep);
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  ASSERT_TRUE(*answer);
  EXPECT_EQ(**answer, std::pair(201, std::string(R"({"ok":true})")));

  answer.reset();
  router_->call_method({"m", "silent", "{}", std::chrono::milliseconds(20)}, keep);
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  EXPECT_EQ(answer->error().code, ErrorCode::timeout);
}

TEST_F(RouterTest, OneModuleCallsAnotherOverHttp) {
  const auto module = join("n");
  subscribe(*module, "$iothub/methods/POST/#", 0);
  module->on_message = [&](const std::string& topic, const std::string& payload) {
    const auto request = std::get<contract::MethodRequest>(contract::parse_received_topic(topic).value());
    (void)module->client->publish(contract::method_response_topic(200, request.request_id), payload, 0);
  };
  const auto call_with = [&](const std::string& caller, const std::string& key) {
    HttpCall call;
    call.method = "POST";
    call.url = "http://127.0.0.1:" + std::to_string(router_->https_port()) + "/twins/d/modules/n/methods";
    call.headers.set("x-ms-edge-moduleId", caller);
    call.headers.set("Authorization",
                     contract::make_sas("hub.example/devices/d/modules/m", key, 4'000'000'000).value());
    call.body = R"({"methodName": "echo", "payload": {"a": 1}, "responseTimeoutInSeconds": 60})";
    std::optional<HttpResponse> response;
    std::thread caller_thread([&] {
      auto fetched = verge::fetch(call);
      loop_.post([&response, fetched = std::move(fetched)] { response = fetched.value(); });
    });
    EXPECT_TRUE(until([&] { return response.has_value(); }));
    caller_thread.join();
    return *response;
  };
  const auto good = call_with("d/m", kRouterKey);
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(parse_json(good.body).value(), Json({{"status", 200}, {"payload", {{"a", 1}}}}));
  EXPECT_EQ(call_with("d/m", to_base64("wrong")).status, 401);
  EXPECT_EQ(call_with("other/m", kRouterKey).status, 401);
  EXPECT_EQ(call_with("m", kRouterKey).status, 400);
}

TEST_F(RouterTest, ClosesASessionWhoseTokenEnded) {
  const auto end_s = clock_.now_us() / 1'000'000 + 60;
  FakeModule module(loop_, router_->mqtt_port(), "m", kRouterKey, end_s);
  ASSERT_TRUE(until([&] { return module.is_connected; }));
  clock_.advance_us(61'000'000);
  EXPECT_TRUE(until([&] { return module.disconnect_count > 0; }));
}

}  // namespace
}  // namespace verge::agent
