#include "audio/speech/recognition/merged_decoder.h"

#include <algorithm>
#include <unordered_set>

namespace verge::audio {
namespace {

using models::OnnxGraph;
using models::OnnxModel;
using models::OnnxNode;
using models::OnnxTensor;

const OnnxNode* maker_of(const OnnxGraph& graph, const std::string& value) {
  for (const auto& node : graph.nodes) {
    if (std::ranges::find(node.outputs, value) != node.outputs.end()) return &node;
  }
  return nullptr;
}

/// Constants and inputs that nothing uses go; those of the outer graph that are used come in.
void close_over(OnnxGraph& branch, const OnnxGraph& outer) {
  std::unordered_set<std::string> used, known;
  for (const auto& node : branch.nodes) used.insert(node.inputs.begin(), node.inputs.end());
  for (const auto& output : branch.outputs) used.insert(output.name);
  std::erase_if(branch.initialisers, [&](const OnnxTensor& tensor) { return !used.contains(tensor.name); });
  for (const auto& tensor : branch.initialisers) known.insert(tensor.name);
  for (const auto& tensor : outer.initialisers) {
    if (used.contains(tensor.name) && known.insert(tensor.name).second) branch.initialisers.push_back(tensor);
  }
  for (const auto& input : outer.inputs) {
    if (used.contains(input.name) && known.insert(input.name).second) branch.inputs.push_back(input);
  }
}

DecoderBranch make_branch(const OnnxModel& merged, const OnnxGraph& graph) {
  DecoderBranch branch{merged, {}};
  branch.model.graph = graph;
  close_over(branch.model.graph, merged.graph);
  for (std::size_t at = 0; at < graph.outputs.size(); ++at) {
    branch.outputs.push_back(graph.outputs[at].name);
    // A branch need not state what its outputs are; the model does.
    auto& output = branch.model.graph.outputs[at];
    const std::string name = output.name;
    output = merged.graph.outputs[at];
    output.name = name;
  }
  return branch;
}

/// Where a branch reads and multiplies its table of bytes.
struct TableUse {
  std::string table, scale, zero;
  std::string row;     ///< The bytes of a token's row.
  std::string hidden;  ///< The value that is multiplied.
};

bool is_transposition(const OnnxNode& node) {
  const auto* order = node.attribute<std::vector<std::int64_t>>("perm");
  return node.operation == "Transpose" && (order == nullptr || *order == std::vector<std::int64_t>{1, 0});
}

std::optional<TableUse> find_table(const OnnxGraph& graph, const std::string& logits) {
  const OnnxNode* product = maker_of(graph, logits);
  if (product == nullptr || product->operation != "MatMul") return std::nullopt;
  const OnnxNode* floats = maker_of(graph, product->inputs[1]);
  if (floats == nullptr || floats->operation != "DequantizeLinear" || floats->inputs.size() != 3) return std::nullopt;
  const OnnxNode* turned = maker_of(graph, floats->inputs[0]);
  if (turned == nullptr || !is_transposition(*turned)) return std::nullopt;
  TableUse use{turned->inputs[0], floats->inputs[1], floats->inputs[2], {}, product->inputs[0]};
  for (const auto& node : graph.nodes) {
    if (node.operation != "DequantizeLinear" || node.inputs.size() != 3 || node.inputs[1] != use.scale) continue;
    const OnnxNode* row = maker_of(graph, node.inputs[0]);
    const bool is_token = row != nullptr && row->operation == "Gather" && row->inputs[0] == use.table &&
                          row->inputs[1] == "input_ids" && node.inputs[2] == use.zero;
    if (is_token) use.row = row->outputs[0];
  }
  return use.row.empty() ? std::nullopt : std::optional(use);
}

/// Nodes whose outputs nobody wants go, from the end to the beginning.
void drop_unused(OnnxGraph& graph) {
  std::unordered_set<std::string> wanted;
  for (const auto& output : graph.outputs) wanted.insert(output.name);
  std::vector<OnnxNode> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (std::ranges::none_of(node->outputs, [&](const auto& name) { return wanted.contains(name); })) continue;
    wanted.insert(node->inputs.begin(), node->inputs.end());
    kept.push_back(std::move(*node));
  }
  std::ranges::reverse(kept);
  graph.nodes = std::move(kept);
  std::erase_if(graph.initialisers, [&](const OnnxTensor& tensor) { return !wanted.contains(tensor.name); });
  std::erase_if(graph.inputs, [&](const auto& input) { return !wanted.contains(input.name); });
}

void take_table_out(DecoderBranch& branch, const TableUse& use, const ByteTable& table) {
  OnnxGraph& graph = branch.model.graph;
  const std::string embedding(MergedDecoder::kEmbedding);
  std::erase_if(graph.nodes, [&](const OnnxNode& node) { return node.outputs.front() == use.row; });
  for (auto& node : graph.nodes) std::ranges::replace(node.inputs, use.row, embedding);
  // The same free dimensions by the same names: with fixed ones the engine fuses other nodes and rounds differently.
  models::OnnxValue value = *std::ranges::find(graph.inputs, "input_ids", &models::OnnxValue::name);
  value.shape.push_back(static_cast<std::int64_t>(table.width()));
  value.symbols.resize(value.shape.size());
  value.name = embedding;
  value.type = table.is_signed() ? models::ElementType::int8 : models::ElementType::uint8;
  graph.inputs.push_back(value);
  value.name = use.hidden;
  value.type = models::ElementType::float32;
  graph.outputs.front() = value;
  branch.outputs.front() = use.hidden;
  drop_unused(graph);
}

/// The one number of a constant.
std::optional<double> sole_number(const OnnxGraph& graph, const std::string& name) {
  const OnnxTensor* tensor = graph.find_initialiser(name);
  if (tensor == nullptr || tensor->count() != 1) return std::nullopt;
  return tensor->as_doubles().front();
}

std::optional<ByteTable> table_of(const OnnxGraph& graph, const TableUse& use) {
  const OnnxTensor* numbers = graph.find_initialiser(use.table);
  const auto scale = sole_number(graph, use.scale), zero = sole_number(graph, use.zero);
  if (numbers == nullptr || !scale || !zero) return std::nullopt;
  auto table = ByteTable::make(*numbers, static_cast<float>(*scale), static_cast<int>(*zero));
  return table ? std::optional(*std::move(table)) : std::nullopt;
}

}  // namespace

Result<MergedDecoder> take_apart(const OnnxModel& merged) {
  using Branch = std::shared_ptr<const OnnxGraph>;
  const auto& nodes = merged.graph.nodes;
  const Branch* first = nodes.size() == 1 ? nodes.front().attribute<Branch>("else_branch") : nullptr;
  const Branch* later = nodes.size() == 1 ? nodes.front().attribute<Branch>("then_branch") : nullptr;
  if (first == nullptr || later == nullptr || nodes.front().inputs.front() != "use_cache_branch" ||
      (*first)->outputs.size() != merged.graph.outputs.size() ||
      (*later)->outputs.size() != merged.graph.outputs.size()) {
    return Error{ErrorCode::invalid_argument, "take a decoder apart: it is not one If on \"use_cache_branch\""};
  }
  MergedDecoder parts{make_branch(merged, **first), make_branch(merged, **later), std::nullopt};
  const auto first_use = find_table(parts.first.model.graph, parts.first.outputs.front());
  const auto later_use = find_table(parts.later.model.graph, parts.later.outputs.front());
  if (!first_use || !later_use || first_use->table != later_use->table) return parts;
  parts.embeddings = table_of(parts.first.model.graph, *first_use);
  if (!parts.embeddings) return parts;
  take_table_out(parts.first, *first_use, *parts.embeddings);
  take_table_out(parts.later, *later_use, *parts.embeddings);
  return parts;
}

}  // namespace verge::audio
