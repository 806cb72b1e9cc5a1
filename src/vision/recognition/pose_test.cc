#include "vision/recognition/pose.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/test_frames.h"
#include "vision/test_models.h"

namespace verge::vision {
namespace {

using ::testing::HasSubstr;

/// Two points: the middle of the input's upper half, and one without a place.
models::LoadedModel two_points(const Json& points = {"nose", "tail"}) {
  return testing::fake_model({{"kind", "movenet"}, {"points", points}}, {}, 32, {1, 1, 2, 3}, [](const auto&) {
    return testing::one_tensor({1, 1, 2, 3}, {0.25F, 0.5F, 0.9F, std::nanf(""), 0.5F, 0.8F});
  });
}

TEST(PoseEstimator, PointsAreInPartsOfThePicture) {
  auto estimator = PoseEstimator::make(two_points());
  ASSERT_TRUE(estimator) << estimator.error().message;
  // 32 x 64 pixels fill 16 x 32 of the input, 8 from the left.
  const auto frame = testing::make_frame(pipeline::PixelFormat::gray8, 32, 64, [](int, int, int) { return 9; });
  const auto points = (*estimator)->estimate(*frame);
  ASSERT_TRUE(points);
  ASSERT_EQ(points->size(), 2U);
  EXPECT_FLOAT_EQ((*points)[0].x, 0.5F);
  EXPECT_FLOAT_EQ((*points)[0].y, 0.25F);
  EXPECT_FLOAT_EQ((*points)[0].score, 0.9F);
  EXPECT_FLOAT_EQ((*points)[1].score, 0);
}

TEST(PoseEstimator, RefusesAnotherCard) {
  auto other = two_points();
  other.card.head["kind"] = "yolo";
  EXPECT_THAT(PoseEstimator::make(std::move(other)).error().message, HasSubstr("/head/kind must be \"movenet\""));
  EXPECT_THAT(PoseEstimator::make(two_points({"nose"})).error().message,
              HasSubstr("reads points from an output [1,1,1,3] float32, the model has: y [1,1,2,3]"));
  EXPECT_THAT(PoseEstimator::make(two_points(nullptr)).error().message, HasSubstr("/head/points must be a list"));
}

TEST(Pose, LooksAtTheStrongestPersons) {
  auto estimator = PoseEstimator::make(two_points());
  ASSERT_TRUE(estimator);
  pipeline::Scene scene;
  scene.frame = testing::make_frame(pipeline::PixelFormat::gray8, 80, 40, [](int, int, int) { return 9; });
  scene.objects = {testing::standing_at(0.2, 0.7, "1", 0.5F), testing::standing_at(0.5, 0.7, "2", 0.9F),
                   testing::standing_at(0.8, 0.7, "3", 0.8F)};
  scene.objects[1].box = {0.25, 0.25, 0.5, 0.75};  // 20 x 20 pixels
  scene.objects[2].label = "dog";
  ASSERT_TRUE(add_poses(**estimator, {.labels = {"person"}, .margin = 0.1, .objects_max = 1}, scene));
  EXPECT_TRUE(scene.objects[0].keypoints.empty());
  EXPECT_TRUE(scene.objects[2].keypoints.empty());
  ASSERT_EQ(scene.objects[1].keypoints.size(), 2U);
  // The crop is 24 x 24 pixels from (18, 8); its middle is at 30, its upper quarter at 14.
  EXPECT_FLOAT_EQ(scene.objects[1].keypoints[0].x, 30.0F / 80);
  EXPECT_FLOAT_EQ(scene.objects[1].keypoints[0].y, 14.0F / 40);
}

}  // namespace
}  // namespace verge::vision
