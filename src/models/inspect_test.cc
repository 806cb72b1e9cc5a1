#include "models/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/temporary_folder.h"

namespace verge::models {
namespace {

using ::testing::HasSubstr;

OnnxModel small() {
  GraphBuilder graph("small");
  const auto x = graph.input("images", ElementType::float32, {1, 3, 8, 8});
  const std::vector<float> weights(16 * 3 * 3 * 3, 0.5F), dense(16 * 10, 0.1F);
  // Stride 2 with a border of 1: 4 x 4; 16 * 4 * 4 outputs of 27 products each.
  const auto c =
      graph.add("Conv", {x, graph.floats({16, 3, 3, 3}, weights)}, {{"strides", {2, 2}}, {"pads", {1, 1, 1, 1}}});
  const auto p = graph.add("GlobalAveragePool", {graph.add("Relu", {c})});
  const auto flat = graph.add("Reshape", {p, graph.ints({1, -1})});
  graph.output("scores", graph.add("MatMul", {flat, graph.floats({16, 10}, dense)}), ElementType::float32, {1, 10});
  graph.metadata("site", "hall 3");
  return *graph.finish();
}

TEST(Inspect, CountsAndEstimates) {
  const auto inspection = inspect(small());
  EXPECT_EQ(inspection.operators.at("Conv"), 1U);
  EXPECT_EQ(inspection.parameters, 16U * 27 + 160);
  EXPECT_EQ(inspection.multiply_adds, 16U * 16 * 27 + 160);
  EXPECT_EQ(inspection.unknown_cost_nodes, 0U);
  EXPECT_EQ(inspection.inputs[0].name, "images");
  EXPECT_EQ(inspection.metadata.at("site"), "hall 3");
}

TEST(Inspect, SaysWhenACostIsUnknown) {
  auto model = small();
  model.graph.nodes[0].attributes.emplace_back("auto_pad", "SAME_UPPER");
  const auto inspection = inspect(model);
  EXPECT_EQ(inspection.unknown_cost_nodes, 2U) << "what comes after is unknown too";
  EXPECT_EQ(inspection.multiply_adds, 0U);
}

TEST(Inspect, LooksIntoInnerGraphs) {
  auto model = small();
  auto inner = std::make_shared<OnnxGraph>();
  inner->nodes.push_back({"Neg", "", "", {"scores"}, {"z"}, {}});
  model.graph.nodes.push_back({"If",
                               "",
                               "",
                               {"scores"},
                               {"o"},
                               {{"then_branch", OnnxAttributeValue(std::shared_ptr<const OnnxGraph>(inner))}}});
  EXPECT_EQ(inspect(model).operators.at("Neg"), 1U);
}

TEST(Inspect, PrintsForPeopleAndPrograms) {
  const TemporaryFolder folder;
  ASSERT_TRUE(save_model(small(), folder.path() / "small.onnx"));
  const auto inspection = inspect_file(folder.path() / "small.onnx");
  ASSERT_TRUE(inspection) << inspection.error().message;
  const auto text = to_text(*inspection);
  EXPECT_THAT(text, HasSubstr("input        images float32 [1,3,8,8]\n"));
  EXPECT_THAT(text, HasSubstr("7.1 k multiply-adds"));
  EXPECT_THAT(text, HasSubstr("opset        ai.onnx 17"));
  const auto json = to_json(*inspection);
  EXPECT_EQ(json["operators"]["Relu"], 1);
  EXPECT_EQ(json["bytes"], inspection->file_bytes);
  EXPECT_TRUE(json["digest"].get<std::string>().starts_with("sha256:"));
}

}  // namespace
}  // namespace verge::models
