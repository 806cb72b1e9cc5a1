#include "vision/track.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <set>

#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::Object;
using testing::standing_at;

constexpr std::int64_t kStep = 100'000;

TEST(CoordinateFilter, FollowsAConstantSpeed) {
  CoordinateFilter filter(0, 0.01, 1);
  for (int i = 1; i <= 20; ++i) {
    filter.predict(0.1, 0.5);
    filter.correct(0.02 * i, 0.01);
  }
  EXPECT_NEAR(filter.value(), 0.4, 0.005);
  EXPECT_NEAR(filter.speed(), 0.2, 0.02);
  filter.predict(0.5, 0.5);
  EXPECT_NEAR(filter.value(), 0.5, 0.02);
}

TEST(Tracker, KeepsTheIdOfAWalker) {
  Tracker tracker({});
  std::mt19937 random(5);
  std::normal_distribution<double> noise(0, 0.004);
  std::set<std::string> ids;
  double lag = 0;
  for (int i = 0; i < 50; ++i) {
    const double x = 0.1 + 0.012 * i;
    const auto shown = tracker.update({standing_at(x + noise(random), 0.5 + noise(random))}, i * kStep, 1.33);
    if (i == 0) {  // not confirmed yet
      EXPECT_TRUE(shown.empty());
    }
    if (i < 3) continue;
    ASSERT_EQ(shown.size(), 1U);
    ids.insert(shown[0].track);
    lag += (shown[0].box.left + shown[0].box.right) / 2 - x;
  }
  EXPECT_EQ(ids.size(), 1U);
  EXPECT_NEAR(lag / 47, 0, 0.004);  // the filter does not trail behind
}

TEST(Tracker, FindsItsWalkerBehindAPillar) {
  Tracker tracker({});
  std::string before;
  for (int i = 0; i < 40; ++i) {
    const bool is_hidden = i >= 15 && i < 25;
    std::vector<Object> found;
    if (!is_hidden) found.push_back(standing_at(0.1 + 0.01 * i, 0.5));
    const auto shown = tracker.update(found, i * kStep, 1.33);
    if (is_hidden) {
      EXPECT_TRUE(shown.empty());
    }
    if (i == 14) before = shown.at(0).track;
    if (i == 25) {
      EXPECT_EQ(shown.at(0).track, before);
    }
  }
}

TEST(Tracker, ForgetsAfterLostSeconds) {
  Tracker tracker({.lost_s = 0.5});
  for (int i = 0; i < 5; ++i) tracker.update({standing_at(0.5, 0.5)}, i * kStep, 1);
  for (int i = 5; i < 15; ++i) tracker.update({}, i * kStep, 1);
  tracker.update({standing_at(0.5, 0.5)}, 15 * kStep, 1);
  EXPECT_EQ(tracker.update({standing_at(0.5, 0.5)}, 16 * kStep, 1).at(0).track, "2");
}

TEST(Tracker, TwoWalkersWhoMeetKeepTheirIds) {
  Tracker tracker({});
  std::string left, right;
  for (int i = 0; i < 60; ++i) {
    const auto shown =
        tracker.update({standing_at(0.2 + 0.01 * i, 0.50), standing_at(0.8 - 0.01 * i, 0.55)}, i * kStep, 1.33);
    if (i == 10) {
      left = shown.at(0).box.left < shown.at(1).box.left ? shown[0].track : shown[1].track;
      right = left == shown[0].track ? shown[1].track : shown[0].track;
    }
    if (i == 59) {
      for (const Object& object : shown) {
        EXPECT_EQ(object.track, object.box.left > 0.5 ? left : right);
      }
    }
  }
}

TEST(Tracker, WeakBoxesKeepTracksButBeginNone) {
  Tracker tracker({});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(tracker.update({standing_at(0.3, 0.5, "", 0.3F)}, i * kStep, 1).empty());
  for (int i = 5; i < 20; ++i) {
    const float score = i < 8 ? 0.8F : 0.2F;
    const auto shown = tracker.update({standing_at(0.3, 0.5, "", score)}, i * kStep, 1);
    if (i >= 6) {
      ASSERT_EQ(shown.size(), 1U) << i;
    }
  }
}

TEST(Tracker, LabelsDoNotMix) {
  Tracker tracker({});
  for (int i = 0; i < 5; ++i) tracker.update({standing_at(0.3, 0.5)}, i * kStep, 1);
  Object dog = standing_at(0.3, 0.5);
  dog.label = "dog";
  EXPECT_TRUE(tracker.update({dog}, 5 * kStep, 1).empty());
}

TEST(Tracker, WhatElseWasFoundGoesAlong) {
  Tracker tracker({});
  std::vector<Object> shown;
  for (int i = 0; i < 3; ++i) {
    Object face = standing_at(0.3, 0.5);
    face.keypoints = {{0.3F, 0.4F, 0.9F}};
    face.attributes = {{"glasses", 0.1F * static_cast<float>(i)}};
    face.zones = {"desk"};
    shown = tracker.update({face}, i * kStep, 1);
  }
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown[0].keypoints.size(), 1U);
  EXPECT_FLOAT_EQ(shown[0].attributes[0].score, 0.2F);
  EXPECT_FALSE(shown[0].track.empty());
}

TEST(Tracker, IsBounded) {
  Tracker tracker({.tracks_max = 10});
  std::vector<Object> crowd;
  for (int i = 0; i < 50; ++i) crowd.push_back(standing_at(0.02 * i, 0.2 + 0.01 * (i % 7)));
  tracker.update(crowd, 0, 1);
  EXPECT_LE(tracker.update(crowd, kStep, 1).size(), 10U);
}

}  // namespace
}  // namespace verge::vision
