#include "models/quantize.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace verge::models {
namespace {

using ::testing::HasSubstr;

std::vector<float> random_numbers(std::size_t count, float size, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> spread(-size, size);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = spread(random);
  return numbers;
}

/// Two convolutions with all that stands between them in a detector; the second one's channels differ in size.
OnnxModel small_network() {
  GraphBuilder graph("net");
  const auto x = graph.input("x", ElementType::float32, {1, 2, 8, 8});
  const auto first = graph.add(
      "Conv",
      {x, graph.floats({4, 2, 3, 3}, random_numbers(72, 0.5F, 1)), graph.floats({4}, random_numbers(4, 0.2F, 2))},
      {{"pads", {1, 1, 1, 1}}});
  const auto bent = graph.add("LeakyRelu", {first}, {{"alpha", 0.1F}});
  const auto pooled = graph.add("MaxPool", {bent}, {{"kernel_shape", {2, 2}}, {"strides", {2, 2}}});
  const auto both = graph.add("Concat", {pooled, pooled}, {{"axis", 1}});
  auto weights = random_numbers(3 * 8, 0.5F, 3);
  for (std::size_t i = 0; i < 8; ++i) weights[i] *= 100;
  const auto second = graph.add("Conv", {both, graph.floats({3, 8, 1, 1}, weights)});
  const auto flat = graph.add("Reshape", {second, graph.ints({1, 48})});
  graph.output("y", graph.add("Sigmoid", {flat}), ElementType::float32, {1, 48});
  graph.output("z", second, ElementType::float32, {1, 3, 4, 4});
  auto model = graph.finish();
  EXPECT_TRUE(model) << model.error().message;
  return *model;
}

std::vector<inference::Tensor> run(const OnnxModel& model, const inference::Tensor& x) {
  auto session = inference::load_onnx_bytes(to_bytes(model));
  EXPECT_TRUE(session) << session.error().message;
  const std::vector<inference::NamedTensor> inputs{{"x", &x}};
  auto outputs = (*session)->run(inputs);
  EXPECT_TRUE(outputs) << outputs.error().message;
  return *std::move(outputs);
}

inference::Tensor picture(unsigned seed) {
  const auto numbers = random_numbers(128, 1, seed);
  return inference::Tensor::of<float>({1, 2, 8, 8}, numbers);
}

ValueRanges ranges_of(const OnnxModel& model) {
  auto calibrator = Calibrator::make(model);
  EXPECT_TRUE(calibrator) << calibrator.error().message;
  for (unsigned seed = 10; seed < 40; ++seed) {
    const auto x = picture(seed);
    const std::vector<inference::NamedTensor> inputs{{"x", &x}};
    const Status added = (*calibrator)->add(inputs);
    EXPECT_TRUE(added) << added.error().message;
  }
  return (*calibrator)->ranges();
}

TEST(Quantize, GivesNearlyTheSameNumbers) {
  const OnnxModel model = small_network();
  const ValueRanges ranges = ranges_of(model);
  EXPECT_LE(ranges.at("x").low, -0.98F);
  EXPECT_GE(ranges.at("x").high, 0.98F);
  for (const int bits : {7, 8}) {
    const auto quantised = quantize(model, ranges, {.weight_bits = bits});
    ASSERT_TRUE(quantised) << quantised.error().message;
    for (unsigned seed = 50; seed < 60; ++seed) {
      const auto x = picture(seed);
      const auto exact = run(model, x);
      const auto close = run(*quantised, x);
      // Each channel keeps its own precision: the one that is a hundred times larger does not blur the others.
      for (std::size_t channel = 0; channel < 3; ++channel) {
        double most = 0, error = 0;
        for (std::size_t i = channel * 16; i < channel * 16 + 16; ++i) {
          most = std::max(most, std::abs(static_cast<double>(exact[1].values<float>()[i])));
          error =
              std::max(error, std::abs(static_cast<double>(exact[1].values<float>()[i] - close[1].values<float>()[i])));
        }
        EXPECT_LT(error, 0.06 * most + 1e-3) << channel << " with " << bits;
      }
    }
  }
}

TEST(Quantize, StoresWeightsInBytesAndLeavesOutputsAlone) {
  const OnnxModel model = small_network();
  const auto quantised = quantize(model, ranges_of(model));
  ASSERT_TRUE(quantised);
  int whole = 0;
  for (const OnnxTensor& tensor : quantised->graph.initialisers) {
    if (tensor.type == ElementType::int8 && tensor.shape.size() == 4) ++whole;
    EXPECT_FALSE(tensor.type == ElementType::float32 && tensor.count() > 8) << tensor.name;
  }
  EXPECT_EQ(whole, 2);
  for (const OnnxNode& node : quantised->graph.nodes) {
    if (node.operation == "QuantizeLinear") {
      EXPECT_NE(node.inputs[0], "y");
      EXPECT_NE(node.inputs[0], "z");
    }
  }
  EXPECT_EQ(to_bytes(*quantised), to_bytes(*quantize(model, ranges_of(model))));
}

TEST(Quantize, WhatIsKeptFloatTakesWithItWhatFollows) {
  const OnnxModel model = small_network();
  const ValueRanges ranges = ranges_of(model);
  const auto layers = quantizable_convolutions(model, ranges);
  ASSERT_EQ(layers.size(), 2U);
  const auto exact = run(model, picture(70));
  double errors[2];
  for (std::size_t at = 0; at < 2; ++at) {
    const auto quantised = quantize(model, ranges, {.keep_float = {layers[at]}});
    ASSERT_TRUE(quantised) << quantised.error().message;
    std::size_t small = 0, scales_of_floats = 0;
    for (const OnnxNode& node : quantised->graph.nodes) {
      small += node.operation == "DequantizeLinear" && node.inputs[0].find("#8") != std::string::npos &&
               node.attribute<std::int64_t>("axis") != nullptr;
      // Nothing between a float convolution and the next 8-bit operator is stored in 8 bits.
      scales_of_floats += at == 1 && node.operation == "QuantizeLinear" && node.inputs[0] == layers[1];
    }
    EXPECT_EQ(small, at == 0 ? 1U : 2U);  // The second has no bias.
    EXPECT_EQ(scales_of_floats, 0U);
    const auto close = run(*quantised, picture(70));
    errors[at] = 0;
    for (std::size_t i = 0; i < 48; ++i)
      errors[at] = std::max(errors[at],
                            std::abs(static_cast<double>(exact[1].values<float>()[i] - close[1].values<float>()[i])));
  }
  const auto none = quantize(model, ranges, {.keep_float = {layers.begin(), layers.end()}});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no convolution"));
  EXPECT_GT(errors[0] + errors[1], 0);
}

TEST(Quantize, AChannelOfZerosAndALargeBias) {
  GraphBuilder graph("odd");
  const auto x = graph.input("x", ElementType::float32, {1, 2, 8, 8});
  std::vector<float> weights(4, 0.0F);
  weights[2] = 1e-6F;
  graph.output("y",
               graph.add("LeakyRelu",
                         {graph.add("Conv", {x, graph.floats({2, 2, 1, 1}, weights), graph.floats({2}, {3, 1000})})}),
               ElementType::float32, {1, 2, 8, 8});
  const auto model = graph.finish();
  ASSERT_TRUE(model);
  const auto quantised = quantize(*model, ranges_of(*model));
  ASSERT_TRUE(quantised) << quantised.error().message;
  const auto y = run(*quantised, picture(1));
  EXPECT_NEAR(y[0].values<float>()[0], 3, 4);  // One step of a scale that reaches 1000.
  EXPECT_NEAR(y[0].values<float>()[64], 1000, 4);
}

TEST(Quantize, RefusesWhatCannotBe) {
  const OnnxModel model = small_network();
  EXPECT_THAT(quantize(model, {}).error().message, HasSubstr("no convolution"));
  EXPECT_THAT(quantize(model, ranges_of(model), {.weight_bits = 4}).error().message, HasSubstr("4 bits; give 7 or 8"));
  auto calibrator = Calibrator::make(model);
  ASSERT_TRUE(calibrator);
  std::vector<float> numbers(128, 0.5F);
  numbers[7] = std::numeric_limits<float>::quiet_NaN();
  const auto x = inference::Tensor::of<float>({1, 2, 8, 8}, numbers);
  const std::vector<inference::NamedTensor> inputs{{"x", &x}};
  EXPECT_THAT((*calibrator)->add(inputs).error().message, HasSubstr("not finite"));
}

}  // namespace
}  // namespace verge::models
