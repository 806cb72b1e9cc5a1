#include "connectors/microphone/sound_line.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numbers>

namespace verge::connectors {
namespace {

using ::testing::Each;

struct HeardBlock {
  std::int64_t captured_us;
  std::vector<float> samples;
};

/// A microphone at `rate_hz` on a clock that is moved by hand.
class SoundLineTest : public ::testing::Test {
 protected:
  void begin(int rate_hz) {
    rate_hz_ = rate_hz;
    ASSERT_TRUE(line_.begin(rate_hz));
  }
  /// Plays a tone of 500 Hz, half of full scale, in pieces of 10 ms.
  void play(double seconds) {
    const int piece = rate_hz_ / 100;
    for (int i = 0; i < std::lround(seconds * 100); ++i) {
      std::vector<float> samples;
      for (int at = 0; at < piece; ++at)
        samples.push_back(
            static_cast<float>(0.5 * std::sin(2 * std::numbers::pi * 500 * static_cast<double>(played_++) / rate_hz_)));
      clock_.advance_us(10'000);
      line_.put(samples, clock_.monotonic_us(), emit_);
    }
  }

  ManualClock clock_;
  Metrics metrics_;
  MicrophoneCounters counters_{metrics_, "m"};
  std::vector<HeardBlock> heard_;
  const pipeline::Emit emit_ = [this](const pipeline::Packet& packet) {
    heard_.push_back({packet.captured_us, pipeline::payload_as<pipeline::AudioBlock>(packet)->samples});
  };
  SoundLine line_{{16'000, 2}, counters_, clock_};
  int rate_hz_ = 0;
  std::int64_t played_ = 0;
};

TEST_F(SoundLineTest, BlocksBearTheTimeOfTheirFirstSample) {
  for (const int rate_hz : {8'000, 16'000, 44'100, 48'000, 96'000}) {
    heard_.clear();
    const std::int64_t begin_us = clock_.now_us();
    begin(rate_hz);
    play(1.6);
    ASSERT_GE(heard_.size(), 45U) << rate_hz;
    for (std::size_t i = 0; i < heard_.size(); ++i) {
      EXPECT_EQ(heard_[i].samples.size(), 512U);
      EXPECT_NEAR(static_cast<double>(heard_[i].captured_us - begin_us), static_cast<double>(i) * 32'000, 30)
          << rate_hz;
    }
  }
}

TEST_F(SoundLineTest, AShortHoleBecomesSilenceOfTheSameLength) {
  begin(16'000);
  play(1.024);
  line_.miss(4096);  // 256 ms, eight blocks
  clock_.advance_us(256'000);
  const std::size_t before = heard_.size();
  play(1.024);
  ASSERT_EQ(heard_.size(), before + 8 + 32);
  for (std::size_t i = 1; i < heard_.size(); ++i)
    EXPECT_NEAR(static_cast<double>(heard_[i].captured_us - heard_[i - 1].captured_us), 32'000, 30);
  for (std::size_t i = before + 1; i < before + 8; ++i) EXPECT_THAT(heard_[i].samples, Each(0.0F));
  EXPECT_EQ(counters_.gaps.value(), 1U);
  EXPECT_EQ(counters_.missing.value(), 4096U);
  EXPECT_EQ(counters_.filled.value(), 4096U);
  EXPECT_EQ(counters_.received.value(), 2U * 16'320);
}

TEST_F(SoundLineTest, ALongHoleIsLeftAndTimeGoesOn) {
  begin(16'000);
  play(1);
  line_.miss(16'000 * 60);
  clock_.advance_us(60'000'000);
  const std::int64_t again_us = clock_.now_us();
  const std::size_t before = heard_.size();
  play(0.1);
  ASSERT_GT(heard_.size(), before);
  EXPECT_NEAR(static_cast<double>(heard_[before].captured_us), static_cast<double>(again_us), 30);
  EXPECT_EQ(counters_.missing.value(), 960'000U);
  EXPECT_EQ(counters_.filled.value(), 0U);
}

TEST_F(SoundLineTest, AnOverrunIsMeasuredByTheClock) {
  begin(48'000);
  play(2);
  clock_.advance_us(50'000);
  line_.expect_hole();
  play(1);
  EXPECT_NEAR(static_cast<double>(counters_.missing.value()), 2400, 5) << "50 ms at 48 kHz";
  EXPECT_EQ(counters_.gaps.value(), 1U);
  for (std::size_t i = 1; i < heard_.size(); ++i)
    EXPECT_NEAR(static_cast<double>(heard_[i].captured_us - heard_[i - 1].captured_us), 32'000, 100);
}

TEST_F(SoundLineTest, TheTimeBetweenConnectionsIsCounted) {
  begin(16'000);
  play(1);
  clock_.advance_us(3'000'000);
  begin(16'000);
  const std::int64_t again_us = clock_.now_us();
  const std::size_t before = heard_.size();
  play(1);
  EXPECT_NEAR(static_cast<double>(counters_.missing.value()), 48'000, 50);
  EXPECT_NEAR(static_cast<double>(heard_[before].captured_us), static_cast<double>(again_us), 30);
}

TEST_F(SoundLineTest, TimesNeverGoBack) {
  begin(16'000);
  // Ten seconds that come at once.
  for (int i = 0; i < 300; ++i) line_.put(std::vector<float>(512, 0.1F), clock_.monotonic_us(), emit_);
  for (std::size_t i = 1; i < heard_.size(); ++i) EXPECT_GT(heard_[i].captured_us, heard_[i - 1].captured_us);
  EXPECT_EQ(counters_.missing.value(), 0U);
}

}  // namespace
}  // namespace verge::connectors
