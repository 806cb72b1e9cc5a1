#include "models/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <set>
#include <string_view>
#include <unordered_set>

namespace verge::models {
namespace {

/// What ONNX Runtime can compute in 8 bits once its inputs and outputs are.
constexpr std::array<std::string_view, 12> kQuantised{"Conv",   "LeakyRelu", "Relu",    "Add",
                                                      "Mul",    "Concat",    "MaxPool", "Sigmoid",
                                                      "Resize", "Transpose", "Reshape", "Clip"};
/// These move numbers and do not change them: input and output share scale and zero.
constexpr std::array<std::string_view, 4> kSameScale{"MaxPool", "Resize", "Transpose", "Reshape"};

constexpr float kSteps = 255;            // Of uint8.
constexpr float kScaleMin = 1e-8F;       // Below it a value is as good as constant.
constexpr double kBiasMost = 1U << 30U;  // A bias has 32 bits, and sums go on top of it.

bool is_one_of(std::span<const std::string_view> words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

/// number = scale * (stored - zero)
struct Scaling {
  float scale = 1;
  std::uint8_t zero = 0;
};

/// Zero itself must be exact: pads and clipped values are zeros.
Scaling scaling_of(ValueRange range) {
  const float low = std::min(range.low, 0.0F);
  const float high = std::max(range.high, 0.0F);
  const float scale = std::max((high - low) / kSteps, kScaleMin);
  return {scale, static_cast<std::uint8_t>(std::clamp(std::round(-low / scale), 0.0F, kSteps))};
}

template <class T>
OnnxTensor tensor_of(std::string name, Dimensions shape, const std::vector<T>& values) {
  auto tensor = OnnxTensor::of<T>(std::move(shape), values);
  tensor.name = std::move(name);
  return tensor;
}

class Quantizer {
 public:
  Quantizer(const OnnxModel& model, const ValueRanges& ranges, const QuantizeOptions& options)
      : model_(model),
        ranges_(ranges),
        keep_float_(options.keep_float),
        moments_(options.moments),
        weight_most_(options.weight_bits == 7 ? 63.0F : 127.0F) {
    for (const OnnxTensor& tensor : model.graph.initialisers) constants_[tensor.name] = &tensor;
    for (const OnnxValue& output : model.graph.outputs) outputs_.insert(output.name);
    choose_operators();
  }

  std::vector<std::string> convolutions() const {
    std::vector<std::string> names;
    for (const OnnxNode& node : model_.graph.nodes) {
      if (node.operation == "Conv" && is_quantised(node)) names.push_back(node.outputs[0]);
    }
    return names;
  }

  Result<OnnxModel> run() {
    OnnxGraph& graph = model_.graph;
    share_scales();
    const auto nodes = std::move(graph.nodes);
    graph.nodes.clear();
    for (const OnnxValue& input : graph.inputs) pass_through(input.name);
    for (OnnxNode node : nodes) {
      const bool is_small = is_quantised(node);
      if (is_small) {
        read_eight_bits(node);
      } else {
        read_floats(node);
      }
      const std::vector<std::string> made = node.outputs;
      if (is_small) small_values_.insert(made.begin(), made.end());
      graph.nodes.push_back(std::move(node));
      for (const std::string& value : made) pass_through(value);
    }
    if (convolutions_ == 0) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("quantise \"{}\": it has no convolution whose values were seen", graph.name)};
    }
    drop_unused();
    return std::move(model_);
  }

 private:
  /// Which operators work in 8 bits, by their first output.
  void choose_operators() {
    std::set<std::string> floats;  // Values that float32 operators computed.
    for (const OnnxNode& node : model_.graph.nodes) {
      const auto values = can_be_quantised(node) ? values_of(node) : std::vector<std::string>{};
      const bool follows_floats = node.operation != "Conv" && std::ranges::all_of(values, [&](const auto& value) {
                                    return floats.count(value) != 0;
                                  });
      if (values.empty() || follows_floats || keep_float_.count(node.outputs[0]) != 0) {
        floats.insert(node.outputs.begin(), node.outputs.end());
      } else {
        quantised_.insert(node.outputs[0]);
      }
    }
  }

  bool is_quantised(const OnnxNode& node) const {
    return !node.outputs.empty() && quantised_.count(node.outputs[0]) != 0;
  }

  bool can_be_quantised(const OnnxNode& node) const {
    if (!node.domain.empty() || !is_one_of(kQuantised, node.operation) || node.inputs.empty()) return false;
    if (node.outputs.empty() || (node.operation == "Conv" && !has_float_weights(node))) return false;
    return std::ranges::all_of(values_of(node), [&](const std::string& value) { return ranges_.count(value) != 0; });
  }

  bool has_float_weights(const OnnxNode& node) const {
    const auto is_float = [&](std::size_t index) {
      const auto found = constants_.find(node.inputs[index]);
      return found != constants_.end() && found->second->type == ElementType::float32 && !found->second->is_external;
    };
    return node.inputs.size() >= 2 && is_float(1) && (node.inputs.size() < 3 || node.inputs[2].empty() || is_float(2));
  }

  /// The inputs that are computed: the first of a convolution or a move, every one of a sum or a joint.
  std::vector<std::string> values_of(const OnnxNode& node) const {
    const bool has_one = node.operation == "Conv" || node.operation == "Clip" || is_one_of(kSameScale, node.operation);
    std::vector<std::string> values;
    for (std::size_t i = 0; i < (has_one ? 1 : node.inputs.size()); ++i) {
      if (constants_.count(node.inputs[i]) == 0) values.push_back(node.inputs[i]);
    }
    return values;
  }

  /// Values that the quantised operators read or make get their pair of QuantizeLinear and DequantizeLinear.
  void share_scales() {
    for (const OnnxNode& node : model_.graph.nodes) {
      if (!is_one_of(kSameScale, node.operation)) continue;
      const auto source = ranges_.find(node.inputs[0]);
      if (source != ranges_.end() && ranges_.count(node.outputs[0]) != 0) ranges_[node.outputs[0]] = source->second;
    }
    for (const OnnxNode& node : model_.graph.nodes) {
      if (!is_quantised(node)) continue;
      for (const std::string& value : values_of(node)) wanted_.insert(value);
      // What an operator gives in 8 bits must be stored so right behind it, whoever reads it.
      for (const std::string& value : node.outputs) {
        if (ranges_.count(value) != 0 && outputs_.count(value) == 0) wanted_.insert(value);
      }
    }
  }

  /// Behind the value: value -> uint8 -> value again.
  void pass_through(const std::string& value) {
    if (wanted_.count(value) == 0) return;
    const Scaling scaling = scaling_of(ranges_.at(value));
    add_constant(tensor_of<float>(value + "#scale", {}, {scaling.scale}));
    add_constant(tensor_of<std::uint8_t>(value + "#zero", {}, {scaling.zero}));
    auto& nodes = model_.graph.nodes;
    nodes.push_back(
        {"QuantizeLinear", "", value + "#q", {value, value + "#scale", value + "#zero"}, {value + "#8"}, {}});
    nodes.push_back(
        {"DequantizeLinear", "", value + "#d", {value + "#8", value + "#scale", value + "#zero"}, {value + "#f"}, {}});
  }

  void read_eight_bits(OnnxNode& node) {
    const std::string value = node.inputs[0];
    for (const std::string& computed : values_of(node)) std::ranges::replace(node.inputs, computed, computed + "#f");
    if (node.operation != "Conv") return;
    ++convolutions_;
    const std::vector<float> scales = quantise_weights(node, scaling_of(ranges_.at(value)).scale);
    if (node.inputs.size() > 2 && !node.inputs[2].empty()) quantise_bias(node, scales);
  }

  /// Returns the scale of each output channel's sums: that of the weights times that of the input.
  std::vector<float> quantise_weights(OnnxNode& node, float input_scale) {
    const OnnxTensor& weights = *constants_.at(node.inputs[1]);
    const auto numbers = weights.values<float>();
    const auto channels = static_cast<std::size_t>(weights.shape[0]);
    const std::size_t each = numbers.size() / std::max<std::size_t>(1, channels);
    const bool has_bias = node.inputs.size() > 2 && !node.inputs[2].empty();
    const auto biases = has_bias ? constants_.at(node.inputs[2])->values<float>() : std::vector<float>(channels, 0.0F);
    const auto factor = moments_ == nullptr ? std::span<const float>{} : moments_->factor(node.outputs[0]);
    std::vector<std::int8_t> stored;
    std::vector<float> scales(channels), sums(channels);
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const auto own = std::span(numbers).subspan(channel * each, each);
      float most = 0;
      for (const float number : own) most = std::max(most, std::abs(number));
      const auto least = static_cast<float>(std::abs(biases[channel]) / (kBiasMost * input_scale));
      scales[channel] = std::max({most / weight_most_, least, kScaleMin});
      sums[channel] = scales[channel] * input_scale;
      const auto steps = round_weights(own, scales[channel], weight_most_, factor);
      stored.insert(stored.end(), steps.begin(), steps.end());
    }
    node.inputs[1] = add_weights(fmt::format("{}#{}", node.inputs[1], convolutions_), weights.shape, stored, scales);
    return sums;
  }

  void quantise_bias(OnnxNode& node, const std::vector<float>& scales) {
    const auto numbers = constants_.at(node.inputs[2])->values<float>();
    std::vector<std::int32_t> stored(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      stored[i] = static_cast<std::int32_t>(
          std::clamp(std::round(static_cast<double>(numbers[i]) / static_cast<double>(scales[i])), -2 * kBiasMost + 1,
                     2 * kBiasMost - 1));
    }
    node.inputs[2] = add_weights(fmt::format("{}#{}", node.inputs[2], convolutions_),
                                 {static_cast<std::int64_t>(stored.size())}, stored, scales);
  }

  /// An engine only fuses an operator with the QuantizeLinear behind it when nobody reads the value between them. What
  /// only gives a value the name of a model's output takes it as it is: outputs stay exact.
  void read_floats(OnnxNode& node) const {
    if (node.operation == "Identity") return;
    for (std::string& value : node.inputs) {
      if (small_values_.count(value) != 0 && wanted_.count(value) != 0) value += "#f";
    }
  }

  /// Stored numbers and what makes floats of them, per channel; returns the float value's name.
  template <class T>
  std::string add_weights(const std::string& name, const Dimensions& shape, const std::vector<T>& stored,
                          const std::vector<float>& scales) {
    const Dimensions channels{static_cast<std::int64_t>(scales.size())};
    add_constant(tensor_of<T>(name + "#8", shape, stored));
    add_constant(tensor_of<float>(name + "#scale", channels, scales));
    add_constant(tensor_of<T>(name + "#zero", channels, std::vector<T>(scales.size(), T{0})));
    model_.graph.nodes.push_back({"DequantizeLinear",
                                  "",
                                  name + "#d",
                                  {name + "#8", name + "#scale", name + "#zero"},
                                  {name + "#f"},
                                  {{"axis", 0}}});
    return name + "#f";
  }

  void add_constant(OnnxTensor tensor) { made_.push_back(std::move(tensor)); }

  /// The float weights that nobody reads any more go.
  void drop_unused() {
    OnnxGraph& graph = model_.graph;
    std::unordered_set<std::string> used(outputs_.begin(), outputs_.end());
    for (const OnnxNode& node : graph.nodes) used.insert(node.inputs.begin(), node.inputs.end());
    std::erase_if(graph.initialisers, [&](const OnnxTensor& tensor) { return used.count(tensor.name) == 0; });
    for (OnnxTensor& tensor : made_) graph.initialisers.push_back(std::move(tensor));
    graph.values.clear();
  }

  OnnxModel model_;
  ValueRanges ranges_;
  const std::set<std::string> keep_float_;
  const InputMoments* const moments_;
  const float weight_most_;
  std::map<std::string, const OnnxTensor*> constants_;
  std::set<std::string> outputs_, wanted_, quantised_, small_values_;
  std::vector<OnnxTensor> made_;
  int convolutions_ = 0;
};

}  // namespace

Result<std::unique_ptr<Calibrator>> Calibrator::make(const OnnxModel& model) {
  OnnxModel watched = model;
  std::set<std::string> named;
  for (const OnnxValue& output : watched.graph.outputs) named.insert(output.name);
  for (const OnnxNode& node : model.graph.nodes) {
    if (!node.domain.empty() || !is_one_of(kQuantised, node.operation)) continue;
    std::vector<std::string> values = node.outputs;
    values.push_back(node.inputs[0]);
    for (const std::string& value : values) {
      const bool is_constant = model.graph.find_initialiser(value) != nullptr;
      const bool is_input = std::ranges::find(model.graph.inputs, value, &OnnxValue::name) != model.graph.inputs.end();
      if (value.empty() || is_constant || is_input || !named.insert(value).second) continue;
      watched.graph.outputs.push_back({value, ElementType::float32, false, {}, {}});
    }
  }
  VERGE_TRY(auto session, inference::load_onnx_bytes(to_bytes(watched)));
  return std::unique_ptr<Calibrator>(new Calibrator(model, std::move(session)));
}

Status Calibrator::add(std::span<const inference::NamedTensor> inputs) {
  const auto look = [&](const std::string& name, const inference::Tensor& tensor) -> Status {
    if (tensor.type() != inference::DataType::float32 || tensor.count() == 0) return Done{};
    float low = tensor.values<float>().front(), high = low;
    for (const float number : tensor.values<float>()) {
      if (!std::isfinite(number)) {
        return Error{ErrorCode::invalid_argument, fmt::format("calibrate: \"{}\" is not finite for this input", name)};
      }
      low = std::min(low, number);
      high = std::max(high, number);
    }
    const auto [at, is_new] = ranges_.try_emplace(name, ValueRange{low, high});
    if (!is_new) at->second = {std::min(at->second.low, low), std::max(at->second.high, high)};
    moments_.add(name, tensor);
    return Done{};
  };
  VERGE_TRY(const auto outputs, session_->run(inputs));
  for (const inference::NamedTensor& input : inputs) VERGE_CHECK(look(std::string(input.name), *input.tensor));
  for (std::size_t i = 0; i < outputs.size(); ++i) VERGE_CHECK(look(session_->outputs()[i].name, outputs[i]));
  return Done{};
}

bool is_quantizable_operator(const OnnxNode& node) {
  return node.domain.empty() && is_one_of(kQuantised, node.operation);
}

std::vector<std::string> quantizable_convolutions(const OnnxModel& model, const ValueRanges& ranges) {
  return Quantizer(model, ranges, {}).convolutions();
}

Result<OnnxModel> quantize(const OnnxModel& model, const ValueRanges& ranges, const QuantizeOptions& options) {
  if (options.weight_bits != 7 && options.weight_bits != 8) {
    return Error{ErrorCode::invalid_argument, fmt::format("quantise with {} bits; give 7 or 8", options.weight_bits)};
  }
  return Quantizer(model, ranges, options).run();
}

}  // namespace verge::models
