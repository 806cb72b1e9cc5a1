#include "connectors/camera/onvif_camera.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::connectors {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(OnvifCameraUrl, SaysWhereToAskAndAsWhom) {
  const auto whole = read_onvif_address("onvif://guard:p%40ss%3A@192.0.2.7:8000/main%20stream?x=1");
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->device, "http://192.0.2.7:8000/onvif/device_service");
  EXPECT_EQ(whole->profile, "main stream");
  EXPECT_EQ(whole->user, "guard:p%40ss%3A");
  EXPECT_EQ(whole->login.user, "guard");
  EXPECT_EQ(whole->login.password, "p@ss:");
  const auto bare = read_onvif_address("onvif://camera.example.com");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->device, "http://camera.example.com/onvif/device_service");
  EXPECT_EQ(bare->profile + bare->user + bare->login.user + bare->login.password, "");
  EXPECT_EQ(read_onvif_address("onvif://guard@192.0.2.7/")->login.password, "");
  EXPECT_FALSE(read_onvif_address("onvif://192.0.2.7/%zz"));
  const auto typed = read_onvif_address("onvif://guard:hush%@192.0.2.7/");
  ASSERT_FALSE(typed);
  EXPECT_THAT(typed.error().message, AllOf(HasSubstr("write %25"), ::testing::Not(HasSubstr("hush"))));
}

TEST(OnvifCameraUrl, AStreamIsOpenedAtTheCamerasHostWithItsUser) {
  const struct {
    const char *address, *named, *opened;
  } rows[] = {
      {"onvif://me:a%40@192.0.2.7:80", "rtsp://192.0.2.7:554/h264?channel=1",
       "rtsp://me:a%40@192.0.2.7:554/h264?channel=1"},
      {"onvif://me@192.0.2.7", "rtsp://198.51.100.4/live", "rtsp://me@192.0.2.7/live"},
      {"onvif://192.0.2.7", "rtsps://other:word@203.0.113.9:322", "rtsps://192.0.2.7:322"},
      {"onvif://[2001:db8::7]:8000", "rtsp://[2001:db8::9]:554/1", "rtsp://[2001:db8::7]:554/1"},
      {"onvif://[2001:db8::7]", "rtsp://192.0.2.9/1", "rtsp://[2001:db8::7]/1"},
  };
  for (const auto& row : rows) EXPECT_EQ(stream_url(row.named, *read_onvif_address(row.address)), row.opened);
}

onvif::Profile profile(const char* token, int width, int height, const char* name = "") {
  return {token, name, "H264", width, height, 25};
}

TEST(OnvifCameraProfile, IsChosenByNameOrByUseAndSize) {
  const struct {
    const char* what;
    std::vector<onvif::Profile> profiles;
    const char* wanted;
    const char *analysed, *kept;
  } rows[] = {
      {"two streams", {profile("main", 1920, 1080), profile("sub", 704, 576)}, "", "sub", "main"},
      {"the order does not matter", {profile("sub", 704, 576), profile("main", 1920, 1080)}, "", "sub", "main"},
      {"too small to see anything", {profile("main", 1920, 1080), profile("sub", 352, 288)}, "", "main", "main"},
      {"three",
       {profile("4k", 3840, 2160), profile("hd", 1280, 720), profile("d1", 640, 360), profile("cif", 352, 288)},
       "",
       "d1",
       "4k"},
      {"one", {profile("only", 320, 240)}, "", "only", "only"},
      {"sizes are not told", {profile("a", 0, 0), profile("b", 0, 0)}, "", "a", "a"},
      {"by token", {profile("main", 1920, 1080), profile("sub", 704, 576)}, "main", "main", "main"},
      {"by name", {profile("p0", 1920, 1080, "Main"), profile("p1", 352, 288, "Sub")}, "Sub", "p1", "p1"},
      {"a token goes before a name", {profile("a", 1920, 1080, "b"), profile("b", 352, 288)}, "b", "b", "b"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(choose_profile(row.profiles, row.wanted, OnvifUse::analysed)->token, row.analysed) << row.what;
    EXPECT_EQ(choose_profile(row.profiles, row.wanted, OnvifUse::kept)->token, row.kept) << row.what;
  }
  const auto none = choose_profile(rows[0].profiles, "third", OnvifUse::analysed);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(none.error().message, HasSubstr("no profile \"third\"; it has: main, sub"));
  EXPECT_FALSE(choose_profile({}, "", OnvifUse::kept));
}

/// A camera with two profiles that answers, or does not.
class ScriptedNetwork final : public onvif::Network {
 public:
  explicit ScriptedNetwork(std::vector<std::string>* asked, const bool* is_there)
      : asked_(asked), is_there_(is_there) {}
  Result<std::vector<onvif::Interface>> interfaces(bool) const override { return std::vector<onvif::Interface>{}; }
  Result<std::vector<onvif::Answer>> ask_all(const std::vector<onvif::Interface>&, std::string_view,
                                             std::chrono::milliseconds) override {
    return std::vector<onvif::Answer>{};
  }
  Result<std::string> post(const std::string& address, const std::string& soap) override {
    if (!*is_there_) return Error{ErrorCode::unavailable, "nobody is there"};
    asked_->push_back(address);
    const auto answer = [](const std::string& body) {
      return "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>" + body +
             "</s:Body></s:Envelope>";
    };
    if (soap.find("<GetCapabilities") != std::string::npos) {
      return answer(
          "<GetCapabilitiesResponse><Capabilities><Media><XAddr>http://203.0.113.5/media</XAddr></Media>"
          "</Capabilities></GetCapabilitiesResponse>");
    }
    if (soap.find("<GetProfiles") != std::string::npos) {
      return answer("<GetProfilesResponse><Profiles token=\"main\"/><Profiles token=\"sub\"/></GetProfilesResponse>");
    }
    const char* stream = soap.find("<ProfileToken>sub<") != std::string::npos ? "second" : "first";
    if (soap.find("<GetStreamUri") != std::string::npos) {
      return answer("<GetStreamUriResponse><MediaUri><Uri>rtsp://203.0.113.5:554/" + std::string(stream) +
                    "</Uri></MediaUri></GetStreamUriResponse>");
    }
    return answer("");
  }

 private:
  std::vector<std::string>* asked_;
  const bool* is_there_;
};

/// Notes what is opened; shows a picture or fails.
class ScriptedStream final : public CameraLink {
 public:
  ScriptedStream(std::string url, std::vector<std::string>* opened, const bool* has_pictures)
      : url_(std::move(url)), opened_(opened), has_pictures_(has_pictures) {}
  Status watch(CameraWatch& watch) override {
    opened_->push_back(url_);
    if (*has_pictures_) watch.note_picture(true, watch.now());
    return Error{ErrorCode::unavailable, "it ended the stream"};
  }

 private:
  const std::string url_;
  std::vector<std::string>* opened_;
  const bool* has_pictures_;
};

class OnvifLinkTest : public ::testing::Test, private CameraWatch {
 protected:
  std::unique_ptr<CameraLink> link(const char* url) {
    OnvifWorld world;
    world.clock = &clock_;
    world.make_network = [this](const std::function<bool()>& is_cancelled) {
      EXPECT_FALSE(is_cancelled());
      return std::make_unique<ScriptedNetwork>(&asked_, &is_there_);
    };
    world.make_stream = [this](const RtspOptions& options) {
      return std::make_unique<ScriptedStream>(options.url, &opened_, &has_pictures_);
    };
    return make_onvif_link({*read_onvif_address(url), OnvifUse::analysed, {}}, world);
  }
  Status watch(CameraLink& link) { return link.watch(*this); }

  ManualClock clock_;
  bool is_there_ = true, has_pictures_ = true, is_stopped_ = false;
  std::vector<std::string> asked_, opened_;

 private:
  bool has_to_end() const override { return is_stopped_; }
  bool is_stopping() const override { return is_stopped_; }
  void hear() override {}
  Arrival now() const override { return {clock_.now_us(), clock_.monotonic_us()}; }
  void show(std::shared_ptr<pipeline::Frame>, const Arrival&) override {}
  CameraCounters& counters() override { return counters_; }

  Metrics metrics_;
  CameraCounters counters_{metrics_, "gate"};
};

TEST_F(OnvifLinkTest, AsksOnceAndOpensTheStream) {
  const auto camera = link("onvif://guard:word@192.0.2.7:8000/sub");
  ASSERT_TRUE(camera->prepare());
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_EQ(watch(*camera).error().message, "it ended the stream");
  EXPECT_THAT(opened_, ElementsAre("rtsp://guard:word@192.0.2.7:554/second"));
  EXPECT_THAT(asked_,
              ElementsAre("http://192.0.2.7:8000/onvif/device_service", "http://192.0.2.7:8000/onvif/device_service",
                          "http://192.0.2.7:8000/media", "http://192.0.2.7:8000/media"));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(watch(*camera));
  EXPECT_EQ(asked_.size(), 4U) << "the stream's address is known";
  EXPECT_EQ(opened_.size(), 4U);
}

TEST_F(OnvifLinkTest, AsksAgainAfterALongFailure) {
  const auto camera = link("onvif://192.0.2.7");
  EXPECT_FALSE(watch(*camera));
  has_pictures_ = false;
  for (int second = 0; second < kAskAgain_s; ++second) {
    EXPECT_FALSE(watch(*camera));
    clock_.advance_us(1'000'000);
  }
  EXPECT_EQ(asked_.size(), 4U);
  EXPECT_FALSE(watch(*camera));
  EXPECT_FALSE(watch(*camera));
  EXPECT_EQ(asked_.size(), 8U);
  clock_.advance_us(20'000'000);
  has_pictures_ = true;
  EXPECT_FALSE(watch(*camera));
  has_pictures_ = false;
  clock_.advance_us(20'000'000);
  EXPECT_FALSE(watch(*camera));
  EXPECT_EQ(asked_.size(), 8U) << "pictures came between";
}

TEST_F(OnvifLinkTest, SaysWhyThereIsNoStream) {
  is_there_ = false;
  const auto camera = link("onvif://192.0.2.7");
  EXPECT_EQ(watch(*camera).error().message, "nobody is there");
  EXPECT_THAT(opened_, IsEmpty());
  is_there_ = true;
  EXPECT_FALSE(watch(*camera));
  EXPECT_EQ(opened_.size(), 1U) << "it is asked with every attempt until it answers";
  const auto other = link("onvif://192.0.2.7/third");
  EXPECT_EQ(watch(*other).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace verge::connectors
