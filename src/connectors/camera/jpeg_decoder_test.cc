#include "connectors/camera/jpeg_decoder.h"

#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <turbojpeg.h>

namespace verge::connectors {
namespace {

/// A slope of grey from the left; `step` makes one picture differ from the next.
std::string slope_jpeg(int width, int height, int sampling, int step = 2) {
  std::string colours;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) colours.append(3, static_cast<char>(x * step & 0xFF));
  }
  const std::unique_ptr<void, int (*)(void*)> compressor(tjInitCompress(), tjDestroy);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  tjCompress2(compressor.get(), reinterpret_cast<const unsigned char*>(colours.data()), width, 0, height, TJPF_RGB,
              &bytes, &size, sampling, 95, 0);
  std::string jpeg(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  return jpeg;
}

TEST(JpegDecoder, GivesThePlanesAsTheyAre) {
  JpegDecoder decoder;
  const auto frame = decoder.decode(slope_jpeg(101, 33, TJSAMP_420));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->width, 101);
  EXPECT_EQ(frame->height, 33);
  EXPECT_EQ(frame->format, pipeline::PixelFormat::yuv420);
  EXPECT_TRUE(frame->is_full_range);
  for (const int x : {0, 50, 100}) {
    EXPECT_NEAR(frame->planes[0][32 * frame->strides[0] + x], 2 * x, 3) << x;
    EXPECT_NEAR(frame->planes[2][16 * frame->strides[2] + x / 2], 128, 2) << x;
  }
}

TEST(JpegDecoder, LeavesOtherKindsAndFlawsAlone) {
  JpegDecoder decoder;
  const std::string good = slope_jpeg(64, 32, TJSAMP_420);
  for (const std::string& bytes :
       {slope_jpeg(64, 32, TJSAMP_444), slope_jpeg(64, 32, TJSAMP_422), slope_jpeg(64, 32, TJSAMP_GRAY),
        good.substr(0, good.size() / 2), std::string("no picture"), std::string()}) {
    EXPECT_FALSE(decoder.decode(bytes)) << bytes.size();
  }
  EXPECT_TRUE(decoder.decode(good));
}

TEST(JpegDecoder, WhatSomebodyHoldsIsNotWrittenOver) {
  JpegDecoder decoder;
  const auto held = decoder.decode(slope_jpeg(64, 32, TJSAMP_420, 2));
  const std::uint8_t* given_back = nullptr;
  for (int i = 0; i < 3; ++i) {
    const auto next = decoder.decode(slope_jpeg(64, 32, TJSAMP_420, 3));
    ASSERT_NE(next->planes[0], held->planes[0]);
    if (given_back != nullptr) {
      EXPECT_EQ(next->planes[0], given_back);
    }
    given_back = next->planes[0];
  }
  EXPECT_NEAR(held->planes[0][60], 120, 3);
}

}  // namespace
}  // namespace verge::connectors
