// The module client against a gateway made of our own endpoint and a workload API on a unix socket.
#include "connectors/module_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

#include "base/bytes.h"
#include "base/certificates.h"
#include "base/http_server.h"
#include "base/json.h"
#include "connectors/microphone/microphone.h"
#include "connectors/microphone/sounds_for_tests.h"
#include "connectors/module_kinds.h"
#include "contract/sas.h"
#include "contract/topics.h"
#include "messaging/endpoint.h"

namespace verge::connectors {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(ModuleEnvironment, NamesWhatIsMissing) {
  std::map<std::string, std::string> variables = {
      {"IOTEDGE_DEVICEID", "d"},           {"IOTEDGE_MODULEID", "m"},
      {"IOTEDGE_MODULEGENERATIONID", "1"}, {"IOTEDGE_IOTHUBHOSTNAME", "hub"},
      {"IOTEDGE_GATEWAYHOSTNAME", "gate"}, {"IOTEDGE_WORKLOADURI", "unix:///run/w.sock"}};
  auto environment = read_module_environment(variables);
  ASSERT_TRUE(environment) << environment.error().message;
  EXPECT_EQ(environment->workload_socket, "/run/w.sock");
  variables["IOTEDGE_WORKLOADURI"] = "http://x";
  EXPECT_EQ(read_module_environment(variables).error().code, ErrorCode::invalid_argument);
  variables.erase("IOTEDGE_GATEWAYHOSTNAME");
  auto missing = read_module_environment(variables);
  EXPECT_EQ(missing.error().code, ErrorCode::unavailable);
  EXPECT_THAT(missing.error().message, HasSubstr("IOTEDGE_GATEWAYHOSTNAME"));
}

/// A device's agent, as far as a module sees it.
class Gateway {
 public:
  explicit Gateway(Loop& loop) : loop_(loop) {
    folder_ = std::filesystem::temp_directory_path() / ("verge_module_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    authority_ = *make_authority("device");
    serve_workload();
    serve_mqtt();
  }
  ~Gateway() {
    endpoint_->close();
    std::filesystem::remove_all(folder_);
  }

  ModuleEnvironment environment() const {
    return {"dev", "vision", "77", "hub.local", "localhost", folder_ / "w.sock", listener_->port()};
  }
  void publish_to_module(const std::string& topic, const std::string& payload) {
    auto session = endpoint_->find("dev/vision");
    ASSERT_TRUE(session);
    auto status = session->deliver(topic, payload, 0);
    EXPECT_TRUE(status);
  }
  void drop_connection() { endpoint_->find("dev/vision")->close("test"); }

  struct Message {
    std::string topic, payload;
  };
  std::vector<Message> events, plain, method_answers;
  std::vector<Json> reported;
  Json desired = {{"a", 1}, {"$version", 3}};
  int connections = 0, subscriptions = 0;
  bool acknowledges = true;
  const std::string key = to_base64("secret");

 private:
  void serve_workload() {
    HttpServer::Handlers handlers;
    handlers.request = [this](HttpRequest request, Respond respond) {
      if (request.path == "/trust-bundle") {
        return respond(json_response({{"certificate", authority_.certificate_pem}}));
      }
      EXPECT_EQ(request.path, "/modules/vision/genid/77/sign");
      const auto body = parse_json(request.body);
      const auto data = from_base64((*body)["data"].get<std::string>());
      // Signed as the agent does: the module never sees the key.
      const auto end = data->find('\n');
      const auto token =
          contract::make_sas(*percent_decode(data->substr(0, end)), key, std::stoll(data->substr(end + 1)));
      respond(json_response({{"digest", to_base64(contract::parse_sas(*token)->signature)}}));
    };
    workload_ = std::make_unique<HttpServer>(loop_, std::move(handlers));
    EXPECT_TRUE(workload_->listen_unix(folder_ / "w.sock", 0600));
  }

  void serve_mqtt() {
    messaging::Endpoint::Handlers handlers;
    handlers.authenticate = [this](const messaging::ConnectRequest& request, auto decide) {
      const auto token = contract::parse_sas(request.password);
      const bool is_good = token && contract::verify_sas(*token, key) &&
                           token->resource == "hub.local/devices/dev/modules/vision" &&
                           request.client_id == "dev/vision";
      EXPECT_TRUE(is_good) << request.password;
      EXPECT_THAT(request.username, ::testing::StartsWith("hub.local/dev/vision/?api-version="));
      decide(is_good ? messaging::ConnectCode::accepted : messaging::ConnectCode::bad_credentials, request.client_id);
    };
    handlers.connected = [this](const auto&) { ++connections; };
    handlers.may_subscribe = [](const auto&, auto, auto) { return true; };
    handlers.subscribed = [this](const auto&, auto) { ++subscriptions; };
    handlers.publish = [this](const messaging::SessionPointer& session, const messaging::PublishIn& in,
                              messaging::Acknowledge acknowledge) -> Status {
      take(session, {std::string(in.topic), std::string(in.payload)});
      if (acknowledges || in.topic.starts_with("$iothub")) acknowledge(Done{});
      return Done{};
    };
    endpoint_ = std::make_unique<messaging::Endpoint>(loop_, messaging::Endpoint::Options{}, std::move(handlers));
    const auto certificate = *make_certificate(authority_, {.common_name = "localhost", .dns_names = {"localhost"}});
    auto tls =
        TlsContext::make_server({.certificate_chain_pem = certificate.certificate_pem, .key_pem = certificate.key_pem});
    ListenOptions options;
    options.tls = *tls;
    listener_ = *listen_tcp(loop_, options, [this](ConnectionPointer connection) { endpoint_->accept(connection); });
  }

  void take(const messaging::SessionPointer& session, Message message) {
    const std::string& topic = message.topic;
    const auto reply = [&](const std::string& to, const std::string& payload) {
      auto status = session->deliver(to, payload, 0);
      EXPECT_TRUE(status);
    };
    const auto rid = topic.substr(topic.find("$rid=") == std::string::npos ? 0 : topic.find("$rid=") + 5);
    if (topic.starts_with("$iothub/twin/GET/")) {
      reply("$iothub/twin/res/200/?$rid=" + rid,
            verge::to_text(Json{{"desired", desired}, {"reported", Json::object()}}));
    } else if (topic.starts_with("$iothub/twin/PATCH/properties/reported/")) {
      reported.push_back(*parse_json(message.payload));
      reply("$iothub/twin/res/204/?$rid=" + rid + "&$version=9", "");
    } else if (topic.starts_with("$iothub/methods/res/")) {
      method_answers.push_back(std::move(message));
    } else {
      (topic.starts_with("devices/") ? events : plain).push_back(std::move(message));
    }
  }

  Loop& loop_;
  std::filesystem::path folder_;
  KeyAndCertificate authority_;
  std::unique_ptr<HttpServer> workload_;
  std::unique_ptr<messaging::Endpoint> endpoint_;
  std::unique_ptr<Listener> listener_;
};

class ModuleClientTest : public ::testing::Test {
 protected:
  ModuleClientTest() : gateway_(loop_) {
    ModuleClientOptions options;
    options.environment = gateway_.environment();
    options.in_flight_max = 4;
    module_ = std::make_shared<ModuleClient>(loop_, options, metrics_);
  }
  ~ModuleClientTest() override { module_->stop(); }

  void start(ModuleClient::Handlers handlers = {}) {
    module_->start(std::move(handlers));
    wait_until([&] { return module_->is_connected() && gateway_.subscriptions >= 3; });
  }
  void wait_until(const std::function<bool()>& condition) {
    for (int i = 0; i < 10'000 && !condition(); ++i) loop_.run_for(5ms);
    EXPECT_TRUE(condition());
  }
  static contract::Event event_of(std::string label) {
    contract::Event event;
    event.type = "zone.entered";
    event.family = "vision";
    event.stream = "gate";
    event.label = std::move(label);
    return event;
  }

  Loop loop_;
  Metrics metrics_;
  Gateway gateway_;
  std::shared_ptr<ModuleClient> module_;
};

TEST_F(ModuleClientTest, SendsEventsNumberedToTheirOutput) {
  module_->send_event("people", event_of("before the connection"));
  start();
  for (int i = 0; i < 20; ++i) module_->send_event("people", event_of("x"));
  wait_until([&] { return gateway_.events.size() == 21 && module_->waiting_events() == 0; });
  for (std::size_t i = 0; i < gateway_.events.size(); ++i) {
    const auto event = parse_json(gateway_.events[i].payload);
    EXPECT_EQ((*event)["sequence"], i + 1);
    EXPECT_EQ((*event)["device"], "dev");
    EXPECT_EQ((*event)["module"], "vision");
  }
  EXPECT_THAT(gateway_.events[0].topic, HasSubstr("devices/dev/modules/vision/messages/events/"));
  EXPECT_THAT(gateway_.events[0].topic, HasSubstr("%24.on=people"));
  EXPECT_THAT(gateway_.events[0].topic, HasSubstr("%24.ct=application%2Fjson"));
}

TEST_F(ModuleClientTest, UnacknowledgedEventsComeAgainAfterAReconnect) {
  start();
  gateway_.acknowledges = false;
  for (int i = 0; i < 10; ++i) module_->send_event("people", event_of("x"));
  wait_until([&] { return gateway_.events.size() == 4; });  // in_flight_max
  gateway_.events.clear();
  gateway_.acknowledges = true;
  gateway_.drop_connection();
  wait_until([&] { return gateway_.connections == 2 && module_->waiting_events() == 0; });
  std::vector<std::uint64_t> sequences;
  for (const auto& message : gateway_.events) sequences.push_back((*parse_json(message.payload))["sequence"]);
  EXPECT_EQ(sequences, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST_F(ModuleClientTest, FollowsTheTwinAndReports) {
  std::vector<Json> seen;
  ModuleClient::Handlers handlers;
  handlers.desired = [&](const Json& desired) { seen.push_back(desired); };
  start(std::move(handlers));
  wait_until([&] { return seen.size() == 1; });
  EXPECT_EQ(seen[0]["a"], 1);
  gateway_.publish_to_module("$iothub/twin/PATCH/properties/desired/?$version=4", R"({"b": 2, "$version": 4})");
  wait_until([&] { return seen.size() == 2; });
  EXPECT_EQ(seen[1]["a"], 1);
  EXPECT_EQ(seen[1]["b"], 2);
  // A gap: the whole twin is fetched again.
  gateway_.desired = {{"c", 3}, {"$version", 7}};
  gateway_.publish_to_module("$iothub/twin/PATCH/properties/desired/?$version=7", R"({"c": 3, "$version": 7})");
  wait_until([&] { return seen.size() == 3; });
  EXPECT_EQ(seen[2], gateway_.desired);
  module_->report({{"x", 1}});
  module_->report({{"y", nullptr}});
  wait_until([&] { return gateway_.reported.size() == 2; });
  EXPECT_EQ(gateway_.reported[0], (Json{{"x", 1}}));
  EXPECT_EQ(gateway_.reported[1], (Json{{"y", nullptr}}));
}

TEST_F(ModuleClientTest, AnswersMethods) {
  ModuleClient::Handlers handlers;
  std::jthread later;
  handlers.method = [&](const std::string& name, const Json& parameters, ModuleClient::MethodAnswer answer) {
    if (name == "slow") {
      later = std::jthread([answer = std::move(answer)] { answer({202, {{"heard", "late"}}}); });
      return;
    }
    answer({name == "ping" ? 200 : 404, {{"heard", parameters}}});
  };
  start(std::move(handlers));
  gateway_.publish_to_module("$iothub/methods/POST/ping/?$rid=5", R"({"n": 1})");
  gateway_.publish_to_module("$iothub/methods/POST/pong/?$rid=6", "");
  gateway_.publish_to_module("$iothub/methods/POST/ping/?$rid=7", "{broken");
  wait_until([&] { return gateway_.method_answers.size() == 3; });
  EXPECT_EQ(gateway_.method_answers[0].topic, "$iothub/methods/res/200/?$rid=5");
  EXPECT_EQ(gateway_.method_answers[0].payload, R"({"heard":{"n":1}})");
  EXPECT_EQ(gateway_.method_answers[1].topic, "$iothub/methods/res/404/?$rid=6");
  EXPECT_EQ(gateway_.method_answers[2].topic, "$iothub/methods/res/400/?$rid=7");
  gateway_.publish_to_module("$iothub/methods/POST/slow/?$rid=8", "");
  wait_until([&] { return gateway_.method_answers.size() == 4; });
  EXPECT_EQ(gateway_.method_answers[3].topic, "$iothub/methods/res/202/?$rid=8");
}

TEST_F(ModuleClientTest, SensorRowsGoInAndOutOnPlainTopics) {
  start();
  pipeline::Context context;
  auto source = mqtt_source_kind(module_).make({{"topic", "sensors/+"}}, context);
  auto sink = mqtt_sink_kind(module_).make({{"topic", "out"}, {"events_topic", "alarms"}}, context);
  ASSERT_TRUE(source && sink);
  const int before = gateway_.subscriptions;
  ASSERT_TRUE((*source)->open() && (*sink)->open());
  wait_until([&] { return gateway_.subscriptions > before; });
  gateway_.publish_to_module("sensors/press", "no JSON");
  gateway_.publish_to_module("other/press", R"({"values": {"heat": 9}})");
  gateway_.publish_to_module("sensors/press", R"({"time_us": 12, "values": {"heat": 1.5}})");
  std::vector<pipeline::Packet> rows;
  loop_.run_for(100ms);
  ASSERT_TRUE((*source)->run([&](pipeline::Packet packet) { rows.push_back(std::move(packet)); },
                             [&] { return !rows.empty(); }));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].captured_us, 12);
  ASSERT_TRUE((*sink)->write(rows[0]));
  pipeline::Packet alarm;
  alarm.payload = std::make_shared<const contract::Event>(event_of("hot"));
  ASSERT_TRUE((*sink)->write(alarm));
  wait_until([&] { return gateway_.plain.size() == 2; });
  EXPECT_EQ(gateway_.plain[0].topic, "out");
  EXPECT_EQ(gateway_.plain[0].payload, R"({"time_us":12,"values":{"heat":1.5}})");
  EXPECT_EQ(gateway_.plain[1].topic, "alarms");
}

TEST_F(ModuleClientTest, SoundComesInOnPlainTopics) {
  start();
  pipeline::Context context;
  context.metrics = &metrics_;
  context.stream = "hall";
  auto source = microphone_kind(module_).make({{"address", "mqtt:sound/hall"}}, context);
  ASSERT_TRUE(source) << source.error().message;
  const int before = gateway_.subscriptions;
  ASSERT_TRUE((*source)->open());
  wait_until([&] { return gateway_.subscriptions > before; });
  const std::string chunk = as_bytes(tone(1000, 16'000, 0.5), pipeline::SampleFormat::s16le);
  for (int i = 0; i < 4; ++i) gateway_.publish_to_module("sound/hall", chunk);
  gateway_.publish_to_module("sound/yard", chunk);
  gateway_.publish_to_module("sound/hall", "odd");
  loop_.run_for(200ms);
  const Heard heard =
      hear(**source, [&](const Heard&) { return MicrophoneCounters(metrics_, "hall").broken.value() > 0; });
  ASSERT_GT(heard.samples.size(), 30'000U);
  EXPECT_LE(heard.samples.size(), 32'000U) << "the other topic is not heard";
  EXPECT_NEAR(amplitude_of({heard.samples.begin() + 2'000, heard.samples.begin() + 10'000}, 1000, 16'000), 0.5, 0.01);
}

TEST(ModuleKinds, NeedAnAgent) {
  pipeline::Context context;
  auto sink = router_kind(nullptr).make({{"output", "events"}}, context);
  ASSERT_TRUE(sink);
  auto opened = (*sink)->open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("needs an agent"));
}

}  // namespace
}  // namespace verge::connectors
