#include "vision/logic/zone.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using testing::standing_at;

const std::vector<Point> kSquare{{0.4, 0.4}, {0.6, 0.4}, {0.6, 0.6}, {0.4, 0.6}};

TEST(Zone, PointsInPolygons) {
  const std::vector<Point> arrow{{0, 0}, {1, 0.5}, {0, 1}, {0.4, 0.5}};
  const struct {
    const std::vector<Point>* polygon;
    Point point;
    bool inside;
  } cases[] = {{&kSquare, {0.5, 0.5}, true}, {&kSquare, {0.39, 0.5}, false}, {&kSquare, {0.5, 0.61}, false},
               {&arrow, {0.5, 0.5}, true},   {&arrow, {0.2, 0.5}, false},    {&arrow, {0.2, 0.2}, true}};
  for (const auto& c : cases) EXPECT_EQ(is_inside(*c.polygon, c.point), c.inside) << c.point.first;
  EXPECT_FALSE(is_inside({{0, 0}, {1, 1}}, {0.5, 0.5}));
}

/// One walker, ten pictures a second; x of the foot point at each.
std::pair<std::int64_t, std::int64_t> counts(const std::vector<double>& way) {
  ZoneCounter counter({.name = "z", .polygon = kSquare});
  for (std::size_t i = 0; i < way.size(); ++i) {
    const auto time = static_cast<std::int64_t>(i) * 100'000;
    counter.update({standing_at(way[i], 0.5, "1")}, {time, time});
  }
  return {counter.entered(), counter.left()};
}

TEST(Zone, CountsEntriesThatLast) {
  const std::vector<double> out(8, 0.3), in(8, 0.5);
  const auto join = [](std::initializer_list<std::vector<double>> parts) {
    std::vector<double> all;
    for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
  };
  const std::pair<std::int64_t, std::int64_t> none{0, 0}, one{1, 0}, both{1, 1};
  EXPECT_EQ(counts(join({out, in})), one);
  EXPECT_EQ(counts(join({out, in, out})), both);
  EXPECT_EQ(counts(join({out, {0.5, 0.5}, out})), none);  // a wobble
  EXPECT_EQ(counts(in), none);                            // was there before
  EXPECT_EQ(counts(join({in, out})), (std::pair<std::int64_t, std::int64_t>{0, 1}));
  EXPECT_EQ(counts(join({out, in, {0.3}, in})), one);  // a wobble on the way out
}

TEST(Zone, TheEventBearsTheMomentItBegan) {
  ZoneCounter counter({.name = "z", .polygon = kSquare, .settle_s = 0.5});
  counter.update({standing_at(0.3, 0.5, "1")}, {0, 0});
  std::vector<ZoneCounter::Change> changes;
  for (int i = 1; i <= 6; ++i) {
    changes = counter.update({standing_at(0.5, 0.5, "1")}, {i * 100'000 + 7, i * 100'000});
    if (i < 6) {
      EXPECT_TRUE(changes.empty());
    }
  }
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_TRUE(changes[0].is_entry);
  EXPECT_EQ(changes[0].moment.captured_us, 100'007);
  EXPECT_TRUE(counter.holds("1"));
  EXPECT_EQ(counter.inside(), 1);
  counter.update({}, {9'000'000, 9'000'000});
  EXPECT_EQ(counter.inside(), 0);  // forgotten
}

TEST(Zone, TheStageMarksScenesAndEmitsEvents) {
  const auto kind = zone_kind();
  pipeline::Context context;
  context.module = "vision";
  auto stage = kind.make({{"name", "press"},
                          {"polygon", {{0.4, 0.4}, {0.6, 0.4}, {0.6, 0.6}, {0.4, 0.6}}},
                          {"settle_s", 0.0},
                          {"forget_s", 3.0}},
                         context);
  ASSERT_TRUE(stage);
  std::vector<pipeline::Packet> out;
  for (const double x : {0.3, 0.5}) {
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = testing::make_frame(pipeline::PixelFormat::gray8, 4, 4, [](int, int, int) { return 0; });
    scene->objects = {standing_at(x, 0.5, "9")};
    pipeline::Packet packet;
    packet.stream = std::make_shared<const std::string>("gate");
    packet.captured_us = 5;
    packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
    ASSERT_TRUE((*stage)->process(packet, [&](pipeline::Packet p) { out.push_back(std::move(p)); }));
  }
  ASSERT_EQ(out.size(), 3U);
  const auto event = pipeline::payload_as<contract::Event>(out[1]);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->type, "zone.entered");
  EXPECT_EQ(event->rule, "press");
  EXPECT_EQ(event->stream, "gate");
  EXPECT_EQ(event->module, "vision");
  EXPECT_EQ(event->track, "9");
  EXPECT_EQ((*parse_json(event->extension_json))["entered"], 1);
  const auto scene = pipeline::payload_as<pipeline::Scene>(out[2]);
  ASSERT_EQ(scene->objects[0].zones.size(), 1U);
  ASSERT_EQ(scene->shapes.size(), 1U);
  EXPECT_EQ(scene->shapes[0].counts[0], (std::pair<std::string, std::int64_t>{"inside", 1}));
  EXPECT_FALSE(
      kind.make({{"name", "z"}, {"polygon", {{0, 0}, {1, 1}}}, {"settle_s", 0.5}, {"forget_s", 3.0}}, context));
}

TEST(Zone, WhoHasNoTrackIsCountedWhereHeIsSeen) {
  const auto kind = zone_kind();
  auto stage = kind.make({{"name", "hall"},
                          {"polygon", {{0.4, 0.4}, {0.6, 0.4}, {0.6, 0.6}, {0.4, 0.6}}},
                          {"settle_s", 0.5},
                          {"forget_s", 3.0}},
                         {});
  ASSERT_TRUE(stage);
  auto scene = std::make_shared<pipeline::Scene>();
  scene->frame = testing::make_frame(pipeline::PixelFormat::gray8, 4, 4, [](int, int, int) { return 0; });
  scene->objects = {standing_at(0.5, 0.5), standing_at(0.3, 0.5), standing_at(0.55, 0.5)};
  pipeline::Packet packet;
  packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
  std::vector<pipeline::Packet> out;
  ASSERT_TRUE((*stage)->process(packet, [&](pipeline::Packet p) { out.push_back(std::move(p)); }));
  ASSERT_EQ(out.size(), 1U);  // Nobody came or went.
  const auto marked = pipeline::payload_as<pipeline::Scene>(out[0]);
  ASSERT_TRUE(marked);
  EXPECT_EQ(marked->objects[0].zones, std::vector<std::string>{"hall"});
  EXPECT_TRUE(marked->objects[1].zones.empty());
  EXPECT_EQ(marked->shapes[0].counts[0], (std::pair<std::string, std::int64_t>{"inside", 2}));
}

}  // namespace
}  // namespace verge::vision
