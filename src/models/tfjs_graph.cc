#include "models/tfjs_graph.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <set>

#include "base/bytes.h"
#include "base/disk.h"

namespace verge::models {
namespace {

Error refuse(std::string message) { return {ErrorCode::invalid_argument, std::move(message)}; }

/// GraphDef's JSON writes 64-bit numbers as text.
std::optional<std::int64_t> as_integer(const Json& value) {
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::string> as_text(const Json& value) {
  if (!value.is_string()) return std::nullopt;
  auto text = from_base64(value.get_ref<const std::string&>());
  if (!text) return std::nullopt;
  return *std::move(text);
}

std::optional<ElementType> element_type(std::string_view name) {
  if (name == "DT_FLOAT" || name == "float32") return ElementType::float32;
  if (name == "DT_BOOL" || name == "bool") return ElementType::boolean;
  for (const std::string_view integer : {"DT_INT32", "DT_INT64", "DT_UINT8", "int32"})
    if (name == integer) return ElementType::int32;
  return std::nullopt;
}

Error bad_attribute(const TfjsNode& node, std::string_view key) {
  return refuse(
      fmt::format("node \"{}\" ({}): attribute \"{}\" has an unexpected form", node.name, node.operation, key));
}

const Json* find_attribute(const TfjsNode& node, std::string_view key, std::string_view kind) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end() || !found->is_object()) return nullptr;
  const auto value = found->find(kind);
  return value == found->end() ? nullptr : &*value;
}

template <class T, class Convert>
Result<std::vector<T>> list_attribute(const TfjsNode& node, std::string_view key, std::string_view kind,
                                      Convert convert_item) {
  std::vector<T> items;
  const auto* list = find_attribute(node, key, "list");
  if (!list) return items;
  const auto found = list->find(kind);
  if (found == list->end()) return items;
  if (!found->is_array()) return bad_attribute(node, key);
  for (const auto& item : *found) {
    auto converted = convert_item(item);
    if (!converted) return bad_attribute(node, key);
    items.push_back(*std::move(converted));
  }
  return items;
}

// -- weights ------------------------------------------------------------------------------------------------------

struct Quantisation {
  std::string stored;  ///< "float16", "uint8", "uint16"; empty: not quantised.
  double scale = 1, min = 0;
};

struct WeightEntry {
  std::string name;
  ElementType type = ElementType::float32;
  bool is_text = false;
  Dimensions shape;
  Quantisation quantisation;

  std::size_t stored_bytes() const {
    if (quantisation.stored == "uint8") return 1;
    if (!quantisation.stored.empty()) return 2;
    return bytes_of(type);
  }
};

Result<WeightEntry> read_weight_entry(const Json& json) {
  WeightEntry entry;
  VERGE_TRY(entry.name, string_member(json, "name"));
  VERGE_TRY(const std::string type_name, string_member(json, "dtype"));
  const auto type = element_type(type_name);
  if (!type) return refuse(fmt::format("weight \"{}\": type {} is not supported", entry.name, type_name));
  entry.type = *type;
  const auto shape = json.find("shape");
  if (shape == json.end() || !shape->is_array()) return refuse(fmt::format("weight \"{}\" has no shape", entry.name));
  for (const auto& size : *shape) {
    const auto number = as_integer(size);
    if (!number || *number < 0 || *number > (1 << 30))
      return refuse(fmt::format("weight \"{}\" has an impossible shape", entry.name));
    entry.shape.push_back(*number);
  }
  const auto quantisation = json.find("quantization");
  if (quantisation == json.end()) return entry;
  VERGE_TRY(entry.quantisation.stored, string_member(*quantisation, "dtype"));
  VERGE_TRY(entry.quantisation.scale, number_member(*quantisation, "scale", 1));
  VERGE_TRY(entry.quantisation.min, number_member(*quantisation, "min", 0));
  static const std::set<std::string> known{"float16", "uint8", "uint16"};
  if (!known.contains(entry.quantisation.stored))
    return refuse(fmt::format("weight \"{}\": quantisation to {} is not supported; float16, uint8 and uint16 are",
                              entry.name, entry.quantisation.stored));
  return entry;
}

double stored_value(const WeightEntry& entry, const char* bytes) {
  const auto load = [bytes]<class T>(T value) {
    std::memcpy(&value, bytes, sizeof value);
    return value;
  };
  const auto& quantisation = entry.quantisation;
  if (quantisation.stored == "float16") return half_to_double(load(std::uint16_t{}));
  if (!quantisation.stored.empty()) {
    const double stored = quantisation.stored == "uint8" ? load(std::uint8_t{}) : load(std::uint16_t{});
    const double value = stored * quantisation.scale + quantisation.min;
    return entry.type == ElementType::float32 ? value : std::round(value);
  }
  switch (entry.type) {
    case ElementType::int32:
      return load(std::int32_t{});
    case ElementType::boolean:
      return load(std::uint8_t{});
    default:
      return static_cast<double>(load(float{}));
  }
}

/// Cuts one weight off the front of `bytes`.
Result<std::shared_ptr<const Constant>> read_weight(const WeightEntry& entry, std::string_view& bytes) {
  std::uint64_t count = 1;
  for (const auto size : entry.shape)
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(size), &count)) count = ~0ULL >> 8U;
  const std::size_t width = entry.stored_bytes();
  if (count > bytes.size() / width)
    return Error{ErrorCode::corrupt, fmt::format("weight \"{}\" {} needs {} bytes, the weight files have {} left",
                                                 entry.name, shape_text(entry.shape), count * width, bytes.size())};
  auto constant = std::make_shared<Constant>();
  constant->type = entry.type;
  constant->shape = entry.shape;
  constant->values.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    constant->values.push_back(rounded_to(entry.type, stored_value(entry, bytes.data() + i * width)));
  bytes.remove_prefix(count * width);
  return std::shared_ptr<const Constant>(std::move(constant));
}

Result<std::vector<std::string>> shard_paths(const Json& group) {
  std::vector<std::string> paths;
  const auto found = group.find("paths");
  if (found == group.end() || !found->is_array()) return refuse("a group in weightsManifest has no paths");
  for (const auto& path : *found) {
    if (!path.is_string()) return refuse("a path in weightsManifest is not text");
    paths.push_back(path.get<std::string>());
    if (paths.back().find('/') != std::string::npos || paths.back() == "..")
      return refuse(fmt::format("weight file \"{}\" must lie beside the model file", paths.back()));
  }
  return paths;
}

Status read_weight_group(const Json& group, const std::map<std::string, std::string>& shards, TfjsGraph& graph) {
  VERGE_TRY(const auto paths, shard_paths(group));
  std::string joined;
  for (const auto& path : paths) {
    const auto shard = shards.find(path);
    if (shard == shards.end()) return Error{ErrorCode::not_found, fmt::format("weight file \"{}\" is missing", path)};
    joined += shard->second;
  }
  std::string_view left = joined;
  const auto weights = group.find("weights");
  if (weights == group.end() || !weights->is_array()) return refuse("a group in weightsManifest has no weights");
  for (const auto& item : *weights) {
    VERGE_TRY(const auto entry, read_weight_entry(item));
    VERGE_TRY(graph.weights[entry.name], read_weight(entry, left));
  }
  if (!left.empty())
    return Error{ErrorCode::corrupt, fmt::format("{} bytes of the weight files belong to no weight", left.size())};
  return Done{};
}

// -- topology -----------------------------------------------------------------------------------------------------

Result<TfjsNode> read_node(const Json& json) {
  TfjsNode node;
  VERGE_TRY(node.name, string_member(json, "name"));
  VERGE_TRY(node.operation, string_member(json, "op"));
  if (node.name.empty() || node.operation.empty()) return refuse("a node has no name or no op");
  if (const auto inputs = json.find("input"); inputs != json.end()) {
    if (!inputs->is_array()) return refuse(fmt::format("node \"{}\": input is not a list", node.name));
    for (const auto& input : *inputs) {
      if (!input.is_string()) return refuse(fmt::format("node \"{}\": an input is not text", node.name));
      const auto& name = input.get_ref<const std::string&>();
      if (!name.starts_with('^')) node.inputs.push_back(name);
    }
  }
  if (const auto attributes = json.find("attr"); attributes != json.end() && attributes->is_object())
    node.attributes = *attributes;
  return node;
}

Status read_signature(const Json& model, TfjsGraph& graph) {
  const Json* outputs = find_member(model, {"signature", "outputs"});
  if (!outputs) outputs = find_member(model, {"userDefinedMetadata", "signature", "outputs"});
  if (!outputs || !outputs->is_object()) return Done{};
  for (const auto& [key, value] : outputs->items()) {
    std::string source = key;
    if (value.is_object()) {
      VERGE_TRY(source, string_member(value, "name", key));
    }
    graph.outputs[key] = source;
  }
  return Done{};
}

Result<Json> parse_model_json(std::string_view text) {
  VERGE_TRY(auto model, parse_json(text));
  const Json* nodes = find_member(model, {"modelTopology", "node"});
  if (!nodes || !nodes->is_array())
    return refuse(
        "this is not a TensorFlow.js graph model (modelTopology.node is missing); "
        "layers models must be converted with --output_format=tfjs_graph_model first");
  const Json* manifest = find_member(model, {"weightsManifest"});
  if (!manifest || !manifest->is_array()) return refuse("weightsManifest is missing");
  return model;
}

Result<TfjsGraph> build_graph(const Json& model, const std::map<std::string, std::string>& shards) {
  TfjsGraph graph;
  for (const auto& json : *find_member(model, {"modelTopology", "node"})) {
    VERGE_TRY(auto node, read_node(json));
    graph.nodes.push_back(std::move(node));
  }
  for (const auto& group : *find_member(model, {"weightsManifest"}))
    VERGE_CHECK(read_weight_group(group, shards, graph));
  VERGE_CHECK(read_signature(model, graph));
  return graph;
}

}  // namespace

Result<std::int64_t> TfjsNode::integer(std::string_view key, std::int64_t fallback) const {
  const auto* value = find_attribute(*this, key, "i");
  if (!value) return fallback;
  const auto number = as_integer(*value);
  if (!number) return bad_attribute(*this, key);
  return *number;
}

Result<double> TfjsNode::real(std::string_view key, double fallback) const {
  const auto* value = find_attribute(*this, key, "f");
  if (!value) return fallback;
  if (!value->is_number()) return bad_attribute(*this, key);
  return value->get<double>();
}

Result<bool> TfjsNode::flag(std::string_view key, bool fallback) const {
  const auto* value = find_attribute(*this, key, "b");
  if (!value) return fallback;
  if (!value->is_boolean()) return bad_attribute(*this, key);
  return value->get<bool>();
}

Result<std::string> TfjsNode::text(std::string_view key, std::string fallback) const {
  const auto* value = find_attribute(*this, key, "s");
  if (!value) return fallback;
  auto text = as_text(*value);
  if (!text) return bad_attribute(*this, key);
  return *std::move(text);
}

Result<std::vector<std::int64_t>> TfjsNode::integers(std::string_view key) const {
  return list_attribute<std::int64_t>(*this, key, "i", as_integer);
}

Result<std::vector<std::string>> TfjsNode::texts(std::string_view key) const {
  return list_attribute<std::string>(*this, key, "s", as_text);
}

Result<ElementType> TfjsNode::type(std::string_view key, ElementType fallback) const {
  const auto* value = find_attribute(*this, key, "type");
  if (!value) return fallback;
  if (!value->is_string()) return bad_attribute(*this, key);
  const auto type = element_type(value->get_ref<const std::string&>());
  if (!type)
    return refuse(
        fmt::format("node \"{}\" ({}): type {} is not supported", name, operation, value->get<std::string>()));
  return *type;
}

Result<TfjsGraph> parse_tfjs_graph(std::string_view json, const std::map<std::string, std::string>& shards,
                                   const TfjsLimits& limits) {
  std::size_t weight_bytes = 0;
  for (const auto& [name, bytes] : shards) weight_bytes += bytes.size();
  if (json.size() > limits.json_bytes_max || weight_bytes > limits.weight_bytes_max)
    return Error{ErrorCode::limit, fmt::format("the model has {} + {} bytes, at most {} + {} are read", json.size(),
                                               weight_bytes, limits.json_bytes_max, limits.weight_bytes_max)};
  VERGE_TRY(const auto model, parse_model_json(json));
  return build_graph(model, shards);
}

Result<TfjsGraph> read_tfjs_graph(const std::filesystem::path& json_path, const TfjsLimits& limits) {
  const auto doing = fmt::format("read model \"{}\"", json_path.filename().string());
  auto text = read_file(json_path, limits.json_bytes_max);
  if (!text) return std::move(text).error().within(doing);
  auto model = parse_model_json(*text);
  if (!model) return std::move(model).error().within(doing);
  std::map<std::string, std::string> shards;
  std::size_t bytes_left = limits.weight_bytes_max;
  for (const auto& group : *find_member(*model, {"weightsManifest"})) {
    auto paths = shard_paths(group);
    if (!paths) return std::move(paths).error().within(doing);
    for (const auto& path : *paths) {
      auto shard = read_file(json_path.parent_path() / path, bytes_left);
      if (!shard) return std::move(shard).error().within(doing);
      bytes_left -= shard->size();
      shards[path] = *std::move(shard);
    }
  }
  auto graph = build_graph(*model, shards);
  if (!graph) return std::move(graph).error().within(doing);
  return graph;
}

}  // namespace verge::models
