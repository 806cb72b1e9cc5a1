#include "connectors/camera/camera_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

namespace verge::connectors {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Environment given(const std::map<std::string, std::string>& values) {
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

TEST(CameraUrlText, SaysWhatItNames) {
  const struct {
    const char *text, *url, *shown;
    CameraSort sort;
  } rows[] = {
      {"film/gate.avi", "film/gate.avi", "film/gate.avi", CameraSort::path},
      {"/var/pictures", "/var/pictures", "/var/pictures", CameraSort::path},
      {"/dev/video12", "/dev/video12", "/dev/video12", CameraSort::device},
      {"/dev/videos", "/dev/videos", "/dev/videos", CameraSort::path},
      {"rtsp://gate/1", "rtsp://gate/1", "rtsp://gate/1", CameraSort::rtsp},
      {"rtsps://gate:322/1", "rtsps://gate:322/1", "rtsps://gate:322/1", CameraSort::rtsp},
      {"onvif://me:pass@gate:8000/main", "onvif://me:pass@gate:8000/main", "onvif://***@gate:8000/main",
       CameraSort::onvif},
      {"rtsp://me:pass@gate:554/h264?channel=1", "rtsp://me:pass@gate:554/h264?channel=1",
       "rtsp://***@gate:554/h264?***", CameraSort::rtsp},
      {"http://me@gate/live.mjpg", "http://me@gate/live.mjpg", "http://***@gate/live.mjpg", CameraSort::http},
      {"https://gate/snap?user=me&password=pass", "https://gate/snap?user=me&password=pass", "https://gate/snap?***",
       CameraSort::http},
      {"rtsp://me:p@ss/w@gate/1", "rtsp://me:p@ss/w@gate/1", "rtsp://***@gate/1", CameraSort::rtsp},
      {"rtsp://me:${SECRET}@${HOST}/1", "rtsp://me:p%40ss%2Fw%3A%20%23@192.0.2.7/1", "rtsp://***@${HOST}/1",
       CameraSort::rtsp},
      {"http://me:p?ss@gate/1", "http://me:p?ss@gate/1", "http://***@gate/1", CameraSort::http},
      {"http://gate/1?mail=me@home", "http://gate/1?mail=me@home", "http://***@home", CameraSort::http},
      {"rtsp://gate/${TOKEN}/1", "rtsp://gate/abc/1", "rtsp://gate/${TOKEN}/1", CameraSort::rtsp},
      {"${WHOLE}", "rtsp://me:pass@gate/1", "${WHOLE}", CameraSort::rtsp},
      {"${FOLDER}/gate.avi", "films/gate.avi", "${FOLDER}/gate.avi", CameraSort::path},
  };
  const auto environment = given({{"SECRET", "p@ss/w: #"},
                                  {"HOST", "192.0.2.7"},
                                  {"TOKEN", "abc"},
                                  {"FOLDER", "films"},
                                  {"WHOLE", "rtsp://me:pass@gate/1"}});
  for (const auto& row : rows) {
    const auto camera = read_camera_url(row.text, environment);
    ASSERT_TRUE(camera) << row.text << ": " << camera.error().message;
    EXPECT_EQ(camera->url, row.url);
    EXPECT_EQ(camera->shown, row.shown);
    EXPECT_EQ(camera->sort, row.sort) << row.text;
  }
}

TEST(CameraUrlText, RefusesWithoutTellingSecrets) {
  const struct {
    const char *text, *why;
  } rows[] = {{"rtsp://me:hush@gate/${NOWHERE}", "variable NOWHERE is not set"},
              {"rtsp://me:hush${NOWHERE}@gate/1", "variable NOWHERE is not set"},
              {"rtsp://me:hush@gate/${OPEN", "lacks its }"},
              {"ftp://me:hush@gate/1", "scheme"},
              {"rtsp://me:hush@/1", "no host"},
              {"rtsp://", "no host"},
              {"onvif:///main", "no host"},
              {"http://:80/hush?hush", "no host"},
              {"", "empty"}};
  for (const auto& row : rows) {
    const auto camera = read_camera_url(row.text, given({}));
    ASSERT_FALSE(camera) << row.text;
    EXPECT_EQ(camera.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(camera.error().message, HasSubstr(row.why));
    EXPECT_THAT(camera.error().message, Not(HasSubstr("me:"))) << row.text;
  }
}

}  // namespace
}  // namespace verge::connectors
