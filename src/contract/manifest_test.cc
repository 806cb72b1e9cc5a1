#include "contract/manifest.h"

#include <gtest/gtest.h>

namespace verge::contract {
namespace {

Json json(std::string_view text) { return *parse_json(text); }

/// A good configuration of $edgeAgent that a row changes by a merge patch.
Json agent_config() {
  return json(R"({
    "schemaVersion": "1.1",
    "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25", "registryCredentials":
      {"ours": {"address": "hub:8443", "username": "u", "password": "p"}}}},
    "systemModules": {
      "edgeAgent": {"type": "docker", "settings": {"image": "verge/agent:1", "createOptions": "{}"}, "env": {}},
      "edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always", "startupOrder": 0,
                  "settings": {"image": "verge/router:1", "createOptions": ""}}},
    "modules": {
      "camera": {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "always",
        "imagePullPolicy": "never", "startupOrder": 2, "env": {"LEVEL": {"value": "info"}, "N": {"value": 3}},
        "settings": {"image": "hub:8443/vision", "createOptions": "{\"HostConfig\": {\"Mem",
                     "createOptions01": "ory\": 67108864}}"}}}})");
}

DeploymentStatus status_of(const Json& desired) {
  const auto config = parse_agent_config(desired);
  if (const auto* error = std::get_if<ConfigError>(&config)) return error->status;
  return {};
}

TEST(AgentConfig, ReadsAGoodOne) {
  const auto parsed = parse_agent_config(agent_config());
  const auto* config = std::get_if<AgentConfig>(&parsed);
  ASSERT_NE(config, nullptr) << std::get<ConfigError>(parsed).status.description;
  EXPECT_EQ(config->schema_version, "1.1");
  EXPECT_EQ(config->registries.at("ours").address, "hub:8443");
  EXPECT_EQ(config->system_modules.size(), 2U);
  EXPECT_EQ(config->system_modules.at("edgeHub").startup_order, 0U);
  ASSERT_EQ(config->modules.size(), 1U);
  const ModuleSpec& camera = config->modules.at("camera");
  EXPECT_EQ(camera.name, "camera");
  EXPECT_EQ(camera.version, "1.0");
  EXPECT_EQ(camera.restart_policy, RestartPolicy::always);
  EXPECT_EQ(camera.pull_policy, PullPolicy::never);
  EXPECT_EQ(camera.startup_order, 2U);
  EXPECT_EQ(camera.environment, (std::map<std::string, std::string>{{"LEVEL", "info"}, {"N", "3"}}));
  EXPECT_EQ(camera.image, "hub:8443/vision:latest");
  EXPECT_EQ(camera.create_options, json(R"({"HostConfig": {"Memory": 67108864}})"));
  EXPECT_EQ(camera.original, agent_config()["modules"]["camera"]);
  EXPECT_EQ(config->original, agent_config());
}

TEST(AgentConfig, DefaultsAreAzures) {
  const auto parsed =
      parse_agent_config(json(R"({"schemaVersion": "1.0", "runtime": {"type": "docker"}, "systemModules": {},
               "modules": {"m": {"type": "docker", "settings": {"image": " a:1 "}}}})"));
  const auto* config = std::get_if<AgentConfig>(&parsed);
  ASSERT_NE(config, nullptr) << std::get<ConfigError>(parsed).status.description;
  const ModuleSpec& module = config->modules.at("m");
  EXPECT_EQ(module.status, DesiredStatus::running);
  EXPECT_EQ(module.restart_policy, RestartPolicy::on_unhealthy);
  EXPECT_EQ(module.pull_policy, PullPolicy::on_create);
  EXPECT_EQ(module.startup_order, 4294967295U);
  EXPECT_EQ(module.image, "a:1");
  EXPECT_EQ(module.create_options, Json::object());
}

TEST(AgentConfig, WhatAzureRejects) {
  struct Row {
    std::string behaviour, patch;
    int code;
    std::string said;  // Part of the description.
  };
  const auto camera = [](const std::string& patch) { return R"({"modules": {"camera": )" + patch + "}}"; };
  const auto settings = [&](const std::string& patch) { return camera(R"({"settings": )" + patch + "}"); };
  const Row rows[] = {
      {"good", "{}", 200, ""},
      {"schema 1.0", R"({"schemaVersion": "1.0"})", 200, ""},
      {"schema 1.1.0", R"({"schemaVersion": "1.1.0"})", 200, ""},
      {"schema 1.2", R"({"schemaVersion": "1.2"})", 412, "1.2"},
      {"schema 1.1.1", R"({"schemaVersion": "1.1.1"})", 412, "1.1.1"},
      {"schema 2.0", R"({"schemaVersion": "2.0"})", 412, "2.0"},
      {"schema 1", R"({"schemaVersion": "1"})", 412, ""},
      {"schema of words", R"({"schemaVersion": "new"})", 412, "new"},
      {"no schema", R"({"schemaVersion": null})", 400, "schemaVersion"},
      {"schema as a number", R"({"schemaVersion": 1.1})", 400, "schemaVersion"},
      {"a bad format counts before the version", R"({"schemaVersion": "1.2", "runtime": null})", 400, "runtime"},
      {"no runtime", R"({"runtime": null})", 400, "runtime"},
      {"another runtime", R"({"runtime": {"type": "vm"}})", 400, "vm"},
      {"no system modules", R"({"systemModules": null})", 400, "systemModules"},
      {"no modules is fine", R"({"modules": null})", 200, ""},
      {"modules as a list", R"({"modules": []})", 400, "modules"},
      {"module as a text", camera("\"x\""), 400, "camera"},
      {"module removed", camera("null"), 200, ""},
      {"unknown type", camera(R"({"type": "wasm"})"), 400, "wasm"},
      {"no type", camera(R"({"type": null})"), 400, "type"},
      {"bad status", camera(R"({"status": "paused"})"), 400, "running, stopped"},
      {"stopped", camera(R"({"status": "stopped"})"), 200, ""},
      {"bad policy", camera(R"({"restartPolicy": "sometimes"})"), 400, "on-unhealthy"},
      {"bad pull policy", camera(R"({"imagePullPolicy": "always"})"), 400, "on-create"},
      {"order below 0", camera(R"({"startupOrder": -1})"), 400, "startupOrder"},
      {"order beyond 32 bits", camera(R"({"startupOrder": 4294967296})"), 400, "startupOrder"},
      {"order in words", camera(R"({"startupOrder": "first"})"), 400, "startupOrder"},
      {"env without value", camera(R"({"env": {"A": {}}})"), 400, "env"},
      {"env as plain text", camera(R"({"env": {"A": "b"}})"), 400, "env"},
      {"env name with =", camera(R"({"env": {"A=B": {"value": "c"}}})"), 400, "env"},
      {"no settings", camera(R"({"settings": null})"), 400, "settings"},
      {"no image", settings(R"({"image": null})"), 400, "image"},
      {"blank image", settings(R"({"image": "  "})"), 400, "image"},
      {"image by digest", settings(R"({"image": "hub:8443/a@sha256:0123"})"), 200, ""},
      {"image with tag and digest", settings(R"({"image": "a:1@sha256:0123"})"), 400, "image"},
      {"image with an empty tag", settings(R"({"image": "a:"})"), 400, "image"},
      {"image of the parent", settings(R"({"image": "$upstream:8000/a:1"})"), 200, ""},
      {"image of another variable", settings(R"({"image": "$HOST/a:1"})"), 400, "$upstream"},
      {"createOptions cut off", settings(R"({"createOptions01": null})"), 400, "createOptions"},
      {"createOptions no JSON", settings(R"({"createOptions": "{oops", "createOptions01": null})"), 400,
       "createOptions"},
      {"createOptions a list", settings(R"({"createOptions": "[]", "createOptions01": null})"), 400, "createOptions"},
      {"createOptions \"null\"", settings(R"({"createOptions": "null", "createOptions01": null})"), 200, ""},
      {"createOptions an object", settings(R"({"createOptions": {"Cmd": ["a"]}, "createOptions01": null})"), 200, ""},
      {"createOptions with a gap", settings(R"({"createOptions03": "x"})"), 400, "createOptions03"},
      {"createOptions without the first", settings(R"({"createOptions": null})"), 400, ""},
      {"HostConfig a text", settings(R"({"createOptions": "{\"HostConfig\":\"x\"}", "createOptions01": null})"), 400,
       "HostConfig"},
      {"Env an object", settings(R"({"createOptions": "{\"Env\":{}}", "createOptions01": null})"), 400, "Env"},
      {"credential without password",
       R"({"runtime": {"settings": {"registryCredentials": {"ours": {"password": ""}}}}})", 400, "ours"},
      {"credentials as a list", R"({"runtime": {"settings": {"registryCredentials": []}}})", 400,
       "registryCredentials"},
      {"a module named like a system one", R"({"modules": {"$edgeAgent": {}}})", 400, "$edgeAgent"},
      {"a module name with a slash", R"({"modules": {"a/b": {}}})", 400, "a/b"},
  };
  for (const Row& row : rows) {
    Json desired = agent_config();
    merge_patch(desired, json(row.patch));
    const DeploymentStatus status = status_of(desired);
    EXPECT_EQ(status.code, row.code) << row.behaviour << ": " << status.description;
    EXPECT_NE(status.description.find(row.said), std::string::npos) << row.behaviour << ": " << status.description;
  }
  EXPECT_EQ(status_of(Json::object()).code, 417);
  EXPECT_EQ(status_of(Json()).code, 417);
  EXPECT_EQ(status_of(json("[]")).code, 400);
}

TEST(ModuleSpec, WhatNeedsANewContainer) {
  struct Row {
    std::string behaviour, patch;
    bool is_same;
  };
  const Row rows[] = {
      {"nothing changed", "{}", true},
      {"only the status", R"({"status": "stopped"})", true},
      {"version", R"({"version": "1.1"})", false},
      {"restart policy", R"({"restartPolicy": "never"})", false},
      {"pull policy", R"({"imagePullPolicy": "on-create"})", false},
      {"startup order", R"({"startupOrder": 3})", false},
      {"environment", R"({"env": {"LEVEL": {"value": "debug"}}})", false},
      {"image", R"({"settings": {"image": "hub:8443/vision:2"}})", false},
      {"latest in words", R"({"settings": {"image": "hub:8443/vision:latest"}})", true},
      {"digest", R"({"settings": {"digest": "sha256:1"}})", false},
      {"create options", R"({"settings": {"createOptions": "{}", "createOptions01": null}})", false},
      {"create options written otherwise",
       R"({"settings": {"createOptions": " {\"HostConfig\":{\"Memory\":67108864}}", "createOptions01": null}})", true},
  };
  const auto before = std::get<AgentConfig>(parse_agent_config(agent_config())).modules.at("camera");
  for (const Row& row : rows) {
    Json desired = agent_config();
    merge_patch(desired["modules"]["camera"], json(row.patch));
    const auto parsed = parse_agent_config(desired);
    ASSERT_TRUE(std::holds_alternative<AgentConfig>(parsed)) << row.behaviour;
    EXPECT_EQ(std::get<AgentConfig>(parsed).modules.at("camera").needs_same_container(before), row.is_same)
        << row.behaviour;
  }
}

TEST(RouterConfig, RoutesWithAndWithoutPriority) {
  const auto parsed = parse_router_config(json(R"({"schemaVersion": "1.1", "routes": {
      "a": "FROM /* INTO $upstream",
      "b": {"route": "FROM /messages/* INTO $upstream", "priority": 3, "timeToLiveSecs": 60},
      "c": {"route": "FROM /messages/* INTO $upstream"}},
      "storeAndForwardConfiguration": {"timeToLiveSecs": -1}})"));
  const auto* config = std::get_if<RouterConfig>(&parsed);
  ASSERT_NE(config, nullptr) << std::get<ConfigError>(parsed).status.description;
  EXPECT_EQ(config->time_to_live_s, -1);
  ASSERT_EQ(config->routes.size(), 3U);
  EXPECT_EQ(config->routes[0].text, "FROM /* INTO $upstream");
  EXPECT_EQ(config->routes[0].priority, 2'000'000'000U);
  EXPECT_EQ(config->routes[1].priority, 3U);
  EXPECT_EQ(config->routes[1].time_to_live_s, 60U);
  EXPECT_EQ(config->routes[2].priority, 2'000'000'000U);
}

TEST(RouterConfig, WhatAzureRejects) {
  struct Row {
    std::string behaviour, desired;
    bool is_good;
  };
  const std::string store = R"("storeAndForwardConfiguration": {"timeToLiveSecs": 7200})";
  const Row rows[] = {
      {"1.0", R"({"schemaVersion": "1.0", "routes": {"a": "x"}, )" + store + "}", true},
      {"1.3", R"({"schemaVersion": "1.3", "routes": {}, )" + store + "}", true},
      {"1.4", R"({"schemaVersion": "1.4", "routes": {}, )" + store + "}", false},
      {"2.0", R"({"schemaVersion": "2.0", "routes": {}, )" + store + "}", false},
      {"no version", R"({"routes": {}, )" + store + "}", false},
      {"empty", "{}", false},
      {"a list", "[]", false},
      {"1.0 without routes", R"({"schemaVersion": "1.0", )" + store + "}", true},
      {"1.1 without routes", R"({"schemaVersion": "1.1", )" + store + "}", false},
      {"no store", R"({"schemaVersion": "1.1", "routes": {}})", false},
      {"default time to live", R"({"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {}})", true},
      {"1.0 with an object", R"({"schemaVersion": "1.0", "routes": {"a": {"route": "x"}}, )" + store + "}", false},
      {"1.0 with an empty route", R"({"schemaVersion": "1.0", "routes": {"a": ""}, )" + store + "}", true},
      {"1.1 with an empty route", R"({"schemaVersion": "1.1", "routes": {"a": ""}, )" + store + "}", false},
      {"a route of numbers", R"({"schemaVersion": "1.1", "routes": {"a": 1}, )" + store + "}", false},
      {"priority 10", R"({"schemaVersion": "1.1", "routes": {"a": {"route": "x", "priority": 10}}, )" + store + "}",
       false},
      {"priority -1", R"({"schemaVersion": "1.1", "routes": {"a": {"route": "x", "priority": -1}}, )" + store + "}",
       false},
      {"time to live in words",
       R"({"schemaVersion": "1.1", "routes": {"a": {"route": "x", "timeToLiveSecs": "1h"}}, )" + store + "}", false},
      {"a blank route name", R"({"schemaVersion": "1.1", "routes": {" ": "x"}, )" + store + "}", false},
  };
  for (const Row& row : rows) {
    const auto parsed = parse_router_config(json(row.desired));
    EXPECT_EQ(std::holds_alternative<RouterConfig>(parsed), row.is_good) << row.behaviour;
    if (const auto* error = std::get_if<ConfigError>(&parsed)) {
      EXPECT_EQ(error->status.code, 400) << row.behaviour;
    }
  }
}

TEST(ModulesContent, BothShapes) {
  const std::string modules = R"({"modulesContent": {"$edgeAgent": {"properties.desired": {"a": 1}},
                                                     "m": {"properties.desired": {"b": 2}}}})";
  for (const std::string& body : {modules, R"({"content": )" + modules + "}"}) {
    const auto content = parse_modules_content(json(body));
    ASSERT_TRUE(content) << content.error().message;
    EXPECT_EQ(*content, (std::map<std::string, Json>{{"$edgeAgent", {{"a", 1}}}, {"m", {{"b", 2}}}}));
  }
  for (const std::string_view bad :
       {"{}", "[]", R"({"modulesContent": {}})", R"({"modulesContent": []})", R"({"deviceContent": {}})",
        R"({"modulesContent": {"m": {}}})", R"({"modulesContent": {"m": {"properties.desired": 1}}})",
        R"({"modulesContent": {"m": {"properties.desired.x": {}}}})",
        R"({"modulesContent": {"m": {"properties.desired": {}, "tags": {}}}})",
        R"({"modulesContent": {"a/b": {"properties.desired": {}}}})"}) {
    const auto content = parse_modules_content(json(bad));
    ASSERT_FALSE(content) << bad;
    EXPECT_EQ(content.error().code, ErrorCode::invalid_argument) << bad;
  }
}

TEST(CreateOptions, PiecesJoinAgain) {
  for (const std::size_t length : {0U, 1U, 500U, 512U, 1500U, 6000U}) {
    std::string text;
    while (text.size() < length) text += "\xC3\xA9";  // Two bytes each: a cut inside one would break the text.
    const Json options{{"Labels", {{"x", text}}}};
    const Json pieces = split_create_options(options);
    Json desired = agent_config();
    desired["modules"]["camera"]["settings"] = pieces;
    desired["modules"]["camera"]["settings"]["image"] = "a:1";
    const auto parsed = parse_agent_config(desired);
    ASSERT_TRUE(std::holds_alternative<AgentConfig>(parsed)) << std::get<ConfigError>(parsed).status.description;
    EXPECT_EQ(std::get<AgentConfig>(parsed).modules.at("camera").create_options, options);
    for (const auto& [key, piece] : pieces.items()) EXPECT_LE(piece.get<std::string>().size(), 512U) << key;
  }
  EXPECT_EQ(split_create_options(Json::object()), (Json{{"createOptions", "{}"}}));
}

TEST(Names, AreAzures) {
  EXPECT_EQ(to_text(RestartPolicy::on_failure), "on-failure");
  EXPECT_EQ(to_text(RestartPolicy::on_unhealthy), "on-unhealthy");
  EXPECT_EQ(to_text(DesiredStatus::stopped), "stopped");
}

}  // namespace
}  // namespace verge::contract
