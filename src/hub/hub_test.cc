#include "hub/hub.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "hub/test_hub.h"

namespace verge::hub {
namespace {

using testing::HasSubstr;

TEST(Hub, MakesItsFilesPrivate) {
  TestHub hub;
  for (const char* name : {"policies.json", "first-password", "connection.json", "certificates/root-key.pem",
                           "certificates/server-key.pem"}) {
    struct stat info {};
    ASSERT_EQ(::stat((hub.options().home / name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777U, 0600U) << name;
  }
  EXPECT_EQ(hub.first_password().size(), 16U);
}

TEST(Hub, SaysWhichPortIsTaken) {
  TestHub hub;
  TemporaryFolder other;
  Loop loop;
  HubOptions options;
  options.home = other.path() / "hub";
  options.mqtt_port = hub.mqtt_port();
  options.https_port = options.http_port = 0;
  const auto second = Hub::start(loop, system_disk(), system_clock(), options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::conflict);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(hub.mqtt_port())));
}

TEST(Hub, SharesItsFolderWithNobody) {
  TestHub hub;
  Loop loop;
  HubOptions options = hub.options();
  const auto second = Hub::start(loop, system_disk(), system_clock(), options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::conflict);
}

TEST(Hub, RestartKeepsEverything) {
  TestHub hub;
  const std::string key = hub.create_device("d");
  ASSERT_EQ(
      hub.owner("PATCH", "/twins/d", {{"tags", {{"site", "a"}}}, {"properties", {{"desired", {{"x", 1}}}}}}).status,
      200);
  {
    TestDevice device(hub, {"d", ""}, key);
    ASSERT_TRUE(device.send_numbered("1", "e", 1));
    ASSERT_TRUE(device.send_numbered("2", "e", 2));
  }
  const std::string token = hub.owner_token();
  const std::string password = hub.first_password();
  hub.stop();
  hub.start();
  EXPECT_EQ(hub.call("GET", "/devices/d", "", {{"Authorization", token}}).status, 200)
      << "the policy's key is the same";
  EXPECT_EQ(hub.owner("GET", "/twins/d").body["properties"]["desired"]["x"], 1);
  EXPECT_EQ(hub.first_password(), password);
  TestDevice device(hub, {"d", ""}, key);
  ASSERT_TRUE(device.send_numbered("2 again", "e", 2)) << "acknowledged";
  ASSERT_TRUE(device.send_numbered("3", "e", 3));
  ASSERT_TRUE(eventually([&] { return hub.events().size() == 3; }));
  const Json ledger = hub.owner("GET", "/api/v1/ledger?device=d").body;
  ASSERT_EQ(ledger.size(), 1U);
  EXPECT_EQ(ledger[0]["count"], 3);
  EXPECT_EQ(ledger[0]["last"], 3);
  EXPECT_EQ(ledger[0]["out_of_order"], 0);
}

TEST(Hub, ForgetsNoDuplicateWhenItsSnapshotIsBroken) {
  TestHub hub;
  const std::string key = hub.create_device("d");
  {
    TestDevice device(hub, {"d", ""}, key);
    ASSERT_TRUE(device.send_numbered("1", "e", 1));
  }
  hub.stop();
  ASSERT_TRUE(write_file(hub.options().home / "received.json", "{broken"));
  hub.start();
  TestDevice device(hub, {"d", ""}, key);
  ASSERT_TRUE(device.send_numbered("1", "e", 1));
  ASSERT_TRUE(device.send_numbered("2", "e", 2));
  ASSERT_TRUE(eventually([&] { return hub.events().size() >= 2; }));
  EXPECT_EQ(hub.events().size(), 2U);
}

TEST(Hub, SurvivesAFullDiskAndAFailedSync) {
  FaultyDisk disk;
  disk.set_capacity_bytes(4U << 20U);
  HubOptions options;
  options.log_free_bytes_min = 0;
  TestHub hub(disk, options);
  const std::string key = hub.create_device("d");
  TestDevice device(hub, {"d", ""}, key);
  ASSERT_TRUE(device.wait_connected());
  std::uint64_t acknowledged = 0;
  const std::string payload(200U << 10U, 'x');
  while (acknowledged < 100) {
    contract::PropertyBag properties;
    properties.set("verge-epoch", "e");
    properties.set("verge-seq", std::to_string(acknowledged + 1));
    if (!device.publish_once(contract::telemetry_topic({"d", ""}, properties), payload)) break;
    ++acknowledged;
  }
  ASSERT_GT(acknowledged, 5U);
  ASSERT_LT(acknowledged, 100U);
  const auto sick = hub.call("GET", "/healthz");
  EXPECT_EQ(sick.status, 503) << sick.text;
  disk.set_capacity_bytes(64U << 20U);
  // The client still has the refused one and sends it again by itself.
  ASSERT_TRUE(eventually([&] { return hub.events().size() == acknowledged + 1; })) << hub.events().size();
  ASSERT_TRUE(eventually([&] { return hub.call("GET", "/healthz").status == 200; }));

  disk.fail_syncs(1);
  ASSERT_TRUE(device.send_numbered("after a failed sync", "e", acknowledged + 2));
  ASSERT_TRUE(eventually([&] { return hub.events().size() == acknowledged + 2; }));
  const Json ledger = hub.owner("GET", "/api/v1/ledger?device=d").body;
  EXPECT_EQ(ledger[0]["count"], acknowledged + 2);
  EXPECT_EQ(ledger[0]["out_of_order"], 0);
}

TEST(Hub, LosesNothingAcknowledgedInAPowerCut) {
  FaultyDisk disk;
  HubOptions options;
  options.log_free_bytes_min = 0;
  TestHub hub(disk, options);
  const std::string key = hub.create_device("d");
  {
    TestDevice device(hub, {"d", ""}, key);
    for (std::uint64_t i = 1; i <= 20; ++i) ASSERT_TRUE(device.send_numbered("m", "e", i));
  }
  hub.stop();
  disk.lose_power(7731);
  hub.start();
  ASSERT_TRUE(eventually([&] { return hub.events().size() == 20; }));
  TestDevice device(hub, {"d", ""}, key);
  ASSERT_TRUE(device.send_numbered("m", "e", 20));
  ASSERT_TRUE(device.send_numbered("m", "e", 21));
  ASSERT_TRUE(eventually([&] { return hub.events().size() == 21; }));
}

TEST(Hub, TellsItsHealthAndItsMetrics) {
  TestHub hub;
  EXPECT_EQ(hub.call("GET", "/healthz").body["status"], "ok");
  const auto metrics = hub.call("GET", "/metrics");
  EXPECT_EQ(metrics.status, 200);
  for (const char* name : {"verge_hub_connections", "verge_hub_messages_total", "verge_hub_history_lag",
                           "verge_hub_log_sync_seconds", "verge_hub_rest_seconds"}) {
    EXPECT_THAT(metrics.text, HasSubstr(name));
  }
}

TEST(Hub, ServesThePageAndNothingElse) {
  HubOptions options;
  options.page = {{"index.html", "<!doctype html>"}, {"app.js", "1"}};
  TestHub hub(system_disk(), options);
  const auto page = hub.call("GET", "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.text, "<!doctype html>");
  EXPECT_THAT(std::string(page.headers.get("Content-Type")), HasSubstr("text/html"));
  EXPECT_EQ(hub.call("GET", "/", "", {{"If-None-Match", std::string(page.headers.get("ETag"))}}).status, 304);
  EXPECT_THAT(std::string(hub.call("GET", "/app.js").headers.get("Content-Type")), HasSubstr("javascript"));
  EXPECT_EQ(hub.call("GET", "/nothing.js").status, 404);
  EXPECT_EQ(hub.call("GET", "/..%2f..%2fetc%2fpasswd").status, 404);
  EXPECT_EQ(hub.call("DELETE", "/").status, 404);
}

}  // namespace
}  // namespace verge::hub
