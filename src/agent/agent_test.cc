// The whole agent beside a fake engine and a hub in the same process: from the manifest to the module's message.
#include "agent/agent.h"

#include <gtest/gtest.h>
#include <set>

#include "agent/engine/fake_engine.h"
#include "base/bytes.h"
#include "base/http_server.h"
#include "base/json.h"
#include "contract/sas.h"
#include "contract/topics.h"
#include "contract/twin.h"
#include "messaging/client.h"
#include "messaging/endpoint.h"

namespace verge::agent {
namespace {

const std::string kKey = to_base64("a key of a module");

/// As much of a hub as an agent sees: identities over HTTP; twins, methods and telemetry over MQTT.
class FakeHub {
 public:
  explicit FakeHub(Loop& loop) : loop_(loop) {
    for (const char* module : {"$edgeAgent", "$edgeHub", "m"}) twins_[module];
  }

  void open(std::uint16_t mqtt_port = 0, std::uint16_t https_port = 0) {
    messaging::Endpoint::Handlers handlers;
    handlers.authenticate = [](const messaging::ConnectRequest& request, const auto& decide) {
      const auto token = contract::parse_sas(request.password);
      const bool is_good = token && contract::verify_sas(*token, kKey);
      decide(is_good ? messaging::ConnectCode::accepted : messaging::ConnectCode::not_authorized, request.client_id);
    };
    handlers.connected = [](const messaging::SessionPointer&) {};
    handlers.may_subscribe = [](const auto&, std::string_view, std::uint8_t) { return true; };
    handlers.subscribed = handlers.unsubscribed = [](const auto&, std::string_view) {};
    handlers.closed = [](const auto&, bool, std::string_view) {};
    handlers.publish = [this](const auto& session, const messaging::PublishIn& message, auto acknowledge) {
      acknowledge(Done{});
      take(session, message);
      return Status(Done{});
    };
    endpoint_ = std::make_unique<messaging::Endpoint>(loop_, messaging::Endpoint::Options{}, handlers);
    ListenOptions options;
    options.port = mqtt_port;
    auto listening = listen_tcp(loop_, options, [this](ConnectionPointer c) { endpoint_->accept(std::move(c)); });
    VERGE_ASSERT(listening);
    listener_ = *std::move(listening);
    HttpServer::Handlers web;
    web.request = [this](const HttpRequest&, const Respond& respond) { respond(json_response(identities())); };
    web_ = std::make_unique<HttpServer>(loop_, web);
    options.port = https_port;
    https_port_ = web_->listen(options).value();
  }
  void close() {
    listener_.reset();
    web_.reset();
    endpoint_.reset();
  }

  std::uint16_t mqtt_port() const { return listener_->port(); }
  std::uint16_t https_port() const { return https_port_; }

  void set_desired(const std::string& module, const Json& values) {
    auto& desired = twins_[module].desired;
    VERGE_ASSERT(contract::replace_properties(desired, values, 1, 32U << 10U, "x"));
    const auto session = endpoint_ == nullptr ? nullptr : endpoint_->find("d/" + module);
    if (session == nullptr) return;
    Json patch = values;
    patch["$version"] = desired.version;
    (void)session->deliver(contract::desired_patch_topic(desired.version), to_text(patch), 1);
  }
  const Json& reported(const std::string& module) { return twins_[module].reported.values; }
  void call(const std::string& module, const std::string& method, const std::string& payload) {
    answer.reset();
    (void)endpoint_->find("d/" + module)->deliver(contract::method_request_topic(method, "9"), payload, 0);
  }

  struct Message {
    std::string sender, payload;
    contract::PropertyBag properties;
  };
  std::vector<Message> messages;
  std::optional<std::pair<int, std::string>> answer;

 private:
  Json identities() const {
    Json list = Json::array();
    for (const auto& [name, twin] : twins_) {
      list.push_back({{"moduleId", name},
                      {"managedBy", "IotEdge"},
                      {"generationId", "1"},
                      {"authentication", {{"symmetricKey", {{"primaryKey", kKey}, {"secondaryKey", kKey}}}}}});
    }
    return list;
  }

  void take(const messaging::SessionPointer& session, const messaging::PublishIn& message) {
    const auto who = contract::Identity::from_text(session->identity());
    const auto topic = contract::parse_published_topic(message.topic).value();
    auto& twin = twins_[who.module];
    if (const auto* get = std::get_if<contract::TwinGetTopic>(&topic)) {
      const Json body = {{"desired", to_json(twin.desired, false)}, {"reported", to_json(twin.reported, false)}};
      (void)session->deliver(contract::twin_response_topic(200, get->request_id), to_text(body), 0);
    } else if (const auto* patch = std::get_if<contract::TwinPatchTopic>(&topic)) {
      const auto merged = contract::patch_properties(twin.reported, parse_json(message.payload).value(), 1,
                                                     contract::kReportedBytesMax, "reported");
      EXPECT_TRUE(merged) << merged.error().message;
      (void)session->deliver(contract::twin_response_topic(204, patch->request_id, twin.reported.version), "", 0);
    } else if (const auto* telemetry = std::get_if<contract::TelemetryTopic>(&topic)) {
      messages.push_back({who.module, std::string(message.payload), telemetry->properties});
    } else if (const auto* response = std::get_if<contract::MethodResponseTopic>(&topic)) {
      answer = {response->status, std::string(message.payload)};
    }
  }

  Loop& loop_;
  std::map<std::string, contract::Twin> twins_;
  std::unique_ptr<messaging::Endpoint> endpoint_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<HttpServer> web_;
  std::uint16_t https_port_ = 0;
};

Json manifest_with(const Json& modules) {
  return {{"schemaVersion", "1.1"},
          {"runtime", {{"type", "docker"}, {"settings", Json::object()}}},
          {"systemModules",
           {{"edgeAgent", {{"type", "docker"}, {"settings", {{"image", "a:1"}, {"createOptions", "{}"}}}}},
            {"edgeHub",
             {{"type", "docker"},
              {"status", "running"},
              {"restartPolicy", "always"},
              {"settings", {{"image", "h:1"}, {"createOptions", "{}"}}}}}}},
          {"modules", modules}};
}
Json module_with(const std::string& options) {
  return {{"version", "1.0"},
          {"type", "docker"},
          {"status", "running"},
          {"restartPolicy", "always"},
          {"settings", {{"image", "registry.example/m:1"}, {"createOptions", options}}}};
}
Json routes_with(const char* route) {
  return {{"schemaVersion", "1.1"},
          {"routes", {{"all", route}}},
          {"storeAndForwardConfiguration", {{"timeToLiveSecs", 7200}}}};
}

class AgentTest : public testing::Test {
 protected:
  AgentTest() : home_(std::filesystem::temp_directory_path() / ("va-" + new_uuid().substr(0, 8))) {
    std::filesystem::create_directories(home_);
    engine_.add_image("registry.example/m:1", {"sha256:one", ""});
    hub_.open();
    settings_.home = home_;
    settings_.device = "d";
    settings_.key = to_base64("a key of the device");
    settings_.gateway_host = "localhost";
    settings_.network = {"net", "127.0.0.0/8", "127.0.0.1"};
    settings_.router_mqtt_port = settings_.router_https_port = settings_.metrics_port = 0;
    settings_.hub.host = "localhost";
    settings_.hub.mqtt_port = hub_.mqtt_port();
    settings_.hub.https_port = hub_.https_port();
    settings_.hub.is_plain = true;
    hub_.set_desired("$edgeAgent", manifest_with({{"m", module_with("{}")}}));
    hub_.set_desired("$edgeHub", routes_with("FROM /messages/* INTO $upstream"));
  }
  ~AgentTest() override {
    module_.reset();
    agent_.reset();
    hub_.close();
    std::filesystem::remove_all(home_);
  }
  void start() {
    agent_ = std::make_unique<Agent>(
        AgentSurroundings{loop_, engine_, system_disk(), system_clock(),
                          [this](std::int64_t pid) { return engine_.is_process_alive(pid); }, "test"},
        settings_);
    const auto started = agent_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  void stop() {
    bool is_stopped = false;
    agent_->stop([&] { is_stopped = true; });
    ASSERT_TRUE(until([&] { return is_stopped; }));
    agent_.reset();
  }
  bool until(const std::function<bool()>& is_reached) {
    for (int i = 0; i < 4000; ++i) {
      if (is_reached()) return true;
      loop_.run_for(std::chrono::milliseconds(5));
    }
    return is_reached();
  }
  bool runs() const {
    const auto all = engine_.all();
    return all.size() == 1 && all.front().state == ContainerState::running;
  }
  Json report_of(const char* member) { return hub_.reported("$edgeAgent").value(member, Json(nullptr)); }

  /// Connects as the module would, trusting only the device's authority.
  void join() {
    messaging::ClientOptions options;
    options.connect.host = "localhost";
    options.connect.port = agent_->router_mqtt_port();
    TlsOptions tls;
    tls.trust_pem = read_file(home_ / "state" / "device-ca.pem").value();
    options.connect.tls = TlsContext::make_client(tls).value();
    options.client_id = "d/m";
    options.username = contract::connect_username("localhost", {"d", "m"}, "test");
    options.retry_delay_min = std::chrono::milliseconds(20);
    messaging::Client::Handlers handlers;
    handlers.password = [](const std::function<void(Result<std::string>)>& give) {
      give(contract::make_sas("localhost/devices/d/modules/m", kKey, 4'000'000'000));
    };
    handlers.connected = [this](bool) { is_joined_ = true; };
    handlers.disconnected = [](const Error&) {};
    handlers.message = [this](std::string_view topic, std::string_view payload, std::uint8_t) {
      heard_.emplace_back(topic, payload);
    };
    module_ = std::make_unique<messaging::Client>(loop_, options, handlers);
    module_->start();
    ASSERT_TRUE(until([&] { return is_joined_; }));
  }
  void say(const std::string& payload) {
    ++said_count_;
    (void)module_->publish("devices/d/modules/m/messages/events/%24.on=out", payload, 1, [this](const Status& status) {
      if (status) ++acknowledged_count_;
    });
  }

  std::filesystem::path home_;
  Loop loop_;
  FakeEngine engine_{system_clock()};
  FakeHub hub_{loop_};
  Settings settings_;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<messaging::Client> module_;
  bool is_joined_ = false;
  std::vector<std::pair<std::string, std::string>> heard_;
  int said_count_ = 0, acknowledged_count_ = 0;
};

TEST_F(AgentTest, RunsTheManifestAndReportsIt) {
  start();
  ASSERT_TRUE(until([&] { return runs(); }));
  ASSERT_TRUE(until([&] {
    const Json* status = find_member(hub_.reported("$edgeAgent"), {"modules", "m", "runtimeStatus"});
    return status != nullptr && *status == "running";
  }));
  EXPECT_EQ(report_of("lastDesiredStatus")["code"], 200);
  EXPECT_EQ(report_of("modules")["m"]["settings"]["image"], "registry.example/m:1");
  EXPECT_TRUE(report_of("systemModules").contains("edgeHub"));
  EXPECT_TRUE(until([&] { return hub_.reported("$edgeHub").contains("lastDesiredStatus"); }));
  EXPECT_TRUE(std::filesystem::exists(home_ / "run" / "wl" / "m" / "workload.sock"));
}

TEST_F(AgentTest, ABadManifestLeavesTheOldSetRunning) {
  start();
  ASSERT_TRUE(until([&] { return runs(); }));
  const auto id = engine_.all().front().id;
  hub_.set_desired("$edgeAgent", manifest_with({{"m", module_with("{broken")}}));
  ASSERT_TRUE(until([&] {
    const auto status = report_of("lastDesiredStatus");
    return status.is_object() && status["code"] == 400;
  }));
  EXPECT_TRUE(runs());
  EXPECT_EQ(engine_.all().front().id, id);
  hub_.set_desired("$edgeHub", routes_with("FROM /messages/* INTO nowhere"));
  ASSERT_TRUE(until([&] {
    const auto status = hub_.reported("$edgeHub").value("lastDesiredStatus", Json(nullptr));
    return status.is_object() && status["code"] == 400;
  }));
}

TEST_F(AgentTest, CarriesMessagesWithEpochAndSequenceThroughAnOutage) {
  start();
  ASSERT_TRUE(until([&] { return runs(); }));
  join();
  for (int i = 0; i < 20; ++i) say(std::to_string(i));
  ASSERT_TRUE(until([&] { return hub_.messages.size() == 20; }));
  const auto mqtt_port = hub_.mqtt_port();
  const auto https_port = hub_.https_port();
  hub_.close();
  for (int i = 20; i < 60; ++i) say(std::to_string(i));
  ASSERT_TRUE(until([&] { return acknowledged_count_ == 60; })) << "the device goes on without its hub";
  hub_.open(mqtt_port, https_port);
  ASSERT_TRUE(until([&] { return hub_.messages.size() >= 60; }));
  const std::string epoch(hub_.messages.front().properties.get("verge-epoch"));
  EXPECT_FALSE(epoch.empty());
  std::set<std::string> sequences;
  std::uint64_t last = 0;
  for (const auto& message : hub_.messages) {
    EXPECT_EQ(message.sender, "m");
    EXPECT_EQ(message.properties.get("verge-epoch"), epoch);
    const auto sequence = std::stoull(std::string(message.properties.get("verge-seq")));
    if (sequences.insert(std::to_string(sequence)).second) {
      EXPECT_EQ(sequence, last + 1);
      EXPECT_EQ(message.payload, std::to_string(last));
      last = sequence;
    }
  }
  EXPECT_EQ(sequences.size(), 60U);
}

TEST_F(AgentTest, StartsWithoutItsHubFromWhatItKept) {
  start();
  ASSERT_TRUE(until([&] { return runs(); }));
  ASSERT_TRUE(until([&] {
    const auto is_stored = [this](const char* name) { return std::filesystem::exists(home_ / "state" / name); };
    return is_stored("desired-agent.json") && is_stored("desired-router.json") && is_stored("identities.json");
  }));
  stop();
  EXPECT_EQ(report_of("lastDesiredStatus")["code"], 406);
  hub_.close();
  const auto calls = engine_.calls();
  EXPECT_TRUE(runs()) << "modules outlive the agent";

  start();
  join();
  say("offline");
  ASSERT_TRUE(until([&] { return acknowledged_count_ == 1; }));
  EXPECT_EQ(engine_.calls(), calls) << "adopted, not re-created";
  const auto id = engine_.all().front().id;
  ASSERT_TRUE(engine_.remove(id));
  ASSERT_TRUE(until([&] { return runs(); })) << "re-created from the stored manifest";
}

TEST_F(AgentTest, PassesMethodsAndAnswersItsOwn) {
  start();
  ASSERT_TRUE(until([&] { return runs(); }));
  // At once: the agent itself may not have looked since the container started.
  hub_.call("$edgeAgent", "PING", "");
  ASSERT_TRUE(until([&] { return hub_.answer.has_value(); }));
  EXPECT_EQ(hub_.answer->first, 200);
  hub_.call("$edgeAgent", "GetModuleLogs", R"({"schemaVersion": "1.0", "items": [{"id": "m"}], "encoding": "none"})");
  ASSERT_TRUE(until([&] { return hub_.answer.has_value(); }));
  EXPECT_EQ(hub_.answer->second, R"([{"id":"m","payload":"a line\n"}])");
  hub_.call("$edgeAgent", "RestartModule", R"({"schemaVersion": "1.0", "id": "nobody"})");
  ASSERT_TRUE(until([&] { return hub_.answer.has_value(); }));
  EXPECT_EQ(hub_.answer->first, 400);
  hub_.call("$edgeAgent", "dance", "{}");
  ASSERT_TRUE(until([&] { return hub_.answer.has_value(); }));
  EXPECT_EQ(hub_.answer->first, 400);
}

TEST_F(AgentTest, OneAgentPerHome) {
  start();
  Agent second(AgentSurroundings{loop_, engine_, system_disk(), system_clock(), [](std::int64_t) { return true; }, "t"},
               settings_);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::conflict);
  EXPECT_FALSE(remove_all(engine_, settings_));
}

TEST_F(AgentTest, RemovesEverythingOfItsOwn) {
  start();
  ASSERT_TRUE(until([&] { return runs(); }));
  stop();
  ASSERT_TRUE(remove_all(engine_, settings_));
  EXPECT_TRUE(engine_.all().empty());
}

}  // namespace
}  // namespace verge::agent
