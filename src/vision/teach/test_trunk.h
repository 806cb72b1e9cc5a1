// vision/teach/test_trunk.h -- a small convolutional network with a trunk and a neck, weights by formula; tests only.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "models/model_card.h"
#include "models/onnx_graph.h"

namespace verge::vision::testing {

/// Uniform in -1..1, the same on every machine.
class TestNumbers {
 public:
  explicit TestNumbers(std::uint64_t seed) : state_(seed * 2 + 1) {}
  float next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<float>(static_cast<double>(state_ >> 11U) / 4503599627370496.0 - 1.0);
  }

 private:
  std::uint64_t state_;
};

/// What else the network finds.
enum class TestHead : std::uint8_t {
  none,
  bright,  ///< Also a detector (NanoDet's form, stride 8, 11 bins): score of the one label "thing" is how bright a
           ///< cell's red is over 160, boxes reach 16 pixels from a cell's centre.
};

/// [1,3,side,side] → five halving convolutions; trunk ends "end_8" (8 channels), "end_16" (12), "end_32" (16); then a
/// neck that comes back up to stride 16 with 32 channels, which is no trunk.
inline models::OnnxModel test_network(int side, TestHead head = TestHead::none) {
  using models::ElementType;
  models::GraphBuilder graph("test");
  TestNumbers numbers(7);
  const auto convolve = [&](const std::string& from, std::int64_t in, std::int64_t out, std::int64_t step,
                            const std::string& name) {
    std::vector<float> weights(static_cast<std::size_t>(in * out * 9));
    const float size = 1.7F / std::sqrt(static_cast<float>(in * 9));
    for (float& weight : weights) weight = size * numbers.next();
    const auto sum = graph.add("Conv", {from, graph.floats({out, in, 3, 3}, weights)},
                               {{"strides", {step, step}}, {"pads", {1, 1, 1, 1}}, {"kernel_shape", {3, 3}}});
    graph.append({"LeakyRelu", "", "", {sum}, {name}, {{"alpha", 0.1F}}});
    return name;
  };
  auto value = graph.input("images", ElementType::float32, {1, 3, side, side});
  value = convolve(value, 3, 6, 2, "s2");
  value = convolve(value, 6, 6, 2, "s4");
  const auto eight = convolve(value, 6, 8, 2, "end_8");
  const auto sixteen = convolve(eight, 8, 12, 2, "end_16");
  const auto last = convolve(sixteen, 12, 16, 2, "end_32");
  const auto up = graph.add("Resize", {last, "", graph.floats({4}, {1, 1, 2, 2})},
                            {{"mode", "nearest"}, {"coordinate_transformation_mode", "asymmetric"}});
  graph.output("boxes", convolve(up, 16, 32, 1, "neck"), ElementType::float32, {1, 32, side / 16, side / 16});
  if (head == TestHead::bright) {
    const std::int64_t cells = std::int64_t{side / 8} * (side / 8);
    const auto red = graph.add("Slice", {"images", graph.ints({0}), graph.ints({1}), graph.ints({1})});
    const auto mean = graph.add("AveragePool", {red}, {{"kernel_shape", {8, 8}}, {"strides", {8, 8}}});
    // Values are (pixel - 127.5) / 64: 0.5 is pixel 160.
    const auto score =
        graph.add("Clip", {graph.add("Sub", {mean, graph.scalar(0.5F)}), graph.scalar(0), graph.scalar(1)});
    graph.output("scores_8", graph.add("Reshape", {score, graph.ints({1, cells, 1})}), ElementType::float32,
                 {1, cells, 1});
    std::vector<float> sides(static_cast<std::size_t>(cells) * 44);
    for (std::size_t at = 2; at < sides.size(); at += 11) sides[at] = 40;
    const auto boxes = graph.floats({1, cells, 44}, sides);
    graph.output("boxes_8", boxes, ElementType::float32, {1, cells, 44});
  }
  auto model = graph.finish();
  return *std::move(model);
}

inline models::ModelCard test_network_card(int side) {
  models::ModelCard card;
  card.name = "test-network";
  card.task = "object-detection";
  card.family = "vision";
  card.licence = "MIT";
  card.picture = models::PictureInput{};
  card.picture->width = card.picture->height = side;
  card.picture->mean = {127.5F, 127.5F, 127.5F};
  card.picture->deviation = {64, 64, 64};
  return card;
}

}  // namespace verge::vision::testing
