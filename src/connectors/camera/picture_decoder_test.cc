#include "connectors/camera/picture_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/camera/pictures_for_tests.h"

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;

std::vector<int> picked(double fps_max, const std::vector<std::int64_t>& times_us) {
  EvenPick pick(fps_max);
  std::vector<int> taken;
  for (std::size_t i = 0; i < times_us.size(); ++i) {
    if (pick.take(times_us[i])) taken.push_back(static_cast<int>(i));
  }
  return taken;
}

TEST(EvenPickTest, TakesEvenlyByTime) {
  std::vector<std::int64_t> thirty;
  for (int i = 0; i < 12; ++i) thirty.push_back(1'700'000'000'000'000 + i * 1'000'000LL / 30);
  EXPECT_EQ(picked(0, thirty).size(), 12U);
  EXPECT_EQ(picked(30, thirty).size(), 12U) << "rounding loses none";
  EXPECT_EQ(picked(1000, thirty).size(), 12U);
  EXPECT_THAT(picked(15, thirty), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(picked(10, thirty), ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(picked(1, {0, 5'000'000, 5'100'000, 6'000'000}), ElementsAre(0, 1, 3)) << "after a gap not two at once";
  EXPECT_THAT(picked(1, {90'000'000, 91'000'000, 0, 500'000, 1'000'000}), ElementsAre(0, 1, 2, 4))
      << "the clock began anew";
}

class PictureDecoderTest : public ::testing::Test {
 protected:
  std::unique_ptr<PictureDecoder> open(AVCodecID codec, PictureWish wish = {}) {
    const auto ffmpeg = open_ffmpeg();
    PictureDecoder::Format format;
    format.codec = codec;
    auto decoder = PictureDecoder::open(**ffmpeg, format, wish, counters_);
    EXPECT_TRUE(decoder) << decoder.error().message;
    return decoder ? *std::move(decoder) : nullptr;
  }
  std::vector<std::uint64_t> counts() const {
    return {counters_.received.value(), counters_.decoded.value(), counters_.skipped.value(), counters_.broken.value()};
  }

  Metrics metrics_;
  CameraCounters counters_{metrics_, "gate"};
};

TEST_F(PictureDecoderTest, DecodesPicturesOfAnySize) {
  const auto decoder = open(AV_CODEC_ID_MJPEG);
  ASSERT_TRUE(decoder->put_whole(white_jpeg(), 0, {5, 7}));
  auto picture = decoder->next();
  ASSERT_TRUE(picture && *picture);
  EXPECT_EQ((*picture)->frame->width, 16);
  EXPECT_EQ((*picture)->frame->planes[0][0], 255);
  EXPECT_TRUE((*picture)->frame->is_full_range);
  EXPECT_EQ((*picture)->arrival.captured_us, 5);
  ASSERT_TRUE(decoder->put_whole(black_jpeg(), 100'000, {6, 8}));
  picture = decoder->next();
  ASSERT_TRUE(picture && *picture);
  EXPECT_EQ((*picture)->frame->width, 24);
  EXPECT_EQ((*picture)->frame->height, 16);
  EXPECT_EQ((*picture)->frame->planes[0][0], 0);
  EXPECT_EQ((*picture)->arrival.monotonic_us, 8);
  EXPECT_THAT(counts(), ElementsAre(2, 2, 0, 0));
}

TEST_F(PictureDecoderTest, KeepsTheRangeOfColours) {
  const auto decoder = open(AV_CODEC_ID_PNG);
  ASSERT_TRUE(decoder->put_whole(red_png(), 0));
  const auto picture = decoder->next();
  ASSERT_TRUE(picture && *picture);
  const auto& frame = *(*picture)->frame;
  EXPECT_TRUE(frame.is_full_range);
  EXPECT_NEAR(frame.planes[0][0], 76, 2) << "0.299 of 255";
  EXPECT_NEAR(frame.planes[1][0], 85, 2);
  EXPECT_NEAR(frame.planes[2][0], 255, 2);
}

TEST_F(PictureDecoderTest, DecodesOnlyWhatIsDue) {
  const auto decoder = open(AV_CODEC_ID_MJPEG, {.fps_max = 2, .keyframes_only = false});
  std::vector<std::int64_t> shown;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(decoder->put_whole(white_jpeg(), i * 100'000));
    const auto picture = decoder->next();
    ASSERT_TRUE(picture);
    if (*picture) shown.push_back((*picture)->time_us);
  }
  EXPECT_THAT(shown, ElementsAre(0, 500'000, 1'000'000, 1'500'000));
  EXPECT_THAT(counts(), ElementsAre(20, 4, 16, 0));
}

TEST_F(PictureDecoderTest, PassesOverGarbage) {
  const auto decoder = open(AV_CODEC_ID_MJPEG);
  for (const std::string& bytes : {std::string("this is no picture"), std::string(), white_jpeg().substr(0, 40)}) {
    decoder->put_whole(bytes, 0);
    const auto none = decoder->next();
    ASSERT_TRUE(none);
    EXPECT_FALSE(*none);
  }
  ASSERT_TRUE(decoder->put_whole(white_jpeg(), 0));
  const auto picture = decoder->next();
  ASSERT_TRUE(picture);
  EXPECT_TRUE(*picture);
  EXPECT_THAT(counts(), ElementsAre(4, 1, 0, 3));
}

TEST_F(PictureDecoderTest, GivesUpOnWhatIsNoVideo) {
  const auto decoder = open(AV_CODEC_ID_MJPEG);
  for (std::size_t i = 0; i < PictureDecoder::kBrokenInARowMax; ++i) decoder->put_whole("garbage", 0);
  const auto given_up = decoder->next();
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace verge::connectors
