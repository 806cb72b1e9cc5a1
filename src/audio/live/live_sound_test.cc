// A sine is bright where it is, silence is dark, and what is sent stays small.
#include "audio/live/live_sound.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

#include "base/json.h"

namespace verge::audio {
namespace {

std::vector<float> sine(double hz, float peak, std::size_t count = 512, int rate_hz = 16'000) {
  std::vector<float> samples(count);
  for (std::size_t at = 0; at < count; ++at)
    samples[at] = peak * static_cast<float>(std::sin(2 * std::numbers::pi * hz * static_cast<double>(at) / rate_hz));
  return samples;
}

std::size_t brightest(const std::vector<std::uint8_t>& column) {
  return static_cast<std::size_t>(std::max_element(column.begin(), column.end()) - column.begin());
}

/// The band in which a frequency lies: 64 equal steps of mel up to 8 kHz.
std::size_t band_of(double hz) {
  return static_cast<std::size_t>(std::log10(1 + hz / 700) / std::log10(1 + 8000 / 700.0) * 64);
}

std::shared_ptr<pipeline::AudioBlock> block_of(std::vector<float> samples) {
  auto block = std::make_shared<pipeline::AudioBlock>();
  block->samples = std::move(samples);
  return block;
}

TEST(LiveSound, ASineIsBrightInItsBand) {
  for (const double hz : {250.0, 1000.0, 3000.0, 7000.0}) {
    const auto column = mel_columns(sine(hz, 1), 16'000);
    ASSERT_EQ(column.size(), kLiveBands);
    EXPECT_NEAR(static_cast<double>(brightest(column)), static_cast<double>(band_of(hz)), 1) << hz;
    EXPECT_GE(column[brightest(column)], 250) << "a full-scale sine is 0 dB";
  }
}

TEST(LiveSound, AByteIsAStepOfLoudness) {
  const auto loud = mel_columns(sine(1000, 1), 16'000), quiet = mel_columns(sine(1000, 0.01F), 16'000);
  EXPECT_NEAR(loud[brightest(loud)] - quiet[brightest(quiet)], 255 * 40 / 100, 2) << "40 dB";
  for (const auto value : mel_columns(std::vector<float>(512), 16'000)) EXPECT_EQ(value, 0);
}

TEST(LiveSound, OtherRatesAndLengthsGiveAColumnEach32ms) {
  EXPECT_EQ(mel_columns(sine(1000, 1, 4800, 48'000), 48'000).size(), 3 * kLiveBands);
  EXPECT_EQ(mel_columns(sine(1000, 1, 100, 8000), 8000).size(), kLiveBands);
  EXPECT_EQ(mel_columns(sine(1000, 1, 160'000), 16'000).size(), 31 * kLiveBands) << "a second at most";
  EXPECT_TRUE(mel_columns({}, 16'000).empty());
  EXPECT_NEAR(static_cast<double>(brightest(mel_columns(sine(1000, 1, 1536, 48'000), 48'000))), 22, 2);
}

TEST(LiveSound, AFrameHasAllBlocksSinceTheLastAndStaysSmall) {
  pipeline::LiveRequest request;
  for (int at = 0; at < 3; ++at) request.sound.push_back(block_of(sine(1000, 0.5F)));
  auto scored = block_of(sine(1000, 0.5F));
  scored->score = 2.5F;
  scored->threshold = 2.0F;
  scored->is_alarm = true;
  request.sound.push_back(scored);
  pipeline::Packet packet;
  packet.payload = std::shared_ptr<const pipeline::AudioBlock>(scored);
  const auto frame = render_sound(packet, request);
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->bytes.size(), 4 * kLiveBands);
  EXPECT_EQ(frame->header["spectrum"]["columns"], 4);
  EXPECT_EQ(frame->header["peaks"].size(), 4U);
  EXPECT_EQ(frame->header["alarm"], true);
  EXPECT_NEAR(frame->header["score"].get<double>(), 2.5, 1e-6);
  // 31.25 blocks a second, four a frame; below 4 KiB/s of spectrum.
  EXPECT_LT(static_cast<double>(frame->bytes.size()) * 31.25 / 4, 4096);
}

TEST(LiveSound, AnUtteranceIsNotDrawnTwice) {
  auto utterance = block_of(sine(1000, 0.5F, 16'000));
  utterance->is_segment = true;
  pipeline::Packet packet;
  packet.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(utterance));
  EXPECT_FALSE(render_sound(packet, {}));
}

}  // namespace
}  // namespace verge::audio
