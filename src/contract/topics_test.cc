#include "contract/topics.h"

#include <gtest/gtest.h>

namespace verge::contract {
namespace {

/// One line per parsed topic, so that a table can state it.
std::string shown(const PropertyBag& bag) {
  std::string text;
  for (const auto& [key, value] : bag.all()) text += "[" + key + "=" + value + "]";
  return text;
}

struct ShowPublished {
  std::string operator()(const TelemetryTopic& t) const {
    return "telemetry " + t.sender.to_text() + " " + shown(t.properties);
  }
  std::string operator()(const TwinGetTopic& t) const { return "get " + t.request_id; }
  std::string operator()(const TwinPatchTopic& t) const { return "patch " + t.request_id; }
  std::string operator()(const MethodResponseTopic& t) const {
    return "answer " + std::to_string(t.status) + " " + t.request_id;
  }
};

struct ShowReceived {
  std::string operator()(const TwinResponse& t) const {
    return "twin " + std::to_string(t.status) + " " + t.request_id +
           (t.version ? " v" + std::to_string(*t.version) : "");
  }
  std::string operator()(const DesiredPatch& t) const { return "desired v" + std::to_string(t.version); }
  std::string operator()(const MethodRequest& t) const { return "method " + t.name + " " + t.request_id; }
  std::string operator()(const InputMessage& t) const { return "input " + t.input + " " + shown(t.properties); }
  std::string operator()(const C2dMessage& t) const { return "c2d " + shown(t.properties); }
};

TEST(Topics, WhatClientsPublish) {
  struct Row {
    std::string behaviour, topic, meaning;  // An empty meaning: refused.
  };
  const Row rows[] = {
      {"device telemetry, empty bag", "devices/d1/messages/events/", "telemetry d1 "},
      {"device telemetry without a slash", "devices/d1/messages/events", "telemetry d1 "},
      {"properties", "devices/d1/messages/events/a=1&b=", "telemetry d1 [a=1][b=]"},
      {"a null value has no equals sign", "devices/d1/messages/events/a&b=2", "telemetry d1 [a=][b=2]"},
      {"keys are percent-encoded too", "devices/d1/messages/events/%24.mid=7&%24.ct=application%2Fjson",
       "telemetry d1 [$.mid=7][$.ct=application/json]"},
      {"keys written raw", "devices/d1/messages/events/$.ct=application%2Fjson&$.ce=utf-8",
       "telemetry d1 [$.ct=application/json][$.ce=utf-8]"},
      {"one slash behind the bag", "devices/d1/modules/m1/messages/events/%24.on=out1&a%20b=c%2Fd%26e/",
       "telemetry d1/m1 [$.on=out1][a b=c/d&e]"},
      {"a plus is a plus", "devices/d1/messages/events/a=b+c", "telemetry d1 [a=b+c]"},
      {"an equals sign in a value", "devices/d1/messages/events/a=b=c", "telemetry d1 [a=b=c]"},
      {"the last of equal keys counts", "devices/d1/messages/events/a=1&a=2", "telemetry d1 [a=2]"},
      {"system module", "devices/d1/modules/$edgeAgent/messages/events/", "telemetry d1/$edgeAgent "},
      {"a raw slash in the bag", "devices/d1/messages/events/a=b/c", ""},
      {"two slashes behind the bag", "devices/d1/messages/events/a=b//", ""},
      {"a property without a name", "devices/d1/messages/events/=b", ""},
      {"a broken escape", "devices/d1/messages/events/a=%zz", ""},
      {"something glued to events", "devices/d1/messages/eventsx", ""},
      {"no device", "devices//messages/events/", ""},
      {"a device id with a blank", "devices/d 1/messages/events/", ""},
      {"an empty module", "devices/d1/modules//messages/events/", ""},
      {"what only a hub publishes", "devices/d1/messages/devicebound/a=b", ""},
      {"twin get, UUID", "$iothub/twin/GET/?$rid=5f0c-1", "get 5f0c-1"},
      {"twin get, number", "$iothub/twin/GET/?$rid=12", "get 12"},
      {"the request id stays as sent", "$iothub/twin/GET/?$rid=a%20b", "get a%20b"},
      {"an encoded $rid", "$iothub/twin/GET/?%24rid=12", "get 12"},
      {"twin get without id", "$iothub/twin/GET/?$rid=", ""},
      {"twin get without parameters", "$iothub/twin/GET/", ""},
      {"twin patch", "$iothub/twin/PATCH/properties/reported/?$rid=3", "patch 3"},
      {"twin patch with a version", "$iothub/twin/PATCH/properties/reported/?$version=4&$rid=3", "patch 3"},
      {"a patch of desired is not for clients", "$iothub/twin/PATCH/properties/desired/?$rid=3", ""},
      {"method answer", "$iothub/methods/res/200/?$rid=8", "answer 200 8"},
      {"negative status", "$iothub/methods/res/-1/?$rid=8", "answer -1 8"},
      {"method answer without status", "$iothub/methods/res/?$rid=8", ""},
      {"status that is no number", "$iothub/methods/res/ok/?$rid=8", ""},
      {"status beyond an int", "$iothub/methods/res/99999999999/?$rid=8", ""},
      {"method answer without id", "$iothub/methods/res/200/", ""},
      {"a topic of somebody's own", "sensors/temperature", ""},
      {"nothing", "", ""},
  };
  for (const Row& row : rows) {
    const auto parsed = parse_published_topic(row.topic);
    EXPECT_EQ(parsed ? std::visit(ShowPublished{}, *parsed) : "", row.meaning) << row.behaviour;
    if (!parsed) {
      EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument) << row.behaviour;
    }
  }
}

TEST(Topics, WhatClientsReceive) {
  struct Row {
    std::string behaviour, topic, meaning;
  };
  const Row rows[] = {
      {"twin answer", "$iothub/twin/res/200/?$rid=1", "twin 200 1"},
      {"patch answer with version", "$iothub/twin/res/204/?$rid=1&$version=7", "twin 204 1 v7"},
      {"broken version", "$iothub/twin/res/204/?$rid=1&$version=x", ""},
      {"no id", "$iothub/twin/res/200/?", ""},
      {"desired patch", "$iothub/twin/PATCH/properties/desired/?$version=9", "desired v9"},
      {"desired patch without version", "$iothub/twin/PATCH/properties/desired/", ""},
      {"method", "$iothub/methods/POST/live.start/?$rid=2", "method live.start 2"},
      {"method with an escaped name", "$iothub/methods/POST/a%2Fb/?$rid=2", "method a/b 2"},
      {"method without a name", "$iothub/methods/POST//?$rid=2", ""},
      {"input", "devices/d/modules/m/inputs/in1/%24.cmid=o&a=1", "input in1 [$.cmid=o][a=1]"},
      {"input, empty bag", "devices/d/modules/m/inputs/in1/", "input in1 "},
      {"input without a name", "devices/d/modules/m/inputs/", ""},
      {"c2d", "devices/d/messages/devicebound/%24.to=%2Fdevices%2Fd", "c2d [$.to=/devices/d]"},
      {"c2d, empty bag", "devices/d/messages/devicebound/", "c2d "},
      {"modules get no c2d", "devices/d/modules/m/messages/devicebound/", ""},
      {"anything else", "$iothub/other/1", ""},
  };
  for (const Row& row : rows) {
    const auto parsed = parse_received_topic(row.topic);
    EXPECT_EQ(parsed ? std::visit(ShowReceived{}, *parsed) : "", row.meaning) << row.behaviour;
  }
}

TEST(Topics, WhatIsWrittenCanBeRead) {
  PropertyBag bag;
  bag.set("$.on", "out1");
  bag.set("a b", "c/d&e=f?#+%\xC3\xA9");
  bag.set("empty", "");
  EXPECT_EQ(bag.to_text(), "%24.on=out1&a%20b=c%2Fd%26e%3Df%3F%23%2B%25%C3%A9&empty=");

  const auto published = parse_published_topic(telemetry_topic({"d1", "m1"}, bag));
  ASSERT_TRUE(published);
  EXPECT_EQ(std::get<TelemetryTopic>(*published).properties.all(), bag.all());
  const auto input = parse_received_topic(input_topic({"d1", "m1"}, "in1", bag));
  ASSERT_TRUE(input);
  EXPECT_EQ(std::get<InputMessage>(*input).properties.all(), bag.all());
  const auto c2d = parse_received_topic(c2d_topic({"d1", ""}, bag));
  ASSERT_TRUE(c2d);
  EXPECT_EQ(std::get<C2dMessage>(*c2d).properties.all(), bag.all());
  const auto method = parse_received_topic(method_request_topic("start/now #1", "r-1"));
  ASSERT_TRUE(method);
  EXPECT_EQ(std::get<MethodRequest>(*method).name, "start/now #1");

  EXPECT_EQ(telemetry_topic({"d1", ""}, {}), "devices/d1/messages/events/");
  EXPECT_EQ(twin_response_topic(204, "a", 3), "$iothub/twin/res/204/?$rid=a&$version=3");
  EXPECT_EQ(twin_response_topic(400, "a"), "$iothub/twin/res/400/?$rid=a");
  EXPECT_EQ(desired_patch_topic(5), "$iothub/twin/PATCH/properties/desired/?$version=5");
  EXPECT_EQ(method_request_topic("live.start", "1"), "$iothub/methods/POST/live.start/?$rid=1");
  EXPECT_EQ(method_response_topic(200, "1"), "$iothub/methods/res/200/?$rid=1");
  EXPECT_EQ(input_topic({"d", "m"}, "in1", {}), "devices/d/modules/m/inputs/in1/");  // Node needs the last slash.
  EXPECT_EQ(c2d_topic({"d", ""}, {}), "devices/d/messages/devicebound/");
}

TEST(Topics, Subscriptions) {
  const Identity device{"d1", ""};
  const Identity module{"d1", "m1"};
  struct Row {
    std::string behaviour, filter;
    Identity who;
    std::optional<Subscription> meaning;
  };
  const Row rows[] = {
      {"twin answers", "$iothub/twin/res/#", device, Subscription::twin_responses},
      {"desired", "$iothub/twin/PATCH/properties/desired/#", module, Subscription::desired_patches},
      {"methods", "$iothub/methods/POST/#", module, Subscription::methods},
      {"c2d", "devices/d1/messages/devicebound/#", device, Subscription::c2d_messages},
      {"inputs", "devices/d1/modules/m1/inputs/#", module, Subscription::inputs},
      {"inputs as the C SDK asks", "devices/d1/modules/m1/#", module, Subscription::inputs},
      {"another device", "devices/d2/messages/devicebound/#", device, {}},
      {"a longer id", "devices/d11/messages/devicebound/#", device, {}},
      {"another module", "devices/d1/modules/m2/inputs/#", module, {}},
      {"a module's inputs by its device", "devices/d1/modules/m1/inputs/#", device, {}},
      {"c2d by a module", "devices/d1/messages/devicebound/#", module, {}},
      {"everything", "#", device, {}},
      {"all of the hub", "$iothub/#", device, {}},
      {"wildcard device", "devices/+/messages/devicebound/#", device, {}},
      {"all below the device", "devices/d1/#", device, {}},
  };
  for (const Row& row : rows) EXPECT_EQ(parse_subscription(row.filter, row.who), row.meaning) << row.behaviour;
}

TEST(Topics, ConnectUsernames) {
  struct Row {
    std::string behaviour, text, host, identity, version;  // An empty host: refused.
  };
  const Row rows[] = {
      {"device", "hub/d1/?api-version=2021-04-12&DeviceClientType=x%2F1", "hub", "d1", "2021-04-12"},
      {"module", "hub/d1/m1/?api-version=2019-10-01", "hub", "d1/m1", "2019-10-01"},
      {"no question mark", "hub/d1/api-version=2016-11-14", "hub", "d1", "2016-11-14"},
      {"a module, no question mark", "hub/d1/$edgeHub/api-version=1", "hub", "d1/$edgeHub", "1"},
      {"host with a port", "localhost:18883/d1/?api-version=1", "localhost:18883", "d1", "1"},
      {"a raw slash in a value", "hub/d1/?api-version=1&DeviceClientType=py/2", "hub", "d1", "1"},
      {"model id", "hub/d1/m1/?api-version=2020-09-30&model-id=dtmi%3Aa%3B1", "hub", "d1/m1", "2020-09-30"},
      {"no api-version", "hub/d1/?DeviceClientType=x", "", "", ""},
      {"empty api-version", "hub/d1/?api-version=", "", "", ""},
      {"no properties", "hub/d1", "", "", ""},
      {"no host", "/d1/?api-version=1", "", "", ""},
      {"no device", "hub//?api-version=1", "", "", ""},
      {"three levels", "hub/d1/m1/x/?api-version=1", "", "", ""},
      {"nothing", "", "", "", ""},
  };
  for (const Row& row : rows) {
    const auto parsed = parse_connect_username(row.text);
    ASSERT_EQ(static_cast<bool>(parsed), !row.host.empty()) << row.behaviour;
    if (!parsed) continue;
    EXPECT_EQ(parsed->host, row.host) << row.behaviour;
    EXPECT_EQ(parsed->identity.to_text(), row.identity) << row.behaviour;
    EXPECT_EQ(parsed->api_version, row.version) << row.behaviour;
  }
  const auto own = parse_connect_username(connect_username("hub", {"d1", "m1"}, "verge/0.1"));
  ASSERT_TRUE(own);
  EXPECT_EQ(own->identity, (Identity{"d1", "m1"}));
  EXPECT_EQ(own->properties.at("DeviceClientType"), "verge/0.1");
}

TEST(Topics, Ids) {
  EXPECT_TRUE(is_valid_id("a"));
  EXPECT_TRUE(is_valid_id("$edgeAgent"));
  EXPECT_TRUE(is_valid_id("A-1.+%_#*?!(),:=@$'"));
  EXPECT_TRUE(is_valid_id(std::string(128, 'x')));
  EXPECT_FALSE(is_valid_id(std::string(129, 'x')));
  for (const std::string_view bad : {"", "a/b", "a b", "a\n", "\xC3\xA9", "a\\b", "a&b"})
    EXPECT_FALSE(is_valid_id(bad)) << bad;
  EXPECT_EQ(Identity::from_text("d/m"), (Identity{"d", "m"}));
  EXPECT_EQ(Identity::from_text("d"), (Identity{"d", ""}));
}

TEST(Topics, PropertiesAreBounded) {
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "&k" + std::to_string(i) + "=v";
  const auto bag = PropertyBag::from_text(many);
  ASSERT_FALSE(bag);
  EXPECT_EQ(bag.error().code, ErrorCode::limit);
}

}  // namespace
}  // namespace verge::contract
