#include "agent/reconcile/create_body.h"

#include <gtest/gtest.h>

namespace verge::agent {
namespace {

Settings test_settings() {
  Settings settings;
  settings.home = "/tmp/h";
  settings.hub.host = "hub.example";
  settings.device = "press-7";
  settings.gateway_host = "press-7.edge.internal";
  return settings;
}

EngineInfo podman() {
  EngineInfo info;
  info.name = "podman";
  return info;
}

CreateBody body_for(const char* options, std::set<std::string> allowed = {}, const std::string& image_user = "") {
  Settings settings = test_settings();
  settings.allowed = std::move(allowed);
  contract::ModuleSpec spec;
  spec.name = "vision";
  spec.image = "localhost:8443/verge/vision:1";
  spec.create_options = parse_json(options).value();
  spec.environment = {{"MODE", "film"}};
  return make_create_body(spec, {settings, podman()}, {"sha256:abc", image_user}, "gen1");
}

bool has_variable(const Json& body, const std::string& text) {
  for (const Json& item : body["Env"]) {
    if (item == text) return true;
  }
  return false;
}

TEST(CreateBody, IsClosedByDefault) {
  const auto made = body_for("{}");
  const Json& host = made.body["HostConfig"];
  EXPECT_EQ(made.body["Image"], "sha256:abc");
  EXPECT_EQ(made.body["User"], "1000:1000");
  EXPECT_EQ(host["ReadonlyRootfs"], true);
  EXPECT_EQ(host["CapDrop"], Json::array({"ALL"}));
  EXPECT_EQ(host["SecurityOpt"], Json::array({"no-new-privileges"}));
  EXPECT_EQ(host["RestartPolicy"]["Name"], "no");
  EXPECT_EQ(host["Memory"], 512LL << 20);
  EXPECT_EQ(host["MemorySwap"], 512LL << 20);
  EXPECT_EQ(host["PidsLimit"], 256);
  EXPECT_EQ(host["LogConfig"]["Type"], "k8s-file");
  EXPECT_EQ(host["Binds"], Json::array({"/tmp/h/run/wl/vision:/var/run/iotedge:ro"}));
  EXPECT_EQ(host["ExtraHosts"], Json::array({"press-7.edge.internal:172.31.77.1"}));
  EXPECT_EQ(host["NetworkMode"], "azure-iot-edge");
  EXPECT_EQ(made.body["NetworkingConfig"]["EndpointsConfig"]["azure-iot-edge"]["Aliases"], Json::array({"vision"}));
  EXPECT_TRUE(made.left_out.empty());
}

TEST(CreateBody, HasEveryEdgeVariable) {
  const auto made = body_for(R"({"Env": ["A=1", "IOTEDGE_DEVICEID=forged", "MODE=lost"]})");
  for (const char* text :
       {"A=1", "MODE=film", "IOTEDGE_WORKLOADURI=unix:///var/run/iotedge/workload.sock",
        "IOTEDGE_IOTHUBHOSTNAME=hub.example", "IOTEDGE_GATEWAYHOSTNAME=press-7.edge.internal",
        "IOTEDGE_DEVICEID=press-7", "IOTEDGE_MODULEID=vision", "IOTEDGE_MODULEGENERATIONID=gen1",
        "IOTEDGE_AUTHSCHEME=sasToken", "IOTEDGE_APIVERSION=2021-12-07", "RuntimeLogLevel=Information"}) {
    EXPECT_TRUE(has_variable(made.body, text)) << text;
  }
}

TEST(CreateBody, UserIsTheImagesUnlessThatIsRoot) {
  EXPECT_EQ(body_for("{}", {}, "app").body["User"], "app");
  EXPECT_EQ(body_for("{}", {}, "0:0").body["User"], "1000:1000");
  EXPECT_EQ(body_for("{}", {}, "root").body["User"], "1000:1000");
  EXPECT_EQ(body_for(R"({"User": "0"})").body["User"], "0");
}

TEST(CreateBody, LeavesOutWhatTheOwnerDidNotAllow) {
  struct Row {
    const char* options;
    const char* permission;
    const char* member;
  };
  const Row rows[] = {
      {R"({"HostConfig": {"Privileged": true}})", "Privileged", "Privileged"},
      {R"({"HostConfig": {"CapAdd": ["NET_ADMIN"]}})", "CapAdd", "CapAdd"},
      {R"({"HostConfig": {"Devices": [{"PathOnHost": "/dev/video0"}]}})", "Devices", "Devices"},
      {R"({"HostConfig": {"PidMode": "host"}})", "HostNamespaces", "PidMode"},
      {R"({"HostConfig": {"Sysctls": {"a": "b"}}})", "Sysctls", "Sysctls"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.options);
    const auto refused = body_for(row.options);
    EXPECT_FALSE(refused.body["HostConfig"].contains(row.member));
    ASSERT_EQ(refused.left_out.size(), 1U);
    EXPECT_NE(refused.left_out.front().find(row.permission), std::string::npos);
    const auto allowed = body_for(row.options, {row.permission});
    EXPECT_TRUE(allowed.body["HostConfig"].contains(row.member));
    EXPECT_TRUE(allowed.left_out.empty());
  }
}

TEST(CreateBody, KeepsNamedVolumesAndDropsHostPaths) {
  const auto made = body_for(R"({"HostConfig": {"Binds": ["data:/data", "/etc:/host-etc"],
    "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}, {"Type": "bind", "Source": "/", "Target": "/h"}]}})");
  EXPECT_EQ(made.body["HostConfig"]["Binds"], Json::array({"data:/data", "/tmp/h/run/wl/vision:/var/run/iotedge:ro"}));
  EXPECT_EQ(made.body["HostConfig"]["Mounts"].size(), 1U);
  EXPECT_EQ(made.left_out.size(), 2U);
}

TEST(CreateBody, CapsLimits) {
  const auto made = body_for(R"({"HostConfig": {"Memory": 99999999999999, "PidsLimit": 10}})");
  EXPECT_EQ(made.body["HostConfig"]["Memory"], 4LL << 30);
  EXPECT_EQ(made.body["HostConfig"]["PidsLimit"], 10);
}

TEST(CreateBody, LeavesLimitsToAnEngineThatHasThem) {
  const Settings settings = test_settings();
  EngineInfo bare = podman();
  bare.limits_memory = bare.limits_pids = bare.limits_cpu = false;
  contract::ModuleSpec spec;
  spec.name = "m";
  const auto made = make_create_body(spec, {settings, bare}, {"sha256:abc", ""}, "g");
  EXPECT_FALSE(made.body["HostConfig"].contains("Memory"));
  EXPECT_FALSE(made.body["HostConfig"].contains("PidsLimit"));
}

TEST(CreateBody, KeepsAnOwnNetworkButNotTheHosts) {
  const auto own = body_for(R"({"NetworkingConfig": {"EndpointsConfig": {"plant": {}}}})");
  EXPECT_FALSE(own.body["HostConfig"].contains("NetworkMode"));
  EXPECT_TRUE(own.body["NetworkingConfig"]["EndpointsConfig"].contains("plant"));
  const auto host = body_for(R"({"HostConfig": {"NetworkMode": "host"}})");
  EXPECT_EQ(host.body["HostConfig"]["NetworkMode"], "azure-iot-edge");
  EXPECT_EQ(host.left_out.size(), 1U);
  EXPECT_EQ(body_for(R"({"HostConfig": {"NetworkMode": "host"}})", {"HostNetwork"}).body["HostConfig"]["NetworkMode"],
            "host");
}

TEST(SpecHash, ChangesOnlyWithWhatNeedsAnotherContainer) {
  const Settings settings = test_settings();
  contract::ModuleSpec spec;
  spec.name = "m";
  spec.image = "i:1";
  const auto first = spec_hash(spec, settings, "g");
  auto stopped = spec;
  stopped.status = contract::DesiredStatus::stopped;
  EXPECT_EQ(spec_hash(stopped, settings, "g"), first);
  auto other_image = spec;
  other_image.image = "i:2";
  EXPECT_NE(spec_hash(other_image, settings, "g"), first);
  auto other_environment = spec;
  other_environment.environment["A"] = "1";
  EXPECT_NE(spec_hash(other_environment, settings, "g"), first);
  EXPECT_NE(spec_hash(spec, settings, "g2"), first);
}

TEST(ContainerName, IsOneThatEnginesAccept) {
  const std::string name = container_name(test_settings(), "odd name:$x", "0123456789abcdef");
  EXPECT_TRUE(name.starts_with("verge-"));
  EXPECT_TRUE(name.ends_with("-odd_name__x-01234567")) << name;
}

}  // namespace
}  // namespace verge::agent
