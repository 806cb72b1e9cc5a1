#include "vision/teach/template_graph.h"

namespace verge::vision {
namespace {

using models::ElementType;
using models::GraphBuilder;
using Edge = GraphBuilder::Edge;

Edge add_highest(GraphBuilder& graph, const Edge& picture, std::int64_t shift) {
  return graph.add("MaxPool", {picture},
                   {{"kernel_shape", {2 * shift + 1, 2 * shift + 1}}, {"pads", {shift, shift, shift, shift}}});
}
Edge add_lowest(GraphBuilder& graph, const Edge& picture, std::int64_t shift) {
  return graph.add("Neg", {add_highest(graph, graph.add("Neg", {picture}), shift)});
}

/// How far the first is below the second or the third below the fourth.
Edge outside(GraphBuilder& graph, const Edge& high, const Edge& least, const Edge& most, const Edge& low) {
  return graph.add("Relu", {graph.add("Max", {graph.add("Sub", {least, high}), graph.add("Sub", {low, most})})});
}

}  // namespace

Result<models::OnnxModel> template_graph(const TemplatePictures& pictures, int shift) {
  const std::int64_t width = pictures.good.width, height = pictures.good.height;
  GraphBuilder graph("template");
  const Edge given = graph.input("picture", ElementType::uint8, {1, 1, height, width});
  std::vector<std::uint8_t> bytes = pictures.good.values;
  bytes.insert(bytes.end(), pictures.lowest.values.begin(), pictures.lowest.values.end());
  bytes.insert(bytes.end(), pictures.highest.values.begin(), pictures.highest.values.end());
  const Edge stored =
      graph.constant(models::OnnxTensor::of<std::uint8_t>({1, 3, height, width}, std::span<const std::uint8_t>(bytes)));
  const auto as_floats = [&](const Edge& edge) {
    return graph.add("Cast", {edge}, {{"to", static_cast<int>(ElementType::float32)}});
  };
  const auto plane = [&](std::int64_t at) {
    return as_floats(graph.add("Slice", {stored, graph.ints({at}), graph.ints({at + 1}), graph.ints({1})}));
  };
  const Edge picture = as_floats(given), lowest = plane(1), highest = plane(2);
  const Edge surplus =
      outside(graph, picture, add_lowest(graph, lowest, shift), add_highest(graph, highest, shift), picture);
  // The other way round: what good parts have must be found near by.
  const Edge lacking =
      outside(graph, add_highest(graph, picture, shift), lowest, highest, add_lowest(graph, picture, shift));
  graph.output("excess", graph.add("Concat", {surplus, lacking}, {{"axis", 1}}), ElementType::float32,
               {1, 2, height, width});
  graph.output("good", stored, ElementType::uint8, {1, 3, height, width});
  return graph.finish();
}

}  // namespace verge::vision
