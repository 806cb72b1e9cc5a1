#include "vision/motion/changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "base/json.h"
#include "vision/test_frames.h"
#include "vision/test_stages.h"

namespace verge::vision {
namespace {

using pipeline::Object;
using pipeline::PixelFormat;
using pipeline::Scene;
using ::testing::HasSubstr;

constexpr int kHallWidth = 320, kHallHeight = 240;
constexpr std::int64_t kSecond = 1'000'000;

/// A hall with tiles on the floor, as a camera sees it at some moment.
struct Hall {
  bool has_bag = false, has_chair = false;
  int passer_x = -1;              ///< Somebody at this column, or nobody.
  double factor = 1, offset = 0;  ///< Of the light.
  double lamp = 1;                ///< Of the light on the lower left corner only.
  int shake_x = 0, shake_y = 0;   ///< Pixels.
};

int hall_grain(std::uint32_t seed, int x, int y) {
  static const std::vector<int> values = [] {
    std::mt19937 random(7);
    std::normal_distribution<double> noise(0, 3);
    std::vector<int> made(1U << 14U);
    for (int& value : made) value = static_cast<int>(std::lround(noise(random)));
    return made;
  }();
  return values[(seed * 40'503U + static_cast<std::uint32_t>(y * kHallWidth + x)) & 0x3FFFU];
}

double hall_brightness(const Hall& hall, int x, int y) {
  const auto within = [x, y](int left, int top, int width, int height) {
    return x >= left && x < left + width && y >= top && y < top + height;
  };
  if (hall.passer_x >= 0 && within(hall.passer_x, 60, 30, 100)) return 35 + (x - hall.passer_x) % 7;
  if (hall.has_bag && within(100, 120, 24, 20)) return 30 + (y % 5) * 4;
  if (hall.has_chair && within(220, 130, 26, 30)) return 190 - (x % 9) * 3;
  return 90 + ((x / 20 + y / 20) % 2) * 30 + y * 0.1;
}

Scene scene_in(const Hall& hall, std::uint32_t seed) {
  Scene scene;
  scene.frame = testing::make_frame(PixelFormat::gray8, kHallWidth, kHallHeight, [&](int, int x, int y) {
    double grey = hall_brightness(hall, x + hall.shake_x, y + hall.shake_y) * hall.factor + hall.offset;
    if (x < 60 && y > 140) grey *= hall.lamp;
    return static_cast<int>(std::clamp(grey + hall_grain(seed, x, y), 0.0, 255.0));
  });
  return scene;
}

/// One picture a second.
class Watch {
 public:
  /// What is marked after `seconds` more of this: "left 1, removed 2", sorted as they were found.
  std::string see(const Hall& hall, int seconds, const std::vector<Object>& people = {}) {
    for (int i = 0; i < seconds; ++i) {
      Scene scene = scene_in(hall, ++seed_);
      scene.objects = people;
      found_ = finder_.update(scene, time_us_ += kSecond);
    }
    std::string said;
    for (const Object& object : found_) said += (said.empty() ? "" : ", ") + object.label + " " + object.track;
    return said;
  }
  const std::vector<Object>& found() const { return found_; }

 private:
  ChangeFinder finder_{{}};
  std::uint32_t seed_ = 0;
  std::int64_t time_us_ = 0;
  std::vector<Object> found_;
};

TEST(Changes, ABagPutDownIsLeftUntilItIsTaken) {
  Watch watch;
  EXPECT_EQ(watch.see({}, 30), "");
  EXPECT_EQ(watch.see({.has_bag = true}, 9), "") << "not for long yet";
  EXPECT_EQ(watch.see({.has_bag = true}, 11), "left c1");
  const contract::Region& box = watch.found().front().box;
  EXPECT_NEAR(box.left, 100.0 / kHallWidth, 0.02);
  EXPECT_NEAR(box.top, 120.0 / kHallHeight, 0.02);
  EXPECT_NEAR(box.right, 124.0 / kHallWidth, 0.02);
  EXPECT_NEAR(box.bottom, 140.0 / kHallHeight, 0.02);
  EXPECT_GT(watch.found().front().score, 0.7F);
  EXPECT_EQ(watch.see({.has_bag = true}, 120), "left c1") << "as long as it stays";
  EXPECT_EQ(watch.see({}, 15), "");
  EXPECT_EQ(watch.see({.has_bag = true}, 20), "left c2");
}

TEST(Changes, WhatIsTakenAwayIsRemoved) {
  Watch watch;
  EXPECT_EQ(watch.see({.has_chair = true}, 30), "");
  EXPECT_EQ(watch.see({}, 20), "removed c1");
  EXPECT_EQ(watch.see({.has_bag = true}, 20), "removed c1, left c2") << "both at once";
}

TEST(Changes, LightMayBeSwitched) {
  const Hall lights[] = {{.factor = 0.6}, {.factor = 1.4}, {.offset = 30}, {.lamp = 1.4}, {.lamp = 0.6}};
  for (const Hall& light : lights) {
    Watch watch;
    watch.see({}, 30);
    EXPECT_EQ(watch.see(light, 30), "") << light.factor << " " << light.offset << " " << light.lamp;
    Hall with_bag = light;
    with_bag.has_bag = true;
    EXPECT_THAT(watch.see(with_bag, 20), HasSubstr("left")) << light.factor << " " << light.offset << " " << light.lamp;
  }
}

TEST(Changes, WhoPassesOrWaitsIsNotLeft) {
  Watch passing;
  passing.see({}, 30);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(passing.see({.passer_x = 20 + 6 * i % 200}, 1), "") << i;
  Object person = testing::standing_at(0, 0);
  person.box = {100.0 / kHallWidth, 60.0 / kHallHeight, 130.0 / kHallWidth, 160.0 / kHallHeight};
  Watch waiting;
  waiting.see({}, 30);
  EXPECT_EQ(waiting.see({.passer_x = 100}, 120, {person}), "");
  EXPECT_EQ(waiting.see({}, 30), "") << "and goes";
  Watch first;
  first.see({.passer_x = 100}, 40, {person});
  EXPECT_EQ(first.see({}, 40), "") << "who was there when the film began was no part of the scene";
}

TEST(Changes, SomebodyInFrontOfABagDoesNotTakeIt) {
  Watch watch;
  watch.see({}, 30);
  EXPECT_EQ(watch.see({.has_bag = true}, 20), "left c1");
  Object person = testing::standing_at(0, 0);
  person.box = {98.0 / kHallWidth, 60.0 / kHallHeight, 128.0 / kHallWidth, 160.0 / kHallHeight};
  EXPECT_EQ(watch.see({.has_bag = true, .passer_x = 98}, 60, {person}), "left c1");
  EXPECT_EQ(watch.see({.has_bag = true}, 5), "left c1");
}

TEST(Changes, TheCameraMayShakeByAPixel) {
  Watch watch;
  const auto shaken = [&](Hall hall, int seconds) {
    std::string said;
    for (int i = 0; i < seconds; ++i) {
      hall.shake_x = i % 3 - 1;
      hall.shake_y = i / 3 % 3 - 1;
      said = watch.see(hall, 1);
    }
    return said;
  };
  EXPECT_EQ(shaken({}, 60), "");
  EXPECT_EQ(watch.see({.shake_x = 1, .shake_y = 1}, 60), "") << "and may stay so";
  EXPECT_EQ(shaken({.has_bag = true}, 25), "left c1");
}

TEST(Changes, WhatStaysIsPartOfTheSceneInTheEnd) {
  ChangeFinder finder({.forget_s = 20});
  std::int64_t time_us = 0;
  std::size_t most = 0;
  std::vector<Object> found;
  for (std::uint32_t i = 0; i < 160; ++i) {
    found = finder.update(scene_in({.has_bag = i > 30}, i), time_us += kSecond);
    most = std::max(most, found.size());
  }
  EXPECT_GE(most, 1U);
  EXPECT_TRUE(found.empty());
}

TEST(Changes, AnotherSceneIsNew) {
  Watch watch;
  watch.see({.has_chair = true}, 30);
  EXPECT_EQ(watch.see({}, 20), "removed c1");
  ChangeFinder finder({});
  std::int64_t time_us = 0;
  const auto stripes = testing::make_frame(PixelFormat::gray8, kHallWidth, kHallHeight,
                                           [](int, int x, int) { return x / 40 % 2 * 200 + 20; });
  Scene other;
  other.frame = stripes;
  for (std::uint32_t i = 0; i < 30; ++i) finder.update(scene_in({}, i), time_us += kSecond);
  for (std::uint32_t i = 0; i < 30; ++i) EXPECT_TRUE(finder.update(other, time_us += kSecond).empty()) << i;
}

TEST(Changes, IgnoresWhatItIsToldAndTinyPictures) {
  ChangeFinder finder({.ignore = {{{0.2, 0.4}, {0.5, 0.4}, {0.5, 0.7}, {0.2, 0.7}}}});
  std::int64_t time_us = 0;
  for (std::uint32_t i = 0; i < 60; ++i) {
    EXPECT_TRUE(finder.update(scene_in({.has_bag = i > 30}, i), time_us += kSecond).empty());
  }
  for (const auto& [width, height] : {std::pair{1, 1}, {2, 1}, {1, 90}, {161, 3}}) {
    Scene tiny;
    tiny.frame = testing::make_frame(PixelFormat::gray8, width, height, [](int, int, int) { return 9; });
    EXPECT_TRUE(finder.update(tiny, time_us += kSecond).empty());
    EXPECT_TRUE(finder.update(tiny, time_us += kSecond).empty());
  }
}

TEST(ChangesStage, AFilmThatBeginsAgainIsLearnedAnew) {
  Metrics metrics;
  auto stage = testing::make_stage(changes_kind(), {{"settle_s", 5}, {"learn_s", 10}}, metrics);
  ASSERT_TRUE(stage) << stage.error().message;
  std::int64_t time_us = 0;
  const auto see = [&](const Hall& hall, std::uint32_t take) {
    auto scene = std::make_shared<Scene>(scene_in(hall, static_cast<std::uint32_t>(time_us / kSecond)));
    auto frame = std::make_shared<pipeline::Frame>(*scene->frame);
    frame->take = take;
    scene->frame = frame;
    pipeline::Packet packet;
    packet.monotonic_us = time_us += kSecond;
    packet.payload = std::shared_ptr<const Scene>(scene);
    std::size_t objects = 0;
    EXPECT_TRUE((*stage)->process(
        packet, [&](const pipeline::Packet& out) { objects = pipeline::payload_as<Scene>(out)->objects.size(); }));
    return objects;
  };
  std::size_t objects = 0;
  for (int i = 0; i < 15; ++i) objects = see({}, 0);
  for (int i = 0; i < 15; ++i) objects = see({.has_bag = true}, 0);
  EXPECT_EQ(objects, 1U);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(see({.has_bag = true}, 1), 0U) << "it was there when the film began";
}

TEST(ChangesStage, RefusesWhatCannotBe) {
  Metrics metrics;
  const std::pair<Json, const char*> rows[] = {
      {{{"settle_s", 0}}, "settle_s is 0; give 1 to 3600"},
      {{{"forget_s", 1}}, "forget_s is 1; give 10 to 86400"},
      {{{"area_max", 2}}, "area_max is 2"},
      {{{"people", {1}}}, "people must be words"},
      {{{"ignore", {1}}}, "ignore wants polygons"},
      {{{"ignore", {{{0, 0}, {1, 1}}}}}, "three corners"},
      {{{"step_min", 0}}, "step_min is 0"},
      {{{"learn_s", 0}}, "learn_s is 0"},
  };
  for (const auto& [options, words] : rows) {
    const auto stage = testing::make_stage(changes_kind(), options, metrics);
    ASSERT_FALSE(stage) << to_text(options);
    EXPECT_THAT(stage.error().message, HasSubstr(words));
  }
}

}  // namespace
}  // namespace verge::vision
