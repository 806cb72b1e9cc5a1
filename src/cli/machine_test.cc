#include "cli/machine.h"

#include <gmock/gmock.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "cli/fake_hub_for_tests.h"

namespace verge::cli {
namespace {

using testing::HasSubstr;

class MachineTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  Home home_{folder_.path()};
  EngineChoice engine_{"/run/engine.sock", true};
};

HttpResponse welcome(const HttpRequest& request) {
  const auto body = parse_json(request.body);
  if (!body || body->at("token") != "good") return hub_error(401, "the token is not known");
  return json_response({{"device", body->at("device")},
                        {"key", "a2V5"},
                        {"host", "hub"},
                        {"mqtt_port", 9883},
                        {"https_port", 9443},
                        {"ca_pem", "PEM"}},
                       201);
}

std::string url_of(const FakeHub& hub) { return "http://127.0.0.1:" + std::to_string(hub.port()); }

TEST_F(MachineTest, JoiningWritesWhatTheAgentReads) {
  const FakeHub hub(welcome);
  MachineOptions options;
  options.subnet = "172.31.78.0/24";
  ASSERT_TRUE(join_hub(home_, url_of(hub), "", "good", "press-3", options, engine_));
  EXPECT_EQ(joined_device(home_), "press-3");
  const auto settings = parse_json(*read_file(home_.agent() / "agent.json"));
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->at("hub"),
            Json({{"host", "hub"}, {"mqtt_port", 9883}, {"https_port", 9443}, {"ca_pem_file", "hub-ca.pem"}}));
  EXPECT_EQ(settings->at("engine").at("socket"), "/run/engine.sock");
  EXPECT_EQ(settings->at("network").at("subnet"), "172.31.78.0/24");
  EXPECT_EQ(*read_file(home_.agent() / "device.key"), "a2V5");
  EXPECT_EQ(std::filesystem::status(home_.agent() / "device.key").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(MachineTest, JoiningAgainIsFineAsTheSameDeviceOnly) {
  const FakeHub hub(welcome);
  ASSERT_TRUE(join_hub(home_, url_of(hub), "", "good", "press-3", {}, engine_));
  EXPECT_TRUE(join_hub(home_, url_of(hub), "", "spent", "press-3", {}, engine_)) << "nobody is asked";
  const auto other = join_hub(home_, url_of(hub), "", "good", "press-4", {}, engine_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::conflict);
  EXPECT_THAT(other.error().message, HasSubstr("press-3"));
}

TEST_F(MachineTest, ARefusedTokenLeavesNothing) {
  const FakeHub hub(welcome);
  const auto joined = join_hub(home_, url_of(hub), "", "bad", "press-3", {}, engine_);
  ASSERT_FALSE(joined);
  EXPECT_THAT(joined.error().message, HasSubstr("the token is not known"));
  EXPECT_EQ(joined_device(home_), std::nullopt);
  EXPECT_FALSE(std::filesystem::exists(home_.agent() / "device.key"));
}

TEST_F(MachineTest, ATakenPortIsNamedBeforeAnythingStarts) {
  const FakeHub other(welcome);
  MachineOptions options;
  options.mqtt_port = 0;
  options.http_port = 0;
  options.https_port = other.port();
  const auto started = start_programs(home_, options, engine_);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::conflict);
  EXPECT_THAT(started.error().message, HasSubstr(std::to_string(other.port())));
  EXPECT_THAT(started.error().message, HasSubstr("--https-port"));
  EXPECT_FALSE(std::filesystem::exists(home_.supervisor_file()));
}

TEST_F(MachineTest, AJoinedAgentFollowsTheNextStart) {
  const FakeHub hub(welcome);
  ASSERT_TRUE(join_hub(home_, url_of(hub), "", "good", "press-3", {}, engine_));
  MachineOptions options;
  options.has_hub = false;
  options.subnet = "10.9.0.0/24";
  // There is no program `verge` beside this test, so nothing starts; the settings are written before that.
  EXPECT_FALSE(start_programs(home_, options, {"/other.sock", false}));
  const auto settings = parse_json(*read_file(home_.agent() / "agent.json"));
  EXPECT_EQ(settings->at("network").at("subnet"), "10.9.0.0/24");
  EXPECT_EQ(settings->at("engine").at("socket"), "/other.sock");
  EXPECT_EQ(settings->at("hub").at("mqtt_port"), 9883) << "the hub is elsewhere";
}

TEST_F(MachineTest, IsLoadedAsItWasStarted) {
  EXPECT_EQ(load_machine(home_).error().code, ErrorCode::not_found);
  ASSERT_TRUE(write_file(
      home_.machine_file(),
      R"({"device": "d", "https_port": 9443, "has_hub": false, "engine_socket": "/e.sock", "engine_is_own": true})"));
  const auto machine = load_machine(home_);
  ASSERT_TRUE(machine) << machine.error().message;
  EXPECT_EQ(machine->options.https_port, 9443);
  EXPECT_EQ(machine->options.mqtt_port, 8883);
  EXPECT_FALSE(machine->options.has_hub);
  EXPECT_TRUE(machine->engine.is_own);
  ASSERT_TRUE(write_file(home_.machine_file(), R"({"https_port": 70000})"));
  EXPECT_EQ(load_machine(home_).error().code, ErrorCode::corrupt);
}

TEST_F(MachineTest, ADeviceElsewhereHasNoHub) {
  MachineOptions options;
  const auto both = machine_children(home_, options, {"/e.sock", false});
  ASSERT_TRUE(both);
  ASSERT_EQ(both->size(), 2U);
  EXPECT_EQ(both->at(0).name, "hub");
  EXPECT_EQ(both->at(1).waits_for, home_.agent() / "agent.json");
  options.has_hub = false;
  const auto device = machine_children(home_, options, {"/e.sock", false});
  ASSERT_TRUE(device);
  ASSERT_EQ(device->size(), 1U);
  EXPECT_EQ(device->at(0).name, "agent");
}

TEST_F(MachineTest, LogsEndWithTheNewestLines) {
  EXPECT_EQ(program_log(home_, "hub", 2).error().code, ErrorCode::not_found);
  std::filesystem::create_directories(home_.logs());
  ASSERT_TRUE(write_file(home_.logs() / "hub.log", "one\ntwo\nthree\n"));
  EXPECT_EQ(*program_log(home_, "hub", 2), "two\nthree\n");
}

TEST_F(MachineTest, StatusOfNothingIsEmpty) {
  const auto status = machine_status(home_);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->at("supervisor").at("running"), false);
  EXPECT_TRUE(status->at("programs").empty());
}

TEST_F(MachineTest, StoppingNothingIsFine) { EXPECT_TRUE(stop_machine(home_, false)); }

TEST_F(MachineTest, StoppingTwiceIsFineAndPurgeRemovesEverything) {
  const FakeHub hub(welcome);
  ASSERT_TRUE(join_hub(home_, url_of(hub), "", "good", "press-3", {}, engine_));
  ASSERT_TRUE(write_file(home_.machine_file(), R"({"engine_socket": "/e.sock", "engine_is_own": true})"));
  const auto stopped = stop_machine(home_, true);
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(std::filesystem::exists(home_.root));
}

TEST(DeviceName, HasOnlyLettersOfAnId) {
  const auto name = default_device_name();
  EXPECT_FALSE(name.empty());
  EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."),
            std::string::npos);
}

TEST_F(MachineTest, OwnEngineKeepsEverythingBelowItsFolder) {
  const auto child = own_engine_child(home_);
  ASSERT_TRUE(child) << child.error().message;
  const auto below = home_.engine().string();
  EXPECT_THAT(child->process.environment.at("CONTAINERS_CONF"), testing::StartsWith(below));
  const auto storage = read_file(home_.engine() / "storage.conf");
  EXPECT_THAT(*storage, HasSubstr("graphroot = \"" + below));
  EXPECT_THAT(*storage, HasSubstr("runroot = \"" + below));
  EXPECT_TRUE(clean_own_engine(home_, true));
  EXPECT_FALSE(std::filesystem::exists(home_.engine()));
}

}  // namespace
}  // namespace verge::cli
