#include "models/tfjs_importer.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <unordered_map>

#include "models/simplify.h"
#include "models/tfjs_operators.h"
#include "models/tfjs_value.h"

namespace verge::models {
namespace {

const TfjsOperators& operators() {
  static const TfjsOperators all = [] {
    TfjsOperators table;
    add_arithmetic_operators(table);
    add_picture_operators(table);
    add_shape_operators(table);
    return table;
  }();
  return all;
}

struct Source {
  std::string node;
  std::size_t index = 0;
};

/// "node" or "node:index".
Source parse_source(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return {text};
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size()) return {text};
  return {text.substr(0, colon), index};
}

std::string output_name(std::string key) {
  if (key.ends_with(":0")) key.resize(key.size() - 2);
  std::replace(key.begin(), key.end(), ':', '_');
  return key;
}

class Importer {
 public:
  Importer(const TfjsGraph& source, const TfjsImportOptions& options)
      : source_(source), options_(options), graph_("imported"), emit_(graph_) {
    for (const auto& node : source_.nodes) nodes_.emplace(node.name, &node);
  }

  Result<OnnxModel> run() {
    VERGE_TRY(const auto wanted, wanted_outputs());
    VERGE_TRY(const auto order, execution_order(wanted));
    VERGE_CHECK(declare_inputs(order));
    for (const auto* node : order)
      if (node->operation != "Placeholder") VERGE_CHECK(convert_in_place(*node));
    VERGE_CHECK(write_outputs(wanted));
    VERGE_TRY(auto model, graph_.finish());
    simplify(model.graph);
    return model;
  }

 private:
  struct Output {
    std::string name;
    Source source;
  };

  std::string renamed(const std::string& name) const {
    const auto found = options_.names.find(name);
    return found == options_.names.end() ? name : found->second;
  }

  Result<std::vector<Output>> wanted_outputs() const {
    std::vector<Output> wanted;
    if (!options_.outputs.empty()) {
      for (const auto& name : options_.outputs) {
        auto found = std::find_if(source_.outputs.begin(), source_.outputs.end(),
                                  [&](const auto& entry) { return output_name(entry.first) == output_name(name); });
        const bool is_signed = found != source_.outputs.end();
        wanted.push_back({renamed(output_name(name)), parse_source(is_signed ? found->second : name)});
      }
    } else if (!source_.outputs.empty()) {
      for (const auto& [key, value] : source_.outputs)
        wanted.push_back({renamed(output_name(key)), parse_source(value)});
    } else {
      wanted = unconsumed_values();
    }
    for (const auto& output : wanted)
      if (!nodes_.contains(output.source.node))
        return Error{ErrorCode::invalid_argument,
                     fmt::format("output \"{}\": the graph has no node \"{}\"", output.name, output.source.node)};
    return wanted;
  }

  std::vector<Output> unconsumed_values() const {
    std::unordered_map<std::string, bool> is_consumed;
    for (const auto& node : source_.nodes)
      for (const auto& input : node.inputs) is_consumed[parse_source(input).node] = true;
    std::vector<Output> wanted;
    for (const auto& node : source_.nodes)
      if (!is_consumed[node.name] && node.operation != "Const" && node.operation != "Placeholder")
        wanted.push_back({renamed(output_name(node.name)), {node.name}});
    return wanted;
  }

  /// The nodes that the outputs need, each after what it reads. Without recursion: graphs can be deep.
  Result<std::vector<const TfjsNode*>> execution_order(const std::vector<Output>& wanted) const {
    enum class Mark : std::uint8_t { fresh, open, done };
    std::unordered_map<const TfjsNode*, Mark> marks;
    std::vector<const TfjsNode*> order, stack;
    for (const auto& output : wanted) stack.push_back(nodes_.at(output.source.node));
    while (!stack.empty()) {
      const auto* node = stack.back();
      auto& mark = marks[node];
      if (mark != Mark::fresh) {
        stack.pop_back();
        if (mark == Mark::open) order.push_back(node);
        mark = Mark::done;
        continue;
      }
      mark = Mark::open;
      for (const auto& input : node->inputs) {
        const auto found = nodes_.find(parse_source(input).node);
        if (found == nodes_.end())
          return Error{ErrorCode::corrupt,
                       fmt::format("node \"{}\" reads \"{}\", which is not there", node->name, input)};
        const auto seen = marks[found->second];
        // Only the path from an output down to this node is open.
        if (seen == Mark::open)
          return Error{ErrorCode::corrupt, fmt::format("the graph has a cycle through \"{}\"", node->name)};
        if (seen == Mark::fresh) stack.push_back(found->second);
      }
    }
    return order;
  }

  /// Inputs keep the file's order, whichever is read first.
  Status declare_inputs(const std::vector<const TfjsNode*>& needed) {
    for (const auto& node : source_.nodes) {
      const bool is_read = std::find(needed.begin(), needed.end(), &node) != needed.end();
      if (node.operation == "Placeholder" && is_read) VERGE_CHECK(convert_in_place(node));
    }
    return Done{};
  }

  /// As convert_node; an error names the operator and its place.
  Status convert_in_place(const TfjsNode& node) {
    auto done = convert_node(node);
    if (done) return done;
    return std::move(done).error().within(fmt::format("operator {} at \"{}\"", node.operation, node.name));
  }

  Status convert_node(const TfjsNode& node) {
    if (node.operation == "Placeholder") return convert_placeholder(node);
    if (node.operation == "Const") return convert_weight(node);
    const auto found = operators().find(node.operation);
    if (found == operators().end())
      return Error{ErrorCode::invalid_argument,
                   "it is not supported; `verge model import --help` lists those that are"};
    TfjsValues inputs;
    for (const auto& text : node.inputs) {
      const auto source = parse_source(text);
      const auto& outputs = values_.at(source.node);
      if (source.index >= outputs.size())
        return Error{ErrorCode::corrupt, fmt::format("it reads \"{}\", which has {} outputs", text, outputs.size())};
      inputs.push_back(outputs[source.index]);
    }
    VERGE_TRY(values_[node.name], found->second(TfjsCall{node, inputs, emit_}));
    return Done{};
  }

  Status convert_weight(const TfjsNode& node) {
    const auto found = source_.weights.find(node.name);
    if (found == source_.weights.end()) return Error{ErrorCode::corrupt, "the weight files do not hold it"};
    TfjsValue value;
    value.constant = found->second;
    value.shape = found->second->shape;
    value.type = found->second->type;
    value.order = identity_order(value.rank());
    values_[node.name] = {std::move(value)};
    return Done{};
  }

  Status convert_placeholder(const TfjsNode& node) {
    const auto name = renamed(node.name);
    VERGE_TRY(const auto type, node.type("dtype", ElementType::float32));
    VERGE_TRY(auto shape, placeholder_shape(node));
    graph_.input(name, type, shape);
    values_[node.name] = {emit_.made(name, std::move(shape), type)};
    return Done{};
  }

  Result<Dimensions> placeholder_shape(const TfjsNode& node) const {
    for (const auto& key : {node.name, renamed(node.name)})
      if (const auto pinned = options_.input_shapes.find(key); pinned != options_.input_shapes.end())
        return pinned->second;
    Dimensions shape;
    const Json* dimensions = find_member(node.attributes, {"shape", "shape", "dim"});
    if (dimensions && dimensions->is_array()) {
      for (const auto& dimension : *dimensions) {
        const auto found = dimension.find("size");
        const auto text = found == dimension.end() ? "-1"
                          : found->is_string()     ? found->get<std::string>()
                                                   : found->dump();
        shape.push_back(std::strtoll(text.c_str(), nullptr, 10));
      }
    }
    if (!shape.empty() && shape.front() < 0) shape.front() = 1;
    if (std::any_of(shape.begin(), shape.end(), [](auto size) { return size <= 0; }))
      return Error{ErrorCode::invalid_argument, fmt::format("the input's size {} is free; fix it with the option "
                                                            "input shape, such as {}=1,256,256,3",
                                                            shape_text(shape), node.name)};
    return shape;
  }

  Status write_outputs(const std::vector<Output>& wanted) {
    for (const auto& output : wanted) {
      const auto& values = values_.at(output.source.node);
      if (output.source.index >= values.size())
        return Error{ErrorCode::invalid_argument, fmt::format("output \"{}\": node \"{}\" has {} outputs", output.name,
                                                              output.source.node, values.size())};
      const auto& value = values[output.source.index];
      graph_.output(output.name, emit_.edge_of(value), value.type, value.shape);
    }
    return Done{};
  }

  const TfjsGraph& source_;
  const TfjsImportOptions& options_;
  GraphBuilder graph_;
  TfjsEmitter emit_;
  std::unordered_map<std::string, const TfjsNode*> nodes_;
  std::unordered_map<std::string, TfjsValues> values_;
};

}  // namespace

Result<OnnxModel> import_tfjs(const TfjsGraph& graph, const TfjsImportOptions& options) {
  return Importer(graph, options).run();
}

Result<OnnxModel> import_tfjs(const std::filesystem::path& json_path, const TfjsImportOptions& options) {
  VERGE_TRY(const auto graph, read_tfjs_graph(json_path));
  auto model = import_tfjs(graph, options);
  if (!model) return std::move(model).error().within(fmt::format("import model \"{}\"", json_path.filename().string()));
  return model;
}

std::vector<std::string> tfjs_operators() {
  std::vector<std::string> names{"Const", "Placeholder"};
  for (const auto& [name, convert] : operators()) names.emplace_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace verge::models
