#include "models/simplify.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace verge::models {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::string input_or_empty(const OnnxNode& node, std::size_t index) {
  return index < node.inputs.size() ? node.inputs[index] : std::string();
}

struct Bounds {
  float low = -infinity, high = infinity;
};

class Simplifier {
 public:
  explicit Simplifier(OnnxGraph& graph) : graph_(graph) {
    for (std::size_t i = 0; i < graph_.initialisers.size(); ++i) constants_[graph_.initialisers[i].name] = i;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const auto& output : graph_.nodes[i].outputs) makers_[output] = i;
      for (const auto& input : graph_.nodes[i].inputs) ++uses_[input];
      count_uses_in_subgraphs(graph_.nodes[i]);
    }
    for (const auto& output : graph_.outputs) uses_[output.name] += 2;  // Never the only user.
    is_gone_.resize(graph_.nodes.size(), false);
  }

  void run() {
    // A rewrite moves work to the earlier node and may enable one more: front to back until nothing changes.
    for (bool is_changed = true; is_changed;) {
      is_changed = false;
      for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
        if (!is_gone_[i] && graph_.nodes[i].domain.empty()) is_changed = rewrite(i) || is_changed;
    }
    drop_dead();
  }

 private:
  bool rewrite(std::size_t index) {
    const auto& operation = graph_.nodes[index].operation;
    if (operation == "Clip" || operation == "Relu") return join_bounds(index);
    if (operation == "Add") return add_into_bias(index);
    if (operation == "Mul") return multiply_into_weights(index);
    if (operation == "Conv") return pad_into_window(index, [](float filling) { return filling == 0; });
    // A window of the greatest number ignores its own border: that of a Pad must not win either.
    if (operation == "MaxPool") {
      return pad_into_window(index, [](float filling) { return filling <= std::numeric_limits<float>::lowest(); });
    }
    if (operation == "Identity") return skip_identity(index);
    return false;
  }

  const OnnxTensor* constant(const std::string& name) const {
    const auto found = constants_.find(name);
    if (found == constants_.end()) return nullptr;
    const auto& tensor = graph_.initialisers[found->second];
    return tensor.is_external ? nullptr : &tensor;
  }
  const OnnxTensor* float_constant(const std::string& name) const {
    const auto* tensor = constant(name);
    return tensor && tensor->type == ElementType::float32 ? tensor : nullptr;
  }

  /// The node that makes `edge`, if that is its only output and `edge` has no other reader.
  std::optional<std::size_t> sole_maker(const std::string& edge) const {
    const auto found = makers_.find(edge);
    if (found == makers_.end() || is_gone_[found->second]) return std::nullopt;
    const auto used = uses_.find(edge);
    if (used == uses_.end() || used->second != 1 || graph_.nodes[found->second].outputs.size() != 1)
      return std::nullopt;
    return found->second;
  }

  std::string add_constant(std::vector<float> values, Dimensions shape) {
    auto tensor = OnnxTensor::of<float>(std::move(shape), values);
    do tensor.name = "joined#" + std::to_string(++made_count_);
    while (constants_.contains(tensor.name) || makers_.contains(tensor.name));
    constants_[tensor.name] = graph_.initialisers.size();
    graph_.initialisers.push_back(std::move(tensor));
    return graph_.initialisers.back().name;
  }

  /// Node `target` takes over what `from` did; `from` disappears. The inputs were set by the caller.
  void absorb(std::size_t from, std::size_t target, std::vector<std::string> inputs) {
    for (const auto& input : graph_.nodes[from].inputs) --uses_[input];
    for (const auto& input : graph_.nodes[target].inputs) --uses_[input];
    for (const auto& input : inputs) ++uses_[input];
    graph_.nodes[target].inputs = std::move(inputs);
    is_gone_[from] = true;
  }

  std::optional<Bounds> bounds_of(const OnnxNode& node) const {
    if (node.operation == "Relu") return Bounds{0, infinity};
    Bounds bounds;
    for (std::size_t side = 1; side <= 2; ++side) {
      const auto name = input_or_empty(node, side);
      if (name.empty()) continue;
      const auto* tensor = float_constant(name);
      if (!tensor || tensor->count() != 1) return std::nullopt;
      (side == 1 ? bounds.low : bounds.high) = tensor->values<float>().front();
    }
    return bounds;
  }

  bool join_bounds(std::size_t index) {
    const auto before = sole_maker(input_or_empty(graph_.nodes[index], 0));
    if (!before) return false;
    const auto& earlier = graph_.nodes[*before];
    if (!earlier.domain.empty() || (earlier.operation != "Relu" && earlier.operation != "Clip")) return false;
    // A float bound proves that the numbers are float32; two Relus alone may be of any type.
    if (earlier.operation == "Relu" && graph_.nodes[index].operation == "Relu") return false;
    const auto first = bounds_of(earlier), second = bounds_of(graph_.nodes[index]);
    if (!first || !second) return false;
    // Clip(Clip(x, a, b), c, d) is one Clip only while the ranges meet.
    const Bounds both{std::max(first->low, second->low), std::min(first->high, second->high)};
    if (both.low > both.high) return false;
    std::vector<std::string> inputs{earlier.inputs[0]};
    inputs.push_back(both.low > -infinity ? add_constant({both.low}, {}) : "");
    if (both.high < infinity) inputs.push_back(add_constant({both.high}, {}));
    absorb(*before, index, std::move(inputs));
    graph_.nodes[index].operation = "Clip";
    graph_.nodes[index].attributes.clear();
    return true;
  }

  struct ChannelOperand {
    std::size_t convolution = 0;
    std::vector<float> values;  ///< One per channel.
  };

  /// The pattern Conv → (Add | Mul) with one number per output channel.
  std::optional<ChannelOperand> channel_operand(std::size_t index) const {
    const auto& node = graph_.nodes[index];
    for (const std::size_t side : {0U, 1U}) {
      const auto* numbers = float_constant(input_or_empty(node, side));
      const auto maker = sole_maker(input_or_empty(node, 1 - side));
      if (!numbers || !maker || graph_.nodes[*maker].operation != "Conv") continue;
      const auto& convolution = graph_.nodes[*maker];
      const auto* weights = float_constant(input_or_empty(convolution, 1));
      const auto bias = input_or_empty(convolution, 2);
      if (!weights || weights->shape.size() != 4 || (!bias.empty() && !float_constant(bias))) continue;
      const auto channels = weights->shape[0];
      const bool fits = numbers->count() == 1 ? numbers->shape.size() <= 4
                                              : numbers->shape.size() == 4 && numbers->shape[1] == channels &&
                                                    numbers->count() == static_cast<std::size_t>(channels);
      const bool fits_three = numbers->shape.size() == 3 && numbers->shape[0] == channels &&
                              numbers->count() == static_cast<std::size_t>(channels);
      if (!fits && !fits_three) continue;
      auto values = numbers->values<float>();
      if (values.size() == 1) values.assign(static_cast<std::size_t>(channels), values.front());
      return ChannelOperand{*maker, std::move(values)};
    }
    return std::nullopt;
  }

  std::vector<float> bias_of(const OnnxNode& convolution, std::size_t channels) const {
    const auto name = input_or_empty(convolution, 2);
    return name.empty() ? std::vector<float>(channels, 0.F) : constant(name)->values<float>();
  }

  void become_convolution(std::size_t index, std::size_t convolution, std::vector<std::string> inputs) {
    graph_.nodes[index].operation = "Conv";
    graph_.nodes[index].attributes = graph_.nodes[convolution].attributes;
    absorb(convolution, index, std::move(inputs));
  }

  bool add_into_bias(std::size_t index) {
    const auto operand = channel_operand(index);
    if (!operand) return false;
    const auto& convolution = graph_.nodes[operand->convolution];
    auto bias = bias_of(convolution, operand->values.size());
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] += operand->values[i];
    const auto channels = static_cast<std::int64_t>(bias.size());
    std::vector<std::string> inputs{convolution.inputs[0], convolution.inputs[1],
                                    add_constant(std::move(bias), {channels})};
    become_convolution(index, operand->convolution, std::move(inputs));
    return true;
  }

  bool multiply_into_weights(std::size_t index) {
    const auto operand = channel_operand(index);
    if (!operand) return false;
    const auto& convolution = graph_.nodes[operand->convolution];
    const auto* tensor = constant(convolution.inputs[1]);
    auto weights = tensor->values<float>();
    auto shape = tensor->shape;
    const std::size_t channels = operand->values.size(), per_channel = weights.size() / channels;
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= operand->values[i / per_channel];
    std::vector<std::string> inputs{convolution.inputs[0], ""};
    if (!input_or_empty(convolution, 2).empty()) {
      auto bias = bias_of(convolution, channels);
      for (std::size_t i = 0; i < channels; ++i) bias[i] *= operand->values[i];
      inputs.push_back(add_constant(std::move(bias), {static_cast<std::int64_t>(channels)}));
    }
    inputs[1] = add_constant(std::move(weights), std::move(shape));
    become_convolution(index, operand->convolution, std::move(inputs));
    return true;
  }

  /// [top, left, bottom, right] of a Pad that adds such a filling around pictures and nothing else.
  std::optional<std::vector<std::int64_t>> pads_of(const OnnxNode& node, bool (*is_right)(float filling)) const {
    const auto* mode = node.attribute<std::string>("mode");
    const auto* pads = constant(input_or_empty(node, 1));
    if (node.operation != "Pad" || (mode && *mode != "constant") || !pads || pads->type != ElementType::int64)
      return std::nullopt;
    float filling = 0;
    if (const auto name = input_or_empty(node, 2); !name.empty()) {
      const auto* value = float_constant(name);
      if (!value || value->count() != 1) return std::nullopt;
      filling = value->values<float>().front();
    }
    if (!is_right(filling)) return std::nullopt;
    const auto n = pads->values<std::int64_t>();
    if (n.size() != 8 || n[0] != 0 || n[1] != 0 || n[4] != 0 || n[5] != 0) return std::nullopt;
    if (std::any_of(n.begin(), n.end(), [](auto value) { return value < 0; })) return std::nullopt;
    return std::vector<std::int64_t>{n[2], n[3], n[6], n[7]};
  }

  /// A Pad before an operator that slides a window, with the filling that the window's own pads stand for.
  bool pad_into_window(std::size_t index, bool (*is_right)(float filling)) {
    auto& window = graph_.nodes[index];
    const auto before = sole_maker(input_or_empty(window, 0));
    if (!before || !graph_.nodes[*before].domain.empty()) return false;
    const auto added = pads_of(graph_.nodes[*before], is_right);
    if (!added || window.attribute<std::string>("auto_pad")) return false;
    std::vector<std::int64_t> pads{0, 0, 0, 0};
    if (const auto* own = window.attribute<std::vector<std::int64_t>>("pads")) pads = *own;
    if (pads.size() != 4) return false;
    for (std::size_t i = 0; i < 4; ++i) pads[i] += (*added)[i];
    if (window.operation == "MaxPool" && !fits(pads, window)) return false;
    std::erase_if(window.attributes, [](const auto& attribute) { return attribute.name == "pads"; });
    window.attributes.emplace_back("pads", OnnxAttributeValue(pads));
    auto inputs = window.inputs;
    inputs[0] = graph_.nodes[*before].inputs[0];
    absorb(*before, index, std::move(inputs));
    return true;
  }

  /// ONNX wants each window to hold a number that is no border.
  static bool fits(const std::vector<std::int64_t>& pads, const OnnxNode& pooling) {
    const auto* kernel = pooling.attribute<std::vector<std::int64_t>>("kernel_shape");
    const auto* rounds_up = pooling.attribute<std::int64_t>("ceil_mode");
    if (kernel == nullptr || kernel->size() != 2 || (rounds_up != nullptr && *rounds_up != 0)) return false;
    for (std::size_t i = 0; i < 4; ++i) {
      if (pads[i] >= (*kernel)[i % 2]) return false;
    }
    return true;
  }

  /// The maker of the Identity's input writes the Identity's output itself.
  bool skip_identity(std::size_t index) {
    const auto& node = graph_.nodes[index];
    const auto found = makers_.find(node.inputs[0]);
    const auto used = uses_.find(node.inputs[0]);
    if (found == makers_.end() || is_gone_[found->second] || used == uses_.end() || used->second != 1) return false;
    const std::size_t maker = found->second;
    for (auto& output : graph_.nodes[maker].outputs)
      if (output == node.inputs[0]) output = node.outputs[0];
    makers_[node.outputs[0]] = maker;
    is_gone_[index] = true;
    return true;
  }

  /// Graphs within attributes read outer values by name: count these too.
  void count_uses_in_subgraphs(const OnnxNode& node) {
    for (const auto& attribute : node.attributes) {
      const auto* graph = std::get_if<std::shared_ptr<const OnnxGraph>>(&attribute.value);
      if (!graph) continue;
      for (const auto& inner : (*graph)->nodes) {
        for (const auto& input : inner.inputs) uses_[input] += 2;
        count_uses_in_subgraphs(inner);
      }
      for (const auto& output : (*graph)->outputs) uses_[output.name] += 2;
    }
  }

  static void add_reads(const OnnxNode& node, std::unordered_set<std::string>& live) {
    live.insert(node.inputs.begin(), node.inputs.end());
    for (const auto& attribute : node.attributes) {
      const auto* graph = std::get_if<std::shared_ptr<const OnnxGraph>>(&attribute.value);
      if (!graph) continue;
      for (const auto& inner : (*graph)->nodes) add_reads(inner, live);
      for (const auto& output : (*graph)->outputs) live.insert(output.name);
    }
  }

  void drop_dead() {
    std::unordered_set<std::string> live;
    for (const auto& output : graph_.outputs) live.insert(output.name);
    std::vector<OnnxNode> kept;
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      auto& node = graph_.nodes[i];
      const bool is_needed = std::any_of(node.outputs.begin(), node.outputs.end(),
                                         [&](const auto& output) { return live.contains(output); });
      if (is_gone_[i] || !is_needed) continue;
      add_reads(node, live);
      kept.push_back(std::move(node));
    }
    std::reverse(kept.begin(), kept.end());
    graph_.nodes = std::move(kept);
    std::erase_if(graph_.initialisers, [&](const auto& tensor) { return !live.contains(tensor.name); });
    std::erase_if(graph_.values, [&](const auto& value) { return !live.contains(value.name); });
  }

  OnnxGraph& graph_;
  std::unordered_map<std::string, std::size_t> constants_, makers_;
  std::unordered_map<std::string, int> uses_;
  std::vector<bool> is_gone_;
  std::size_t made_count_ = 0;
};

}  // namespace

void simplify(OnnxGraph& graph) { Simplifier(graph).run(); }

}  // namespace verge::models
