#include "cli/camera.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace verge::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<connectors::onvif::Camera> two_cameras() {
  connectors::onvif::Profile main{"main", "Main", "H264"};
  main.width = 1920;
  main.height = 1080;
  main.fps = 25;
  return {
      {{"urn:uuid:a", {"http://192.0.2.7/onvif"}, "Gate", "X-100"},
       "eth0",
       "192.0.2.7",
       {{main, "rtsp://u:hush@192.0.2.7/1?channel=1", ""}, {{"sub", "", ""}, "rtsp://192.0.2.7/2?password=hush", ""}},
       ""},
      {{"urn:uuid:b", {"http://192.0.2.8/onvif"}, "", ""}, "eth0", "192.0.2.8", {}, "it refuses"}};
}

TEST(CameraOutput, ShowsStreamsWithoutLogins) {
  const std::string table = cameras_as_table(two_cameras());
  EXPECT_THAT(table, AllOf(HasSubstr("Gate"), HasSubstr("1920x1080"), HasSubstr("rtsp://192.0.2.7/1?channel=1"),
                           HasSubstr("rtsp://192.0.2.7/2?***"), HasSubstr("it refuses"), Not(HasSubstr("hush"))));
  const Json json = cameras_as_json(two_cameras());
  EXPECT_EQ(json[0]["streams"][0]["url"], "rtsp://192.0.2.7/1?channel=1");
  EXPECT_EQ(json[0]["streams"][0]["fps"], 25);
  EXPECT_EQ(json[1]["error"], "it refuses");
  EXPECT_THAT(to_text(json), Not(HasSubstr("hush")));
  EXPECT_EQ(cameras_as_table({}), "No camera answered.\n");
}

TEST(CameraOutput, TellsWhatACameraSends) {
  connectors::CameraReport report;
  report.codec = "h264";
  report.width = 640;
  report.height = 360;
  report.fps = 9.987;
  report.key_every_s = 2.004;
  report.first_picture_s = 1.25;
  report.pictures = 50;
  EXPECT_THAT(report_as_text("rtsp://***@a/1", report),
              AllOf(HasSubstr("rtsp://***@a/1"), HasSubstr("h264, 640x360, 10.0 a second"), HasSubstr("every 2.0 s")));
  const Json json = report_as_json("rtsp://***@a/1", report);
  EXPECT_EQ(json["fps"], 9.99);
  EXPECT_EQ(json["key_every_s"], 2.0);
  report.key_every_s.reset();
  EXPECT_EQ(report_as_json("", report)["key_every_s"], nullptr);
  EXPECT_THAT(report_as_text("", report), HasSubstr("fewer than two came"));
}

TEST(CameraOutput, APasswordIsNotTyped) {
  for (const char* good : {"rtsp://192.0.2.7/1", "rtsp://guard@192.0.2.7/1",
                           "rtsp://guard:${CAMERA_PASSWORD}@192.0.2.7/1", "${CAMERA_URL}", "/dev/video0"}) {
    EXPECT_TRUE(refuse_typed_password(good)) << good;
  }
  for (const char* bad : {"rtsp://guard:hush@192.0.2.7/1", "rtsp://guard:hush${A}@192.0.2.7/1", "http://guard:@a/"}) {
    const auto refused = refuse_typed_password(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_THAT(refused.error().message, AllOf(HasSubstr("${CAMERA_PASSWORD}@"), Not(HasSubstr("hush"))));
  }
}

}  // namespace
}  // namespace verge::cli
