#include "hub/rest/azure_calls.h"

#include <gmock/gmock.h>

#include "hub/test_hub.h"

namespace verge::hub {
namespace {

using testing::HasSubstr;

class AzureCallsTest : public testing::Test {
 protected:
  std::string policy_token(const std::string& name, const std::string& resource = "localhost") {
    const Json policies = *parse_json(*read_file(hub_.options().home / "policies.json"));
    for (const Json& policy : policies) {
      if (policy["name"] == name)
        return *contract::make_sas(resource, policy["secondaryKey"].get<std::string>(), hub_.in_an_hour_s(), name);
    }
    return {};
  }
  int status(const std::string& method, const std::string& path, const std::string& token,
             const std::string& body = {}) {
    return hub_.call(method, path, body, {{"Authorization", token}}).status;
  }
  TestHub hub_;
};

TEST_F(AzureCallsTest, CreatesReadsChangesAndRemovesADevice) {
  const auto made = hub_.owner("PUT", "/devices/d%231?api-version=2021-04-12",
                               {{"deviceId", "d#1"}, {"authentication", {{"symmetricKey", {{"primaryKey", ""}}}}}});
  ASSERT_EQ(made.status, 200) << made.text;
  EXPECT_EQ(made.body["deviceId"], "d#1");
  EXPECT_EQ(made.body["status"], "enabled");
  EXPECT_EQ(made.body["connectionState"], "Disconnected");
  EXPECT_FALSE(made.body["authentication"]["symmetricKey"]["primaryKey"].get<std::string>().empty());
  EXPECT_FALSE(made.body["generationId"].get<std::string>().empty());
  EXPECT_THAT(std::string(made.headers.get("Content-Type")), HasSubstr("application/json"));

  const auto again = hub_.owner("PUT", "/devices/d%231", {{"deviceId", "d#1"}});
  EXPECT_EQ(again.status, 409);
  EXPECT_THAT(again.body["Message"].get<std::string>(), testing::StartsWith("ErrorCode:DeviceAlreadyExists;"));

  const std::string etag = made.body["etag"];
  const auto changed =
      hub_.owner("PUT", "/devices/d%231", {{"deviceId", "d#1"}, {"status", "disabled"}, {"statusReason", "spare"}},
                 {{"If-Match", "\"" + etag + "\""}});
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.body["authentication"], made.body["authentication"]) << "empty keys keep what is there";
  EXPECT_EQ(changed.body["generationId"], made.body["generationId"]);
  EXPECT_EQ(hub_.owner("PUT", "/devices/d%231", {{"deviceId", "d#1"}}, {{"If-Match", "\"" + etag + "\""}}).status, 412);
  EXPECT_EQ(hub_.owner("GET", "/devices/d%231").body["statusReason"], "spare");
  EXPECT_EQ(hub_.owner("GET", "/devices?top=10").body.size(), 1U);

  EXPECT_EQ(hub_.owner("DELETE", "/devices/d%231", nullptr, {{"If-Match", "\"" + etag + "\""}}).status, 412);
  EXPECT_EQ(hub_.owner("DELETE", "/devices/d%231", nullptr, {{"If-Match", "\"*\""}}).status, 204);
  const auto gone = hub_.owner("GET", "/devices/d%231");
  EXPECT_EQ(gone.status, 404);
  EXPECT_THAT(gone.body["Message"].get<std::string>(), testing::StartsWith("ErrorCode:DeviceNotFound;"));
}

TEST_F(AzureCallsTest, GivesEdgeDevicesTheirSystemModules) {
  hub_.create_device("edge", true);
  hub_.create_module("edge", "vision");
  const Json modules = hub_.owner("GET", "/devices/edge/modules").body;
  ASSERT_EQ(modules.size(), 3U);
  EXPECT_EQ(modules[0]["moduleId"], "$edgeAgent");
  EXPECT_EQ(modules[1]["moduleId"], "$edgeHub");
  EXPECT_THAT(hub_.owner("GET", "/devices/edge").body["deviceScope"].get<std::string>(), HasSubstr("edge"));
  EXPECT_EQ(hub_.owner("DELETE", "/devices/edge/modules/%24edgeAgent", nullptr, {{"If-Match", "\"*\""}}).status, 403);
  EXPECT_EQ(hub_.owner("DELETE", "/devices/edge/modules/vision", nullptr, {{"If-Match", "\"*\""}}).status, 204);
  EXPECT_EQ(hub_.owner("GET", "/devices/edge/modules/vision").status, 404);
  EXPECT_EQ(hub_.owner("PUT", "/devices/nobody/modules/m", {{"moduleId", "m"}}).status, 404);
}

TEST_F(AzureCallsTest, RefusesBadIdentities) {
  struct Row {
    const char* name;
    const char* path;
    Json body;
  };
  const Row rows[] = {
      {"a space", "/devices/a%20b", {{"deviceId", "a b"}}},
      {"a slash", "/devices/a%2Fb", {{"deviceId", "a/b"}}},
      {"another id in the body", "/devices/a", {{"deviceId", "b"}}},
      {"a key that is not base64", "/devices/a", {{"authentication", {{"symmetricKey", {{"primaryKey", "!"}}}}}}},
      {"a key that is too short", "/devices/a", {{"authentication", {{"symmetricKey", {{"primaryKey", "AAAA"}}}}}}},
      {"an unknown status", "/devices/a", {{"status", "asleep"}}},
      {"an unknown authentication", "/devices/a", {{"authentication", {{"type", "trust"}}}}},
      {"no object", "/devices/a", Json::array()},
  };
  for (const auto& row : rows) EXPECT_EQ(hub_.owner("PUT", row.path, row.body).status, 400) << row.name;
  EXPECT_EQ(hub_.call("PUT", "/devices/a", "{broken", {{"Authorization", hub_.owner_token()}}).status, 400);
}

TEST_F(AzureCallsTest, MergesAndReplacesTwins) {
  hub_.create_device("d");
  const auto first = hub_.owner("GET", "/twins/d");
  ASSERT_EQ(first.status, 200);
  EXPECT_EQ(first.body["properties"]["desired"]["$version"], 1);
  const auto merged = hub_.owner(
      "PATCH", "/twins/d", {{"tags", {{"site", "a"}}}, {"properties", {{"desired", {{"a", {{"b", 1}, {"c", 2}}}}}}}});
  ASSERT_EQ(merged.status, 200) << merged.text;
  EXPECT_EQ(merged.body["tags"]["site"], "a");
  EXPECT_TRUE(merged.body["properties"]["desired"]["$metadata"]["a"].contains("$lastUpdated"));
  EXPECT_EQ(hub_.owner("PATCH", "/twins/d", {{"properties", {{"desired", {{"a", {{"b", nullptr}}}}}}}})
                .body["properties"]["desired"]["a"],
            Json({{"c", 2}}));
  EXPECT_EQ(hub_.owner("PATCH", "/twins/d", {{"tags", {{"x", 1}}}},
                       {{"If-Match", "\"" + first.body["etag"].get<std::string>() + "\""}})
                .status,
            412);
  const auto replaced =
      hub_.owner("PUT", "/twins/d", {{"properties", {{"desired", {{"z", 1}}}}}}, {{"If-Match", "\"*\""}});
  ASSERT_EQ(replaced.status, 200) << replaced.text;
  EXPECT_FALSE(replaced.body["properties"]["desired"].contains("a"));
  EXPECT_TRUE(replaced.body["tags"].empty());
  EXPECT_EQ(hub_.owner("PATCH", "/twins/d", {{"tags", {{"bad key", 1}}}}).status, 400);
  EXPECT_EQ(hub_.owner("PATCH", "/twins/d", {{"properties", {{"desired", 7}}}}).status, 400);
  EXPECT_EQ(hub_.owner("GET", "/twins/nobody").status, 404);
  EXPECT_EQ(hub_.owner("GET", "/twins/d/modules/nobody").status, 404);
}

TEST_F(AzureCallsTest, AppliesAManifest) {
  hub_.create_device("edge", true);
  hub_.create_device("plain");
  const Json manifest{
      {"modulesContent",
       {{"$edgeAgent",
         {{"properties.desired", {{"schemaVersion", "1.1"}, {"modules", {{"vision", {{"type", "docker"}}}}}}}}},
        {"$edgeHub",
         {{"properties.desired", {{"schemaVersion", "1.1"}, {"routes", {{"up", "FROM /messages/* INTO $upstream"}}}}}}},
        {"vision", {{"properties.desired", {{"speed", 3}}}}}}}};
  const auto applied = hub_.owner("POST", "/devices/edge/applyConfigurationContent", manifest);
  EXPECT_EQ(applied.status, 204) << applied.text;
  EXPECT_EQ(hub_.owner("GET", "/twins/edge/modules/vision").body["properties"]["desired"]["speed"], 3);
  EXPECT_EQ(
      hub_.owner("GET", "/twins/edge/modules/%24edgeAgent").body["properties"]["desired"]["modules"]["vision"]["type"],
      "docker");
  EXPECT_EQ(hub_.owner("GET", "/devices/edge/modules/vision").body["managedBy"], "IotEdge");
  EXPECT_EQ(hub_.owner("POST", "/devices/plain/applyConfigurationContent", manifest).status, 400);
  EXPECT_EQ(hub_.owner("POST", "/devices/nobody/applyConfigurationContent", manifest).status, 404);
  EXPECT_EQ(hub_.owner("POST", "/devices/edge/applyConfigurationContent", {{"modulesContent", 7}}).status, 400);
}

TEST_F(AzureCallsTest, AnswersQueriesInPages) {
  for (const char* id : {"a", "b", "c"}) {
    hub_.create_device(id);
    ASSERT_EQ(hub_.owner("PATCH", std::string("/twins/") + id, {{"tags", {{"n", id[0] - 'a'}}}}).status, 200);
  }
  hub_.create_module("a", "m");
  const auto query = [&](const std::string& text, std::vector<std::pair<std::string, std::string>> headers = {}) {
    return hub_.owner("POST", "/devices/query?api-version=2021-04-12", {{"query", text}}, std::move(headers));
  };
  const auto all = query("SELECT * FROM devices WHERE tags.n > 0");
  ASSERT_EQ(all.status, 200) << all.text;
  EXPECT_EQ(all.body.size(), 2U);
  EXPECT_EQ(all.headers.get("x-ms-item-type"), "Twin");
  EXPECT_FALSE(all.headers.has("x-ms-continuation"));
  const auto first = query("SELECT * FROM devices", {{"x-ms-max-item-count", "2"}});
  EXPECT_EQ(first.body.size(), 2U);
  const auto second =
      query("SELECT * FROM devices",
            {{"x-ms-max-item-count", "2"}, {"x-ms-continuation", std::string(first.headers.get("x-ms-continuation"))}});
  ASSERT_EQ(second.body.size(), 1U);
  EXPECT_EQ(second.body[0]["deviceId"], "c");
  EXPECT_FALSE(second.headers.has("x-ms-continuation"));
  EXPECT_EQ(query("SELECT * FROM devices.modules").body[0]["moduleId"], "m");
  EXPECT_EQ(query("SELEKT").status, 400);
  EXPECT_EQ(query("SELECT * FROM devices", {{"x-ms-continuation", "AAAA"}}).status, 400);
}

TEST_F(AzureCallsTest, GrantsWhatAPolicyGrants) {
  hub_.create_device("d");
  hub_.create_device("e");
  struct Row {
    const char* policy;
    const char* method;
    const char* path;
    const char* body;
    int expected;
  };
  const Row rows[] = {
      {"registryRead", "GET", "/devices/d", "", 200},      {"registryRead", "PUT", "/devices/n", "{}", 401},
      {"registryRead", "GET", "/twins/d", "", 401},        {"registryReadWrite", "PUT", "/devices/n", "{}", 200},
      {"registryReadWrite", "GET", "/twins/d", "", 401},   {"service", "GET", "/twins/d", "", 200},
      {"service", "GET", "/devices/d", "", 401},           {"device", "GET", "/devices/d", "", 401},
      {"service", "GET", "/api/v1/devices", "", 200},      {"device", "GET", "/api/v1/devices", "", 403},
      {"service", "POST", "/api/v1/join-tokens", "", 403},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(status(row.method, row.path, policy_token(row.policy), row.body), row.expected)
        << row.policy << " " << row.method << " " << row.path;
  }
  EXPECT_EQ(status("GET", "/twins/d", policy_token("service", "localhost/devices/d")), 200) << "a narrowed token";
  EXPECT_EQ(status("GET", "/twins/e", policy_token("service", "localhost/devices/d")), 401);
  EXPECT_EQ(status("GET", "/devices/d", policy_token("registryRead", "elsewhere")), 401);
  EXPECT_EQ(status("GET", "/devices/d", "SharedAccessSignature nonsense"), 401);
  EXPECT_EQ(status("GET", "/devices/d", "Bearer x"), 401);
  EXPECT_EQ(hub_.call("GET", "/devices/d").status, 401);
}

TEST_F(AzureCallsTest, LetsADeviceReachItsOwn) {
  const std::string key = hub_.create_device("edge", true);
  hub_.create_device("other", true);
  const std::string token = hub_.device_token({"edge", ""}, key);
  EXPECT_EQ(status("GET", "/devices/edge/modules", token), 200);
  EXPECT_EQ(status("PUT", "/devices/edge/modules/vision?api-version=2017-11-08-preview", token,
                   R"({"moduleId":"vision","deviceId":"edge","managedBy":"IotEdge"})"),
            201);
  EXPECT_EQ(status("GET", "/devices/edge/modules/vision", token), 200);
  EXPECT_EQ(status("GET", "/twins/edge/modules/vision", token), 200);
  EXPECT_EQ(status("DELETE", "/devices/edge/modules/vision", token), 204);
  EXPECT_EQ(status("GET", "/devices/other/modules", token), 401);
  EXPECT_EQ(status("PUT", "/devices/other/modules/m", token, "{}"), 401);
  EXPECT_EQ(status("PUT", "/devices/edge", token, "{}"), 401);
  EXPECT_EQ(status("GET", "/devices", token), 401);
  EXPECT_EQ(status("GET", "/api/v1/events", token), 403);
  const std::string module_key = hub_.create_module("edge", "m");
  const std::string module_token = hub_.device_token({"edge", "m"}, module_key);
  EXPECT_EQ(status("GET", "/twins/edge/modules/m", module_token), 200);
  EXPECT_EQ(status("GET", "/twins/edge/modules/%24edgeAgent", module_token), 401);
  EXPECT_EQ(status("GET", "/devices/edge/modules", module_token), 401);
}

TEST_F(AzureCallsTest, JoinsADevice) {
  const auto made = hub_.owner("POST", "/api/v1/join-tokens", {{"minutes", 5}});
  ASSERT_EQ(made.status, 201) << made.text;
  const auto join = [&](const Json& body) { return hub_.call("POST", "/api/v1/join", to_text(body)); };
  EXPECT_EQ(join({{"token", "wrong"}, {"device", "new"}}).status, 401);
  EXPECT_EQ(join({{"token", made.body["token"]}, {"device", "a b"}}).status, 400);
  const auto joined = join({{"token", made.body["token"]}, {"device", "new"}});
  ASSERT_EQ(joined.status, 201) << joined.text;
  EXPECT_EQ(joined.body["mqtt_port"], hub_.mqtt_port());
  EXPECT_EQ(joined.body["ca_pem"], hub_.ca_pem());
  EXPECT_EQ(join({{"token", made.body["token"]}, {"device", "second"}}).status, 401) << "one use";
  TestDevice device(hub_, {"new", ""}, joined.body["key"]);
  EXPECT_TRUE(device.wait_connected());
  const auto open_token = hub_.owner("POST", "/api/v1/join-tokens", Json::object());
  EXPECT_EQ(join({{"token", open_token.body["token"]}, {"device", "new"}}).status, 409)
      << "a stranger gets no existing key";
  const auto bound = hub_.owner("POST", "/api/v1/join-tokens", {{"device", "new"}});
  EXPECT_EQ(join({{"token", bound.body["token"]}, {"device", "new"}}).body["key"], joined.body["key"]);
}

TEST_F(AzureCallsTest, ShowsWhatModulesReport) {
  const std::string key = hub_.create_device("edge", true);
  const std::string module_key = hub_.create_module("edge", "vision");
  const std::string agent_key =
      hub_.owner("GET", "/devices/edge/modules/%24edgeAgent").body["authentication"]["symmetricKey"]["primaryKey"];
  TestDevice agent(hub_, {"edge", "$edgeAgent"}, agent_key);
  TestDevice module(hub_, {"edge", "vision"}, module_key);
  ASSERT_TRUE(agent.publish(
      "$iothub/twin/PATCH/properties/reported/?$rid=1",
      R"({"version":{"version":"0.1"},"lastDesiredStatus":{"code":200,"description":""},"modules":{"vision":)"
      R"({"runtimeStatus":"running","restartCount":2,"settings":{"image":"i:1"}}}})"));
  ASSERT_TRUE(
      module.publish("$iothub/twin/PATCH/properties/reported/?$rid=1",
                     R"({"verge":{"version":"7","pipeline":{"hash":"h"},)"
                     R"("streams":[{"name":"gate","family":"vision","kind":"picture","rate_hz":5,"error":""}]}})"));
  const Json devices = hub_.owner("GET", "/api/v1/devices").body;
  ASSERT_EQ(devices.size(), 1U);
  EXPECT_EQ(devices[0]["agent"]["status"]["code"], 200);
  EXPECT_EQ(devices[0]["connected"], true);
  const Json& shown = devices[0]["modules"][0];
  EXPECT_EQ(shown["id"], "vision");
  EXPECT_EQ(shown["runtime_status"], "running");
  EXPECT_EQ(shown["restart_count"], 2);
  EXPECT_EQ(shown["streams"][0], "gate");
  EXPECT_EQ(shown["pipeline"]["hash"], "h");
  EXPECT_EQ(shown["version"], "7");
  EXPECT_FALSE(shown.contains("exit_code")) << "what nobody reported is absent";
  const Json sources = hub_.owner("GET", "/api/v1/sources").body;
  ASSERT_EQ(sources.size(), 1U);
  EXPECT_EQ(sources[0]["kind"], "picture");
  EXPECT_EQ(sources[0]["connected"], true);
  EXPECT_FALSE(sources[0].contains("error")) << "an empty one is none";
}

TEST_F(AzureCallsTest, CountsDevices) {
  hub_.create_device("a");
  EXPECT_EQ(hub_.owner("GET", "/statistics/devices").body["totalDeviceCount"], 1);
  EXPECT_EQ(hub_.owner("GET", "/statistics/service").body["connectedDeviceCount"], 0);
  EXPECT_EQ(hub_.owner("PATCH", "/devices/a").status, 405);
}

}  // namespace
}  // namespace verge::hub
