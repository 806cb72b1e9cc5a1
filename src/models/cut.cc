#include "models/cut.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>
#include <unordered_set>

#include "inference/session.h"

namespace verge::models {
namespace {

/// Names that a node reads, those within its sub-graphs included.
void collect_reads(const OnnxNode& node, std::vector<std::string>& names) {
  names.insert(names.end(), node.inputs.begin(), node.inputs.end());
  for (const auto& attribute : node.attributes) {
    const auto* inner = std::get_if<std::shared_ptr<const OnnxGraph>>(&attribute.value);
    if (inner == nullptr || *inner == nullptr) continue;
    for (const auto& below : (*inner)->nodes) collect_reads(below, names);
    for (const auto& output : (*inner)->outputs) names.push_back(output.name);
  }
}

}  // namespace

Result<OnnxValue> sole_input(const OnnxGraph& graph) {
  const OnnxValue* found = nullptr;
  for (const auto& input : graph.inputs) {
    if (graph.find_initialiser(input.name) != nullptr) continue;
    if (found != nullptr) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("cut graph \"{}\": it has several inputs (\"{}\", \"{}\"), one is needed", graph.name,
                               found->name, input.name)};
    }
    found = &input;
  }
  if (found == nullptr)
    return Error{ErrorCode::invalid_argument, fmt::format("cut graph \"{}\": it has no input", graph.name)};
  return *found;
}

Result<OnnxModel> with_input_shape(const OnnxModel& model, const Dimensions& shape) {
  VERGE_TRY(const OnnxValue wanted, sole_input(model.graph));
  if (wanted.has_shape && wanted.shape.size() != shape.size()) {
    return Error{ErrorCode::invalid_argument, fmt::format("give input \"{}\" the shape {}: the model's is {}",
                                                          wanted.name, shape_text(shape), shape_text(wanted.shape))};
  }
  OnnxModel pinned = model;
  for (auto& input : pinned.graph.inputs) {
    if (input.name != wanted.name) continue;
    input.has_shape = true;
    input.shape = shape;
    input.symbols.assign(shape.size(), {});
  }
  pinned.graph.values.clear();
  for (auto& output : pinned.graph.outputs) {
    output.has_shape = false;
    output.shape.clear();
    output.symbols.clear();
  }
  return pinned;
}

Result<std::map<std::string, Dimensions>> shapes_of(const OnnxModel& model) {
  OnnxModel open = model;
  std::unordered_set<std::string> listed;
  for (const auto& output : open.graph.outputs) listed.insert(output.name);
  for (const auto& node : model.graph.nodes) {
    for (const auto& output : node.outputs) {
      if (!output.empty() && listed.insert(output).second)
        open.graph.outputs.push_back({output, ElementType::undefined, false, {}, {}});
    }
  }
  VERGE_TRY(const auto session, inference::load_onnx_bytes(to_bytes(open)));
  std::map<std::string, Dimensions> shapes;
  for (const auto& output : session->outputs()) {
    if (output.type != inference::DataType::float32) continue;
    if (std::ranges::any_of(output.shape, [](auto size) { return size < 0; })) continue;
    shapes[output.name] = output.shape;
  }
  return shapes;
}

Result<OnnxModel> cut(const OnnxModel& model, std::span<const std::string> outputs) {
  const OnnxGraph& whole = model.graph;
  if (outputs.empty())
    return Error{ErrorCode::invalid_argument, fmt::format("cut graph \"{}\": no value is wanted", whole.name)};
  std::unordered_map<std::string, std::size_t> makers;
  for (std::size_t at = 0; at < whole.nodes.size(); ++at) {
    for (const auto& output : whole.nodes[at].outputs)
      if (!output.empty()) makers[output] = at;
  }
  std::vector<std::string> open(outputs.begin(), outputs.end());
  for (const auto& name : open) {
    if (!makers.contains(name)) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("cut graph \"{}\": no node makes a value \"{}\"", whole.name, name)};
    }
  }
  std::unordered_set<std::string> read;
  std::vector<bool> is_kept(whole.nodes.size(), false);
  while (!open.empty()) {
    const std::string name = std::move(open.back());
    open.pop_back();
    if (!read.insert(name).second) continue;
    const auto made = makers.find(name);
    if (made == makers.end() || is_kept[made->second]) continue;
    is_kept[made->second] = true;
    collect_reads(whole.nodes[made->second], open);
  }

  OnnxModel part = model;
  part.graph.nodes.clear();
  part.graph.initialisers.clear();
  part.graph.outputs.clear();
  for (std::size_t at = 0; at < whole.nodes.size(); ++at)
    if (is_kept[at]) part.graph.nodes.push_back(whole.nodes[at]);
  for (const auto& tensor : whole.initialisers)
    if (read.contains(tensor.name)) part.graph.initialisers.push_back(tensor);
  std::erase_if(part.graph.inputs, [&](const OnnxValue& input) {
    return whole.find_initialiser(input.name) != nullptr && !read.contains(input.name);
  });
  for (const auto& name : outputs) part.graph.outputs.push_back({name, ElementType::float32, false, {}, {}});
  return part;
}

}  // namespace verge::models
