#include "models/simplify.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

namespace verge::models {
namespace {

using ::testing::ElementsAre;
using Edge = GraphBuilder::Edge;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<std::string> operations(const OnnxGraph& graph) {
  std::vector<std::string> names;
  for (const auto& node : graph.nodes) names.push_back(node.operation);
  return names;
}

struct Row {
  const char* what;
  Edge (*build)(GraphBuilder& graph, const Edge& x);
  std::vector<std::string> operations;
};

Edge convolution(GraphBuilder& graph, const Edge& x) {
  return graph.add("Conv", {x, graph.floats({2, 1, 1, 1}, {1, 2})});
}

TEST(Simplify, Rewrites) {
  const std::vector<Row> rows{
      {"Relu and Clip join",
       [](GraphBuilder& g, const Edge& x) {
         return g.add("Clip", {g.add("Relu", {x}), g.scalar(-3), g.scalar(6)});
       },
       {"Clip"}},
      {"three bounds join",
       [](GraphBuilder& g, const Edge& x) {
         return g.add("Clip", {g.add("Clip", {g.add("Relu", {x}), "", g.scalar(9)}), g.scalar(1)});
       },
       {"Clip"}},
      {"two Relus may be of any type",
       [](GraphBuilder& g, const Edge& x) { return g.add("Relu", {g.add("Relu", {x})}); },
       {"Relu", "Relu"}},
      {"ranges that do not meet stay",
       [](GraphBuilder& g, const Edge& x) {
         return g.add("Clip", {g.add("Clip", {x, g.scalar(5)}), "", g.scalar(1)});
       },
       {"Clip", "Clip"}},
      {"a summand becomes the bias",
       [](GraphBuilder& g, const Edge& x) {
         return g.add("Add", {g.floats({1, 2, 1, 1}, {1, 2}), convolution(g, x)});
       },
       {"Conv"}},
      {"a factor and a summand",
       [](GraphBuilder& g, const Edge& x) {
         return g.add("Add", {g.add("Mul", {convolution(g, x), g.floats({2, 1, 1}, {3, 4})}), g.scalar(1)});
       },
       {"Conv"}},
      {"a summand along the width is none per channel",
       [](GraphBuilder& g, const Edge& x) {
         return g.add("Add", {convolution(g, x), g.floats({2}, {1, 2})});
       },
       {"Conv", "Add"}},
      {"a convolution that others read stays",
       [](GraphBuilder& g, const Edge& x) {
         const auto c = convolution(g, x);
         return g.add("Mul", {g.add("Add", {c, g.scalar(1)}), c});
       },
       {"Conv", "Add", "Mul"}},
      {"a zero border goes into the convolution",
       [](GraphBuilder& g, const Edge& x) {
         return convolution(g, g.add("Pad", {x, g.ints({0, 0, 1, 1, 0, 0, 1, 1})}));
       },
       {"Conv"}},
      {"another border stays",
       [](GraphBuilder& g, const Edge& x) {
         return convolution(g, g.add("Pad", {x, g.ints({0, 0, 1, 1, 0, 0, 1, 1}), g.scalar(1)}));
       },
       {"Pad", "Conv"}},
      {"a mirrored border stays",
       [](GraphBuilder& g, const Edge& x) {
         return convolution(g, g.add("Pad", {x, g.ints({0, 0, 1, 1, 0, 0, 1, 1})}, {{"mode", "reflect"}}));
       },
       {"Pad", "Conv"}},
      {"a border below all goes into the search for the greatest",
       [](GraphBuilder& g, const Edge& x) {
         const auto pad = g.add("Pad", {x, g.ints({0, 0, 1, 1, 0, 0, 1, 1}), g.scalar(-kInfinity)});
         return g.add("MaxPool", {pad}, {{"kernel_shape", {3, 3}}});
       },
       {"MaxPool"}},
      {"a border of zeros may be the greatest",
       [](GraphBuilder& g, const Edge& x) {
         const auto pad = g.add("Pad", {x, g.ints({0, 0, 1, 1, 0, 0, 1, 1})});
         return g.add("MaxPool", {pad}, {{"kernel_shape", {3, 3}}});
       },
       {"Pad", "MaxPool"}},
      {"a border as wide as the window stays",
       [](GraphBuilder& g, const Edge& x) {
         const auto pad = g.add("Pad", {x, g.ints({0, 0, 2, 2, 0, 0, 0, 0}), g.scalar(-kInfinity)});
         return g.add("MaxPool", {pad}, {{"kernel_shape", {2, 2}}});
       },
       {"Pad", "MaxPool"}},
      {"dead code goes",
       [](GraphBuilder& g, const Edge& x) {
         g.add("Exp", {x});
         return g.add("Abs", {x});
       },
       {"Abs"}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    GraphBuilder builder("g");
    const auto x = builder.input("x", ElementType::float32, {1, 1, 2, 2});
    builder.output("y", row.build(builder, x), ElementType::float32, {-1, -1, -1, -1});
    auto model = builder.finish();
    ASSERT_TRUE(model) << model.error().message;
    simplify(model->graph);
    EXPECT_EQ(operations(model->graph), row.operations);
    EXPECT_EQ(model->graph.nodes.back().outputs[0], "y");
  }
}

TEST(Simplify, ComputesBiasWeightsBoundsAndPads) {
  GraphBuilder builder("g");
  const auto x = builder.input("x", ElementType::float32, {1, 1, 2, 2});
  const auto padded = builder.add("Pad", {x, builder.ints({0, 0, 1, 0, 0, 0, 0, 2})});
  const auto c = builder.add("Conv", {padded, builder.floats({2, 1, 1, 1}, {1, 2}), builder.floats({2}, {1, 1})},
                             {{"pads", {0, 1, 0, 1}}});
  const auto scaled = builder.add("Mul", {c, builder.floats({1, 2, 1, 1}, {10, 100})});
  const auto moved = builder.add("Add", {scaled, builder.floats({1, 2, 1, 1}, {5, 6})});
  const auto low = builder.add("Clip", {moved, builder.scalar(0), builder.scalar(9)});
  builder.output("y", builder.add("Clip", {low, builder.scalar(-1), builder.scalar(7)}), ElementType::float32,
                 {1, 2, 3, 6});
  auto model = *builder.finish();
  simplify(model.graph);
  ASSERT_EQ(operations(model.graph), (std::vector<std::string>{"Conv", "Clip"}));
  const auto& convolution_node = model.graph.nodes[0];
  EXPECT_THAT(model.graph.find_initialiser(convolution_node.inputs[1])->values<float>(), ElementsAre(10, 200));
  EXPECT_THAT(model.graph.find_initialiser(convolution_node.inputs[2])->values<float>(), ElementsAre(15, 106));
  EXPECT_THAT(*convolution_node.attribute<std::vector<std::int64_t>>("pads"), ElementsAre(1, 1, 0, 3));
  const auto& clip = model.graph.nodes[1];
  EXPECT_THAT(model.graph.find_initialiser(clip.inputs[1])->values<float>(), ElementsAre(0));
  EXPECT_THAT(model.graph.find_initialiser(clip.inputs[2])->values<float>(), ElementsAre(7));
  EXPECT_EQ(model.graph.initialisers.size(), 4U) << "what nothing reads is gone";
}

TEST(Simplify, KeepsWhatAnInnerGraphReads) {
  GraphBuilder builder("g");
  const auto x = builder.input("x", ElementType::float32, {1});
  const auto a = builder.add("Relu", {x});
  auto inner = std::make_shared<OnnxGraph>();
  inner->nodes.push_back({"Neg", "", "", {a}, {"z"}, {}});
  inner->outputs.push_back({"z", ElementType::float32, true, {1}, {""}});
  const auto chosen = builder.add("If", {builder.add("Cast", {x}, {{"to", 9}})},
                                  {{"then_branch", OnnxAttributeValue(std::shared_ptr<const OnnxGraph>(inner))}});
  builder.output("y", chosen, ElementType::float32, {1});
  auto model = *builder.finish();
  simplify(model.graph);
  EXPECT_THAT(operations(model.graph), ElementsAre("Relu", "Cast", "If"));
}

}  // namespace
}  // namespace verge::models
