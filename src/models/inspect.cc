#include "models/inspect.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <unordered_map>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"

namespace verge::models {
namespace {

using Shapes = std::unordered_map<std::string, Dimensions>;

std::string operator_name(const OnnxNode& node) {
  return node.domain.empty() ? node.operation : node.domain + "." + node.operation;
}

bool is_weight(ElementType type) {
  return type == ElementType::float32 || type == ElementType::float16 || type == ElementType::bfloat16 ||
         type == ElementType::float64 || type == ElementType::int8 || type == ElementType::uint8;
}

std::uint64_t product(const Dimensions& shape) {
  std::uint64_t count = 1;
  for (const auto size : shape) count *= size < 0 ? 1U : static_cast<std::uint64_t>(size);
  return count;
}

/// Follows shapes from the inputs as far as the operators that matter for the cost need; an unknown one ends the trail.
class ShapeWalk {
 public:
  explicit ShapeWalk(const OnnxGraph& graph) : graph_(graph) {
    for (const auto* list : {&graph.inputs, &graph.outputs, &graph.values})
      for (const auto& value : *list)
        if (value.has_shape) shapes_[value.name] = value.shape;
    for (const auto& tensor : graph.initialisers) shapes_[tensor.name] = tensor.shape;
  }

  const Dimensions* find(const std::string& name) const {
    const auto found = shapes_.find(name);
    return found == shapes_.end() ? nullptr : &found->second;
  }

  void visit(const OnnxNode& node) {
    if (node.outputs.empty() || node.inputs.empty() || find(node.outputs[0])) return;
    if (auto shape = output_shape(node)) shapes_[node.outputs[0]] = *std::move(shape);
  }

 private:
  const Dimensions* input(const OnnxNode& node, std::size_t index) const {
    return index < node.inputs.size() ? find(node.inputs[index]) : nullptr;
  }

  std::optional<std::vector<std::int64_t>> constant(const OnnxNode& node, std::size_t index) const {
    if (index >= node.inputs.size()) return std::nullopt;
    const auto* tensor = graph_.find_initialiser(node.inputs[index]);
    if (!tensor || tensor->type != ElementType::int64 || tensor->is_external) return std::nullopt;
    return tensor->values<std::int64_t>();
  }

  std::optional<Dimensions> output_shape(const OnnxNode& node) const {
    static const std::vector<std::string_view> same{"Relu",
                                                    "Clip",
                                                    "LeakyRelu",
                                                    "Sigmoid",
                                                    "Tanh",
                                                    "Softmax",
                                                    "Cast",
                                                    "Identity",
                                                    "HardSwish",
                                                    "HardSigmoid",
                                                    "BatchNormalization",
                                                    "Sqrt",
                                                    "Exp",
                                                    "Neg",
                                                    "Abs",
                                                    "Floor",
                                                    "Elu",
                                                    "Dropout",
                                                    "Erf",
                                                    "Softplus"};
    const auto* x = input(node, 0);
    if (!x) return std::nullopt;
    const auto& operation = node.operation;
    if (std::find(same.begin(), same.end(), operation) != same.end()) return *x;
    if (operation == "Conv" || operation == "MaxPool" || operation == "AveragePool") return window_shape(node, *x);
    if (operation == "GlobalAveragePool") return global_shape(*x);
    if (operation == "Add" || operation == "Mul" || operation == "Sub" || operation == "Div" || operation == "PRelu")
      return broadcast_shape(*x, input(node, 1));
    if (operation == "Transpose") return transposed(node, *x);
    if (operation == "Reshape") return reshaped(node, *x);
    if (operation == "Concat") return joined(node, *x);
    if (operation == "Gemm" || operation == "MatMul") return matrix_shape(node, *x);
    if (operation == "Resize") return constant(node, 3);
    if (operation == "Pad") return padded(node, *x);
    return std::nullopt;
  }

  static std::optional<Dimensions> broadcast_shape(const Dimensions& a, const Dimensions* b) {
    if (!b) return std::nullopt;
    Dimensions shape = a.size() >= b->size() ? a : *b;
    const auto& shorter = a.size() >= b->size() ? *b : a;
    for (std::size_t i = 0; i < shorter.size(); ++i) {
      auto& size = shape[shape.size() - 1 - i];
      size = std::max(size, shorter[shorter.size() - 1 - i]);
    }
    return shape;
  }

  static std::optional<Dimensions> global_shape(Dimensions shape) {
    for (std::size_t i = 2; i < shape.size(); ++i) shape[i] = 1;
    return shape;
  }

  static std::vector<std::int64_t> list(const OnnxNode& node, std::string_view key, std::size_t count,
                                        std::int64_t fallback) {
    const auto* values = node.attribute<std::vector<std::int64_t>>(key);
    return values && values->size() == count ? *values : std::vector<std::int64_t>(count, fallback);
  }

  std::optional<Dimensions> window_shape(const OnnxNode& node, const Dimensions& x) const {
    const auto* automatic = node.attribute<std::string>("auto_pad");
    if (x.size() < 3 || (automatic && *automatic != "NOTSET")) return std::nullopt;
    const std::size_t axes = x.size() - 2;
    auto kernel = list(node, "kernel_shape", axes, 1);
    Dimensions shape{x[0], x[1]};
    if (node.operation == "Conv") {
      const auto* weights = input(node, 1);
      if (!weights || weights->size() != x.size()) return std::nullopt;
      shape[1] = (*weights)[0];
      kernel.assign(weights->begin() + 2, weights->end());
    }
    const auto strides = list(node, "strides", axes, 1), dilations = list(node, "dilations", axes, 1);
    const auto pads = list(node, "pads", 2 * axes, 0);
    const auto* rounds_up = node.attribute<std::int64_t>("ceil_mode");
    for (std::size_t i = 0; i < axes; ++i) {
      const auto room = x[i + 2] + pads[i] + pads[i + axes] - (kernel[i] - 1) * dilations[i] - 1;
      if (x[i + 2] < 0 || strides[i] < 1 || room < 0) return std::nullopt;
      shape.push_back((room + (rounds_up && *rounds_up ? strides[i] - 1 : 0)) / strides[i] + 1);
    }
    return shape;
  }

  static std::optional<Dimensions> transposed(const OnnxNode& node, const Dimensions& x) {
    Dimensions shape(x.rbegin(), x.rend());
    if (const auto* order = node.attribute<std::vector<std::int64_t>>("perm")) {
      if (order->size() != x.size()) return std::nullopt;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto axis = static_cast<std::size_t>((*order)[i]);
        if (axis >= x.size()) return std::nullopt;
        shape[i] = x[axis];
      }
    }
    return shape;
  }

  std::optional<Dimensions> reshaped(const OnnxNode& node, const Dimensions& x) const {
    auto shape = constant(node, 1);
    if (!shape) return std::nullopt;
    std::int64_t rest = 1;
    for (std::size_t i = 0; i < shape->size(); ++i) {
      if ((*shape)[i] == 0 && i < x.size()) (*shape)[i] = x[i];
      if ((*shape)[i] > 0) rest *= (*shape)[i];
    }
    for (auto& size : *shape)
      if (size == -1 && rest > 0) size = static_cast<std::int64_t>(product(x)) / rest;
    return shape;
  }

  std::optional<Dimensions> joined(const OnnxNode& node, Dimensions shape) const {
    const auto* axis = node.attribute<std::int64_t>("axis");
    if (!axis) return std::nullopt;
    const auto at = static_cast<std::size_t>(*axis < 0 ? *axis + static_cast<std::int64_t>(shape.size()) : *axis);
    if (at >= shape.size()) return std::nullopt;
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      const auto* other = input(node, i);
      if (!other || other->size() != shape.size()) return std::nullopt;
      shape[at] += (*other)[at];
    }
    return shape;
  }

  std::optional<Dimensions> matrix_shape(const OnnxNode& node, Dimensions x) const {
    const auto* y = input(node, 1);
    if (!y || x.empty() || y->empty()) return std::nullopt;
    const auto* turns_y = node.attribute<std::int64_t>("transB");
    const auto* turns_x = node.attribute<std::int64_t>("transA");
    if (turns_x && *turns_x) std::reverse(x.begin(), x.end());
    Dimensions shape = x.size() >= y->size() ? x : *y;
    if (x.size() >= 2 && shape.size() >= 2) shape[shape.size() - 2] = x[x.size() - 2];
    shape.back() = turns_y && *turns_y ? y->front() : y->back();
    return shape;
  }

  std::optional<Dimensions> padded(const OnnxNode& node, Dimensions shape) const {
    const auto pads = constant(node, 1);
    if (!pads || pads->size() != 2 * shape.size()) return std::nullopt;
    for (std::size_t i = 0; i < shape.size(); ++i) shape[i] += (*pads)[i] + (*pads)[i + shape.size()];
    return shape;
  }

  const OnnxGraph& graph_;
  Shapes shapes_;
};

bool has_cost(const OnnxNode& node) {
  return node.domain.empty() && (node.operation == "Conv" || node.operation == "Gemm" || node.operation == "MatMul");
}

/// Output elements × what is summed for each.
std::optional<std::uint64_t> cost_of(const OnnxNode& node, const ShapeWalk& walk) {
  if (node.inputs.size() < 2 || node.outputs.empty()) return std::nullopt;
  const auto *output = walk.find(node.outputs[0]), *weights = walk.find(node.inputs[1]);
  if (!output || !weights || weights->empty()) return std::nullopt;
  if (node.operation == "Conv") {
    if ((*weights)[0] == 0) return std::nullopt;
    return product(*output) * product(*weights) / static_cast<std::uint64_t>((*weights)[0]);
  }
  const auto* turns_y = node.attribute<std::int64_t>("transB");
  const std::size_t inner = weights->size() < 2 ? 0 : turns_y && *turns_y ? 1 : weights->size() - 2;
  const auto length = (*weights)[inner];
  return product(*output) * static_cast<std::uint64_t>(std::max<std::int64_t>(length, 1));
}

void count_graph(const OnnxGraph& graph, Inspection& inspection) {
  ShapeWalk walk(graph);
  for (const auto& tensor : graph.initialisers)
    if (is_weight(tensor.type)) inspection.parameters += tensor.count();
  for (const auto& node : graph.nodes) {
    ++inspection.operators[operator_name(node)];
    walk.visit(node);
    if (has_cost(node)) {
      const auto cost = cost_of(node, walk);
      inspection.multiply_adds += cost.value_or(0);
      if (!cost) ++inspection.unknown_cost_nodes;
    }
    for (const auto& attribute : node.attributes) {
      if (const auto* tensor = std::get_if<OnnxTensor>(&attribute.value); tensor && is_weight(tensor->type))
        inspection.parameters += tensor->count();
      if (const auto* inner = std::get_if<std::shared_ptr<const OnnxGraph>>(&attribute.value))
        count_graph(**inner, inspection);
    }
  }
}

Json value_json(const OnnxValue& value) {
  return {{"name", value.name}, {"type", name_of(value.type)}, {"shape", value.has_shape ? Json(value.shape) : Json()}};
}

std::string value_text(const OnnxValue& value) {
  std::string shape = "[";
  for (std::size_t i = 0; i < value.shape.size(); ++i) {
    const auto symbol = i < value.symbols.size() && !value.symbols[i].empty() ? value.symbols[i] : "?";
    shape += (i > 0 ? "," : "") + (value.shape[i] < 0 ? symbol : std::to_string(value.shape[i]));
  }
  return fmt::format("{} {} {}", value.name, name_of(value.type), value.has_shape ? shape + "]" : "any shape");
}

std::string short_number(std::uint64_t number) {
  const auto value = static_cast<double>(number);
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} k", value / 1e3);
  return std::to_string(number);
}

}  // namespace

Inspection inspect(const OnnxModel& model) {
  Inspection inspection;
  inspection.ir_version = model.ir_version;
  inspection.opsets = model.opsets;
  inspection.producer = model.producer + (model.producer_version.empty() ? "" : " " + model.producer_version);
  inspection.metadata = model.metadata;
  inspection.outputs = model.graph.outputs;
  for (const auto& input : model.graph.inputs)
    if (!model.graph.find_initialiser(input.name)) inspection.inputs.push_back(input);
  count_graph(model.graph, inspection);
  return inspection;
}

Result<Inspection> inspect_file(const std::filesystem::path& path) {
  VERGE_TRY(const auto model, load_model(path));
  auto inspection = inspect(model);
  inspection.file = path.filename().string();
  VERGE_TRY(inspection.digest, sha256_digest_of_file(path));
  std::error_code error;
  inspection.file_bytes = std::filesystem::file_size(path, error);
  return inspection;
}

Json to_json(const Inspection& inspection) {
  Json inputs = Json::array(), outputs = Json::array();
  for (const auto& input : inspection.inputs) inputs.push_back(value_json(input));
  for (const auto& output : inspection.outputs) outputs.push_back(value_json(output));
  return {{"file", inspection.file},
          {"digest", inspection.digest},
          {"bytes", inspection.file_bytes},
          {"ir_version", inspection.ir_version},
          {"opsets", inspection.opsets},
          {"producer", inspection.producer},
          {"inputs", std::move(inputs)},
          {"outputs", std::move(outputs)},
          {"operators", inspection.operators},
          {"parameters", inspection.parameters},
          {"multiply_adds", inspection.multiply_adds},
          {"unknown_cost_nodes", inspection.unknown_cost_nodes},
          {"metadata", inspection.metadata}};
}

std::string to_text(const Inspection& inspection) {
  std::string text;
  const auto line = [&text](std::string_view key, std::string_view value) {
    text += fmt::format("{:<12} {}\n", key, value);
  };
  if (!inspection.file.empty()) line("file", fmt::format("{} ({} bytes)", inspection.file, inspection.file_bytes));
  if (!inspection.digest.empty()) line("digest", inspection.digest);
  line("format", fmt::format("ONNX IR {}", inspection.ir_version));
  for (const auto& [domain, version] : inspection.opsets)
    line("opset", fmt::format("{} {}", domain.empty() ? "ai.onnx" : domain, version));
  if (!inspection.producer.empty()) line("producer", inspection.producer);
  for (const auto& input : inspection.inputs) line("input", value_text(input));
  for (const auto& output : inspection.outputs) line("output", value_text(output));
  line("parameters", short_number(inspection.parameters));
  std::string cost = short_number(inspection.multiply_adds) + " multiply-adds";
  if (inspection.unknown_cost_nodes > 0)
    cost += fmt::format(" and {} operators of unknown size", inspection.unknown_cost_nodes);
  line("one run", cost);
  std::vector<std::pair<std::string, std::size_t>> operators(inspection.operators.begin(), inspection.operators.end());
  std::stable_sort(operators.begin(), operators.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string list;
  for (const auto& [name, count] : operators) list += fmt::format("{}{} {}", list.empty() ? "" : ", ", name, count);
  line("operators", list);
  for (const auto& [key, value] : inspection.metadata)
    line("metadata", fmt::format("{} = {}", key, value.substr(0, 200)));
  return text;
}

}  // namespace verge::models
