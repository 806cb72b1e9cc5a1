#include "connectors/camera/camera_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::connectors {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Result<CameraReport> check(std::string_view url) {
  const auto camera = read_camera_url(url, [](const std::string&) { return std::nullopt; });
  return check_camera(camera.value(), {.seconds = 0.1, .patience_s = 0.5}, system_clock());
}

// What a camera sends is looked at by tests/cameras, with real servers.
TEST(CameraCheck, SaysWhyThereIsNoPicture) {
  const auto film = check("media/gate.avi");
  ASSERT_FALSE(film);
  EXPECT_EQ(film.error().code, ErrorCode::invalid_argument);
  const auto nobody = check("rtsp://guard:hush@127.0.0.1:9/1");  // Port 9 (discard): nobody listens.
  ASSERT_FALSE(nobody);
  EXPECT_THAT(nobody.error().message,
              AllOf(HasSubstr("check camera rtsp://***@127.0.0.1:9/1"), Not(HasSubstr("hush"))));
}

}  // namespace
}  // namespace verge::connectors
