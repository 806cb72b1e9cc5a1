#include "vision/access/enrolment.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "vision/access/matching.h"
#include "vision/access/test_people.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using ::testing::ElementsAre;
using testing::face_of;
using ::testing::HasSubstr;
using testing::like;

/// A picture with noise of this strength around a brightness.
std::shared_ptr<pipeline::Frame> noise_frame(int middle, int strength) {
  return testing::make_frame(pipeline::PixelFormat::gray8, 320, 240, [=](int, int x, int y) {
    const unsigned mixed = static_cast<unsigned>(x * 7919 + y * 104729) * 2654435761U;
    return std::clamp(middle + static_cast<int>(mixed >> 24U) * strength / 128 - strength, 0, 255);
  });
}

/// Without an edge.
std::shared_ptr<pipeline::Frame> wave_frame() {
  return testing::make_frame(pipeline::PixelFormat::gray8, 320, 240, [](int, int x, int y) {
    return 128 + static_cast<int>(80 * std::sin(x / 25.0) * std::sin(y / 25.0));
  });
}

pipeline::Object face_at(double left, double size, std::shared_ptr<const Embedding> embedding = nullptr) {
  pipeline::Object face;
  face.label = "face";
  face.box = {left, 0.2, left + size * 0.75, 0.2 + size};
  const auto put = [&](double x, double y) {
    face.keypoints.push_back({static_cast<float>(left + x * size * 0.75), static_cast<float>(0.2 + y * size), 1});
  };
  put(0.3, 0.35), put(0.7, 0.35), put(0.5, 0.55), put(0.5, 0.75), put(0.05, 0.4), put(0.95, 0.4);
  face.embedding = std::move(embedding);
  return face;
}

std::vector<std::string_view> problems(const pipeline::Frame& frame, const std::vector<pipeline::Object>& objects) {
  return face_quality(frame, objects, largest_face(objects), {}).problems;
}

TEST(AccessQuality, EachReasonAgainstAPicture) {
  const auto good = noise_frame(128, 60);
  const auto face = face_at(0.3, 0.6);
  EXPECT_THAT(problems(*good, {face}), ElementsAre());
  EXPECT_THAT(problems(*good, {}), ElementsAre(kNoFace));
  EXPECT_THAT(problems(*good, {face, face_at(0.05, 0.5)}), ElementsAre(kSeveralFaces));
  EXPECT_THAT(problems(*good, {face, face_at(0.05, 0.2)}), ElementsAre());  // Somebody far behind.
  EXPECT_THAT(problems(*good, {face_at(0.3, 0.2)}), ElementsAre(kTooSmall));
  EXPECT_THAT(problems(*noise_frame(20, 30), {face}), ::testing::Contains(kTooDark));
  EXPECT_THAT(problems(*noise_frame(235, 40), {face}), ::testing::Contains(kTooBright));
  EXPECT_THAT(problems(*noise_frame(128, 4), {face}), ElementsAre(kFlatLight));
  EXPECT_THAT(problems(*wave_frame(), {face}), ElementsAre(kBlurred));
  auto turned = face;
  turned.keypoints[2].x += 0.05F;
  EXPECT_THAT(problems(*good, {turned}), ElementsAre(kTurnedAway));
  auto tilted = face;
  tilted.keypoints[1].y += 0.25F;
  EXPECT_THAT(problems(*good, {tilted}), ::testing::Contains(kTurnedAway));
  auto pointless = face;
  pointless.keypoints.clear();
  EXPECT_THAT(problems(*good, {pointless}), ElementsAre(kNoPoints));
}

TEST(AccessQuality, ExplainsWithNumbers) {
  const auto small = face_at(0.3, 0.2);
  const auto quality = face_quality(*noise_frame(128, 60), {small}, &small, {});
  EXPECT_EQ(quality.explanation({}), "too small (19 pixels between the eyes, at least 20)");
}

TEST(AccessQuality, DoesNotDependOnTheFormat) {
  const auto grey = noise_frame(128, 60);
  const auto rgb = testing::make_frame(pipeline::PixelFormat::rgb24, 320, 240, [&](int, int x, int y) {
    return grey->planes[0][y * grey->strides[0] + x / 3];
  });
  const auto face = face_at(0.3, 0.6);
  const auto a = face_quality(*grey, {face}, &face, {}), b = face_quality(*rgb, {face}, &face, {});
  EXPECT_NEAR(a.brightness, b.brightness, 1e-6);
  EXPECT_NEAR(a.sharpness, b.sharpness, 1e-6);
}

class AccessEnrolment : public ::testing::Test {
 protected:
  void add(const Embedding& face) {
    enrolment_.add(*noise_frame(128, 60), {face_at(0.3, 0.6, std::make_shared<const Embedding>(face))});
  }
  Enrolment enrolment_{EnrolmentOptions{}};
};

TEST_F(AccessEnrolment, ChoosesLooksThatDiffer) {
  for (unsigned i = 0; i < 20; ++i) add(like(face_of(1), i, 0.08F));
  add(like(face_of(1), 3, 0.08F));
  const auto looks = enrolment_.finish();
  ASSERT_TRUE(looks) << looks.error().message;
  ASSERT_EQ(looks->size(), 5U);
  for (std::size_t a = 0; a < looks->size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) EXPECT_LE(similarity((*looks)[a], (*looks)[b]), 0.985);
  }
  EXPECT_EQ(enrolment_.report()["good"], 21);
}

TEST_F(AccessEnrolment, RefusesTooLittleAndTooMuch) {
  EXPECT_THAT(enrolment_.finish().error().message, HasSubstr("0 of 0 pictures"));
  add(like(face_of(1), 1));
  for (int i = 0; i < 3; ++i) enrolment_.add(*noise_frame(20, 30), {face_at(0.3, 0.6)});
  enrolment_.add(*noise_frame(128, 60), {});
  EXPECT_EQ(enrolment_.finish().error().message,
            "1 of 5 pictures are good enough, 3 are needed; the others: 1 no face, 3 too dark");
  for (int i = 0; i < 5; ++i) add(like(face_of(1), 1));  // One picture five times.
  EXPECT_THAT(enrolment_.finish().error().message, HasSubstr("show 1 different looks, 3 are needed"));
  for (unsigned i = 0; i < 5; ++i) add(like(face_of(1), i, 0.1F));
  EXPECT_TRUE(enrolment_.finish());
  add(face_of(8));
  EXPECT_THAT(enrolment_.finish().error().message, HasSubstr("more than one person"));
}

}  // namespace
}  // namespace verge::vision
