#include "vision/teach/backbone.h"

#include <gtest/gtest.h>

#include "vision/teach/test_trunk.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::PixelFormat;

std::shared_ptr<pipeline::Frame> backbone_picture(int width, int height) {
  return testing::make_frame(PixelFormat::rgb24, width, height,
                             [](int, int x, int y) { return (x * 7 + y * 13 + (x / 9 + y / 11) % 3 * 60) % 256; });
}

std::unique_ptr<Backbone> open_test_backbone(const BackboneOptions& options) {
  auto backbone = Backbone::make(testing::test_network(64), testing::test_network_card(64), options);
  EXPECT_TRUE(backbone) << (backbone ? "" : backbone.error().message);
  return backbone ? *std::move(backbone) : nullptr;
}

TEST(Backbone, TakesTheTrunkAndNotTheNeck) {
  const auto backbone = open_test_backbone({.strides = {8, 16, 32}, .width = 96, .height = 64});
  ASSERT_TRUE(backbone);
  const auto maps = backbone->features(*backbone_picture(96, 64));
  ASSERT_TRUE(maps) << maps.error().message;
  ASSERT_EQ(maps->size(), 3U);
  const int channels[] = {8, 12, 16};
  for (std::size_t at = 0; at < 3; ++at) {
    const FeatureMap& map = (*maps)[at];
    EXPECT_EQ(map.stride, 8 << at);
    EXPECT_EQ(map.channels, channels[at]);
    EXPECT_EQ(map.channels, backbone->channels(at));
    EXPECT_EQ(map.rows, 64 / map.stride);
    EXPECT_EQ(map.columns, 96 / map.stride);
    EXPECT_EQ(map.values().size(), static_cast<std::size_t>(map.channels * map.rows * map.columns));
  }
  for (const auto& node : backbone->graph().graph.nodes) EXPECT_NE(node.operation, "Resize");
}

TEST(Backbone, APartAtNativeScaleIsThePictureThere) {
  const auto backbone = open_test_backbone({.strides = {8}, .width = 64, .height = 64});
  ASSERT_TRUE(backbone);
  const auto whole = backbone_picture(160, 128);
  const auto alone = testing::make_frame(PixelFormat::rgb24, 64, 64, [&](int, int x, int y) {
    return static_cast<int>(whole->planes[0][(y + 32) * whole->strides[0] + x + 48 * 3]);
  });
  const auto part = backbone->features(*whole, {48.0 / 160, 32.0 / 128, 112.0 / 160, 96.0 / 128});
  ASSERT_TRUE(part);
  const auto expected = std::vector<float>(part->front().values().begin(), part->front().values().end());
  const auto found = backbone->features(*alone);
  ASSERT_TRUE(found);
  const auto values = found->front().values();
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t at = 0; at < values.size(); ++at) ASSERT_EQ(values[at], expected[at]) << at;
}

TEST(Backbone, TheFinestStridesAloneDropTheRestOfTheNetwork) {
  const auto eight = open_test_backbone({.strides = {8}});
  const auto all = open_test_backbone({});
  ASSERT_TRUE(eight && all);
  EXPECT_EQ(eight->width(), 64);
  EXPECT_LT(eight->graph().graph.nodes.size(), all->graph().graph.nodes.size());
  EXPECT_NE(eight->digest(), all->digest());
  const auto picture = backbone_picture(64, 64);
  const auto a = eight->features(*picture), b = all->features(*picture);
  ASSERT_TRUE(a && b);
  for (std::size_t at = 0; at < a->front().values().size(); ++at)
    ASSERT_EQ(a->front().values()[at], b->front().values()[at]);
}

TEST(Backbone, SaysWhatItCannotDo) {
  const auto network = testing::test_network(64);
  const auto card = testing::test_network_card(64);
  const auto message = [&](const BackboneOptions& options) {
    const auto backbone = Backbone::make(network, card, options);
    return backbone ? std::string() : backbone.error().message;
  };
  EXPECT_NE(message({.strides = {8, 64}, .width = 128, .height = 128}).find("no features of stride 64"),
            std::string::npos);
  EXPECT_NE(message({.width = 100, .height = 64}).find("multiples of 32"), std::string::npos);
  EXPECT_NE(message({.width = 4096, .height = 64}).find("to 2048"), std::string::npos);
  EXPECT_NE(message({.strides = {16, 8}}).find("rising"), std::string::npos);
  auto blind = card;
  blind.picture.reset();
  const auto refused = Backbone::make(network, blind, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("/picture"), std::string::npos);
}

}  // namespace
}  // namespace verge::vision
