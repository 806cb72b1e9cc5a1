#include "connectors/microphone/stream_clock.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace verge::connectors {
namespace {

constexpr int kPiece = 512;

/// A sound card that is `ppm` too fast and whose pieces come up to `jitter_us` late.
class Card {
 public:
  Card(double ppm, double jitter_us) : period_us_(1e6 / 16e3 / (1 + ppm / 1e6)), jitter_us_(jitter_us) {}
  /// The true time at which `count` samples more were complete.
  double advance(int count) { return true_us_ += count * period_us_; }
  std::int64_t seen() { return std::llround(true_us_ + jitter_(random_) * jitter_us_); }
  void wait_s(double seconds) { true_us_ += seconds * 1e6; }
  double true_us() const { return true_us_; }

 private:
  const double period_us_, jitter_us_;
  double true_us_ = 1e9;
  std::mt19937 random_{7};
  std::uniform_real_distribution<double> jitter_{0, 1};
};

TEST(StreamClock, FollowsDriftAndNotJitter) {
  for (const double ppm : {-150.0, 0.0, 40.0, 300.0}) {
    Card card(ppm, 4000);
    StreamClock clock(16'000);
    double worst_us = 0;
    for (int i = 0; i < 300 * 16'000 / kPiece; ++i) {
      card.advance(kPiece);
      ASSERT_EQ(clock.put(kPiece, card.seen()), 0) << ppm;
      // Pieces come 2 ms late on average: nobody can know that.
      const double error_us = static_cast<double>(clock.time_us(clock.count())) - card.true_us() - 2000;
      if (i > 60 * 16'000 / kPiece) worst_us = std::max(worst_us, std::abs(error_us));
    }
    EXPECT_LT(worst_us, 1000) << ppm;
    ASSERT_TRUE(clock.drift_ppm());
    EXPECT_NEAR(*clock.drift_ppm(), ppm, 15) << ppm;
  }
}

TEST(StreamClock, DoesNotKnowTheDriftAtOnce) {
  Card card(100, 0);
  StreamClock clock(16'000);
  for (int i = 0; i < 10; ++i) clock.put(kPiece, std::llround(card.advance(kPiece)));
  EXPECT_FALSE(clock.drift_ppm());
}

TEST(StreamClock, AStallThatIsCaughtUpIsNoHole) {
  Card card(0, 0);
  StreamClock clock(16'000);
  for (int i = 0; i < 1000; ++i) clock.put(kPiece, std::llround(card.advance(kPiece)));
  // Three seconds come at once at their end.
  const auto stalled_until = static_cast<std::int64_t>(card.true_us()) + 3'000'000;
  for (int i = 0; i < 3 * 16'000 / kPiece; ++i) {
    card.advance(kPiece);
    EXPECT_EQ(clock.put(kPiece, stalled_until), 0);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(clock.put(kPiece, std::llround(card.advance(kPiece))), 0);
  EXPECT_NEAR(static_cast<double>(clock.time_us(clock.count())), card.true_us(), 500);
}

TEST(StreamClock, SamplesThatNeverComeAreMissed) {
  Card card(0, 1000);
  StreamClock clock(16'000);
  const auto play = [&](int pieces) {
    std::int64_t missing = 0;
    for (int i = 0; i < pieces; ++i) {
      card.advance(kPiece);
      const std::int64_t found = clock.put(kPiece, card.seen());
      clock.skip(found);
      missing += found;
    }
    return missing;
  };
  EXPECT_EQ(play(1000), 0);
  card.wait_s(0.5);
  EXPECT_NEAR(static_cast<double>(play(100)), 8000, 32) << "half a second at 16 kHz";
  EXPECT_NEAR(static_cast<double>(clock.time_us(clock.count())), card.true_us(), 1500);
}

TEST(StreamClock, AHoleThatIsExpectedIsMeasuredAtOnce) {
  Card card(0, 0);
  StreamClock clock(48'000);
  const double period_us = 1e6 / 48e3;
  double now_us = 5e6;
  for (int i = 0; i < 200; ++i) clock.put(480, std::llround(now_us += 480 * period_us));
  now_us += 20'000;
  clock.expect_hole();
  EXPECT_NEAR(static_cast<double>(clock.put(480, std::llround(now_us += 480 * period_us))), 960, 2)
      << "20 ms at 48 kHz";
}

/// An internet stream sends ten seconds at once when one connects.
TEST(StreamClock, WhatComesTooEarlySetsTheClock) {
  StreamClock clock(16'000);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(clock.put(kPiece, 1'000'000 + i), 0);
  EXPECT_NEAR(static_cast<double>(clock.time_us(clock.count())), 1'000'300, 61'000) << "never later than it came";
  Card card(0, 500);
  for (int i = 0; i < 500; ++i) {
    card.advance(kPiece);
    EXPECT_EQ(clock.put(kPiece, card.seen() - 999'000'000), 0);
  }
}

}  // namespace
}  // namespace verge::connectors
