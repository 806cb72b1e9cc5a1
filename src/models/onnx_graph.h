// models/onnx_graph.h -- an ONNX model as plain values: build one, read one, change one, write it as bytes.
//
// Source: ONNX IR specification (onnx.proto); written models are IR version 8, opset 17, so that ONNX Runtime 1.28
// and older ones load them. The protobuf wire format is read and written here, no library behind it.
// Threads: values and pure functions; one GraphBuilder by one thread.
//
//   GraphBuilder graph("anomaly");
//   auto rows   = graph.input("rows", ElementType::float32, {-1, 8});      // -1: free
//   auto centre = graph.add("Sub", {rows, graph.floats({8}, means)});
//   auto code   = graph.add("MatMul", {centre, graph.floats({8, 3}, basis)});
//   auto back   = graph.add("MatMul", {code, graph.floats({3, 8}, basis_transposed)});
//   auto rest   = graph.add("Sub", {centre, back});
//   auto square = graph.add("Mul", {rest, rest});
//   graph.output("score", graph.add("ReduceSum", {square, graph.ints({1})}, {{"keepdims", 0}}),
//                ElementType::float32, {-1});
//   VERGE_TRY(auto model, graph.finish());
//   VERGE_CHECK(save_model(model, "anomaly.onnx"));
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/result.h"

namespace verge::models {

/// What a tensor's elements are; the numbers are ONNX's.
enum class ElementType : std::int32_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  text = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  bfloat16 = 16,
};
std::string_view name_of(ElementType type);  ///< "float32"
/// Bytes of one element; 0 for text and undefined.
std::size_t bytes_of(ElementType type);

/// The value of an IEEE 754 half-precision number, given its bits.
double half_to_double(std::uint16_t bits);

using Dimensions = std::vector<std::int64_t>;  ///< -1: free.
/// "[1,3,416,416]", a free dimension is written as ?.
std::string shape_text(const Dimensions& shape);

/// Constant numbers, row-major, little-endian (as ONNX's raw_data).
struct OnnxTensor {
  std::string name;
  ElementType type = ElementType::float32;
  Dimensions shape;
  std::string bytes;
  std::vector<std::string> texts;  ///< For ElementType::text instead of bytes.
  bool is_external = false;        ///< The numbers lie in a file beside the model: reading keeps only the shape.

  std::size_t count() const;
  /// The numbers as doubles; empty for text and external data.
  std::vector<double> as_doubles() const;
  /// The numbers as they are. T must fit the type: float, int32_t, int64_t, uint8_t, int8_t, bool as uint8_t.
  template <class T>
  std::vector<T> values() const;
  template <class T>
  static OnnxTensor of(Dimensions shape, std::span<const T> values);
};

struct OnnxGraph;
using OnnxAttributeValue = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>,
                                        std::vector<std::string>, OnnxTensor, std::shared_ptr<const OnnxGraph>>;

struct OnnxAttribute {
  std::string name;
  OnnxAttributeValue value;

  OnnxAttribute(std::string key, OnnxAttributeValue content) : name(std::move(key)), value(std::move(content)) {}
  OnnxAttribute(std::string key, int number) : name(std::move(key)), value(std::int64_t{number}) {}
  OnnxAttribute(std::string key, std::int64_t number) : name(std::move(key)), value(number) {}
  OnnxAttribute(std::string key, float number) : name(std::move(key)), value(number) {}
  OnnxAttribute(std::string key, const char* text) : name(std::move(key)), value(std::string(text)) {}
  OnnxAttribute(std::string key, std::initializer_list<std::int64_t> numbers)
      : name(std::move(key)), value(std::vector<std::int64_t>(numbers)) {}
};

struct OnnxNode {
  std::string operation;  ///< "Conv"
  std::string domain;     ///< "" is ONNX's own; "ai.onnx.ml" for tree ensembles.
  std::string name;
  std::vector<std::string> inputs;  ///< An empty name: this optional input is left out.
  std::vector<std::string> outputs;
  std::vector<OnnxAttribute> attributes;

  /// The attribute of this name and type, or nullptr: node.attribute<std::int64_t>("axis").
  template <class T>
  const T* attribute(std::string_view key) const {
    for (const auto& candidate : attributes)
      if (candidate.name == key) return std::get_if<T>(&candidate.value);
    return nullptr;
  }
};

/// A named input, output or inner value.
struct OnnxValue {
  std::string name;
  ElementType type = ElementType::undefined;  ///< undefined: a sequence or map, or not stated.
  bool has_shape = false;
  Dimensions shape;
  std::vector<std::string> symbols;  ///< Per dimension the name of a free one ("batch"), else empty.
};

struct OnnxGraph {
  std::string name;
  std::vector<OnnxNode> nodes;
  std::vector<OnnxTensor> initialisers;
  std::vector<OnnxValue> inputs, outputs;
  std::vector<OnnxValue> values;  ///< Types of inner values where the file states them.

  const OnnxTensor* find_initialiser(std::string_view wanted) const;
};

struct OnnxModel {
  std::int64_t ir_version = 8;
  std::map<std::string, std::int64_t> opsets{{"", 17}};
  std::string producer = "verge", producer_version;
  std::map<std::string, std::string> metadata;
  OnnxGraph graph;
};

struct OnnxLimits {
  std::size_t bytes_max = std::size_t{1} << 30U;  ///< ONNX itself ends at 2 GiB.
  int depth_max = 16;                             ///< Graphs within attributes of graphs (If, Loop).
};

/// Reads a model. Fields that this type does not hold (functions, training information, doc strings) are dropped.
/// Errors: corrupt (not an ONNX file, cut off, tensor with the wrong number of bytes; the message has the byte
/// offset), limit.
Result<OnnxModel> parse_model(std::string_view bytes, const OnnxLimits& limits = {});
/// Errors: as parse_model, with the path; not_found.
Result<OnnxModel> load_model(const std::filesystem::path& path, const OnnxLimits& limits = {});
/// Equal models give equal bytes.
std::string to_bytes(const OnnxModel& model);
/// Writes atomically. Errors: limit (disk full), unavailable.
Status save_model(const OnnxModel& model, const std::filesystem::path& path);

/// Builds a graph from front to back. Names are made up where not given; mistakes (unknown edge, name given twice,
/// wrong number of values) are remembered and returned by finish(), so that a chain of calls stays readable.
class GraphBuilder {
 public:
  using Edge = std::string;  ///< The name of a value.

  explicit GraphBuilder(std::string name);
  /// Goes on where a model ends: what it makes can be read, its outputs stay, new names avoid those it has.
  explicit GraphBuilder(OnnxModel begun);

  Edge input(std::string name, ElementType type, Dimensions shape);

  /// Constants. Small equal ones are stored once.
  Edge constant(OnnxTensor tensor);
  Edge floats(Dimensions shape, std::span<const float> values);
  Edge floats(Dimensions shape, std::initializer_list<float> values);
  Edge scalar(float value);
  Edge ints(std::initializer_list<std::int64_t> values);  ///< int64, one-dimensional: shapes, axes, pads.
  Edge ints(std::span<const std::int64_t> values);
  Edge int_scalar(std::int64_t value);

  /// One node with one output; returns it.
  Edge add(std::string operation, std::vector<Edge> inputs, std::vector<OnnxAttribute> attributes = {},
           std::string domain = {});
  /// One node with several outputs.
  std::vector<Edge> add_many(std::string operation, std::vector<Edge> inputs, std::size_t output_count,
                             std::vector<OnnxAttribute> attributes = {}, std::string domain = {});
  /// A ready node, names as they are.
  void append(OnnxNode node);

  /// Makes `edge` the model's output `name` (an Identity is added when the edge has another name).
  void output(std::string name, const Edge& edge, ElementType type, Dimensions shape);

  void metadata(std::string key, std::string value);
  /// A second operator set: opset("ai.onnx.ml", 3).
  void opset(std::string domain, std::int64_t version);

  /// The model, or the first mistake (invalid_argument, naming operation and edge). The builder is empty afterwards.
  Result<OnnxModel> finish();

 private:
  Edge fresh(std::string_view stem);
  void define(const Edge& edge);
  void require(const Edge& edge, std::string_view by);
  void complain(std::string message);

  OnnxModel model_;
  std::unordered_set<std::string> names_;
  std::map<std::string, Edge> constants_;  ///< Content of small constants → edge.
  std::size_t name_count_ = 0;
  std::string mistake_;
};

}  // namespace verge::models
