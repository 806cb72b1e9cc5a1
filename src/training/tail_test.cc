#include "training/tail.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace verge::training {
namespace {

/// `count` numbers of the distribution whose value is exceeded with probability p at quantile(p).
std::vector<float> draw(std::size_t count, double (*quantile)(double)) {
  std::mt19937_64 random(7);
  std::vector<float> values;
  for (std::size_t at = 0; at < count; ++at) {
    const double p = (static_cast<double>(random() >> 11U) + 0.5) / 9007199254740992.0;
    values.push_back(static_cast<float>(quantile(p)));
  }
  return values;
}

double exponential(double p) { return -std::log(p); }
double heavy(double p) { return (std::pow(p, -0.2) - 1) / 0.2; }  // generalised Pareto, shape 0.2, scale 1
double bounded(double p) { return 1 - p; }                        // uniform: a generalised Pareto of shape -1

TEST(Tail, FindsShapeAndScale) {
  const struct {
    const char* name;
    double (*quantile)(double);
    double shape, shape_off, scale, scale_off;
  } cases[] = {
      // Above the 0.95 quantile an exponential is an exponential again, a Pareto tail has scale 1 + shape * start.
      {"exponential", exponential, 0.0, 0.06, 1.0, 0.06},
      {"heavy", heavy, 0.2, 0.07, std::pow(0.05, -0.2), 0.12},
      {"bounded: the shape is kept within -0.5", bounded, -0.5, 1e-9, 0.05, 0.02},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto scores = draw(100'000, c.quantile);
    const auto fit = fit_tail(scores);
    EXPECT_NEAR(fit.shape, c.shape, c.shape_off);
    EXPECT_NEAR(fit.scale, c.scale, c.scale_off);
    EXPECT_NEAR(fit.tail_share, 0.05, 1e-3);
    EXPECT_NEAR(fit.start, c.quantile(0.05), 0.03);
  }
}

TEST(Tail, KeepsItsPromiseBeyondTheData) {
  // From 20,000 numbers the value that one in 200,000 exceeds; the truth is known.
  for (const auto quantile : {exponential, heavy}) {
    const auto scores = draw(20'000, quantile);
    const double largest = *std::max_element(scores.begin(), scores.end());
    const double found = threshold_for(fit_tail(scores), 1.0 / 200'000, largest, 10);
    EXPECT_NEAR(found / quantile(1.0 / 200'000), 1, 0.25);
  }
}

TEST(Tail, RarerMeansHigherAndNeverBelowTheStart) {
  const auto scores = draw(5000, exponential);
  const double largest = *std::max_element(scores.begin(), scores.end());
  const auto fit = fit_tail(scores);
  double last = 0;
  for (const double probability : {1.0, 0.5, 0.05, 1e-2, 1e-3, 1e-4, 1e-6, 1e-9, 0.0}) {
    const double threshold = threshold_for(fit, probability, largest);
    EXPECT_GE(threshold, fit.start) << probability;
    EXPECT_GE(threshold, last) << probability;
    EXPECT_LE(threshold, largest + 0.5 * (largest - fit.start) + 1e-6) << "reach";
    EXPECT_TRUE(std::isfinite(threshold)) << probability;
    last = threshold;
  }
}

TEST(Tail, AWildPeakDoesNotBlindTheAlarm) {
  auto scores = draw(1000, bounded);
  scores.push_back(50);
  const auto fit = fit_tail(scores);
  EXPECT_LE(threshold_for(fit, 1e-9, 50, 0.5), 50 + 0.5 * (50 - fit.start) + 1e-6);
}

TEST(Tail, EqualScoresAndTheSmallestSample) {
  const std::vector<float> flat(100, 1.0F);
  const auto fit = fit_tail(flat);
  EXPECT_EQ(fit.start, 1);
  const double threshold = threshold_for(fit, 1e-6, 1);
  EXPECT_GE(threshold, 1);
  EXPECT_LT(threshold, 1.001);
  EXPECT_NEAR(fit_tail(draw(100, exponential)).tail_share, 0.1, 1e-9) << "at least ten scores make the tail";
}

TEST(TailDeath, TooFewScoresAreABug) { EXPECT_DEATH(fit_tail(std::vector<float>(99, 1.0F)), "scores.size"); }

}  // namespace
}  // namespace verge::training
