#include "models/tfjs_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "models/tfjs_for_tests.h"

namespace verge::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> weight_of(const TinyTfjs& tiny) {
  const auto graph = parse_tfjs_graph(tiny.text(), tiny.shards());
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? graph->weights.at("w")->values : std::vector<double>{};
}

TEST(TfjsGraph, ReadsPlainWeights) {
  EXPECT_THAT(weight_of(TinyTfjs().floats("w", {2}, {1.5F, -2})), ElementsAre(1.5, -2));
  EXPECT_THAT(weight_of(TinyTfjs().ints("w", {2}, {7, -8})), ElementsAre(7, -8));
  EXPECT_THAT(weight_of(TinyTfjs().bools("w", {3}, {0, 1, 2})), ElementsAre(0, 1, 1));
  EXPECT_THAT(weight_of(TinyTfjs().floats("w", {}, {3})), ElementsAre(3));
}

TEST(TfjsGraph, ReadsQuantisedWeights) {
  const auto half = TinyTfjs::bytes_of<std::uint16_t>({0x3C00, 0xC000, 0x0001, 0x7BFF});
  EXPECT_THAT(weight_of(TinyTfjs().weight("w", {4}, "float32", half, {{"dtype", "float16"}})),
              ElementsAre(1, -2, 5.9604644775390625e-08, 65504));
  const Json byte{{"dtype", "uint8"}, {"scale", 0.5}, {"min", -1}};
  EXPECT_THAT(weight_of(TinyTfjs().weight("w", {3}, "float32", std::string("\x00\x02\xFF", 3), byte)),
              ElementsAre(-1, 0, 126.5));
  const Json word{{"dtype", "uint16"}, {"scale", 0.25}, {"min", 0}};
  EXPECT_THAT(weight_of(TinyTfjs().weight("w", {1}, "float32", std::string("\x00\x01", 2), word)), ElementsAre(64));
  EXPECT_THAT(weight_of(TinyTfjs().weight("w", {2}, "int32", std::string("\x01\x03", 2), byte)), ElementsAre(-1, 1))
      << "whole numbers are rounded: -0.5 away from zero, 0.5 likewise";
}

struct Broken {
  const char* what;
  std::string json;
  std::map<std::string, std::string> shards;
  ErrorCode code;
  const char* words;
};

TEST(TfjsGraph, RefusesBrokenFiles) {
  const auto good = TinyTfjs().floats("w", {2}, {1, 2});
  auto cut = good.shards(), longer = good.shards();
  cut["weights.bin"].pop_back();
  longer["weights.bin"] += "x";
  auto outside = good.json();
  outside["weightsManifest"][0]["paths"][0] = "../secret";
  auto huge = good.json();
  huge["weightsManifest"][0]["weights"][0]["shape"] = {1 << 30, 1 << 30, 1 << 30};
  auto text_type = good.json();
  text_type["weightsManifest"][0]["weights"][0]["dtype"] = "string";
  auto quantised = good.json();
  quantised["weightsManifest"][0]["weights"][0]["quantization"] = {{"dtype", "int4"}};
  const std::vector<Broken> rows{
      {"not JSON", "{", {}, ErrorCode::invalid_argument, "line 1, column 2"},
      {"a layers model",
       R"({"modelTopology": {"model_config": {}}, "weightsManifest": []})",
       {},
       ErrorCode::invalid_argument,
       "not a TensorFlow.js graph model"},
      {"no manifest", R"({"modelTopology": {"node": []}})", {}, ErrorCode::invalid_argument, "weightsManifest"},
      {"weights cut off", good.text(), cut, ErrorCode::corrupt, "needs 8 bytes, the weight files have 7 left"},
      {"weights left over", good.text(), longer, ErrorCode::corrupt, "1 bytes"},
      {"weights missing", good.text(), {}, ErrorCode::not_found, "weights.bin"},
      {"a path that leads out", verge::to_text(outside), good.shards(), ErrorCode::invalid_argument,
       "beside the model"},
      {"a size that overflows", verge::to_text(huge), good.shards(), ErrorCode::corrupt, "\"w\""},
      {"texts", verge::to_text(text_type), good.shards(), ErrorCode::invalid_argument, "type string"},
      {"unknown quantisation", verge::to_text(quantised), good.shards(), ErrorCode::invalid_argument, "int4"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    const auto graph = parse_tfjs_graph(row.json, row.shards);
    ASSERT_FALSE(graph);
    EXPECT_EQ(graph.error().code, row.code) << graph.error().message;
    EXPECT_THAT(graph.error().message, HasSubstr(row.words));
  }
}

TEST(TfjsGraph, HasBounds) {
  const auto good = TinyTfjs().floats("w", {2}, {1, 2});
  TfjsLimits limits;
  limits.weight_bytes_max = 7;
  const auto graph = parse_tfjs_graph(good.text(), good.shards(), limits);
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, ErrorCode::limit);
}

TEST(TfjsGraph, ReadsFiles) {
  const TemporaryFolder folder;
  const auto good = TinyTfjs().floats("w", {2}, {1, 2});
  ASSERT_TRUE(write_file(folder.path() / "m.json", good.text()));
  const auto missing = read_tfjs_graph(folder.path() / "m.json");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("m.json"));
  ASSERT_TRUE(write_file(folder.path() / "weights.bin", good.weight_bytes()));
  const auto graph = read_tfjs_graph(folder.path() / "m.json");
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_THAT(graph->weights.at("w")->values, ElementsAre(1, 2));
}

TEST(TfjsGraph, NamesABadAttribute) {
  TfjsNode node{"n",
                "Conv2D",
                {},
                {{"strides", integers_attribute({1, 2})}, {"padding", {{"s", "%%"}}}, {"axis", {{"i", "two"}}}}};
  EXPECT_THAT(*node.integers("strides"), ElementsAre(1, 2));
  EXPECT_EQ(*node.integer("absent", 5), 5);
  const auto padding = node.text("padding", "");
  ASSERT_FALSE(padding);
  EXPECT_THAT(padding.error().message, HasSubstr("node \"n\" (Conv2D): attribute \"padding\""));
  EXPECT_FALSE(node.integer("axis", 0));
}

}  // namespace
}  // namespace verge::models
