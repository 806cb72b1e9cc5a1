#include "vision/tracking/track.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <set>

#include "base/json.h"
#include "vision/test_frames.h"
#include "vision/test_stages.h"

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

TEST(Tracker, AWalkerWhoseBoxesDoNotTouchKeepsTheId) {
  for (const double reach : {TrackerOptions{}.reach, 0.0}) {
    Tracker tracker({.reach = reach});
    std::set<std::string> ids;
    for (int i = 0; i < 7; ++i) {  // two pictures a second, each more than the box's width further
      for (const Object& object : tracker.update({standing_at(0.1 + 0.12 * i, 0.5)}, (i + 1) * 5 * kStep, 1))
        ids.insert(object.track);
    }
    EXPECT_EQ(ids.size(), reach > 0 ? 1U : 0U);
  }
}

TEST(Tracker, WhoComesInIsNotWhoWentOut) {
  Tracker tracker({});
  for (int i = 0; i < 10; ++i) tracker.update({standing_at(0.8 + 0.015 * i, 0.5)}, i * kStep, 1);
  for (int i = 10; i < 17; ++i) tracker.update({}, i * kStep, 1);
  tracker.update({standing_at(0.95, 0.63)}, 17 * kStep, 1);
  EXPECT_EQ(tracker.update({standing_at(0.94, 0.63)}, 18 * kStep, 1).at(0).track, "2");
}

TEST(Tracker, SomebodyOfAnotherSizeIsSomebodyElse) {
  for (const bool is_small : {false, true}) {
    Tracker tracker({});
    for (int i = 0; i < 5; ++i) tracker.update({standing_at(0.3, 0.5)}, i * kStep, 1);
    Object other = standing_at(0.41, 0.5);
    if (is_small) other.box.top = other.box.bottom - 0.1;
    tracker.update({other}, 10 * kStep, 1);
    EXPECT_EQ(tracker.update({other}, 11 * kStep, 1).at(0).track, is_small ? "2" : "1");
  }
}

/// All of one bin in both halves.
Colours dressed_in(std::size_t bin) {
  Colours colours;
  colours.parts[bin] = colours.parts[Colours::kHalfBins + bin] = 1;
  return colours;
}

TEST(Tracker, ColoursTellWhoTurnedRoundBehindSomething) {
  for (const float weight : {1.0F, 0.0F}) {
    Tracker tracker({.colours_weight = weight});
    std::string black, blue;
    for (int i = 0; i <= 24; ++i) {
      // Both walk behind a pillar, turn round there and come back where they went in.
      if (i > 10 && i < 14) {
        tracker.update({}, i * kStep, 1);
        continue;
      }
      const double way = 0.012 * (i <= 10 ? i : 24 - i);
      const std::optional<Colours> colours[] = {dressed_in(4), dressed_in(10)};
      const auto shown =
          tracker.update({standing_at(0.35 + way, 0.5), standing_at(0.65 - way, 0.5)}, i * kStep, 1, colours);
      for (const Object& object : shown) {
        std::string& track = object.box.left + object.box.right < 1 ? black : blue;
        if (i <= 10) track = object.track;
        if (i == 24) {
          EXPECT_EQ(object.track == track, weight > 0) << object.track;
        }
      }
    }
    EXPECT_NE(black, blue);
  }
}

TEST(Tracker, ColoursOfWhoIsCoveredAreNotLearnt) {
  Tracker tracker({.overlap_min = 0.05F});
  const std::optional<Colours> own[] = {dressed_in(4)};
  for (int i = 0; i < 10; ++i) tracker.update({standing_at(0.5, 0.5)}, i * kStep, 1, own);
  // Somebody in blue stands half before him for long: his box shows blue.
  const std::optional<Colours> both[] = {dressed_in(10), dressed_in(10)};
  std::string first;
  for (int i = 10; i < 40; ++i) {
    const auto shown = tracker.update({standing_at(0.5, 0.5), standing_at(0.55, 0.51)}, i * kStep, 1, both);
    if (i == 39) first = shown.at(0).track;
  }
  EXPECT_EQ(first, "1");
  // They part, two places as near: the one in black is he.
  const std::optional<Colours> parted[] = {dressed_in(10), dressed_in(4)};
  for (const Object& object :
       tracker.update({standing_at(0.48, 0.5), standing_at(0.53, 0.51)}, 40 * kStep, 1, parted)) {
    if (object.track == "1") {
      EXPECT_GT(object.box.left + object.box.right, 1.0);
    }
  }
}

TEST(TrackStage, SeesColoursInThePicture) {
  Metrics metrics;
  const auto stage = testing::make_stage(track_kind(), Json::object(), metrics);
  ASSERT_TRUE(stage) << stage.error().message;
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) {
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = testing::make_frame(pipeline::PixelFormat::yuv420, 64, 64, [](int, int x, int) { return x; });
    scene->objects = {standing_at(0.3 + 0.01 * i, 0.5), standing_at(1.02, 0.5)};
    pipeline::Packet packet;
    packet.monotonic_us = 1 + i * kStep;
    packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
    EXPECT_TRUE((*stage)->process(packet, [&](pipeline::Packet out) {
      for (const Object& object : pipeline::payload_as<pipeline::Scene>(out)->objects) ids.push_back(object.track);
    }));
  }
  EXPECT_EQ(ids, (std::vector<std::string>{"1", "2", "1", "2", "1", "2"}));
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
