#include "vision/live.h"

#include <gtest/gtest.h>
#include <turbojpeg.h>

#include "base/json.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::PixelFormat;

struct Decoded {
  int width = 0, height = 0;
  std::vector<unsigned char> rgb;
};

Decoded decode(const std::string& jpeg) {
  Decoded picture;
  tjhandle handle = tjInitDecompress();
  int sampling = 0;
  int space = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(jpeg.data());
  EXPECT_EQ(tjDecompressHeader3(handle, bytes, jpeg.size(), &picture.width, &picture.height, &sampling, &space), 0);
  picture.rgb.resize(static_cast<std::size_t>(3 * picture.width * picture.height));
  EXPECT_EQ(
      tjDecompress2(handle, bytes, jpeg.size(), picture.rgb.data(), picture.width, 0, picture.height, TJPF_RGB, 0), 0);
  tjDestroy(handle);
  return picture;
}

TEST(Live, MakesSmallJpegsOfAllFormats) {
  for (const auto format : {PixelFormat::yuv420, PixelFormat::rgb24, PixelFormat::gray8}) {
    // White, in the range of each format.
    const bool is_yuv = format == PixelFormat::yuv420;
    auto frame = testing::make_frame(format, 1281, 720, [&](int p, int, int) {
      return !is_yuv ? 255 : p == 0 ? 235 : 128;
    });
    auto jpeg = to_jpeg(*frame);
    ASSERT_TRUE(jpeg) << jpeg.error().message;
    const Decoded picture = decode(*jpeg);
    EXPECT_EQ(picture.width, 640);
    EXPECT_EQ(picture.height, 359);
    EXPECT_GE(picture.rgb[0], 253);
    EXPECT_LT(jpeg->size(), 50'000U);
  }
  EXPECT_FALSE(to_jpeg(pipeline::Frame{}));
}

TEST(Live, DoesNotEnlarge) {
  auto frame = testing::make_frame(PixelFormat::yuv420, 33, 17, [](int, int x, int y) { return (x * y) & 0xFF; });
  auto jpeg = to_jpeg(*frame);
  ASSERT_TRUE(jpeg);
  EXPECT_EQ(decode(*jpeg).width, 33);
}

TEST(Live, TheHeaderTellsWhatIsSeen) {
  auto scene = std::make_shared<pipeline::Scene>();
  scene->frame = testing::make_frame(PixelFormat::gray8, 40, 20, [](int, int, int) { return 9; });
  scene->objects = {testing::standing_at(0.5, 0.7, "3", 0.87654F)};
  scene->objects[0].zones = {"press"};
  scene->objects[0].attributes = {{"helmet", 0.93218F}};
  scene->objects[0].keypoints = {{0.25F, 0.5F, 0.75F}};
  scene->objects.push_back(testing::standing_at(0.2, 0.7, "4"));
  scene->attributes = {{"gate open", 0.5F}};
  scene->shapes = {{"press", true, {{0, 0}, {1, 0}, {1, 1}}, {{"inside", 1}}, {{"empty", 0.5F}}}};
  pipeline::Packet packet;
  packet.captured_us = 77;
  packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
  const auto live = render_live(packet, {});
  ASSERT_TRUE(live);
  EXPECT_EQ(live->header["kind"], "picture");
  EXPECT_EQ(live->header["captured_us"], 77);
  EXPECT_EQ(live->header["width"], 40);
  EXPECT_EQ(live->header["objects"][0]["track"], "3");
  EXPECT_EQ(live->header["objects"][0]["score"], 0.8765);
  EXPECT_EQ(live->header["objects"][0]["attributes"], Json::parse(R"([{"name": "helmet", "score": 0.9322}])"));
  EXPECT_EQ(live->header["objects"][0]["keypoints"], Json::parse("[[0.25, 0.5, 0.75]]"));
  EXPECT_FALSE(live->header["objects"][1].contains("keypoints"));
  EXPECT_EQ(live->header["attributes"][0]["name"], "gate open");
  EXPECT_EQ(live->header["shapes"][0]["closed"], true);
  EXPECT_EQ(live->header["shapes"][0]["counts"]["inside"], 1);
  EXPECT_EQ(live->header["shapes"][0]["attributes"][0]["name"], "empty");
  EXPECT_FALSE(live->header.contains("heat"));
  packet.payload = std::make_shared<const pipeline::SensorRow>();
  EXPECT_FALSE(render_live(packet, {}));
}

TEST(Live, AHeatMapTravelsAsBytes) {
  auto scene = std::make_shared<pipeline::Scene>();
  scene->frame = testing::make_frame(PixelFormat::gray8, 40, 20, [](int, int, int) { return 9; });
  scene->heat = std::make_shared<const pipeline::HeatMap>(pipeline::HeatMap{1, 3, {0, 100, 255}});
  pipeline::Packet packet;
  packet.payload = std::shared_ptr<const pipeline::Scene>(scene);
  const auto live = render_live(packet, {});
  ASSERT_TRUE(live);
  EXPECT_EQ(live->header["heat"], Json::parse(R"({"rows": 1, "columns": 3, "threshold": 100, "values": "AGT/"})"));
}

}  // namespace
}  // namespace verge::vision
