#include "connectors/camera/onvif_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

namespace verge::connectors::onvif {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string envelope(const std::string& header, const std::string& body) {
  return "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Header>" + header + "</s:Header><s:Body>" +
         body + "</s:Body></s:Envelope>";
}

/// The id that a probe bears.
std::string id_in(std::string_view question) {
  const auto begin = question.find("urn:uuid:") + 9;
  return std::string(question.substr(begin, 36));
}

std::string match(const std::string& id, const std::string& endpoint, const std::string& addresses,
                  const std::string& types = "dn:NetworkVideoTransmitter") {
  return envelope("<RelatesTo>urn:uuid:" + id + "</RelatesTo>",
                  "<ProbeMatches><ProbeMatch><EndpointReference><Address>" + endpoint +
                      "</Address></EndpointReference><Types>" + types +
                      "</Types><Scopes>onvif://www.onvif.org/name/Gate</Scopes><XAddrs>" + addresses +
                      "</XAddrs></ProbeMatch></ProbeMatches>");
}

/// Plays an exchange back: answers by what a request asks for.
class RecordedNetwork final : public Network {
 public:
  Result<std::vector<Interface>> interfaces(bool with_loopback) const override {
    std::vector<Interface> all = {{"eth0", "192.0.2.2"}, {"wlan0", "198.51.100.2"}};
    if (with_loopback) all.push_back({"lo", "127.0.0.1"});
    return all;
  }
  Result<std::vector<Answer>> ask_all(const std::vector<Interface>& on, std::string_view question,
                                      std::chrono::milliseconds) override {
    asked_on = on.size();
    const std::string id = id_in(question);
    return std::vector<Answer>{
        {"wlan0", "198.51.100.9", match(id, "urn:uuid:b", "http://198.51.100.9/onvif")},
        {"eth0", "192.0.2.7", match(id, "urn:uuid:a", "http://192.0.2.7:8000/onvif/device")},
        {"eth0", "192.0.2.7", match(id, "urn:uuid:a", "http://192.0.2.7:8000/onvif/device")},  // Its second answer.
        {"eth0", "192.0.2.8", match(id, "urn:uuid:p", "http://192.0.2.8/print", "wprt:PrintDeviceType")},
        {"eth0", "192.0.2.7", match("another", "urn:uuid:x", "http://192.0.2.7/")},
        {"eth0", "192.0.2.6", "garbage"}};
  }
  Result<std::string> post(const std::string& address, const std::string& soap) override {
    posts.emplace_back(address, soap);
    for (const auto& [words, answer] : answers) {
      if (soap.find("<" + words) != std::string::npos) return answer;
    }
    return Error{ErrorCode::unavailable, "nobody is there"};
  }

  std::size_t asked_on = 0;
  std::vector<std::pair<std::string, std::string>> posts;
  std::map<std::string, std::string> answers = {
      {"GetSystemDateAndTime",
       envelope("",
                "<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime><Time><Hour>7</Hour><Minute>50</Minute>"
                "<Second>45</Second></Time><Date><Year>2010</Year><Month>9</Month><Day>16</Day></Date></UTCDateTime>"
                "</SystemDateAndTime></GetSystemDateAndTimeResponse>")},
      {"GetCapabilities", envelope("",
                                   "<GetCapabilitiesResponse><Capabilities><Media><XAddr>http://192.0.2.7:8000/media"
                                   "</XAddr></Media></Capabilities></GetCapabilitiesResponse>")},
      {"GetProfiles", envelope("",
                               "<GetProfilesResponse><Profiles token=\"main\"/><Profiles token=\"sub\"/>"
                               "</GetProfilesResponse>")},
      {"GetStreamUri", envelope("",
                                "<GetStreamUriResponse><MediaUri><Uri>rtsp://192.0.2.7/1</Uri></MediaUri>"
                                "</GetStreamUriResponse>")}};
};

Camera gate() {
  return {{"urn:uuid:a", {"http://192.0.2.7:8000/onvif/device"}, "Gate", ""}, "eth0", "192.0.2.7", {}, {}};
}

TEST(OnvifSearch, FindsEachCameraOnce) {
  RecordedNetwork network;
  const auto cameras = find_cameras(network, *choose_interfaces(network, {}), std::chrono::milliseconds(1));
  ASSERT_TRUE(cameras) << cameras.error().message;
  EXPECT_EQ(network.asked_on, 2U);
  ASSERT_EQ(cameras->size(), 2U);
  EXPECT_EQ(cameras->front().from, "192.0.2.7");
  EXPECT_EQ(cameras->front().found.name, "Gate");
  EXPECT_EQ(cameras->back().interface, "wlan0");
}

TEST(OnvifSearch, ChoosesInterfacesByName) {
  const RecordedNetwork network;
  EXPECT_EQ(choose_interfaces(network, {"lo"})->front().address, "127.0.0.1");
  const auto none = choose_interfaces(network, {"eth0", "eth7"});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, AllOf(HasSubstr("no interface \"eth7\""), HasSubstr("eth0, wlan0, lo")));
}

TEST(OnvifSearch, AsksForStreamsByTheCamerasClock) {
  RecordedNetwork network;
  Camera camera = gate();
  ask_for_streams(network, camera, {"guard", "userpassword"}, ManualClock());
  EXPECT_EQ(camera.error, "");
  ASSERT_EQ(camera.streams.size(), 2U);
  EXPECT_EQ(camera.streams[1].profile.token, "sub");
  EXPECT_EQ(camera.streams[1].uri, "rtsp://192.0.2.7/1");
  ASSERT_EQ(network.posts.size(), 5U);
  EXPECT_EQ(network.posts[1].first, "http://192.0.2.7:8000/onvif/device");
  EXPECT_EQ(network.posts[2].first, "http://192.0.2.7:8000/media");
  EXPECT_THAT(network.posts[0].second, Not(HasSubstr("guard")));
  for (std::size_t i = 1; i < network.posts.size(); ++i) {
    EXPECT_THAT(network.posts[i].second, AllOf(HasSubstr("2010-09-16T07:50:45Z"), Not(HasSubstr("userpassword"))));
  }
}

TEST(OnvifSearch, SendsALoginOnlyWhereItWasAnswered) {
  RecordedNetwork network;
  Camera camera = gate();
  camera.from = "192.0.2.66";
  ask_for_streams(network, camera, {"guard", "x"}, ManualClock());
  EXPECT_THAT(camera.error, HasSubstr("answers from 192.0.2.66, but names http://192.0.2.7:8000/onvif/device"));
  EXPECT_THAT(network.posts, IsEmpty());

  camera = gate();  // Its media service claims to be elsewhere.
  network.answers["GetCapabilities"] =
      envelope("",
               "<GetCapabilitiesResponse><Capabilities><Media><XAddr>http://203.0.113.1/media?x=1</XAddr></Media>"
               "</Capabilities></GetCapabilitiesResponse>");
  ask_for_streams(network, camera, {"guard", "x"}, ManualClock());
  EXPECT_EQ(network.posts.back().first, "http://192.0.2.7:8000/media?x=1");
}

TEST(OnvifSearch, ACameraMayRefuse) {
  RecordedNetwork network;
  network.answers["GetProfiles"] = envelope("", "<Fault><Reason><Text>Sender not Authorized</Text></Reason></Fault>");
  Camera camera = gate();
  ask_for_streams(network, camera, {}, ManualClock());
  EXPECT_THAT(camera.error, HasSubstr("Sender not Authorized"));
  network.answers.clear();
  camera.error.clear();
  ask_for_streams(network, camera, {}, ManualClock());
  EXPECT_EQ(camera.error, "nobody is there");
}

TEST(OnvifSearch, HostsOfAddresses) {
  EXPECT_EQ(host_of("http://192.0.2.7:80/onvif"), "192.0.2.7");
  EXPECT_EQ(host_of("http://192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(host_of("http://[fe80::1]:80/x"), "fe80::1");
  EXPECT_EQ(host_of("http://a@b@192.0.2.7/x"), "192.0.2.7");
  EXPECT_EQ(host_of("http://"), "");
  EXPECT_EQ(host_of("http://["), "");
}

}  // namespace
}  // namespace verge::connectors::onvif
