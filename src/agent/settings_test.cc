#include "agent/settings.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/disk.h"

namespace verge::agent {
namespace {

class SettingsFile : public testing::Test {
 protected:
  SettingsFile() : home_(std::filesystem::temp_directory_path() / ("verge-settings-" + new_uuid())) {
    std::filesystem::create_directories(home_);
    write("key", "c2VjcmV0\n");
  }
  ~SettingsFile() override { std::filesystem::remove_all(home_); }
  void write(const char* name, const std::string& text) { VERGE_ASSERT(write_file(home_ / name, text)); }
  Result<Settings> load(const std::string& text) {
    write("agent.json", text);
    return load_settings(home_);
  }
  std::filesystem::path home_;
};

TEST_F(SettingsFile, FillsInWhatIsNotSaid) {
  const auto settings = load(R"({"hub": {"host": "localhost"}, "device": "Press 7", "key_file": "key"})");
  ASSERT_FALSE(settings);  // A blank is no letter of an id.
  const auto good = load(R"({"hub": {"host": "localhost"}, "device": "Press_7", "key_file": "key"})");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->key, "c2VjcmV0");
  EXPECT_EQ(good->gateway_host, "press-7.edge.internal");
  EXPECT_EQ(good->hub.mqtt_port, 8883);
  EXPECT_TRUE(good->hub.is_verge);
  EXPECT_EQ(good->network.gateway, "172.31.77.1");
}

TEST_F(SettingsFile, TakesAConnectionStringForAzure) {
  const auto settings = load(R"({"connection_string": "HostName=h.example;DeviceId=d;SharedAccessKey=c2VjcmV0"})");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->hub.host, "h.example");
  EXPECT_EQ(settings->hub.https_port, 443);
  EXPECT_FALSE(settings->hub.is_verge);
}

TEST_F(SettingsFile, SaysWhichMemberIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({})", "hub.host"},
      {R"({"hub": {"host": "h"}, "device": "d"})", "key_file"},
      {R"({"hub": {"host": "h", "mqtt_port": 70000}, "device": "d", "key_file": "key"})", "mqtt_port"},
      {R"({"hub": {"host": "h"}, "device": "d", "key_file": "key", "network": {"gateway": "10.0.0.1"}})",
       "network.gateway"},
      {R"({"hub": {"host": "h"}, "device": "d", "key_file": "key", "allowed": ["Everything"]})", "allowed"},
      {R"({"hub": {"host": "h"}, "device": "d", "key_file": "key", "outbox": {"disk_bytes_max": -1}})",
       "disk_bytes_max"},
      {R"(nonsense)", "agent.json"},
  };
  for (const auto& [text, member] : rows) {
    const auto settings = load(text);
    ASSERT_FALSE(settings) << text;
    EXPECT_NE(settings.error().message.find(member), std::string::npos) << settings.error().message;
  }
}

TEST(SocketFolder, StaysShort) {
  Settings settings;
  settings.home = "/tmp/a";
  EXPECT_EQ(settings.socket_folder(), "/tmp/a/run/wl");
  settings.home = "/" + std::string(100, 'x');
  EXPECT_LT(settings.socket_folder().string().size(), 40U);
}

TEST(Subnet, IsComparedByBits) {
  struct Row {
    const char* address;
    const char* subnet;
    bool is_inside;
  };
  const Row rows[] = {
      {"172.31.77.9", "172.31.77.0/24", true},
      {"172.31.77.9:5000", "172.31.77.0/24", true},
      {"172.31.78.9", "172.31.77.0/24", false},
      {"10.0.0.1", "0.0.0.0/0", true},
      {"10.0.0.1", "10.0.0.1/32", true},
      {"10.0.0.2", "10.0.0.1/32", false},
      {"unix", "172.31.77.0/24", false},
      {"10.0.0.1", "10.0.0.0/33", false},
      {"", "10.0.0.0/8", false},
  };
  for (const Row& row : rows) EXPECT_EQ(is_in_subnet(row.address, row.subnet), row.is_inside) << row.address;
}

}  // namespace
}  // namespace verge::agent
