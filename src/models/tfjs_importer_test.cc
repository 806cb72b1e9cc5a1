// Every operator, converted and run in the engine; expectations worked out by hand.
#include "models/tfjs_importer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "inference/session.h"
#include "models/tfjs_for_tests.h"

namespace verge::models {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Values = std::vector<double>;

struct Answer {
  Dimensions shape;
  Values values;
};

inference::Tensor tensor_for(const inference::TensorInfo& info, const Values& values) {
  inference::Tensor tensor(info.type, info.shape);
  EXPECT_EQ(tensor.count(), values.size());
  for (std::size_t i = 0; i < std::min(tensor.count(), values.size()); ++i) {
    if (info.type == inference::DataType::int32)
      tensor.values<std::int32_t>()[i] = static_cast<std::int32_t>(values[i]);
    else
      tensor.values<float>()[i] = static_cast<float>(values[i]);
  }
  return tensor;
}

Values numbers_of(const inference::Tensor& tensor) {
  Values values;
  for (std::size_t i = 0; i < tensor.count(); ++i) {
    switch (tensor.type()) {
      case inference::DataType::int32:
        values.push_back(tensor.values<std::int32_t>()[i]);
        break;
      case inference::DataType::boolean:
        values.push_back(tensor.values<std::uint8_t>()[i]);
        break;
      default:
        values.push_back(static_cast<double>(tensor.values<float>()[i]));
        break;
    }
  }
  return values;
}

Result<OnnxModel> imported(const TinyTfjs& tiny, const TfjsImportOptions& options = {}) {
  VERGE_TRY(const auto graph, parse_tfjs_graph(tiny.text(), tiny.shards()));
  return import_tfjs(graph, options);
}

/// Runs the model on inputs given in the order of its placeholders; returns the outputs by name.
Result<std::map<std::string, Answer>> run(const OnnxModel& model, const std::vector<Values>& inputs) {
  VERGE_TRY(const auto session, inference::load_onnx_bytes(to_bytes(model)));
  std::vector<inference::Tensor> tensors;
  std::vector<inference::NamedTensor> named;
  EXPECT_EQ(session->inputs().size(), inputs.size());
  for (std::size_t i = 0; i < session->inputs().size(); ++i)
    tensors.push_back(tensor_for(session->inputs()[i], inputs[i]));
  for (std::size_t i = 0; i < tensors.size(); ++i) named.push_back({session->inputs()[i].name, &tensors[i]});
  VERGE_TRY(const auto outputs, session->run(named));
  std::map<std::string, Answer> answers;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    answers[session->outputs()[i].name] = {outputs[i].shape(), numbers_of(outputs[i])};
  return answers;
}

struct ImportRow {
  const char* what;
  TinyTfjs graph;  ///< Its output is the node "y".
  std::vector<Values> inputs;
  Dimensions shape;
  Values values;
};

void expect_row(const ImportRow& row) {
  SCOPED_TRACE(row.what);
  TfjsImportOptions options;
  options.outputs = {"y"};
  const auto model = imported(row.graph, options);
  ASSERT_TRUE(model) << model.error().message;
  const auto answers = run(*model, row.inputs);
  ASSERT_TRUE(answers) << answers.error().message;
  const auto& answer = answers->at("y");
  EXPECT_EQ(answer.shape, row.shape);
  ASSERT_EQ(answer.values.size(), row.values.size());
  for (std::size_t i = 0; i < row.values.size(); ++i) EXPECT_NEAR(answer.values[i], row.values[i], 1e-5) << "at " << i;
}

TinyTfjs picture(const TinyTfjs::Sizes& shape) { return TinyTfjs().input("x", shape); }
TinyTfjs unary(std::string_view operation, const Json& attributes = Json::object()) {
  return TinyTfjs().input("x", {3}).node(operation, "y", {"x"}, attributes);
}
/// x (computed) against a constant c.
TinyTfjs binary(std::string_view operation, const std::vector<float>& constant) {
  return TinyTfjs()
      .input("x", {3})
      .floats("c", {static_cast<std::int64_t>(constant.size())}, constant)
      .node(operation, "y", {"x", "c"});
}
TinyTfjs whole_binary(std::string_view operation, const std::vector<std::int32_t>& constant) {
  return TinyTfjs()
      .input("x", {3}, "DT_INT32")
      .ints("c", {static_cast<std::int64_t>(constant.size())}, constant)
      .node(operation, "y", {"x", "c"});
}
TinyTfjs reduction(std::string_view operation, const std::vector<std::int32_t>& axes, bool keeps) {
  return TinyTfjs()
      .input("x", {2, 3})
      .ints("a", {static_cast<std::int64_t>(axes.size())}, axes)
      .node(operation, "y", {"x", "a"}, {{"keep_dims", flag_attribute(keeps)}});
}
Json window(const std::vector<std::int64_t>& strides, std::string_view padding) {
  return {{"strides", integers_attribute({1, strides[0], strides[1], 1})}, {"padding", text_attribute(padding)}};
}
Json pooling(const std::vector<std::int64_t>& size, const std::vector<std::int64_t>& strides,
             std::string_view padding) {
  Json attributes = window(strides, padding);
  attributes["ksize"] = integers_attribute({1, size[0], size[1], 1});
  return attributes;
}
const Values six{1, 2, 3, 4, 5, 6};

TEST(TfjsImporter, ArithmeticOfTwo) {
  const std::vector<ImportRow> rows{
      {"Add", binary("Add", {10, 20, 30}), {{1, 2, 3}}, {3}, {11, 22, 33}},
      {"AddV2 stretches a single number", binary("AddV2", {10}), {{1, 2, 3}}, {3}, {11, 12, 13}},
      {"BiasAdd", binary("BiasAdd", {1, 0, -1}), {{1, 2, 3}}, {3}, {2, 2, 2}},
      {"Sub", binary("Sub", {1, 1, 1}), {{1, 2, 3}}, {3}, {0, 1, 2}},
      {"Mul", binary("Mul", {2, 3, 4}), {{1, 2, 3}}, {3}, {2, 6, 12}},
      {"RealDiv", binary("RealDiv", {2, 4, 8}), {{1, 2, 3}}, {3}, {0.5, 0.5, 0.375}},
      {"Div", binary("Div", {2}), {{1, 2, 3}}, {3}, {0.5, 1, 1.5}},
      {"Pow", binary("Pow", {2}), {{1, 2, 3}}, {3}, {1, 4, 9}},
      {"SquaredDifference", binary("SquaredDifference", {3}), {{1, 2, 5}}, {3}, {4, 1, 4}},
      {"Minimum with one number", binary("Minimum", {2}), {{1, 2, 3}}, {3}, {1, 2, 2}},
      {"Maximum with one number", binary("Maximum", {2}), {{1, 2, 3}}, {3}, {2, 2, 3}},
      {"Minimum with three", binary("Minimum", {3, 1, 2}), {{1, 2, 3}}, {3}, {1, 1, 2}},
      {"Maximum with three", binary("Maximum", {3, 1, 2}), {{1, 2, 3}}, {3}, {3, 2, 3}},
      {"FloorDiv of real numbers", binary("FloorDiv", {2}), {{-3, 3, 5}}, {3}, {-2, 1, 2}},
      {"FloorMod of real numbers", binary("FloorMod", {2}), {{-3, 3, 5.5}}, {3}, {1, 1, 1.5}},
      {"FloorDiv rounds down below zero", whole_binary("FloorDiv", {2}), {{-3, 3, -4}}, {3}, {-2, 1, -2}},
      {"FloorDiv by a negative number", whole_binary("FloorDiv", {-2}), {{-3, 3, 4}}, {3}, {1, -2, -2}},
      {"FloorMod has the divisor's sign", whole_binary("FloorMod", {3}), {{-4, 4, -3}}, {3}, {2, 1, 0}},
      {"Equal", binary("Equal", {2}), {{1, 2, 3}}, {3}, {0, 1, 0}},
      {"NotEqual", binary("NotEqual", {2}), {{1, 2, 3}}, {3}, {1, 0, 1}},
      {"Greater", binary("Greater", {2}), {{1, 2, 3}}, {3}, {0, 0, 1}},
      {"GreaterEqual", binary("GreaterEqual", {2}), {{1, 2, 3}}, {3}, {0, 1, 1}},
      {"Less", binary("Less", {2}), {{1, 2, 3}}, {3}, {1, 0, 0}},
      {"LessEqual", binary("LessEqual", {2}), {{1, 2, 3}}, {3}, {1, 1, 0}},
      {"Prelu", binary("Prelu", {0.1F, 0.2F, 0.3F}), {{-1, -1, 1}}, {3}, {-0.1, -0.2, 1}},
      {"AddN",
       TinyTfjs().input("x", {2}).input("z", {2}).floats("c", {2}, {1, 1}).node("AddN", "y", {"x", "z", "c"}),
       {{1, 2}, {10, 20}},
       {2},
       {12, 23}},
      {"LogicalAnd, LogicalOr, LogicalNot",
       TinyTfjs()
           .input("x", {3})
           .floats("l", {}, {1.5F})
           .floats("h", {}, {2.5F})
           .node("Greater", "a", {"x", "l"})
           .node("Less", "b", {"x", "h"})
           .node("LogicalAnd", "ab", {"a", "b"})
           .node("LogicalNot", "n", {"ab"})
           .node("LogicalOr", "o", {"n", "ab"})
           .node("LogicalAnd", "y", {"n", "o"}),
       {{1, 2, 3}},
       {3},
       {1, 0, 1}},
      {"SelectV2",
       TinyTfjs()
           .input("x", {3})
           .floats("z", {}, {0})
           .node("Greater", "p", {"x", "z"})
           .floats("c", {3}, {7, 8, 9})
           .node("SelectV2", "y", {"p", "x", "c"}),
       {{-1, 2, -3}},
       {3},
       {7, 2, 9}},
      {"Select by rows",
       TinyTfjs()
           .input("x", {2, 2})
           .bools("p", {2}, {1, 0})
           .floats("c", {2, 2}, {9, 9, 9, 9})
           .node("Select", "y", {"p", "x", "c"}),
       {{1, 2, 3, 4}},
       {2, 2},
       {1, 2, 9, 9}},
  };
  for (const auto& row : rows) expect_row(row);
}

TEST(TfjsImporter, ArithmeticOfOne) {
  const std::vector<ImportRow> rows{
      {"Relu", unary("Relu"), {{-1, 0, 2}}, {3}, {0, 0, 2}},
      {"Relu6", unary("Relu6"), {{-1, 3, 9}}, {3}, {0, 3, 6}},
      {"LeakyRelu", unary("LeakyRelu", {{"alpha", real_attribute(0.5)}}), {{-2, 0, 2}}, {3}, {-1, 0, 2}},
      {"LeakyRelu by default", unary("LeakyRelu"), {{-2, 0, 2}}, {3}, {-0.4, 0, 2}},
      {"Elu", unary("Elu"), {{-1, 0, 2}}, {3}, {std::exp(-1) - 1, 0, 2}},
      {"Softplus",
       unary("Softplus"),
       {{-1, 0, 2}},
       {3},
       {std::log1p(std::exp(-1)), std::log(2), std::log1p(std::exp(2))}},
      {"Sigmoid", unary("Sigmoid"), {{-1, 0, 1}}, {3}, {1 / (1 + std::exp(1)), 0.5, 1 / (1 + std::exp(-1))}},
      {"Tanh", unary("Tanh"), {{-1, 0, 1}}, {3}, {std::tanh(-1), 0, std::tanh(1)}},
      {"Abs", unary("Abs"), {{-1, 0, 2}}, {3}, {1, 0, 2}},
      {"Sqrt", unary("Sqrt"), {{1, 4, 9}}, {3}, {1, 2, 3}},
      {"Rsqrt", unary("Rsqrt"), {{1, 4, 16}}, {3}, {1, 0.5, 0.25}},
      {"Square", unary("Square"), {{-1, 2, 3}}, {3}, {1, 4, 9}},
      {"Exp", unary("Exp"), {{-1, 0, 1}}, {3}, {std::exp(-1), 1, std::exp(1)}},
      {"Log", unary("Log"), {{1, 2, 3}}, {3}, {0, std::log(2), std::log(3)}},
      {"Neg", unary("Neg"), {{-1, 0, 1}}, {3}, {1, 0, -1}},
      {"Floor", unary("Floor"), {{-1.5, 0.5, 1}}, {3}, {-2, 0, 1}},
      {"Ceil", unary("Ceil"), {{-1.5, 0.5, 1}}, {3}, {-1, 1, 1}},
      {"Round goes to even", unary("Round"), {{0.5, 1.5, -1.2}}, {3}, {0, 2, -1}},
      {"Reciprocal", unary("Reciprocal"), {{1, 2, 4}}, {3}, {1, 0.5, 0.25}},
      {"Softmax", unary("Softmax"), {{0, 0, std::log(2)}}, {3}, {0.25, 0.25, 0.5}},
      {"Cast cuts the fraction off",
       unary("Cast", {{"DstT", type_attribute("DT_INT32")}}),
       {{-1.5, 0.9, 2}},
       {3},
       {-1, 0, 2}},
      {"Identity, StopGradient and CheckNumerics pass on",
       TinyTfjs()
           .input("x", {1})
           .node("Identity", "a", {"x"})
           .node("StopGradient", "b", {"a:0"})
           .node("CheckNumerics", "y", {"b"}),
       {{3}},
       {1},
       {3}},
  };
  for (const auto& row : rows) expect_row(row);
}

TEST(TfjsImporter, ReductionsAndProducts) {
  const std::vector<ImportRow> rows{
      {"Sum over rows", reduction("Sum", {0}, false), {six}, {3}, {5, 7, 9}},
      {"Sum keeps the axis", reduction("Sum", {-1}, true), {six}, {2, 1}, {6, 15}},
      {"Mean", reduction("Mean", {1}, false), {six}, {2}, {2, 5}},
      {"Max over all", reduction("Max", {0, 1}, false), {six}, {}, {6}},
      {"Min", reduction("Min", {0}, true), {six}, {1, 3}, {1, 2, 3}},
      {"Prod", reduction("Prod", {1}, false), {six}, {2}, {6, 120}},
      {"Mean over a picture becomes global pooling",
       picture({1, 2, 2, 2}).ints("a", {2}, {1, 2}).node("Mean", "y", {"x", "a"}),
       {{1, 10, 2, 20, 3, 30, 4, 40}},
       {1, 2},
       {2.5, 25}},
      {"ArgMax", reduction("ArgMax", {1}, false), {{1, 9, 3, 7, 5, 6}}, {2}, {1, 0}},
      {"ArgMin", reduction("ArgMin", {0}, false), {{1, 9, 3, 7, 5, 6}}, {3}, {0, 1, 0}},
      {"TopKV2 values",
       TinyTfjs().input("x", {2, 3}).ints("k", {}, {2}).node("TopKV2", "t", {"x", "k"}).node("Identity", "y", {"t"}),
       {{1, 9, 3, 7, 5, 6}},
       {2, 2},
       {9, 3, 7, 6}},
      {"TopKV2 places",
       TinyTfjs().input("x", {2, 3}).ints("k", {}, {2}).node("TopKV2", "t", {"x", "k"}).node("Identity", "y", {"t:1"}),
       {{1, 9, 3, 7, 5, 6}},
       {2, 2},
       {1, 2, 0, 2}},
      {"MatMul",
       TinyTfjs().input("x", {1, 2}).floats("w", {2, 2}, {1, 2, 3, 4}).node("MatMul", "y", {"x", "w"}),
       {{1, 10}},
       {1, 2},
       {31, 42}},
      {"MatMul with the weights turned",
       TinyTfjs()
           .input("x", {1, 2})
           .floats("w", {2, 2}, {1, 2, 3, 4})
           .node("MatMul", "y", {"x", "w"}, {{"transpose_b", flag_attribute(true)}}),
       {{1, 10}},
       {1, 2},
       {21, 43}},
      {"MatMul with the input turned",
       TinyTfjs()
           .input("x", {2, 1})
           .floats("w", {2, 2}, {1, 2, 3, 4})
           .node("MatMul", "y", {"x", "w"}, {{"transpose_a", flag_attribute(true)}}),
       {{1, 10}},
       {1, 2},
       {31, 42}},
      {"_FusedMatMul with bias and Relu",
       TinyTfjs()
           .input("x", {1, 2})
           .floats("w", {2, 2}, {1, 2, 3, 4})
           .floats("b", {2}, {-40, 1})
           .node("_FusedMatMul", "y", {"x", "w", "b"}, {{"fused_ops", texts_attribute({"BiasAdd", "Relu"})}}),
       {{1, 10}},
       {1, 2},
       {0, 43}},
      {"_FusedMatMul with Elu and no bias",
       TinyTfjs()
           .input("x", {1, 1})
           .floats("w", {1, 1}, {1})
           .node("_FusedMatMul", "y", {"x", "w"}, {{"fused_ops", texts_attribute({"Elu"})}}),
       {{-1}},
       {1, 1},
       {std::exp(-1) - 1}},
  };
  for (const auto& row : rows) expect_row(row);
}

TEST(TfjsImporter, Pictures) {
  const Values nine{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<float> ones(9, 1);
  Json explicit_pads = window({1, 1}, "EXPLICIT");
  explicit_pads["explicit_paddings"] = integers_attribute({0, 0, 1, 0, 0, 1, 0, 0});
  Json dilated = window({1, 1}, "VALID");
  dilated["dilations"] = integers_attribute({1, 2, 2, 1});
  Json fused = window({1, 1}, "VALID");
  fused["fused_ops"] = texts_attribute({"BiasAdd", "Relu6"});
  Json leaky = window({1, 1}, "VALID");
  leaky["fused_ops"] = texts_attribute({"BiasAdd", "LeakyRelu"});
  leaky["leakyrelu_alpha"] = real_attribute(0.5);
  Json prelu = window({1, 1}, "VALID");
  prelu["fused_ops"] = texts_attribute({"BiasAdd", "Prelu"});
  const std::vector<ImportRow> rows{
      {"Conv2D VALID",
       picture({1, 3, 3, 1})
           .floats("w", {2, 2, 1, 1}, {1, 1, 1, 1})
           .node("Conv2D", "y", {"x", "w"}, window({1, 1}, "VALID")),
       {nine},
       {1, 2, 2, 1},
       {12, 16, 24, 28}},
      // SAME with an even window has its odd zero at the end: the last row and column see fewer numbers.
      {"Conv2D SAME pads at the end",
       picture({1, 3, 3, 1})
           .floats("w", {2, 2, 1, 1}, {1, 1, 1, 1})
           .node("Conv2D", "y", {"x", "w"}, window({1, 1}, "SAME")),
       {nine},
       {1, 3, 3, 1},
       {12, 16, 9, 24, 28, 15, 15, 17, 9}},
      {"Conv2D SAME with stride 2 over four",
       picture({1, 1, 4, 1})
           .floats("w", {1, 3, 1, 1}, {1, 10, 100})
           .node("Conv2D", "y", {"x", "w"}, window({1, 2}, "SAME")),
       {{1, 2, 3, 4}},
       {1, 1, 2, 1},
       {321, 43}},
      {"Conv2D EXPLICIT",
       picture({1, 2, 2, 1}).floats("w", {2, 2, 1, 1}, {1, 1, 1, 1}).node("Conv2D", "y", {"x", "w"}, explicit_pads),
       {{1, 2, 3, 4}},
       {1, 2, 2, 1},
       {3, 2, 10, 6}},
      {"Conv2D dilated",
       picture({1, 3, 3, 1}).floats("w", {2, 2, 1, 1}, {1, 1, 1, 1}).node("Conv2D", "y", {"x", "w"}, dilated),
       {nine},
       {1, 1, 1, 1},
       {20}},
      {"Conv2D over channels",
       picture({1, 1, 1, 2})
           .floats("w", {1, 1, 2, 3}, {1, 2, 3, 10, 20, 30})
           .node("Conv2D", "y", {"x", "w"}, window({1, 1}, "VALID")),
       {{1, 2}},
       {1, 1, 1, 3},
       {21, 42, 63}},
      {"Conv2D in groups",
       picture({1, 1, 1, 4})
           .floats("w", {1, 1, 2, 2}, {1, 2, 10, 20})
           .node("Conv2D", "y", {"x", "w"}, window({1, 1}, "VALID")),
       {{1, 2, 3, 4}},
       {1, 1, 1, 2},
       {21, 86}},
      {"_FusedConv2D with bias and Relu6",
       picture({1, 1, 2, 1})
           .floats("w", {1, 1, 1, 2}, {1, -1})
           .floats("b", {2}, {1, 5})
           .node("_FusedConv2D", "y", {"x", "w", "b"}, fused),
       {{2, 9}},
       {1, 1, 2, 2},
       {3, 3, 6, 0}},
      {"_FusedConv2D with LeakyRelu",
       picture({1, 1, 1, 1})
           .floats("w", {1, 1, 1, 1}, {1})
           .floats("b", {1}, {-3})
           .node("_FusedConv2D", "y", {"x", "w", "b"}, leaky),
       {{1}},
       {1, 1, 1, 1},
       {-1}},
      {"_FusedConv2D with Prelu",
       picture({1, 1, 1, 2})
           .floats("w", {1, 1, 2, 2}, {1, 0, 0, 1})
           .floats("b", {2}, {0, 0})
           .floats("s", {2}, {0.1F, 0.2F})
           .node("_FusedConv2D", "y", {"x", "w", "b", "s"}, prelu),
       {{-1, -1}},
       {1, 1, 1, 2},
       {-0.1, -0.2}},
      {"DepthwiseConv2dNative",
       picture({1, 1, 2, 2})
           .floats("w", {1, 2, 2, 1}, {1, 10, 2, 20})
           .node("DepthwiseConv2dNative", "y", {"x", "w"}, window({1, 1}, "VALID")),
       {{1, 2, 3, 4}},
       {1, 1, 1, 2},
       {7, 100}},
      {"DepthwiseConv2dNative with a multiplier",
       picture({1, 1, 1, 2})
           .floats("w", {1, 1, 2, 2}, {1, 2, 3, 4})
           .node("DepthwiseConv2dNative", "y", {"x", "w"}, window({1, 1}, "VALID")),
       {{1, 10}},
       {1, 1, 1, 4},
       {1, 2, 30, 40}},
      {"FusedDepthwiseConv2dNative",
       picture({1, 1, 1, 2})
           .floats("w", {1, 1, 2, 1}, {1, -1})
           .floats("b", {2}, {1, 1})
           .node("FusedDepthwiseConv2dNative", "y", {"x", "w", "b"}, fused),
       {{1, 2}},
       {1, 1, 1, 2},
       {2, 0}},
      {"MaxPool SAME",
       picture({1, 3, 3, 1}).node("MaxPool", "y", {"x"}, pooling({2, 2}, {2, 2}, "SAME")),
       {nine},
       {1, 2, 2, 1},
       {5, 6, 8, 9}},
      {"AvgPool SAME does not count the border",
       picture({1, 3, 3, 1}).node("AvgPool", "y", {"x"}, pooling({2, 2}, {2, 2}, "SAME")),
       {nine},
       {1, 2, 2, 1},
       {3, 4.5, 7.5, 9}},
      {"ResizeBilinear old style",
       picture({1, 1, 2, 1}).ints("s", {2}, {1, 4}).node("ResizeBilinear", "y", {"x", "s"}),
       {{0, 4}},
       {1, 1, 4, 1},
       {0, 2, 4, 4}},
      {"ResizeBilinear half pixels",
       picture({1, 1, 2, 1})
           .ints("s", {2}, {1, 4})
           .node("ResizeBilinear", "y", {"x", "s"}, {{"half_pixel_centers", flag_attribute(true)}}),
       {{0, 4}},
       {1, 1, 4, 1},
       {0, 1, 3, 4}},
      {"ResizeBilinear aligned corners",
       picture({1, 1, 2, 1})
           .ints("s", {2}, {1, 3})
           .node("ResizeBilinear", "y", {"x", "s"}, {{"align_corners", flag_attribute(true)}}),
       {{0, 4}},
       {1, 1, 3, 1},
       {0, 2, 4}},
      {"ResizeNearestNeighbor",
       picture({1, 1, 2, 1}).ints("s", {2}, {1, 4}).node("ResizeNearestNeighbor", "y", {"x", "s"}),
       {{3, 4}},
       {1, 1, 4, 1},
       {3, 3, 4, 4}},
      {"ResizeNearestNeighbor half pixels",
       picture({1, 1, 4, 1})
           .ints("s", {2}, {1, 2})
           .node("ResizeNearestNeighbor", "y", {"x", "s"}, {{"half_pixel_centers", flag_attribute(true)}}),
       {{1, 2, 3, 4}},
       {1, 1, 2, 1},
       {2, 4}},
      {"Pad",
       TinyTfjs().input("x", {2}).ints("p", {1, 2}, {1, 2}).node("Pad", "y", {"x", "p"}),
       {{5, 6}},
       {5},
       {0, 5, 6, 0, 0}},
      {"PadV2",
       TinyTfjs().input("x", {2}).ints("p", {1, 2}, {1, 0}).floats("v", {}, {7}).node("PadV2", "y", {"x", "p", "v"}),
       {{5, 6}},
       {3},
       {7, 5, 6}},
      {"MirrorPad",
       TinyTfjs()
           .input("x", {3})
           .ints("p", {1, 2}, {2, 1})
           .node("MirrorPad", "y", {"x", "p"}, {{"mode", text_attribute("REFLECT")}}),
       {{1, 2, 3}},
       {6},
       {3, 2, 1, 2, 3, 2}},
      {"FusedBatchNormV3",
       picture({1, 1, 1, 2})
           .floats("s", {2}, {2, 1})
           .floats("o", {2}, {1, 0})
           .floats("m", {2}, {1, 2})
           .floats("v", {2}, {3, 0})
           .node("FusedBatchNormV3", "y", {"x", "s", "o", "m", "v"},
                 {{"epsilon", real_attribute(1)}, {"is_training", flag_attribute(false)}}),
       {{2, 5}},
       {1, 1, 1, 2},
       {2, 3}},
      {"zero Pad before a convolution",
       picture({1, 2, 2, 1})
           .ints("p", {4, 2}, {0, 0, 1, 0, 0, 1, 0, 0})
           .node("Pad", "q", {"x", "p"})
           .floats("w", {2, 2, 1, 1}, {1, 1, 1, 1})
           .node("Conv2D", "y", {"q", "w"}, window({1, 1}, "VALID")),
       {{1, 2, 3, 4}},
       {1, 2, 2, 1},
       {3, 2, 10, 6}},
      {"a factor and a summand per channel after a convolution",
       picture({1, 1, 1, 1})
           .floats("w", {1, 1, 1, 2}, {1, 2})
           .node("Conv2D", "c", {"x", "w"}, window({1, 1}, "VALID"))
           .floats("f", {2}, {10, 100})
           .node("Mul", "m", {"c", "f"})
           .floats("b", {2}, {1, 2})
           .node("Add", "y", {"m", "b"}),
       {{3}},
       {1, 1, 1, 2},
       {31, 602}},
  };
  for (const auto& row : rows) expect_row(row);
}

TEST(TfjsImporter, Shapes) {
  const auto matrix = [] { return TinyTfjs().input("x", {2, 3}); };
  const auto strided = [&](std::vector<std::int32_t> begin, std::vector<std::int32_t> end,
                           std::vector<std::int32_t> step, const Json& masks) {
    const auto count = static_cast<std::int64_t>(begin.size());
    return matrix()
        .ints("b", {count}, begin)
        .ints("e", {count}, end)
        .ints("s", {count}, step)
        .node("StridedSlice", "y", {"x", "b", "e", "s"}, masks);
  };
  const std::vector<ImportRow> rows{
      {"Reshape with an open size",
       matrix().ints("s", {2}, {3, -1}).node("Reshape", "y", {"x", "s"}),
       {six},
       {3, 2},
       six},
      {"Squeeze all", TinyTfjs().input("x", {1, 2, 1}).node("Squeeze", "y", {"x"}), {{1, 2}}, {2}, {1, 2}},
      {"Squeeze one",
       TinyTfjs().input("x", {1, 2, 1}).node("Squeeze", "y", {"x"}, {{"squeeze_dims", integers_attribute({-1})}}),
       {{1, 2}},
       {1, 2},
       {1, 2}},
      {"ExpandDims", matrix().ints("a", {}, {-1}).node("ExpandDims", "y", {"x", "a"}), {six}, {2, 3, 1}, six},
      {"Transpose",
       matrix().ints("p", {2}, {1, 0}).node("Transpose", "y", {"x", "p"}),
       {six},
       {3, 2},
       {1, 4, 2, 5, 3, 6}},
      {"Transpose of three axes",
       TinyTfjs().input("x", {1, 2, 3}).ints("p", {3}, {2, 0, 1}).node("Transpose", "y", {"x", "p"}),
       {six},
       {3, 1, 2},
       {1, 4, 2, 5, 3, 6}},
      {"two Transposes undo each other",
       matrix()
           .ints("p", {2}, {1, 0})
           .node("Transpose", "t", {"x", "p"})
           .node("Relu", "r", {"t"})
           .node("Transpose", "y", {"r", "p"}),
       {six},
       {2, 3},
       six},
      {"ConcatV2",
       matrix().floats("c", {2, 1}, {7, 8}).ints("a", {}, {-1}).node("ConcatV2", "y", {"x", "c", "a"}),
       {six},
       {2, 4},
       {1, 2, 3, 7, 4, 5, 6, 8}},
      {"Pack",
       TinyTfjs()
           .input("x", {2})
           .floats("c", {2}, {3, 4})
           .node("Pack", "y", {"x", "c"}, {{"axis", integer_attribute(1)}}),
       {{1, 2}},
       {2, 2},
       {1, 3, 2, 4}},
      {"Unpack",
       matrix().node("Unpack", "u", {"x"}, {{"axis", integer_attribute(1)}}).node("Sub", "y", {"u:2", "u"}),
       {six},
       {2},
       {2, 2}},
      {"Split",
       matrix()
           .ints("a", {}, {1})
           .node("Split", "u", {"a", "x"}, {{"num_split", integer_attribute(3)}})
           .node("Sub", "y", {"u:1", "u:0"}),
       {six},
       {2, 1},
       {1, 1}},
      {"SplitV with the rest",
       matrix()
           .ints("n", {2}, {1, -1})
           .ints("a", {}, {1})
           .node("SplitV", "u", {"x", "n", "a"})
           .node("Identity", "y", {"u:1"}),
       {six},
       {2, 2},
       {2, 3, 5, 6}},
      {"Slice",
       matrix().ints("b", {2}, {0, 1}).ints("n", {2}, {-1, 2}).node("Slice", "y", {"x", "b", "n"}),
       {six},
       {2, 2},
       {2, 3, 5, 6}},
      {"StridedSlice", strided({0, 1}, {2, 3}, {1, 1}, Json::object()), {six}, {2, 2}, {2, 3, 5, 6}},
      {"StridedSlice in steps from the end",
       strided({0, -1}, {2, -4}, {1, -2}, Json::object()),
       {six},
       {2, 2},
       {3, 1, 6, 4}},
      {"StridedSlice with open ends",
       strided({5, 5}, {0, 0}, {1, 1}, {{"begin_mask", integer_attribute(3)}, {"end_mask", integer_attribute(3)}}),
       {six},
       {2, 3},
       six},
      {"StridedSlice backwards with open ends",
       strided({0, 0}, {0, 0}, {1, -1}, {{"begin_mask", integer_attribute(3)}, {"end_mask", integer_attribute(3)}}),
       {six},
       {2, 3},
       {3, 2, 1, 6, 5, 4}},
      {"StridedSlice drops an axis",
       strided({-1, 0}, {0, 2}, {1, 1}, {{"shrink_axis_mask", integer_attribute(1)}}),
       {six},
       {2},
       {4, 5}},
      {"StridedSlice adds an axis",
       strided({0, 1}, {0, 2}, {1, 1}, {{"new_axis_mask", integer_attribute(1)}}),
       {six},
       {1, 1, 3},
       {4, 5, 6}},
      {"GatherV2",
       matrix().ints("i", {2}, {2, 0}).ints("a", {}, {1}).node("GatherV2", "y", {"x", "i", "a"}),
       {six},
       {2, 2},
       {3, 1, 6, 4}},
      {"Gather", matrix().ints("i", {1}, {1}).node("Gather", "y", {"x", "i"}), {six}, {1, 3}, {4, 5, 6}},
      {"GatherNd", matrix().ints("i", {2, 2}, {1, 2, 0, 0}).node("GatherNd", "y", {"x", "i"}), {six}, {2}, {6, 1}},
      {"Tile",
       matrix().ints("r", {2}, {1, 2}).node("Tile", "y", {"x", "r"}),
       {six},
       {2, 6},
       {1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6}},
      {"Shape, Size, Range, Fill and Pack are computed now",
       matrix()
           .node("Shape", "s", {"x"})
           .node("Size", "n", {"x"})
           .ints("z", {}, {0})
           .ints("one", {}, {1})
           .node("Range", "r", {"z", "n", "one"})
           .node("Reshape", "g", {"r", "s"})
           .node("Cast", "f", {"g"}, {{"DstT", type_attribute("DT_FLOAT")}})
           .floats("v", {}, {100})
           .node("Fill", "h", {"s", "v"})
           .node("Add", "k", {"f", "h"})
           .node("Add", "y", {"x", "k"}),
       {six},
       {2, 3},
       {101, 103, 105, 107, 109, 111}},
      {"SparseToDense",
       TinyTfjs()
           .input("x", {4})
           .ints("i", {2, 1}, {1, 3})
           .ints("n", {1}, {4})
           .floats("v", {2}, {10, 20})
           .floats("d", {}, {0})
           .node("SparseToDense", "s", {"i", "n", "v", "d"})
           .node("Add", "y", {"x", "s"}),
       {{1, 1, 1, 1}},
       {4},
       {1, 11, 1, 21}},
      {"a broadcast over channels keeps the picture's order",
       picture({1, 1, 2, 2})
           .floats("w", {1, 1, 2, 2}, {1, 0, 0, 1})
           .node("Conv2D", "c", {"x", "w"}, window({1, 1}, "VALID"))
           .floats("b", {2}, {10, 20})
           .node("Pow", "one", {"c", "unit"})
           .floats("unit", {}, {1})
           .node("Add", "y", {"one", "b"}),
       {{1, 2, 3, 4}},
       {1, 1, 2, 2},
       {11, 22, 13, 24}},
      {"a computed vector against a picture",
       picture({1, 1, 2, 2})
           .input("z", {2})
           .floats("w", {1, 1, 2, 2}, {1, 0, 0, 1})
           .node("Conv2D", "c", {"x", "w"}, window({1, 1}, "VALID"))
           .node("Sub", "y", {"c", "z"}),
       {{1, 2, 3, 4}, {10, 20}},
       {1, 1, 2, 2},
       {-9, -18, -7, -16}},
  };
  for (const auto& row : rows) expect_row(row);
}

TEST(TfjsImporter, FoldsWhatIsKnown) {
  TinyTfjs graph;
  graph.input("x", {2}).floats("a", {2}, {1, 2}).floats("b", {2}, {3, 5});
  for (const auto& [operation, name] : std::vector<std::pair<const char*, const char*>>{
           {"Add", "p"}, {"Mul", "q"}, {"Sub", "r"}, {"RealDiv", "s"}, {"Maximum", "t"}, {"FloorMod", "u"}})
    graph.node(operation, name, {"b", "a"});
  graph.node("AddN", "sum", {"p", "q", "r", "s", "t", "u"})
      .node("Rsqrt", "root", {"sum"})
      .node("Square", "back", {"root"})
      .node("Mul", "y", {"x", "back"});
  const auto model = imported(graph);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(model->graph.nodes, SizeIs(1)) << "only the product with the input is left";
  const auto answers = run(*model, {{1, 1}});
  ASSERT_TRUE(answers) << answers.error().message;
  // 4+3+2+3+3+0 = 15 and 7+10+3+2.5+5+1 = 28.5
  EXPECT_NEAR(answers->at("y").values[0], 1 / 15.0, 1e-6);
  EXPECT_NEAR(answers->at("y").values[1], 1 / 28.5, 1e-6);
}

TEST(TfjsImporter, NamesInputsAndOutputs) {
  TinyTfjs graph;
  graph.input("input_1", {-1, 2})
      .node("Relu", "a", {"input_1"})
      .node("Neg", "b", {"a"})
      .output("Identity:0", "a:0")
      .output("scores", "b");
  TfjsImportOptions options;
  options.names = {{"input_1", "x"}, {"Identity", "kept"}};
  const auto model = imported(graph, options);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.inputs[0].name, "x");
  EXPECT_EQ(model->graph.inputs[0].shape, (Dimensions{1, 2})) << "a free first size becomes 1";
  ASSERT_THAT(model->graph.outputs, SizeIs(2));
  EXPECT_EQ(model->graph.outputs[0].name, "kept");
  EXPECT_EQ(model->graph.outputs[1].name, "scores");
  EXPECT_EQ(model->ir_version, 8);
  EXPECT_EQ(model->opsets.at(""), 17);
}

TEST(TfjsImporter, TakesTheValuesThatNothingReadsWithoutASignature) {
  const auto model =
      imported(TinyTfjs().input("x", {1}).node("Relu", "a", {"x"}).node("Neg", "b", {"a"}).node("Abs", "c", {"a"}));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_THAT(model->graph.outputs, SizeIs(2));
  EXPECT_EQ(model->graph.outputs[0].name, "b");
}

TEST(TfjsImporter, LeavesOutWhatNoOutputNeeds) {
  const auto model = imported(
      TinyTfjs().input("x", {1}).node("Relu", "y", {"x"}).node("TensorListReserve", "odd", {"x"}).output("y", "y"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(model->graph.nodes, SizeIs(1));
}

TEST(TfjsImporter, WritesNoTransposeBetweenPictureOperators) {
  TinyTfjs graph;
  graph.input("x", {1, 3, 4, 4}).ints("to_last", {4}, {0, 2, 3, 1}).ints("to_first", {4}, {0, 3, 1, 2});
  graph.floats("w", {1, 1, 3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  graph.node("Transpose", "t", {"x", "to_last"})
      .node("Conv2D", "c", {"t", "w"}, window({1, 1}, "SAME"))
      .node("Transpose", "u", {"c", "to_first"});
  graph.node("Relu", "r", {"u"})
      .node("Transpose", "v", {"r", "to_last"})
      .node("MaxPool", "p", {"v"}, pooling({2, 2}, {2, 2}, "VALID"));
  graph.node("Transpose", "y", {"p", "to_first"}).output("y", "y");
  const auto model = imported(graph);
  ASSERT_TRUE(model) << model.error().message;
  std::vector<std::string> operations;
  for (const auto& node : model->graph.nodes) operations.push_back(node.operation);
  EXPECT_THAT(operations, ElementsAre("Conv", "Relu", "MaxPool"));
}

struct Mistake {
  const char* what;
  TinyTfjs graph;
  ErrorCode code;
  std::vector<const char*> words;
};

TEST(TfjsImporter, RefusesByNameAndPlace) {
  const std::vector<Mistake> mistakes{
      {"unknown operator",
       TinyTfjs().input("x", {1}).node("FancyOp", "model/block/odd", {"x"}),
       ErrorCode::invalid_argument,
       {"FancyOp", "model/block/odd", "not supported"}},
      {"free size",
       TinyTfjs().input("x", {1, -1, -1, 3}).node("Relu", "y", {"x"}),
       ErrorCode::invalid_argument,
       {"[1,?,?,3]", "free"}},
      {"missing node",
       TinyTfjs().input("x", {1}).node("Add", "y", {"x", "gone"}),
       ErrorCode::corrupt,
       {"\"y\" reads \"gone\""}},
      {"cycle",
       TinyTfjs().input("x", {1}).node("Add", "a", {"x", "b"}).node("Relu", "b", {"a"}).node("Neg", "y", {"b"}),
       ErrorCode::corrupt,
       {"cycle"}},
      {"output that a node lacks",
       TinyTfjs().input("x", {1}).node("Relu", "a", {"x"}).node("Neg", "y", {"a:1"}),
       ErrorCode::corrupt,
       {"a:1", "1 outputs"}},
      {"shapes that do not fit", binary("Add", {1, 2}), ErrorCode::invalid_argument, {"Add", "[3]", "[2]"}},
      {"mixed types",
       TinyTfjs().input("x", {1}).ints("c", {1}, {1}).node("Add", "y", {"x", "c"}),
       ErrorCode::invalid_argument,
       {"mixes float32 and int32"}},
      {"computed filter",
       TinyTfjs()
           .input("x", {1, 2, 2, 1})
           .input("w", {1, 1, 1, 1})
           .node("Conv2D", "y", {"x", "w"}, window({1, 1}, "SAME")),
       ErrorCode::invalid_argument,
       {"input 1 must be known"}},
      {"channels first",
       TinyTfjs()
           .input("x", {1, 1, 2, 2})
           .floats("w", {1, 1, 1, 1}, {1})
           .node("Conv2D", "y", {"x", "w"}, {{"data_format", text_attribute("NCHW")}}),
       ErrorCode::invalid_argument,
       {"NCHW"}},
      {"fused operation",
       TinyTfjs()
           .input("x", {1, 1})
           .floats("w", {1, 1}, {1})
           .node("_FusedMatMul", "y", {"x", "w"}, {{"fused_ops", texts_attribute({"Swish"})}}),
       ErrorCode::invalid_argument,
       {"Swish"}},
      {"reshape that does not fit",
       TinyTfjs().input("x", {3}).ints("s", {1}, {4}).node("Reshape", "y", {"x", "s"}),
       ErrorCode::invalid_argument,
       {"[3] cannot become [4]"}},
      {"axis outside",
       TinyTfjs().input("x", {3}).ints("a", {}, {2}).node("ExpandDims", "y", {"x", "a"}),
       ErrorCode::invalid_argument,
       {"axis 2"}},
      {"index outside",
       TinyTfjs()
           .input("x", {3})
           .ints("b", {1}, {5})
           .ints("e", {1}, {6})
           .ints("s", {1}, {1})
           .node("StridedSlice", "y", {"x", "b", "e", "s"}, {{"shrink_axis_mask", integer_attribute(1)}}),
       ErrorCode::invalid_argument,
       {"index 5"}},
      {"endless range",
       TinyTfjs()
           .input("x", {1})
           .floats("a", {}, {0})
           .floats("b", {}, {1e30F})
           .floats("s", {}, {1})
           .node("Range", "y", {"a", "b", "s"}),
       ErrorCode::invalid_argument,
       {"too long"}},
      {"too few inputs",
       TinyTfjs().input("x", {1}).node("Add", "y", {"x"}),
       ErrorCode::invalid_argument,
       {"two inputs"}},
      {"type",
       TinyTfjs().input("x", {1}, "DT_STRING").node("Relu", "y", {"x"}),
       ErrorCode::invalid_argument,
       {"DT_STRING"}},
  };
  for (const auto& mistake : mistakes) {
    SCOPED_TRACE(mistake.what);
    const auto model = imported(mistake.graph);
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, mistake.code) << model.error().message;
    for (const auto* word : mistake.words) EXPECT_THAT(model.error().message, HasSubstr(word));
  }
}

TEST(TfjsImporter, RefusesAnUnknownOutput) {
  TfjsImportOptions options;
  options.outputs = {"nowhere"};
  const auto model = imported(TinyTfjs().input("x", {1}).node("Relu", "y", {"x"}), options);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, AllOf(HasSubstr("nowhere"), HasSubstr("no node")));
}

TEST(TfjsImporter, FixesAFreeSizeByOption) {
  TfjsImportOptions options;
  options.input_shapes = {{"x", {1, 2, 2, 1}}};
  const auto model = imported(TinyTfjs().input("x", {-1, -1, -1, 1}).node("Relu", "y", {"x"}), options);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.outputs[0].shape, (Dimensions{1, 2, 2, 1}));
}

TEST(TfjsImporter, GivesTheSameBytesTwice) {
  const auto graph = binary("Add", {1, 2, 3});
  EXPECT_EQ(to_bytes(*imported(graph)), to_bytes(*imported(graph)));
}

TEST(TfjsImporter, ListsItsOperators) {
  const auto names = tfjs_operators();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_THAT(names, ::testing::Contains("_FusedConv2D"));
}

/// The real model, when set-up has fetched it: shapes, and that it runs.
TEST(TfjsImporter, ConvertsNanodet) {
  const char* cache = std::getenv("VERGE_CACHE");
  const auto path = std::filesystem::path(cache ? cache : "") / "models/nanodet/nanodet.json";
  if (!cache || !std::filesystem::exists(path)) GTEST_SKIP() << "no models in $VERGE_CACHE";
  const auto model = import_tfjs(path);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_LE(model->graph.nodes.size(), 110U);
  EXPECT_TRUE(std::none_of(model->graph.nodes.begin(), model->graph.nodes.end(),
                           [](const auto& node) { return node.operation == "Pad"; }));
  const auto answers = run(*model, {Values(3 * 416 * 416, 0.25)});
  ASSERT_TRUE(answers) << answers.error().message;
  EXPECT_EQ(answers->at("Identity").shape, (Dimensions{1, 2704, 80}));
  EXPECT_EQ(answers->at("Identity_5").shape, (Dimensions{1, 169, 44}));
  for (const auto score : answers->at("Identity").values) {
    ASSERT_GE(score, 0);
    ASSERT_LE(score, 1);
  }
}

}  // namespace
}  // namespace verge::models
