#include "vision/motion/motion.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>

#include "base/json.h"
#include "pipeline/stillness.h"
#include "vision/test_frames.h"
#include "vision/test_stages.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;
using ::testing::HasSubstr;

constexpr int kWidth = 320, kHeight = 240;

/// The grain of a camera at dusk, six grey levels; the same for the same seed.
int grain(std::uint32_t seed, int x, int y) {
  static const std::vector<int> values = [] {
    std::mt19937 random(1);
    std::normal_distribution<double> noise(0, 6);
    std::vector<int> made(1U << 16U);
    for (int& value : made) value = static_cast<int>(std::lround(noise(random)));
    return made;
  }();
  return values[(seed * 40'503U + static_cast<std::uint32_t>(y * kWidth + x)) & 0xFFFFU];
}

/// A scene with texture and grain, in another light, and a bright block of 32 x 48 pixels at block_x, or none.
std::shared_ptr<Frame> picture(std::uint32_t seed, int block_x = -1, double factor = 1, double offset = 0,
                               PixelFormat format = PixelFormat::yuv420) {
  const int step = format == PixelFormat::rgb24 ? 3 : 1;
  return testing::make_frame(format, kWidth, kHeight, [&](int plane, int byte, int y) {
    if (plane > 0) return 128;
    const int x = byte / step;
    const int texture = 60 + (x * 3 / 8 + (x / 40) * 25 + (y / 30) * 17) % 110;
    const bool is_block = block_x >= 0 && x >= block_x && x < block_x + 32 && y >= 100 && y < 148;
    const double grey = factor * (is_block ? texture + 60 : texture) + offset + grain(seed, x, y);
    return static_cast<int>(std::clamp(grey, 0.0, 255.0));
  });
}

constexpr std::int64_t kMotionStep = 100'000;

TEST(Motion, NoiseIsNotMotion) {
  for (const auto format : {PixelFormat::yuv420, PixelFormat::gray8, PixelFormat::rgb24}) {
    MotionDetector detector({});
    for (std::uint32_t i = 0; i < 20; ++i) {
      EXPECT_EQ(detector.update(*picture(i, -1, 1, 0, format), i * kMotionStep), 0) << i;
    }
  }
}

TEST(Motion, SeesWhatMovesAndHowMuch) {
  MotionDetector detector({});
  for (std::uint32_t i = 0; i < 10; ++i) detector.update(*picture(i), i * kMotionStep);
  const double block = 32.0 * 48 / (kWidth * kHeight);
  for (std::uint32_t i = 10; i < 30; ++i) {
    const double area = detector.update(*picture(i, static_cast<int>(i) * 8), i * kMotionStep);
    EXPECT_GT(area, 0.5 * block) << i;
    EXPECT_LT(area, 1.6 * block) << i;
  }
}

TEST(Motion, SaysWhereItMoves) {
  MotionDetector detector({});
  for (std::uint32_t i = 0; i < 10; ++i) detector.update(*picture(i), i * kMotionStep);
  EXPECT_TRUE(detector.moving().empty());
  detector.update(*picture(10, 100), 10 * kMotionStep);
  const auto places = detector.moving();
  ASSERT_EQ(places.size(), 1U);
  const double cell = 1.0 / 80;
  EXPECT_NEAR(places[0].left, 100.0 / kWidth, cell);
  EXPECT_NEAR(places[0].right, 132.0 / kWidth, cell);
  EXPECT_NEAR(places[0].top, 100.0 / kHeight, 2 * cell);
  EXPECT_NEAR(places[0].bottom, 148.0 / kHeight, 2 * cell);
  const auto dots = testing::make_frame(PixelFormat::gray8, kWidth, kHeight,
                                        [](int, int x, int y) { return x % 32 < 8 && y % 32 < 8 ? 200 : 20; });
  const auto plain = testing::make_frame(PixelFormat::gray8, kWidth, kHeight, [](int, int, int) { return 20; });
  detector.reset();
  detector.update(*plain, 0);
  detector.update(*dots, kMotionStep);
  EXPECT_EQ(detector.moving().size(), MotionDetector::kPlacesMax);
}

TEST(Motion, LightMayChange) {
  const struct {
    const char* what;
    double factor, offset;
  } rows[] = {{"a cloud", 0.7, 0}, {"a lamp", 1.3, 0}, {"exposure", 1, 25}, {"dusk", 0.5, 5}};
  for (const auto& row : rows) {
    MotionDetector detector({});
    for (std::uint32_t i = 0; i < 10; ++i) detector.update(*picture(i), i * kMotionStep);
    for (std::uint32_t i = 10; i < 15; ++i) {
      EXPECT_LT(detector.update(*picture(i, -1, row.factor, row.offset), i * kMotionStep), 0.002) << row.what << i;
    }
    // Somebody comes while the light changes back.
    EXPECT_GT(detector.update(*picture(20, 100), 20 * kMotionStep), 0.01) << row.what;
  }
}

TEST(Motion, AnotherSceneIsTheNewBackground) {
  MotionDetector detector({});
  detector.update(*picture(0), 0);
  const auto other = testing::make_frame(PixelFormat::yuv420, kWidth, kHeight, [](int plane, int x, int y) {
    return plane > 0 ? 128 : (x * 7 + y * 13) % 251;
  });
  const auto checks = testing::make_frame(PixelFormat::yuv420, kWidth, kHeight, [](int plane, int x, int y) {
    return plane > 0 ? 128 : ((x / 16 + y / 16) % 2) * 200 + 20;
  });
  EXPECT_GT(detector.update(*checks, kMotionStep), 0.5);
  EXPECT_EQ(detector.update(*checks, 2 * kMotionStep), 0);
  const auto smaller = testing::make_frame(PixelFormat::yuv420, 64, 48, [](int, int, int) { return 77; });
  EXPECT_EQ(detector.update(*smaller, 3 * kMotionStep), 0);
  EXPECT_EQ(detector.update(*other, 4 * kMotionStep), 0);
}

TEST(Motion, WhatComesToRestIsAbsorbed) {
  MotionDetector detector({});
  for (std::uint32_t i = 0; i < 10; ++i) detector.update(*picture(i), i * kMotionStep);
  EXPECT_GT(detector.update(*picture(10, 100), 10 * kMotionStep), 0.01);
  double area = 1;
  for (std::uint32_t i = 0; i < 40; ++i) area = detector.update(*picture(i, 100), 2'000'000 + i * 2'500'000);
  EXPECT_EQ(area, 0);
}

TEST(Motion, IgnoresWhatItIsTold) {
  MotionDetector detector({.ignore = {{{0.2, 0.3}, {0.6, 0.3}, {0.6, 0.8}, {0.2, 0.8}}}});
  for (std::uint32_t i = 0; i < 5; ++i) detector.update(*picture(i), i * kMotionStep);
  EXPECT_EQ(detector.update(*picture(5, 100), 5 * kMotionStep), 0);
  EXPECT_GT(detector.update(*picture(6, 250), 6 * kMotionStep), 0.005);
}

TEST(Motion, TinyPictures) {
  MotionDetector detector({});
  for (const auto& [width, height] : {std::pair{1, 1}, {2, 1}, {1, 90}, {81, 3}}) {
    const auto frame = testing::make_frame(PixelFormat::gray8, width, height, [](int, int, int) { return 9; });
    EXPECT_EQ(detector.update(*frame, 0), 0);
    EXPECT_EQ(detector.update(*frame, 1), 0);
  }
}

TEST(MotionStage, LetsMotionThroughAndStillPicturesNowAndThen) {
  Metrics metrics;
  auto stage = testing::make_stage(motion_kind(), {{"still_fps", 1}, {"hold_s", 0.5}}, metrics);
  ASSERT_TRUE(stage) << stage.error().message;
  std::string passed;
  for (std::uint32_t i = 0; i < 40; ++i) {
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = picture(i, i == 25 ? 100 : -1);
    pipeline::Packet packet;
    packet.monotonic_us = i * kMotionStep;
    packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
    bool is_through = false;
    ASSERT_TRUE((*stage)->process(packet, [&](const pipeline::Packet&) { is_through = true; }));
    passed += is_through ? 'x' : '.';
  }
  EXPECT_EQ(passed, "x.........x.........x....xxxxx.........x");
  EXPECT_EQ(metrics.counter("verge_motion_skipped_total", "", {{"stream", "gate"}}).value(), 31);
}

/// The word after each picture, and whether the picture went through: '.' still, 'o' still and through, 'x' moving.
std::string told(const Json& options, const std::vector<std::int64_t>& times_us,
                 std::vector<pipeline::StillWord>& words) {
  Metrics metrics;
  pipeline::Context context;
  context.metrics = &metrics;
  context.tell_still = [&](const pipeline::StillWord& word) { words.push_back(word); };
  const auto kind = motion_kind();
  auto stage = kind.make(testing::with_defaults(kind, options), context);
  EXPECT_TRUE(stage);
  std::string seen;
  for (std::uint32_t i = 0; i < times_us.size(); ++i) {
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = picture(i, i == 4 ? 100 : -1);
    pipeline::Packet packet;
    packet.monotonic_us = times_us[i];
    packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
    bool is_through = false;
    EXPECT_TRUE((*stage)->process(packet, [&](const pipeline::Packet&) { is_through = true; }));
    EXPECT_EQ(words.size(), i + 1);
    seen += !words.back().is_still ? 'x' : is_through ? 'o' : '.';
  }
  return seen;
}

TEST(MotionStage, TellsTheSourceWhetherAnythingMoves) {
  constexpr std::int64_t kOneSecond = 1'000'000;
  std::vector<pipeline::StillWord> words;
  std::vector<std::int64_t> times;
  for (int i = 0; i < 10; ++i) times.push_back(kOneSecond + i * kOneSecond / 4);
  EXPECT_EQ(told({{"still_fps", 1}, {"hold_s", 0.5}}, times, words), "o...xx...o");
  EXPECT_EQ(words[2].judged_us, times[2]);
  EXPECT_EQ(words[3].needed_by_us, kOneSecond + kOneSecond * 5 / 4) << "the first went through";
  EXPECT_EQ(words[8].needed_by_us, times[5] + kOneSecond * 5 / 4);
  EXPECT_EQ(words[9].needed_by_us, times[9] + kOneSecond * 5 / 4);
  words.clear();
  told({{"still_fps", 0}}, times, words);
  EXPECT_EQ(words[3].needed_by_us, std::numeric_limits<std::int64_t>::max()) << "none is asked for";
}

TEST(MotionStage, TheNearestStillPictureGoesThrough) {
  std::vector<pipeline::StillWord> words;
  // Key pictures come once a second, but not to the millisecond; a gate that waits for a whole second loses every
  // other.
  EXPECT_EQ(told({{"still_fps", 1}, {"area_min", 1}}, {0, 990'000, 2'000'000, 2'980'000, 3'970'000, 5'000'000}, words),
            "oooooo");
  words.clear();
  EXPECT_EQ(told({{"still_fps", 1}, {"area_min", 1}}, {0, 300'000, 600'000, 900'000, 1'200'000, 1'500'000}, words),
            "o..o..");
}

TEST(MotionStage, RefusesWhatCannotBe) {
  Metrics metrics;
  const std::pair<Json, const char*> rows[] = {
      {{{"area_min", 2}}, "area_min is 2; give 0 to 1"},    {{{"step_min", 0}}, "step_min is 0"},
      {{{"ignore", {{{0, 0}, {1, 1}}}}}, "three corners"},  {{{"ignore", {1}}}, "polygon"},
      {{{"ignore", {{1, 2, 3}}}}, "ignore wants polygons"},
  };
  for (const auto& [options, words] : rows) {
    const auto stage = testing::make_stage(motion_kind(), options, metrics);
    ASSERT_FALSE(stage) << to_text(options);
    EXPECT_THAT(stage.error().message, HasSubstr(words));
  }
}

}  // namespace
}  // namespace verge::vision
