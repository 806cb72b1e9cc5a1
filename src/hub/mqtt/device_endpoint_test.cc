#include "hub/mqtt/device_endpoint.h"

#include <gmock/gmock.h>

#include "hub/test_hub.h"

namespace verge::hub {
namespace {

using testing::HasSubstr;

class DeviceEndpointTest : public testing::Test {
 protected:
  const contract::Identity who_{"press-4", ""};
  TestHub hub_;
  std::string key_ = hub_.create_device("press-4");
};

TEST_F(DeviceEndpointTest, StoresTelemetryWithItsProperties) {
  TestDevice device(hub_, who_, key_);
  contract::PropertyBag properties;
  properties.set("$.ct", "application/json");
  properties.set("a b", "c/d&e");
  properties.set("iothub-connection-device-id", "somebody else");
  ASSERT_TRUE(device.send(R"({"temperature":21})", properties));
  ASSERT_TRUE(eventually([&] { return hub_.events().size() == 1; }));
  const Json event = hub_.events()[0];
  EXPECT_EQ(event["device"], "press-4");
  EXPECT_EQ(event["body"]["temperature"], 21);
  EXPECT_EQ(event["properties"]["a b"], "c/d&e");
  EXPECT_FALSE(event["properties"].contains("iothub-connection-device-id")) << "only the hub says who sent it";
}

TEST_F(DeviceEndpointTest, ModulesSendUnderTheirOwnName) {
  const std::string key = hub_.create_module("press-4", "vision");
  TestDevice module(hub_, {"press-4", "vision"}, key);
  ASSERT_TRUE(module.send("x"));
  ASSERT_TRUE(eventually([&] { return hub_.events("&module=vision").size() == 1; }));
}

TEST_F(DeviceEndpointTest, RefusesWrongProofs) {
  hub_.create_device("other");
  const std::string other_key =
      hub_.owner("GET", "/devices/other").body["authentication"]["symmetricKey"]["primaryKey"];
  const std::int64_t now_s = hub_.clock().now_us() / 1'000'000;
  struct Row {
    const char* name;
    contract::Identity who;
    std::string token;
  };
  const Row rows[] = {
      {"another device's key", who_, hub_.device_token(who_, other_key)},
      {"another device's token", who_, hub_.device_token({"other", ""}, other_key)},
      {"ended", who_, hub_.device_token(who_, key_, now_s - 10)},
      {"no token", who_, "nonsense"},
      {"unknown device", {"nobody", ""}, hub_.device_token({"nobody", ""}, key_)},
      {"a module that is not there", {"press-4", "m"}, hub_.device_token(who_, key_)},
      {"another hub's token", who_, *contract::make_sas("elsewhere/devices/press-4", key_, now_s + 100)},
  };
  for (const auto& row : rows) {
    TestDevice device(hub_, row.who, "", row.token);
    EXPECT_TRUE(device.wait_disconnected()) << row.name;
    EXPECT_FALSE(device.client().is_connected()) << row.name;
  }
}

TEST_F(DeviceEndpointTest, TakesAPolicyThatMayConnectDevices) {
  TestDevice device(hub_, who_, "", hub_.owner_token());
  EXPECT_TRUE(device.wait_connected());
}

TEST_F(DeviceEndpointTest, ClosesWhenTheTokenEnds) {
  TestDevice device(hub_, who_, "", hub_.device_token(who_, key_, hub_.clock().now_us() / 1'000'000 + 60));
  ASSERT_TRUE(device.wait_connected());
  hub_.clock().advance_us(61'000'000);
  EXPECT_TRUE(device.wait_disconnected());
}

TEST_F(DeviceEndpointTest, ClosesOnWhatTheContractForbids) {
  struct Row {
    const char* name;
    std::string topic, payload;
  };
  const Row rows[] = {
      {"another identity", "devices/other/messages/events/", "x"},
      {"another module", "devices/press-4/modules/m/messages/events/", "x"},
      {"a plain topic", "sensors/press", "x"},
      {"300 KB", "devices/press-4/messages/events/", std::string(300'000, 'x')},
      {"256 KB with properties", "devices/press-4/messages/events/name=value", std::string(kMessageBytesMax, 'x')},
      {"a sequence number that is none", "devices/press-4/messages/events/verge-epoch=e&verge-seq=x", "x"},
  };
  for (const auto& row : rows) {
    TestDevice device(hub_, who_, key_);
    ASSERT_TRUE(device.wait_connected()) << row.name;
    EXPECT_FALSE(device.publish_once(row.topic, row.payload)) << row.name;
    EXPECT_TRUE(device.wait_disconnected()) << row.name;
  }
  EXPECT_EQ(hub_.events().size(), 0U);
  TestDevice device(hub_, who_, key_);
  EXPECT_TRUE(device.send(std::string(kMessageBytesMax, 'x'))) << "exactly the limit is fine";
}

TEST_F(DeviceEndpointTest, SurvivesGarbage) {
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(1000, '\xFF'),
                                   std::string("\x10\xFF\xFF\xFF\x7F", 5), std::string(64, '\0')}) {
    std::promise<void> closed;
    LoopThread loop;
    ConnectOptions options;
    options.host = "localhost";
    options.port = hub_.mqtt_port();
    options.tls = hub_.client_tls();
    ConnectionPointer kept;
    loop.on_loop([&] {
      connect_tcp(loop.loop(), options, [&](Result<ConnectionPointer> connection) {
        if (!connection) return closed.set_value();
        kept = *connection;
        Connection::Handler handler;
        handler.bytes = [](std::string_view) {};
        handler.closed = [&](const Error&) { closed.set_value(); };
        kept->start(handler);
        kept->send(bytes);
      });
      return true;
    });
    EXPECT_EQ(closed.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
    loop.on_loop([&] { return kept.reset(), true; });
  }
  TestDevice device(hub_, who_, key_);
  EXPECT_TRUE(device.send("still there"));
}

TEST_F(DeviceEndpointTest, AcknowledgesADuplicateAndStoresItOnce) {
  TestDevice device(hub_, who_, key_);
  for (const std::uint64_t sequence : {1U, 2U, 2U, 1U, 3U, 3U}) ASSERT_TRUE(device.send_numbered("x", "e", sequence));
  ASSERT_TRUE(device.send_numbered("a new epoch begins again", "f", 1));
  ASSERT_TRUE(eventually([&] { return hub_.events().size() == 4; }));
}

TEST_F(DeviceEndpointTest, ServesTheTwin) {
  ASSERT_EQ(
      hub_.owner("PATCH", "/twins/press-4", {{"properties", {{"desired", {{"speed", 3}}}}}, {"tags", {{"secret", 1}}}})
          .status,
      200);
  TestDevice device(hub_, who_, key_);
  ASSERT_TRUE(device.wait_connected());
  ASSERT_TRUE(device.subscribe("$iothub/twin/res/#"));
  ASSERT_TRUE(device.publish("$iothub/twin/GET/?$rid=ab-1", " "));
  const auto got = device.wait_message("$iothub/twin/res/200/?$rid=ab-1");
  const auto twin = parse_json(got.payload);
  ASSERT_TRUE(twin) << got.topic;
  EXPECT_EQ((*twin)["desired"]["speed"], 3);
  EXPECT_EQ((*twin)["desired"]["$version"], 2);
  EXPECT_FALSE(twin->contains("tags"));

  ASSERT_TRUE(device.publish("$iothub/twin/PATCH/properties/reported/?$rid=2", R"({"heat":{"now":7}})"));
  EXPECT_THAT(device.wait_message("$iothub/twin/res/204/?$rid=2").topic, HasSubstr("$version=2"));
  EXPECT_EQ(hub_.owner("GET", "/twins/press-4").body["properties"]["reported"]["heat"]["now"], 7);

  for (const auto& [id, body] :
       {std::pair<std::string, std::string>{"3", "not json"}, {"4", R"({"a":")" + std::string(40'000, 'x') + "\"}"}}) {
    ASSERT_TRUE(device.publish("$iothub/twin/PATCH/properties/reported/?$rid=" + id, body));
    ASSERT_TRUE(eventually([&] { return !device.wait_message("$iothub/twin/res/40").topic.empty(); })) << id;
  }
  EXPECT_THAT(device.wait_message("$iothub/twin/res/40").payload, HasSubstr("errorCode"));
}

TEST_F(DeviceEndpointTest, PushesDesiredChanges) {
  TestDevice device(hub_, who_, key_);
  ASSERT_TRUE(device.wait_connected());
  ASSERT_TRUE(device.subscribe("$iothub/twin/PATCH/properties/desired/#"));
  ASSERT_EQ(hub_.owner("PATCH", "/twins/press-4", {{"properties", {{"desired", {{"speed", 4}}}}}}).status, 200);
  const auto pushed = device.wait_message("$iothub/twin/PATCH/properties/desired/?$version=2");
  EXPECT_EQ(parse_json(pushed.payload)->at("speed"), 4);
  EXPECT_EQ(parse_json(pushed.payload)->at("$version"), 2);
  ASSERT_EQ(hub_.owner("PUT", "/twins/press-4", {{"properties", {{"desired", {{"depth", 1}}}}}}).status, 200);
  const auto replaced = device.wait_message("$iothub/twin/PATCH/properties/desired/?$version=3");
  EXPECT_TRUE(parse_json(replaced.payload)->at("speed").is_null()) << "what is gone comes as null";
}

TEST_F(DeviceEndpointTest, CarriesMethods) {
  const Json call{{"methodName", "tap"}, {"payload", {{"n", 1}}}, {"responseTimeoutInSeconds", 60}};
  const auto offline = hub_.owner("POST", "/twins/press-4/methods", call);
  EXPECT_EQ(offline.status, 404);
  EXPECT_THAT(offline.body["Message"].get<std::string>(), HasSubstr("404103"));
  EXPECT_EQ(hub_.owner("POST", "/twins/nobody/methods", call).status, 404);

  TestDevice device(hub_, who_, key_);
  device.answer_methods();
  ASSERT_TRUE(device.wait_connected());
  EXPECT_EQ(hub_.owner("POST", "/twins/press-4/methods", call).status, 404) << "connected, but not listening";
  ASSERT_TRUE(device.subscribe("$iothub/methods/POST/#"));
  const auto answered = hub_.owner("POST", "/twins/press-4/methods", call);
  EXPECT_EQ(answered.status, 200) << answered.text;
  EXPECT_EQ(answered.body["status"], 200);
  EXPECT_EQ(answered.body["payload"]["echo"]["n"], 1);

  Json large = call;
  large["payload"] = std::string(140'000, 'x');
  EXPECT_EQ(hub_.owner("POST", "/twins/press-4/methods", large).status, 413);
  Json patient = call;
  patient["responseTimeoutInSeconds"] = 4000;
  EXPECT_EQ(hub_.owner("POST", "/twins/press-4/methods", patient).status, 400);
  device.answer_methods("not json");
  EXPECT_EQ(hub_.owner("POST", "/twins/press-4/methods", call).status, 502);
}

TEST_F(DeviceEndpointTest, WaitsForADeviceToConnectIfAsked) {
  auto answer = std::async(std::launch::async, [&] {
    return hub_.owner(
        "POST", "/twins/press-4/methods",
        {{"methodName", "tap"}, {"payload", 1}, {"responseTimeoutInSeconds", 60}, {"connectTimeoutInSeconds", 60}});
  });
  TestDevice device(hub_, who_, key_);
  device.answer_methods();
  ASSERT_TRUE(device.wait_connected());
  ASSERT_TRUE(device.subscribe("$iothub/methods/POST/#"));
  EXPECT_EQ(answer.get().status, 200);
}

TEST_F(DeviceEndpointTest, ANewConnectionReplacesTheOld) {
  TestDevice first(hub_, who_, key_);
  ASSERT_TRUE(first.wait_connected());
  TestDevice second(hub_, who_, key_);
  ASSERT_TRUE(second.wait_connected());
  EXPECT_TRUE(first.wait_disconnected());
}

TEST_F(DeviceEndpointTest, RemovingOrDisablingADeviceEndsItsConnection) {
  TestDevice device(hub_, who_, key_);
  ASSERT_TRUE(device.wait_connected());
  ASSERT_EQ(
      hub_.owner("PUT", "/devices/press-4", {{"deviceId", "press-4"}, {"status", "disabled"}}, {{"If-Match", "\"*\""}})
          .status,
      200);
  EXPECT_TRUE(device.wait_disconnected());
  EXPECT_EQ(hub_.owner("GET", "/devices/press-4").body["connectionState"], "Disconnected");
}

TEST_F(DeviceEndpointTest, SpeaksMqttOverWebSocket) {
  TestDevice device(hub_, who_, key_, {}, "/$iothub/websocket");
  ASSERT_TRUE(device.wait_connected()) << device.last_error();
  EXPECT_TRUE(device.send("x"));
  EXPECT_EQ(hub_.owner("GET", "/devices/press-4").body["connectionState"], "Connected");
}

}  // namespace
}  // namespace verge::hub
