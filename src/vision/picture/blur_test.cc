#include "vision/picture/blur.h"

#include <gtest/gtest.h>
#include <random>
#include <set>

#include "base/disk.h"
#include "base/json.h"
#include "evidence/keeper.h"
#include "vision/live.h"
#include "vision/logic/evidence_wish.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using contract::Region;
using pipeline::Blur;

/// Noise of one channel, 200 x 300.
struct Noise {
  static constexpr int kWidth = 200, kHeight = 300;
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(kWidth * kHeight);
  explicit Noise(unsigned seed) {
    std::mt19937 random(seed);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  }
  Channel channel() { return {bytes.data(), kWidth, kHeight, 1, kWidth}; }
};

TEST(Blur, WhatIsLeftIsDecidedByFewRoundedMeans) {
  // Two pictures with the same cell means become the same: nothing else gets through.
  Noise one(1);
  Noise other = one;
  const Region box{0.2, 0.1, 0.6, 0.9};  // 80 x 240 pixels: cells of 10, 8 x 24 of them.
  for (int row = 0; row < 24; ++row) {
    for (int column = 0; column < 8; ++column) {
      std::vector<std::uint8_t*> cell;
      for (int y = 0; y < 10; ++y) {
        for (int x = 0; x < 10; ++x) {
          cell.push_back(
              &other.bytes[static_cast<std::size_t>((30 + row * 10 + y) * Noise::kWidth + 40 + column * 10 + x)]);
        }
      }
      for (std::size_t i = 0; i < cell.size() / 2; ++i) std::swap(*cell[i], *cell[cell.size() - 1 - i]);
    }
  }
  ASSERT_NE(one.bytes, other.bytes);
  average_cells(one.channel(), box, 8);
  average_cells(other.channel(), box, 8);
  EXPECT_EQ(one.bytes, other.bytes);
  // Noise of mean 127 leaves hardly any level but its mean's.
  std::set<int> levels;
  for (int y = 30; y < 270; ++y) {
    for (int x = 40; x < 120; ++x) levels.insert(one.bytes[static_cast<std::size_t>(y * Noise::kWidth + x)]);
  }
  EXPECT_GE(*levels.begin(), 90);
  EXPECT_LE(*levels.rbegin(), 165);
}

TEST(Blur, OnlyTheBoxChangesAndEdgesAreSafe) {
  Noise noise(2);
  const Noise before = noise;
  average_cells(noise.channel(), {-0.5, -0.5, 0.1, 0.1}, kFaceCells);
  average_cells(noise.channel(), {0.95, 0.99, 1.5, 2}, kFaceCells);
  average_cells(noise.channel(), {2, 2, 3, 3}, kFaceCells);
  average_cells(noise.channel(), {0.5, 0.5, 0.5, 0.5}, kFaceCells);
  EXPECT_NE(noise.bytes[0], before.bytes[0]);
  for (int y = 30; y < 297; ++y) {
    for (int x = 20; x < 190; ++x) {
      const auto at = static_cast<std::size_t>(y * Noise::kWidth + x);
      ASSERT_EQ(noise.bytes[at], before.bytes[at]) << x << " " << y;
    }
  }
}

TEST(Blur, ThePolicyDecidesWhatIsHidden) {
  pipeline::People people{.knows_persons = true, .knows_faces = false, .persons = {{0.4, 0.2, 0.5, 0.8}}, .faces = {}};
  EXPECT_TRUE(hiding_of(people, Blur::none).areas.empty());
  const auto whole = hiding_of(people, Blur::people);
  ASSERT_EQ(whole.areas.size(), 1U);
  EXPECT_LT(whole.areas[0].box.top, 0.2);
  EXPECT_GT(whole.areas[0].box.bottom, 0.8);
  const auto head = hiding_of(people, Blur::faces);
  ASSERT_EQ(head.areas.size(), 1U);
  EXPECT_EQ(head.areas[0].cells, kFaceCells);
  EXPECT_NEAR(head.areas[0].box.bottom, 0.2 + 0.3 * 0.6 + 0.1 * 0.18, 1e-9);
  // Who only looks for faces does not know where people are.
  pipeline::People faces{.knows_persons = false, .knows_faces = true, .persons = {}, .faces = {{0.1, 0.1, 0.2, 0.2}}};
  EXPECT_TRUE(hiding_of(faces, Blur::people).is_whole);
  EXPECT_FALSE(hiding_of(faces, Blur::faces).is_whole);
  EXPECT_TRUE(hiding_of({}, Blur::people).is_whole);
  EXPECT_TRUE(hiding_of({}, Blur::faces).is_whole);
  EXPECT_FALSE(hiding_of({}, Blur::none).is_whole);
}

TEST(Blur, AMissedPictureShowsNobody) {
  PeopleMemory memory;
  const Region box{0.4, 0.2, 0.5, 0.8};
  EXPECT_EQ(memory.update({box}, 0).size(), 1U);
  const auto missed = memory.update({}, 200'000);
  ASSERT_EQ(missed.size(), 1U);
  EXPECT_LT(missed[0].left, box.left) << "it may have moved";
  EXPECT_EQ(memory.update({box}, 400'000).size(), 1U) << "seen again: no second box";
  EXPECT_EQ(memory.update({}, 3'000'000).size(), 1U) << "slow pictures: three may be missed";
  EXPECT_EQ(memory.update({}, 4'000'000).size(), 1U);
  EXPECT_EQ(memory.update({}, 5'000'000).size(), 1U);
  EXPECT_TRUE(memory.update({}, 6'000'000).empty());
}

TEST(Blur, TheLiveViewHidesAndSaysSo) {
  auto scene = std::make_shared<pipeline::Scene>();
  scene->frame = testing::make_frame(pipeline::PixelFormat::yuv420, 320, 240, [](int p, int x, int y) {
    return p > 0 ? 128 : (x + y) % 2 == 0 ? 16 : 235;
  });
  scene->people = {.knows_persons = true, .knows_faces = false, .persons = {{0.1, 0.1, 0.9, 0.9}}, .faces = {}};
  pipeline::Packet packet;
  packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
  const auto open = render_live(packet, {.blur = Blur::none});
  const auto hidden = render_live(packet, {.blur = Blur::people});
  ASSERT_TRUE(open && hidden);
  EXPECT_EQ(hidden->header["privacy"], Json::parse(R"({"blur": "people"})"));
  EXPECT_EQ(open->header["privacy"], Json::parse(R"({"blur": "none"})"));
  EXPECT_LT(hidden->bytes.size() * 2, open->bytes.size()) << "the pattern is gone";
  scene = std::make_shared<pipeline::Scene>(*scene);
  scene->people = {};
  packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
  EXPECT_EQ(render_live(packet, {})->header["privacy"], Json::parse(R"({"blur": "people", "whole": true})"));
}

class EvidenceWishTest : public ::testing::Test {
 protected:
  EvidenceWishTest()
      : keeper_({.folder = "/kept", .days = 30, .bytes_max = 10'000'000, .ring_s = 0, .blur = "people"}, disk_, clock_,
                metrics_) {
    context_.stream = "gate";
    context_.metrics = &metrics_;
    context_.evidence = &keeper_;
  }

  contract::Event event_with(const std::string& evidence) {
    const auto wish = EvidenceWish::read({{"evidence", evidence}, {"before_s", 4}, {"after_s", 2}}, context_);
    EXPECT_TRUE(wish);
    pipeline::Scene scene;
    scene.frame = testing::make_frame(pipeline::PixelFormat::gray8, 64, 48, [](int, int x, int) { return x; });
    pipeline::Packet packet;
    packet.captured_us = clock_.now_us();
    packet.monotonic_us = 10'000'000;
    contract::Event event;
    event.type = "rule.fired";
    event.rule = "press";
    event.extension_json = R"({"for_s":2})";
    return wish->with_evidence(std::move(event), packet, scene);
  }

  FaultyDisk disk_;
  ManualClock clock_;
  Metrics metrics_;
  evidence::Keeper keeper_;
  pipeline::Context context_;
};

TEST_F(EvidenceWishTest, ASnapshotIsThereWhenItsEventGoes) {
  const auto event = event_with("snapshot");
  ASSERT_EQ(event.evidence.size(), 1U);
  const auto file = (*keeper_.store())->find(event.evidence[0]);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->label.ending, "jpg");
  EXPECT_EQ(file->label.blur, "people");
  EXPECT_EQ(Json::parse(event.extension_json), Json::parse(R"({"for_s": 2, "privacy": "people"})"));
  EXPECT_TRUE(event_with("none").evidence.empty());
}

TEST_F(EvidenceWishTest, AFullDiskDoesNotStopTheEvent) {
  disk_.set_capacity_bytes(10);
  const auto event = event_with("snapshot");
  EXPECT_TRUE(event.evidence.empty());
  EXPECT_EQ(event.rule, "press");
  EXPECT_TRUE(Json::parse(event.extension_json)["evidence_error"].get<std::string>().starts_with("keep evidence: "));
}

TEST_F(EvidenceWishTest, AClipIsOrderedAndItsEventFollows) {
  struct Maker final : evidence::ClipMaker {
    evidence::ClipOrder order_seen;
    Status order(evidence::ClipOrder order) override {
      order_seen = std::move(order);
      return Done{};
    }
  } maker;
  EXPECT_TRUE(Json::parse(event_with("clip").extension_json).contains("evidence_error")) << "nobody makes clips yet";
  EXPECT_EQ(keeper_.ring_s("gate"), 6);
  keeper_.attach("gate", maker);
  const auto event = event_with("snapshot+clip");
  EXPECT_EQ(event.evidence.size(), 1U);
  EXPECT_EQ(Json::parse(event.extension_json)["clip"], maker.order_seen.id);
  EXPECT_EQ(maker.order_seen.from_us, 6'000'000);
  EXPECT_EQ(maker.order_seen.until_us, 12'000'000);
  EXPECT_EQ(maker.order_seen.about.rule, "press");
  EXPECT_TRUE(maker.order_seen.about.evidence.empty());
  ASSERT_TRUE(keeper_.clip_state(maker.order_seen.id));
  EXPECT_FALSE(keeper_.clip_state(maker.order_seen.id)->is_done);
}

}  // namespace
}  // namespace verge::vision
