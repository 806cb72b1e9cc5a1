#include "models/weight_rounding.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

namespace verge::models {
namespace {

constexpr std::int64_t kChannels = 6, kSide = 8;

/// One convolution of 3 x 3 over channels that say nearly the same, as those of real networks do.
OnnxModel summing_network(std::int64_t stride = 1) {
  GraphBuilder graph("net");
  const auto x = graph.input("x", ElementType::float32, {1, kChannels, kSide, kSide});
  std::mt19937 random(3);
  std::normal_distribution<float> spread(0, 1);
  std::vector<float> weights(kChannels * 9);
  for (float& weight : weights) weight = spread(random);
  graph.append({"Conv",
                "",
                "",
                {x, graph.floats({1, kChannels, 3, 3}, weights)},
                {"sum"},
                {{"pads", {1, 1, 1, 1}}, {"strides", {stride, 1}}}});
  graph.output("y", graph.add("Relu", {"sum"}), ElementType::float32, {1, 1, kSide, kSide});
  auto model = graph.finish();
  EXPECT_TRUE(model) << model.error().message;
  return *model;
}

inference::Tensor alike_picture(unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> spread(0, 1);
  inference::Tensor x(inference::DataType::float32, {1, kChannels, kSide, kSide});
  auto numbers = x.values<float>();
  constexpr std::size_t kPlane = kSide * kSide;
  for (std::size_t at = 0; at < kPlane; ++at) {
    const float common = spread(random);
    for (std::size_t channel = 0; channel < kChannels; ++channel)
      numbers[channel * kPlane + at] = common + 0.1F * spread(random);
  }
  return x;
}

/// Mean square of what rounding changes in the sums of a picture's inner places.
double changed(const std::vector<float>& weights, const std::vector<std::int8_t>& steps, float scale,
               const inference::Tensor& x) {
  const auto numbers = x.values<float>();
  double sum = 0;
  for (std::size_t y = 1; y + 1 < kSide; ++y) {
    for (std::size_t column = 1; column + 1 < kSide; ++column) {
      double change = 0;
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const std::size_t channel = i / 9, down = i % 9 / 3, across = i % 3;
        const float value = numbers[(channel * kSide + y + down - 1) * kSide + column + across - 1];
        change += static_cast<double>((weights[i] - static_cast<float>(steps[i]) * scale) * value);
      }
      sum += change * change;
    }
  }
  return sum;
}

TEST(WeightRounding, ChangesWhatIsComputedLessThanRoundingToTheNearest) {
  const OnnxModel model = summing_network();
  InputMoments moments(model);
  for (unsigned seed = 0; seed < 40; ++seed) moments.add("x", alike_picture(seed));
  EXPECT_TRUE(moments.factor("sum").empty());
  moments.finish();
  const auto factor = moments.factor("sum");
  ASSERT_EQ(factor.size(), 54U * 54U);
  const auto weights = model.graph.find_initialiser(model.graph.nodes[0].inputs[1])->values<float>();
  constexpr float kScale = 0.2F, kMost = 15;
  const auto nearest = round_weights(weights, kScale, kMost, {});
  const auto rounded = round_weights(weights, kScale, kMost, factor);
  for (std::size_t i = 0; i < weights.size(); ++i)
    EXPECT_EQ(nearest[i], static_cast<std::int8_t>(std::round(weights[i] / kScale)));
  double plain = 0, better = 0;
  for (unsigned seed = 100; seed < 120; ++seed) {  // Others than those it learned from.
    plain += changed(weights, nearest, kScale, alike_picture(seed));
    better += changed(weights, rounded, kScale, alike_picture(seed));
  }
  EXPECT_LT(better, 0.3 * plain);
}

TEST(WeightRounding, KnowsNothingOfWhatItWasNotShown) {
  InputMoments moments(summing_network());
  moments.add("another", alike_picture(1));
  moments.add("x", inference::Tensor(inference::DataType::float32, {1, kChannels, kSide, kSide}));  // Zeros.
  moments.finish();
  EXPECT_TRUE(moments.factor("sum").empty());
  EXPECT_TRUE(moments.factor("nobody").empty());
}

TEST(WeightRounding, AStrideThatGoesNowhereIsPassedOver) {
  for (const std::int64_t stride : {0, -1}) {
    InputMoments moments(summing_network(stride));
    moments.add("x", alike_picture(1));
    moments.finish();
    EXPECT_TRUE(moments.factor("sum").empty());
  }
}

TEST(WeightRounding, StaysWithinItsSteps) {
  const std::vector<float> weights{10, -10, 0.4F, -0.6F};
  EXPECT_EQ(round_weights(weights, 1, 7, {}), (std::vector<std::int8_t>{7, -7, 0, -1}));
}

}  // namespace
}  // namespace verge::models
