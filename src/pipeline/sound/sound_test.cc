#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numbers>

#include "pipeline/sound/audio_block.h"
#include "pipeline/sound/resampler.h"
#include "pipeline/sound/sample_format.h"

namespace verge::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using namespace std::string_literals;

struct FormatCase {
  SampleFormat format;
  std::string half, minus_half, full;
};

TEST(SampleFormat, EveryFormatMeansTheSame) {
  const FormatCase cases[] = {
      {SampleFormat::s16le, "\0\x40"s, "\0\xc0"s, "\xff\x7f"s},
      {SampleFormat::s16be, "\x40\0"s, "\xc0\0"s, "\x7f\xff"s},
      {SampleFormat::s24le, "\0\0\x40"s, "\0\0\xc0"s, "\xff\xff\x7f"s},
      {SampleFormat::s24le_in4, "\0\0\x40\0"s, "\0\0\xc0\xff"s, "\xff\xff\x7f\0"s},
      {SampleFormat::s32le, "\0\0\0\x40"s, "\0\0\0\xc0"s, "\xff\xff\xff\x7f"s},
      {SampleFormat::f32le, "\0\0\0\x3f"s, "\0\0\0\xbf"s, "\0\0\x80\x3f"s},
  };
  for (const auto& [format, half, minus_half, full] : cases) {
    std::vector<float> mono;
    EXPECT_EQ(append_mono(half + minus_half + full + "x", {format, 16'000, 1}, 0, mono), 1U) << name_of(format);
    EXPECT_THAT(mono, ElementsAre(0.5F, -0.5F, FloatNear(1, 1e-4F))) << name_of(format);
    EXPECT_EQ(*read_sample_format(name_of(format)), format);
    EXPECT_EQ(half.size(), bytes_of(format));
  }
  EXPECT_THAT(read_sample_format("u8").error().message, HasSubstr("give s16le"));
}

TEST(SampleFormat, ChannelsAreChosenOrAveraged) {
  const std::string frames = "\0\x40\0\x20\0\0\0\x20"s;  // (0.5, 0.25), (0, 0.25)
  const SoundShape stereo{SampleFormat::s16le, 48'000, 2};
  std::vector<float> first, second, both;
  append_mono(frames, stereo, 1, first);
  append_mono(frames, stereo, 2, second);
  append_mono(frames, stereo, 0, both);
  EXPECT_THAT(first, ElementsAre(0.5F, 0.0F));
  EXPECT_THAT(second, ElementsAre(0.25F, 0.25F));
  EXPECT_THAT(both, ElementsAre(0.375F, 0.125F));
  EXPECT_FALSE(check_channel(3, 2));
  EXPECT_FALSE(check_channel(-1, 2));
  EXPECT_TRUE(check_channel(2, 2));
  EXPECT_FALSE(check_shape({SampleFormat::s16le, 7'999, 1}));
  EXPECT_FALSE(check_shape({SampleFormat::s16le, 8'000, 9}));
  EXPECT_TRUE(check_shape({SampleFormat::s16le, 96'000, 8}));
}

TEST(SampleFormat, AFloatThatIsNoNumberIsSilence) {
  std::vector<float> mono;
  append_mono("\0\0\xc0\x7f"s + "\0\0\x80\x7f"s + "\0\0\x00\x40"s, {SampleFormat::f32le, 16'000, 1}, 0, mono);
  EXPECT_THAT(mono, ElementsAre(0.0F, 0.0F, 1.0F));
}

/// A tone in, in pieces of uneven length; out comes the same tone at the same times.
TEST(Resampler, KeepsToneAndTime) {
  constexpr double kTone_hz = 1000;
  for (const int from_hz : {8'000, 16'000, 44'100, 48'000, 96'000}) {
    std::vector<float> in(static_cast<std::size_t>(from_hz));
    for (std::size_t i = 0; i < in.size(); ++i)
      in[i] = static_cast<float>(std::sin(2 * std::numbers::pi * kTone_hz * static_cast<double>(i) / from_hz));
    auto resampler = Resampler::make(from_hz, 16'000);
    ASSERT_TRUE(resampler);
    std::vector<float> out;
    std::size_t piece = 1;
    for (std::size_t at = 0; at < in.size(); at += piece, piece = piece * 7 % 1999)
      resampler->put(in.data() + at, std::min(piece, in.size() - at), out);
    resampler->finish(out);
    ASSERT_NEAR(static_cast<double>(out.size()), 16'000, 2) << from_hz;
    double worst = 0;
    for (std::size_t i = 1000; i < 15'000; ++i)
      worst =
          std::max(worst, std::abs(out[i] - std::sin(2 * std::numbers::pi * kTone_hz * static_cast<double>(i) / 16e3)));
    EXPECT_LT(worst, 1e-3) << from_hz;
  }
  EXPECT_FALSE(Resampler::make(0, 16'000));
}

TEST(AudioBlock, HasItsLevel) {
  EXPECT_EQ(block_samples(16'000), 512U);
  EXPECT_EQ(make_audio_block(16'000, {0, 0})->level_db, -120);
  EXPECT_NEAR(make_audio_block(16'000, {0.1F, -0.1F})->level_db, -20, 1e-3);
}

}  // namespace
}  // namespace verge::pipeline
