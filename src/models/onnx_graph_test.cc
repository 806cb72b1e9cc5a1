#include "models/onnx_graph.h"

#include <cmath>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "inference/session.h"

namespace verge::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Result<OnnxModel> scorer() {
  GraphBuilder graph("scorer");
  const auto rows = graph.input("rows", ElementType::float32, {-1, 2});
  const auto centre = graph.add("Sub", {rows, graph.floats({2}, {1, 2})});
  const auto code = graph.add("MatMul", {centre, graph.floats({2, 1}, {1, 1})});
  const auto square = graph.add("Mul", {code, code});
  graph.output("score", graph.add("ReduceSum", {square, graph.ints({1})}, {{"keepdims", 0}}), ElementType::float32,
               {-1});
  graph.metadata("trained_on", "line 4");
  return graph.finish();
}

TEST(OnnxGraph, BuildsAModelThatRuns) {
  const auto model = scorer();
  ASSERT_TRUE(model) << model.error().message;
  const auto session = inference::load_onnx_bytes(to_bytes(*model));
  ASSERT_TRUE(session) << session.error().message;
  const std::vector<float> values{1, 2, 3, 5};
  const auto input = inference::Tensor::of<float>({2, 2}, values);
  const std::vector<inference::NamedTensor> inputs{{"rows", &input}};
  const auto outputs = (*session)->run(inputs);
  ASSERT_TRUE(outputs) << outputs.error().message;
  const auto score = (*outputs)[0].values<float>();
  EXPECT_FLOAT_EQ(score[0], 0);
  EXPECT_FLOAT_EQ(score[1], 25);
}

TEST(OnnxGraph, ReadsWhatItWrote) {
  auto model = *scorer();
  auto inner = std::make_shared<OnnxGraph>();
  inner->name = "branch";
  inner->nodes.push_back({"Relu", "", "r", {"rows"}, {"z"}, {}});
  inner->outputs.push_back({"z", ElementType::float32, true, {-1, 2}, {"batch", ""}});
  model.graph.nodes.push_back(
      {"Odd",
       "verge",
       "all",
       {"rows", ""},
       {"o"},
       {{"i", -3},
        {"f", 0.5F},
        {"s", "text"},
        {"is", {1, -2}},
        {"fs", OnnxAttributeValue(std::vector<float>{0.25F, 8})},
        {"ss", OnnxAttributeValue(std::vector<std::string>{"a", ""})},
        {"t", OnnxAttributeValue(OnnxTensor::of<std::int64_t>({2}, std::vector<std::int64_t>{1, -1}))},
        {"g", OnnxAttributeValue(std::shared_ptr<const OnnxGraph>(inner))}}});
  OnnxTensor words;
  words.name = "words";
  words.type = ElementType::text;
  words.shape = {2};
  words.texts = {"one", "two"};
  model.graph.initialisers.push_back(words);
  model.opsets["verge"] = 1;

  const auto bytes = to_bytes(model);
  const auto read = parse_model(bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_bytes(*read), bytes);
  EXPECT_EQ(read->metadata.at("trained_on"), "line 4");
  EXPECT_EQ(read->graph.inputs[0].shape, (Dimensions{-1, 2}));
  const auto& odd = read->graph.nodes.back();
  EXPECT_EQ(*odd.attribute<std::int64_t>("i"), -3);
  EXPECT_EQ(*odd.attribute<float>("f"), 0.5F);
  EXPECT_EQ(*odd.attribute<std::string>("s"), "text");
  EXPECT_THAT(*odd.attribute<std::vector<std::int64_t>>("is"), ElementsAre(1, -2));
  EXPECT_THAT(odd.attribute<OnnxTensor>("t")->values<std::int64_t>(), ElementsAre(1, -1));
  const auto& graph = *odd.attribute<std::shared_ptr<const OnnxGraph>>("g");
  EXPECT_EQ(graph->outputs[0].symbols[0], "batch");
  EXPECT_EQ(odd.attribute<float>("i"), nullptr) << "the type must fit";
  EXPECT_EQ(odd.inputs[1], "") << "a left-out input stays left out";
  EXPECT_THAT(read->graph.find_initialiser("words")->texts, ElementsAre("one", "two"));
}

/// What other programs write: numbers in typed lists, packed and not, instead of raw bytes.
TEST(OnnxGraph, ReadsTypedNumbers) {
  const auto tensor = [](const std::string& fields) {
    const auto wrap = [](char tag, const std::string& inner) {
      return std::string{tag, static_cast<char>(inner.size())} + inner;
    };
    return wrap('\x3A', wrap('\x2A', fields)) + std::string("\x42\x02\x10\x11", 4);
  };
  using namespace std::string_literals;
  const auto floats = parse_model(tensor("\x0A\x01\x02\x10\x01\x22\x08\x00\x00\x80\x3F\x00\x00\x00\x40"s));
  ASSERT_TRUE(floats) << floats.error().message;
  EXPECT_THAT(floats->graph.initialisers[0].values<float>(), ElementsAre(1, 2));
  const auto unpacked = parse_model(tensor("\x08\x02\x10\x07\x38\x05\x38\x06"s));
  ASSERT_TRUE(unpacked) << unpacked.error().message;
  EXPECT_THAT(unpacked->graph.initialisers[0].values<std::int64_t>(), ElementsAre(5, 6));
  const auto bytes = parse_model(tensor("\x08\x02\x10\x02\x2A\x03\x07\xC8\x01"s));
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_THAT(bytes->graph.initialisers[0].values<std::uint8_t>(), ElementsAre(7, 200));
  const auto short_of = parse_model(tensor("\x08\x03\x10\x07\x38\x05"s));
  ASSERT_FALSE(short_of);
  EXPECT_EQ(short_of.error().code, ErrorCode::corrupt);
  EXPECT_THAT(short_of.error().message, HasSubstr("holds 8 bytes, expected 24"));
}

TEST(OnnxGraph, RefusesDamagedFiles) {
  const auto bytes = to_bytes(*scorer());
  EXPECT_FALSE(parse_model(""));
  EXPECT_FALSE(parse_model("this is no model"));
  int refused = 0;
  for (std::size_t length = 1; length < bytes.size(); ++length) {
    const auto model = parse_model(std::string_view(bytes).substr(0, length));
    if (model) continue;  // Cut between two fields at the very end, a shorter file may be whole.
    ++refused;
    EXPECT_EQ(model.error().code, ErrorCode::corrupt);
  }
  EXPECT_GT(refused, static_cast<int>(bytes.size() * 8 / 10));
}

TEST(OnnxGraph, HasBounds) {
  OnnxLimits limits;
  limits.bytes_max = 10;
  EXPECT_EQ(parse_model(std::string(11, 'x'), limits).error().code, ErrorCode::limit);
  auto graph = std::make_shared<OnnxGraph>();
  for (int depth = 0; depth < 20; ++depth) {
    auto outer = std::make_shared<OnnxGraph>();
    outer->nodes.push_back(
        {"If", "", "", {}, {"y"}, {{"then_branch", OnnxAttributeValue(std::shared_ptr<const OnnxGraph>(graph))}}});
    graph = outer;
  }
  OnnxModel model;
  model.graph = *graph;
  EXPECT_EQ(parse_model(to_bytes(model)).error().code, ErrorCode::limit);
}

TEST(OnnxGraph, SavesAndLoads) {
  const TemporaryFolder folder;
  ASSERT_TRUE(save_model(*scorer(), folder.path() / "a.onnx"));
  const auto model = load_model(folder.path() / "a.onnx");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(to_bytes(*model), to_bytes(*scorer()));
  const auto missing = load_model(folder.path() / "door.onnx");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  ASSERT_TRUE(write_file(folder.path() / "door.onnx", "junk"));
  EXPECT_THAT(load_model(folder.path() / "door.onnx").error().message, HasSubstr("load model \"door.onnx\""));
}

TEST(OnnxTensor, ConvertsToDoubles) {
  OnnxTensor half;
  half.type = ElementType::float16;
  half.shape = {4};
  const std::uint16_t bits[]{0x3C00, 0x8000, 0x7C00, 0x0400};
  half.bytes.assign(reinterpret_cast<const char*>(bits), sizeof bits);
  EXPECT_THAT(half.as_doubles(), ElementsAre(1, 0, HUGE_VAL, 6.103515625e-05));
  half.type = ElementType::bfloat16;
  EXPECT_DOUBLE_EQ(half.as_doubles()[0], 0.0078125);
  EXPECT_EQ(shape_text(Dimensions{1, -1, 3}), "[1,?,3]");
}

TEST(GraphBuilder, StoresSmallConstantsOnce) {
  GraphBuilder graph("g");
  EXPECT_EQ(graph.scalar(1), graph.scalar(1));
  EXPECT_NE(graph.scalar(1), graph.floats({1}, {1}));
  EXPECT_NE(graph.int_scalar(1), graph.ints({1}));
}

struct GraphSlip {
  const char* what;
  std::function<void(GraphBuilder&)> build;
  const char* words;
};

TEST(GraphBuilder, RemembersTheFirstMistake) {
  const std::vector<GraphSlip> rows{
      {"unknown edge", [](GraphBuilder& g) { g.output("y", g.add("Relu", {"nothing"}), ElementType::float32, {1}); },
       "Relu reads \"nothing\""},
      {"a name twice",
       [](GraphBuilder& g) { g.input("x", ElementType::float32, {1}), g.input("x", ElementType::float32, {1}); },
       "\"x\" is given twice"},
      {"too few numbers",
       [](GraphBuilder& g) {
         g.floats({3}, {1, 2});
       },
       "needs 12 bytes, got 8"},
      {"no output", [](GraphBuilder& g) { g.input("x", ElementType::float32, {1}); }, "no output"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    GraphBuilder graph("odd");
    row.build(graph);
    const auto model = graph.finish();
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(model.error().message, HasSubstr(row.words));
    EXPECT_THAT(model.error().message, HasSubstr("\"odd\""));
  }
}

TEST(GraphBuilder, MakesSeveralOutputs) {
  GraphBuilder graph("g");
  const auto x = graph.input("x", ElementType::float32, {4});
  const auto parts = graph.add_many("Split", {x, graph.ints({1, 3})}, 2, {{"axis", 0}});
  ASSERT_THAT(parts, SizeIs(2));
  graph.output("small", parts[0], ElementType::float32, {1});
  const auto model = graph.finish();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph.nodes.back().operation, "Identity");
}

}  // namespace
}  // namespace verge::models
