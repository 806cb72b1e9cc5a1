#include "connectors/camera/picture_mask.h"

#include <gtest/gtest.h>

namespace verge::connectors {
namespace {

/// 10 x 8 (five by four colours), every byte 200, lines of 12 bytes.
std::shared_ptr<pipeline::Frame> bright(pipeline::PixelFormat format) {
  auto bytes = std::make_shared<std::vector<std::uint8_t>>(40 * 16, std::uint8_t{200});
  auto frame = std::make_shared<pipeline::Frame>();
  frame->format = format;
  frame->width = 10;
  frame->height = 8;
  for (int p = 0; p < 3; ++p) {
    frame->planes[p] = bytes->data();
    frame->strides[p] = format == pipeline::PixelFormat::rgb24 ? 40 : 12;
  }
  frame->storage = bytes;
  return frame;
}

TEST(PictureMask, WhatIsUnderIsBlackAndTheRestAsItWas) {
  PictureMask mask({{{0, 0}, {0.5, 0}, {0.5, 0.5}, {0, 0.5}}});
  const auto original = bright(pipeline::PixelFormat::yuv420);
  const auto masked = mask.apply(*original);
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 10; ++x) {
      EXPECT_EQ(masked->planes[0][y * masked->strides[0] + x], x < 5 && y < 4 ? 16 : 200) << x << " " << y;
    }
  }
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 5; ++x) {
      EXPECT_EQ(masked->planes[2][y * masked->strides[2] + x], x < 3 && y < 2 ? 128 : 200) << x << " " << y;
    }
  }
  EXPECT_EQ(original->planes[0][0], 200) << "decoders still need it";
}

TEST(PictureMask, TheOtherLayoutsAndFullRange) {
  PictureMask mask({{{0.2, 0}, {1, 0}, {1, 1}, {0.2, 1}}});
  const auto colours = mask.apply(*bright(pipeline::PixelFormat::rgb24));
  EXPECT_EQ(colours->planes[0][5], 200);
  EXPECT_EQ(colours->planes[0][6], 0);
  EXPECT_EQ(colours->planes[0][7 * colours->strides[0] + 29], 0);
  auto full = bright(pipeline::PixelFormat::yuv420);
  full->is_full_range = true;
  EXPECT_EQ(mask.apply(*full)->planes[0][9], 0);
}

TEST(PictureMask, ASourceShowsOnlyMaskedPictures) {
  struct One final : pipeline::Source {
    Status run(const pipeline::Emit& emit, const std::function<bool()>&) override {
      auto scene = std::make_shared<pipeline::Scene>();
      scene->frame = bright(pipeline::PixelFormat::gray8);
      pipeline::Packet packet;
      packet.captured_us = 5;
      packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
      emit(packet);
      return Done{};
    }
    bool is_live() const override { return false; }
  };
  const auto source = with_mask(std::make_unique<One>(), PictureMask({{{0, 0}, {1, 0}, {1, 1}, {0, 1}}}));
  EXPECT_FALSE(source->is_live());
  int seen = 0;
  ASSERT_TRUE(source->run(
      [&](pipeline::Packet packet) {
        ++seen;
        EXPECT_EQ(packet.captured_us, 5);
        EXPECT_EQ(pipeline::payload_as<pipeline::Scene>(packet)->frame->planes[0][33], 0);
      },
      [] { return false; }));
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace verge::connectors
