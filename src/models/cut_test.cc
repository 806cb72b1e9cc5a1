#include "models/cut.h"

#include <gtest/gtest.h>

namespace verge::models {
namespace {

/// x → Relu "a" → Conv "b" and Sigmoid "c".
OnnxModel cut_model() {
  GraphBuilder graph("forked");
  const auto x = graph.input("x", ElementType::float32, {1, 1, 8, 8});
  graph.append({"Relu", "", "", {x}, {"a"}, {}});
  const auto weights = graph.floats({2, 1, 2, 2}, std::vector<float>(8, 0.5F));
  graph.append({"Conv", "", "", {"a", weights}, {"b"}, {{"strides", {2, 2}}}});
  graph.append({"Sigmoid", "", "", {"a"}, {"c"}, {}});
  graph.output("out_b", "b", ElementType::float32, {1, 2, 4, 4});
  graph.output("out_c", "c", ElementType::float32, {1, 1, 8, 8});
  return *graph.finish();
}

TEST(Cut, KeepsOnlyWhatIsNeeded) {
  const std::string wanted[] = {"c"};
  const auto part = cut(cut_model(), wanted);
  ASSERT_TRUE(part) << part.error().message;
  EXPECT_EQ(part->graph.nodes.size(), 2U);
  EXPECT_TRUE(part->graph.initialisers.empty());
  ASSERT_EQ(part->graph.outputs.size(), 1U);
  EXPECT_EQ(part->graph.outputs[0].name, "c");
}

TEST(Cut, APartTakesAnotherSizeAndCanBeGoneOnFrom) {
  const std::string wanted[] = {"b"};
  auto part = cut(cut_model(), wanted);
  ASSERT_TRUE(part);
  auto wider = with_input_shape(*part, {1, 1, 6, 10});
  ASSERT_TRUE(wider) << wider.error().message;
  wider->graph.outputs.clear();
  GraphBuilder more(*std::move(wider));
  more.output("pooled", more.add("GlobalAveragePool", {"b"}), ElementType::float32, {1, 2, 1, 1});
  const auto whole = more.finish();
  ASSERT_TRUE(whole) << whole.error().message;
  const auto shapes = shapes_of(*whole);
  ASSERT_TRUE(shapes) << shapes.error().message;
  EXPECT_EQ(shapes->at("b"), (Dimensions{1, 2, 3, 5}));
  EXPECT_EQ(shapes->at("pooled"), (Dimensions{1, 2, 1, 1}));
}

TEST(Cut, RefusesWhatIsNotThere) {
  const std::string unknown[] = {"nobody"};
  const auto none = cut(cut_model(), unknown);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("\"nobody\""), std::string::npos);
  EXPECT_FALSE(cut(cut_model(), {}));
  EXPECT_FALSE(with_input_shape(cut_model(), {1, 1, 6}));
  auto two = cut_model();
  two.graph.inputs.push_back({"y", ElementType::float32, true, {1}, {""}});
  EXPECT_FALSE(sole_input(two.graph));
}

}  // namespace
}  // namespace verge::models
