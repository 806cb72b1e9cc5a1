#include "models/onnx_graph.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <type_traits>

namespace verge::models {
namespace {

constexpr std::size_t shared_constant_bytes_max = 512;  ///< Larger constants are not compared with each other.

template <class T>
ElementType type_of() {
  if constexpr (std::is_same_v<T, float>) return ElementType::float32;
  if constexpr (std::is_same_v<T, double>) return ElementType::float64;
  if constexpr (std::is_same_v<T, std::int64_t>) return ElementType::int64;
  if constexpr (std::is_same_v<T, std::int32_t>) return ElementType::int32;
  if constexpr (std::is_same_v<T, std::uint8_t>) return ElementType::uint8;
  if constexpr (std::is_same_v<T, std::int8_t>) return ElementType::int8;
}

}  // namespace

double half_to_double(std::uint16_t bits) {
  const int exponent = bits >> 10U & 0x1F;
  const double fraction = bits & 0x3FFU;
  const double sign = bits & 0x8000U ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * HUGE_VAL : std::nan("");
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

namespace {

template <class T, class Convert>
void convert_all(const std::string& bytes, std::vector<double>& target, Convert convert) {
  for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    target.push_back(convert(value));
  }
}

template <class T>
void convert_all(const std::string& bytes, std::vector<double>& target) {
  convert_all<T>(bytes, target, [](T value) { return static_cast<double>(value); });
}

}  // namespace

std::string_view name_of(ElementType type) {
  switch (type) {
    case ElementType::undefined:
      return "undefined";
    case ElementType::float32:
      return "float32";
    case ElementType::uint8:
      return "uint8";
    case ElementType::int8:
      return "int8";
    case ElementType::uint16:
      return "uint16";
    case ElementType::int16:
      return "int16";
    case ElementType::int32:
      return "int32";
    case ElementType::int64:
      return "int64";
    case ElementType::text:
      return "text";
    case ElementType::boolean:
      return "boolean";
    case ElementType::float16:
      return "float16";
    case ElementType::float64:
      return "float64";
    case ElementType::uint32:
      return "uint32";
    case ElementType::uint64:
      return "uint64";
    case ElementType::bfloat16:
      return "bfloat16";
  }
  return "undefined";
}

std::size_t bytes_of(ElementType type) {
  switch (type) {
    case ElementType::uint8:
    case ElementType::int8:
    case ElementType::boolean:
      return 1;
    case ElementType::uint16:
    case ElementType::int16:
    case ElementType::float16:
    case ElementType::bfloat16:
      return 2;
    case ElementType::float32:
    case ElementType::int32:
    case ElementType::uint32:
      return 4;
    case ElementType::int64:
    case ElementType::uint64:
    case ElementType::float64:
      return 8;
    case ElementType::text:
    case ElementType::undefined:
      return 0;
  }
  return 0;
}

std::string shape_text(const Dimensions& shape) {
  std::string text = "[";
  for (const auto size : shape)
    text += fmt::format("{}{}", text.size() > 1 ? "," : "", size < 0 ? "?" : std::to_string(size));
  return text + "]";
}

std::size_t OnnxTensor::count() const {
  std::size_t product = 1;
  for (const auto size : shape) product *= static_cast<std::size_t>(size);
  return product;
}

std::vector<double> OnnxTensor::as_doubles() const {
  std::vector<double> numbers;
  numbers.reserve(bytes_of(type) == 0 ? 0 : bytes.size() / bytes_of(type));
  switch (type) {
    case ElementType::float32:
      convert_all<float>(bytes, numbers);
      break;
    case ElementType::float64:
      convert_all<double>(bytes, numbers);
      break;
    case ElementType::uint8:
    case ElementType::boolean:
      convert_all<std::uint8_t>(bytes, numbers);
      break;
    case ElementType::int8:
      convert_all<std::int8_t>(bytes, numbers);
      break;
    case ElementType::uint16:
      convert_all<std::uint16_t>(bytes, numbers);
      break;
    case ElementType::int16:
      convert_all<std::int16_t>(bytes, numbers);
      break;
    case ElementType::int32:
      convert_all<std::int32_t>(bytes, numbers);
      break;
    case ElementType::uint32:
      convert_all<std::uint32_t>(bytes, numbers);
      break;
    case ElementType::int64:
      convert_all<std::int64_t>(bytes, numbers);
      break;
    case ElementType::uint64:
      convert_all<std::uint64_t>(bytes, numbers);
      break;
    case ElementType::float16:
      convert_all<std::uint16_t>(bytes, numbers, half_to_double);
      break;
    case ElementType::bfloat16:
      convert_all<std::uint16_t>(bytes, numbers, [](std::uint16_t bits) {
        return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U));
      });
      break;
    case ElementType::text:
    case ElementType::undefined:
      break;
  }
  return numbers;
}

template <class T>
std::vector<T> OnnxTensor::values() const {
  VERGE_ASSERT(bytes_of(type) == sizeof(T));
  std::vector<T> numbers(bytes.size() / sizeof(T));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(T));
  return numbers;
}

template <class T>
OnnxTensor OnnxTensor::of(Dimensions shape, std::span<const T> values) {
  OnnxTensor tensor;
  tensor.type = type_of<T>();
  tensor.shape = std::move(shape);
  if (!values.empty()) tensor.bytes.assign(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  return tensor;
}

template std::vector<float> OnnxTensor::values() const;
template std::vector<double> OnnxTensor::values() const;
template std::vector<std::int64_t> OnnxTensor::values() const;
template std::vector<std::int32_t> OnnxTensor::values() const;
template std::vector<std::uint8_t> OnnxTensor::values() const;
template std::vector<std::int8_t> OnnxTensor::values() const;
template OnnxTensor OnnxTensor::of(Dimensions, std::span<const float>);
template OnnxTensor OnnxTensor::of(Dimensions, std::span<const double>);
template OnnxTensor OnnxTensor::of(Dimensions, std::span<const std::int64_t>);
template OnnxTensor OnnxTensor::of(Dimensions, std::span<const std::int32_t>);
template OnnxTensor OnnxTensor::of(Dimensions, std::span<const std::uint8_t>);
template OnnxTensor OnnxTensor::of(Dimensions, std::span<const std::int8_t>);

const OnnxTensor* OnnxGraph::find_initialiser(std::string_view wanted) const {
  for (const auto& tensor : initialisers)
    if (tensor.name == wanted) return &tensor;
  return nullptr;
}

GraphBuilder::GraphBuilder(std::string name) { model_.graph.name = std::move(name); }

GraphBuilder::GraphBuilder(OnnxModel begun) : model_(std::move(begun)) {
  for (const auto& input : model_.graph.inputs) names_.insert(input.name);
  for (const auto& tensor : model_.graph.initialisers) names_.insert(tensor.name);
  for (const auto& node : model_.graph.nodes) names_.insert(node.outputs.begin(), node.outputs.end());
}

GraphBuilder::Edge GraphBuilder::input(std::string name, ElementType type, Dimensions shape) {
  define(name);
  std::vector<std::string> symbols(shape.size());
  model_.graph.inputs.push_back({name, type, true, std::move(shape), std::move(symbols)});
  return name;
}

GraphBuilder::Edge GraphBuilder::constant(OnnxTensor tensor) {
  const bool is_text = tensor.type == ElementType::text;
  const std::size_t found = is_text ? tensor.texts.size() : tensor.bytes.size();
  const std::size_t wanted = tensor.count() * (is_text ? 1 : bytes_of(tensor.type));
  if (found != wanted)
    complain(fmt::format("constant {} {} needs {} {}, got {}", name_of(tensor.type), shape_text(tensor.shape), wanted,
                         is_text ? "texts" : "bytes", found));
  const bool is_shared = tensor.name.empty() && !is_text && tensor.bytes.size() <= shared_constant_bytes_max;
  std::string key;
  if (is_shared) {
    key = fmt::format("{}{}", static_cast<int>(tensor.type), shape_text(tensor.shape)) + tensor.bytes;
    if (const auto known = constants_.find(key); known != constants_.end()) return known->second;
  }
  if (tensor.name.empty())
    tensor.name = fresh("c");
  else
    define(tensor.name);
  const Edge edge = tensor.name;
  if (is_shared) constants_[key] = edge;
  model_.graph.initialisers.push_back(std::move(tensor));
  return edge;
}

GraphBuilder::Edge GraphBuilder::floats(Dimensions shape, std::span<const float> values) {
  return constant(OnnxTensor::of<float>(std::move(shape), values));
}

GraphBuilder::Edge GraphBuilder::floats(Dimensions shape, std::initializer_list<float> values) {
  return floats(std::move(shape), std::span<const float>(values.begin(), values.size()));
}

GraphBuilder::Edge GraphBuilder::scalar(float value) { return floats({}, {value}); }

GraphBuilder::Edge GraphBuilder::ints(std::initializer_list<std::int64_t> values) {
  return ints(std::span<const std::int64_t>(values.begin(), values.size()));
}

GraphBuilder::Edge GraphBuilder::ints(std::span<const std::int64_t> values) {
  return constant(OnnxTensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
}

GraphBuilder::Edge GraphBuilder::int_scalar(std::int64_t value) {
  return constant(OnnxTensor::of<std::int64_t>({}, std::span<const std::int64_t>(&value, 1)));
}

GraphBuilder::Edge GraphBuilder::add(std::string operation, std::vector<Edge> inputs,
                                     std::vector<OnnxAttribute> attributes, std::string domain) {
  return add_many(std::move(operation), std::move(inputs), 1, std::move(attributes), std::move(domain)).front();
}

std::vector<GraphBuilder::Edge> GraphBuilder::add_many(std::string operation, std::vector<Edge> inputs,
                                                       std::size_t output_count, std::vector<OnnxAttribute> attributes,
                                                       std::string domain) {
  VERGE_ASSERT(output_count > 0);
  for (const auto& edge : inputs) require(edge, operation);
  std::vector<Edge> outputs;
  for (std::size_t i = 0; i < output_count; ++i) outputs.push_back(fresh(operation));
  model_.graph.nodes.push_back(
      {std::move(operation), std::move(domain), {}, std::move(inputs), outputs, std::move(attributes)});
  return outputs;
}

void GraphBuilder::append(OnnxNode node) {
  for (const auto& edge : node.inputs) require(edge, node.operation);
  for (const auto& edge : node.outputs)
    if (!edge.empty()) define(edge);
  model_.graph.nodes.push_back(std::move(node));
}

void GraphBuilder::output(std::string name, const Edge& edge, ElementType type, Dimensions shape) {
  require(edge, "output " + name);
  if (edge != name) append({"Identity", {}, {}, {edge}, {name}, {}});
  std::vector<std::string> symbols(shape.size());
  model_.graph.outputs.push_back({std::move(name), type, true, std::move(shape), std::move(symbols)});
}

void GraphBuilder::metadata(std::string key, std::string value) { model_.metadata[std::move(key)] = std::move(value); }

void GraphBuilder::opset(std::string domain, std::int64_t version) { model_.opsets[std::move(domain)] = version; }

Result<OnnxModel> GraphBuilder::finish() {
  if (model_.graph.outputs.empty()) complain("it has no output");
  const auto name = model_.graph.name;
  OnnxModel model = std::move(model_);
  const std::string mistake = std::move(mistake_);
  *this = GraphBuilder("");
  if (!mistake.empty()) return Error{ErrorCode::invalid_argument, fmt::format("build graph \"{}\": {}", name, mistake)};
  return model;
}

GraphBuilder::Edge GraphBuilder::fresh(std::string_view stem) {
  // '#' occurs in no TensorFlow name, so a made-up name never takes one that an importer needs later.
  Edge edge;
  do edge = fmt::format("{}#{}", stem, ++name_count_);
  while (!names_.insert(edge).second);
  return edge;
}

void GraphBuilder::define(const Edge& edge) {
  if (edge.empty()) complain("a value needs a name");
  if (!names_.insert(edge).second) complain(fmt::format("the name \"{}\" is given twice", edge));
}

void GraphBuilder::require(const Edge& edge, std::string_view by) {
  if (!edge.empty() && !names_.contains(edge))
    complain(fmt::format("{} reads \"{}\", which nothing before it makes", by, edge));
}

void GraphBuilder::complain(std::string message) {
  if (mistake_.empty()) mistake_ = std::move(message);
}

}  // namespace verge::models
