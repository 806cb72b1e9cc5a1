#include "connectors/camera/camera.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "connectors/camera/pictures_for_tests.h"

namespace verge::connectors {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CameraKindTest : public ::testing::Test {
 protected:
  CameraKindTest() {
    context_.folder = folder_.path();
    context_.metrics = &metrics_;
    context_.stream = "gate";
  }
  Result<std::unique_ptr<pipeline::Source>> make(Json options) {
    const auto kind = camera_kind([](const std::string& name) -> std::optional<std::string> {
      if (name == "SECRET") return "hush";
      return std::nullopt;
    });
    for (const auto& option : kind.options) {
      if (!options.contains(option.name)) options[option.name] = option.fallback;
    }
    return kind.make(options, context_);
  }

  TemporaryFolder folder_;
  Metrics metrics_;
  pipeline::Context context_;
};

TEST_F(CameraKindTest, TakesWhateverTheUrlNames) {
  std::filesystem::create_directory(folder_.path() / "pictures");
  ASSERT_TRUE(write_file(folder_.path() / "pictures/a.jpg", white_jpeg()));
  const struct {
    Json options;
    bool is_live;
  } rows[] = {{{{"url", "film.avi"}}, true},
              {{{"url", "film.avi"}, {"pace", false}}, false},
              {{{"url", "pictures"}}, false},
              {{{"url", "pictures"}, {"fps", 2}}, true},
              {{{"url", "rtsp://me:${SECRET}@gate/1"}, {"transport", "udp"}, {"keyframes_only", true}}, true},
              {{{"url", "https://gate/snap.jpg"}, {"fps", 0.1}}, true},
              {{{"url", "rtsp://gate/sub"}, {"evidence_url", "rtsp://gate/main"}, {"record", {{"days", 2}}}}, true},
              {{{"url", "rtsp://gate/1"}, {"while_still", "keyframes"}}, true},
              {{{"url", "onvif://me:${SECRET}@gate"}, {"while_still", "keyframes"}, {"record", Json::object()}}, true},
              {{{"url", "onvif://gate/main"}, {"insecure", true}}, true},
              {{{"url", "/dev/video0"}, {"silence_s", 10}}, true}};
  for (const auto& row : rows) {
    const auto source = make(row.options);
    ASSERT_TRUE(source) << row.options << source.error().message;
    EXPECT_EQ((*source)->is_live(), row.is_live) << row.options;
  }
}

TEST_F(CameraKindTest, AMaskedCameraIsNotRecorded) {
  context_.privacy.masks["gate"] = {{{0, 0}, {1, 0}, {1, 1}}};
  EXPECT_TRUE(make({{"url", "rtsp://gate/1"}}));
  const auto source = make({{"url", "rtsp://gate/1"}, {"record", Json::object()}});
  ASSERT_FALSE(source);
  EXPECT_THAT(source.error().message, HasSubstr("a masked camera cannot be recorded"));
}

TEST_F(CameraKindTest, RefusesWithoutTellingSecrets) {
  const struct {
    Json options;
    const char* why;
  } rows[] = {{{{"url", "ftp://me:hush@gate/1"}}, "scheme"},
              {{{"url", "rtsp://me:${UNKNOWN}@gate/1"}}, "UNKNOWN is not set"},
              {{{"url", "rtsp://me:${SECRET}@gate/1"}, {"transport", "carrier pigeon"}}, "tcp or udp"},
              {{{"url", "rtsp://me:hush@gate/1"}, {"fps", -1}}, "fps must be 0 to 1000"},
              {{{"url", "rtsp://me:hush@gate/1"}, {"silence_s", 0}}, "silence_s must be"},
              {{{"url", "rtsp://me:hush@gate/1"}, {"evidence_url", "film.avi"}}, "evidence_url is an rtsp://"},
              {{{"url", "film.avi"}, {"evidence_url", "rtsp://gate/2"}}, "evidence_url is an rtsp://"},
              {{{"url", "rtsp://gate/1"}, {"while_still", "nothing"}}, "while_still must be all or keyframes"},
              {{{"url", "http://gate/1"}, {"while_still", "keyframes"}}, "keyframes is about rtsp://"},
              {{{"url", "onvif://me:hush%@gate/1"}}, "write %25"},
              {{{"url", "rtsp://gate/1"}, {"record", {{"day", 1}}}}, "no option \"day\"; did you mean \"days\"?"},
              {{{"url", "rtsp://gate/1"}, {"record", {{"segment_s", 1}}}}, "segment_s is 1; give 5 to 3600"}};
  for (const auto& row : rows) {
    const auto source = make(row.options);
    ASSERT_FALSE(source) << row.options;
    EXPECT_EQ(source.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(source.error().message, AllOf(HasSubstr(row.why), Not(HasSubstr("hush"))));
  }
}

}  // namespace
}  // namespace verge::connectors
