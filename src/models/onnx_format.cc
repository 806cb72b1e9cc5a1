// The messages of onnx.proto, field by field.
#include <algorithm>
#include <fmt/format.h>

#include "base/disk.h"
#include "models/onnx_graph.h"
#include "models/protobuf_wire.h"

namespace verge::models {
namespace {

enum class AttributeKind : std::uint8_t {
  real = 1,
  integer = 2,
  text = 3,
  tensor = 4,
  graph = 5,
  reals = 6,
  integers = 7,
  texts = 8,
};

Error broken(std::string_view message, std::size_t offset) {
  return {ErrorCode::corrupt, fmt::format("not a valid ONNX file: {} at byte {}", message, offset)};
}

Status check_end(const WireReader& reader, std::string_view message) {
  if (reader.is_broken()) return broken(fmt::format("{} is cut off or damaged", message), reader.offset());
  return Done{};
}

/// A repeated integer, one field per number or all in one (packed).
bool append_integers(const WireField& field, std::vector<std::int64_t>& target) {
  if (field.kind == WireKind::varint) {
    target.push_back(field.integer());
    return true;
  }
  if (field.kind != WireKind::length) return false;
  WireReader packed(field);
  for (std::uint64_t value = 0; packed.next_varint(value);) target.push_back(static_cast<std::int64_t>(value));
  return !packed.is_broken();
}

bool append_reals(const WireField& field, std::vector<float>& target) {
  if (field.kind == WireKind::fixed32) {
    target.push_back(field.real());
    return true;
  }
  if (field.kind != WireKind::length) return false;
  WireReader packed(field);
  for (std::uint64_t value = 0; packed.next_fixed32(value);)
    target.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(value)));
  return !packed.is_broken();
}

template <class T>
void append_raw(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// int32_data holds all the narrow types; each number takes its own width in raw form.
void append_narrow(std::string& bytes, ElementType type, std::int64_t value) {
  switch (bytes_of(type)) {
    case 1:
      append_raw(bytes, static_cast<std::uint8_t>(value));
      break;
    case 2:
      append_raw(bytes, static_cast<std::uint16_t>(value));
      break;
    default:
      append_raw(bytes, static_cast<std::uint32_t>(value));
      break;
  }
}

bool append_packed_fixed(const WireField& field, std::size_t width, std::string& bytes) {
  if (field.kind == WireKind::length) {
    if (field.bytes.size() % width != 0) return false;
    bytes.append(field.bytes);
    return true;
  }
  bytes.append(reinterpret_cast<const char*>(&field.value), width);
  return true;
}

bool is_known(std::uint64_t type) { return (type >= 1 && type <= 13) || type == 16; }

struct TensorFields {
  OnnxTensor tensor;
  std::string typed;                   ///< From float_data, double_data.
  std::vector<std::int64_t> integers;  ///< From int32_data, int64_data, uint64_data.
  bool has_raw = false;
};

bool read_tensor_field(const WireField& field, TensorFields& read) {
  switch (field.number) {
    case 1:
      return append_integers(field, read.tensor.shape);
    case 2:
      read.tensor.type = static_cast<ElementType>(field.value);
      return is_known(field.value);
    case 4:
      return append_packed_fixed(field, 4, read.typed);
    case 5:
    case 7:
    case 11:
      return append_integers(field, read.integers);
    case 6:
      read.tensor.texts.push_back(field.text());
      return true;
    case 8:
      read.tensor.name = field.text();
      return true;
    case 9:
      read.tensor.bytes = field.text();
      read.has_raw = true;
      return true;
    case 10:
      return append_packed_fixed(field, 8, read.typed);
    case 14:
      read.tensor.is_external = field.value == 1;
      return true;
    default:
      return true;
  }
}

/// Dimensions of a stored tensor are fixed and their product must not overflow.
bool has_sane_shape(const OnnxTensor& tensor) {
  std::uint64_t count = 1;
  for (const auto size : tensor.shape) {
    if (size < 0 || size > (std::int64_t{1} << 40U)) return false;
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(size), &count) || count > (1ULL << 40U)) return false;
  }
  return true;
}

Result<OnnxTensor> read_tensor(const WireField& message) {
  TensorFields read;
  read.tensor.type = ElementType::undefined;
  WireReader reader(message);
  for (WireField field; reader.next(field);)
    if (!read_tensor_field(field, read))
      return broken(fmt::format("tensor \"{}\", field {}", read.tensor.name, field.number), reader.offset());
  VERGE_CHECK(check_end(reader, "a tensor"));

  auto& tensor = read.tensor;
  if (tensor.type == ElementType::undefined)
    return broken(fmt::format("tensor \"{}\" does not say its type", tensor.name), message.offset);
  if (!has_sane_shape(tensor))
    return broken(fmt::format("tensor \"{}\" has the impossible shape {}", tensor.name, shape_text(tensor.shape)),
                  message.offset);
  if (tensor.is_external) {
    tensor.bytes.clear();
    return std::move(tensor);
  }
  if (!read.has_raw) {
    tensor.bytes = std::move(read.typed);
    for (const auto value : read.integers) {
      if (bytes_of(tensor.type) == 8)
        append_raw(tensor.bytes, value);
      else
        append_narrow(tensor.bytes, tensor.type, value);
    }
  }
  const bool is_text = tensor.type == ElementType::text;
  const std::size_t found = is_text ? tensor.texts.size() : tensor.bytes.size();
  const std::size_t wanted = is_text ? tensor.count() : tensor.count() * bytes_of(tensor.type);
  if (found != wanted)
    return broken(fmt::format("tensor \"{}\" {} {} holds {} {}, expected {}", tensor.name, name_of(tensor.type),
                              shape_text(tensor.shape), found, is_text ? "texts" : "bytes", wanted),
                  message.offset);
  return std::move(tensor);
}

Result<OnnxGraph> read_graph(const WireField& message, int depth_left);

struct AttributeFields {
  std::string name;
  std::uint64_t kind = 0;
  float real = 0;
  std::int64_t integer = 0;
  std::string text;
  std::vector<float> reals;
  std::vector<std::int64_t> integers;
  std::vector<std::string> texts;
  OnnxTensor tensor;
  std::shared_ptr<const OnnxGraph> graph;
};

Status read_attribute_field(const WireField& field, AttributeFields& read, int depth_left) {
  const auto fine = [&](bool is_fine) -> Status {
    if (is_fine) return Done{};
    return broken(fmt::format("attribute \"{}\", field {}", read.name, field.number), field.offset);
  };
  switch (field.number) {
    case 1:
      read.name = field.text();
      return Done{};
    case 2:
      read.real = field.real();
      return Done{};
    case 3:
      read.integer = field.integer();
      return Done{};
    case 4:
      read.text = field.text();
      return Done{};
    case 5: {
      VERGE_TRY(read.tensor, read_tensor(field));
      return Done{};
    }
    case 6: {
      VERGE_TRY(auto graph, read_graph(field, depth_left - 1));
      read.graph = std::make_shared<const OnnxGraph>(std::move(graph));
      return Done{};
    }
    case 7:
      return fine(append_reals(field, read.reals));
    case 8:
      return fine(append_integers(field, read.integers));
    case 9:
      read.texts.push_back(field.text());
      return Done{};
    case 20:
      read.kind = field.value;
      return Done{};
    default:
      return Done{};
  }
}

Result<OnnxAttribute> read_attribute(const WireField& message, int depth_left) {
  AttributeFields read;
  WireReader reader(message);
  for (WireField field; reader.next(field);) VERGE_CHECK(read_attribute_field(field, read, depth_left));
  VERGE_CHECK(check_end(reader, "an attribute"));
  switch (static_cast<AttributeKind>(read.kind)) {
    case AttributeKind::real:
      return OnnxAttribute(read.name, OnnxAttributeValue(read.real));
    case AttributeKind::integer:
      return OnnxAttribute(read.name, OnnxAttributeValue(read.integer));
    case AttributeKind::text:
      return OnnxAttribute(read.name, OnnxAttributeValue(std::move(read.text)));
    case AttributeKind::tensor:
      return OnnxAttribute(read.name, OnnxAttributeValue(std::move(read.tensor)));
    case AttributeKind::graph:
      if (!read.graph) return broken(fmt::format("attribute \"{}\" has no graph", read.name), message.offset);
      return OnnxAttribute(read.name, OnnxAttributeValue(std::move(read.graph)));
    case AttributeKind::reals:
      return OnnxAttribute(read.name, OnnxAttributeValue(std::move(read.reals)));
    case AttributeKind::integers:
      return OnnxAttribute(read.name, OnnxAttributeValue(std::move(read.integers)));
    case AttributeKind::texts:
      return OnnxAttribute(read.name, OnnxAttributeValue(std::move(read.texts)));
  }
  return broken(fmt::format("attribute \"{}\" is of kind {}, which is not supported", read.name, read.kind),
                message.offset);
}

Result<OnnxNode> read_node(const WireField& message, int depth_left) {
  OnnxNode node;
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    switch (field.number) {
      case 1:
        node.inputs.push_back(field.text());
        break;
      case 2:
        node.outputs.push_back(field.text());
        break;
      case 3:
        node.name = field.text();
        break;
      case 4:
        node.operation = field.text();
        break;
      case 5: {
        VERGE_TRY(auto attribute, read_attribute(field, depth_left));
        node.attributes.push_back(std::move(attribute));
        break;
      }
      case 7:
        node.domain = field.text();
        break;
      default:
        break;
    }
  }
  VERGE_CHECK(check_end(reader, "a node"));
  if (node.domain == "ai.onnx") node.domain.clear();
  return node;
}

bool read_dimension(const WireField& message, OnnxValue& value) {
  std::int64_t size = -1;
  std::string symbol;
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    if (field.number == 1) size = field.integer();
    if (field.number == 2) symbol = field.text();
  }
  value.shape.push_back(std::max<std::int64_t>(size, -1));
  value.symbols.push_back(std::move(symbol));
  return !reader.is_broken();
}

bool read_tensor_type(const WireField& message, OnnxValue& value) {
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    if (field.number == 1 && is_known(field.value)) value.type = static_cast<ElementType>(field.value);
    if (field.number != 2) continue;
    value.has_shape = true;
    WireReader dimensions(field);
    for (WireField dimension; dimensions.next(dimension);)
      if (dimension.number == 1 && !read_dimension(dimension, value)) return false;
    if (dimensions.is_broken()) return false;
  }
  return !reader.is_broken();
}

Result<OnnxValue> read_value(const WireField& message) {
  OnnxValue value;
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    if (field.number == 1) value.name = field.text();
    if (field.number != 2) continue;
    WireReader type(field);
    for (WireField kind; type.next(kind);)
      if (kind.number == 1 && !read_tensor_type(kind, value))
        return broken(fmt::format("type of \"{}\"", value.name), kind.offset);
    VERGE_CHECK(check_end(type, "a type"));
  }
  VERGE_CHECK(check_end(reader, "a value"));
  return value;
}

template <class T, class Read>
Status append(std::vector<T>& list, Read&& result) {
  if (!result) return std::move(result).error();
  list.push_back(*std::move(result));
  return Done{};
}

Result<OnnxGraph> read_graph(const WireField& message, int depth_left) {
  if (depth_left <= 0) return Error{ErrorCode::limit, "graphs lie too deeply within graphs"};
  OnnxGraph graph;
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    switch (field.number) {
      case 1:
        VERGE_CHECK(append(graph.nodes, read_node(field, depth_left)));
        break;
      case 2:
        graph.name = field.text();
        break;
      case 5:
        VERGE_CHECK(append(graph.initialisers, read_tensor(field)));
        break;
      case 11:
        VERGE_CHECK(append(graph.inputs, read_value(field)));
        break;
      case 12:
        VERGE_CHECK(append(graph.outputs, read_value(field)));
        break;
      case 13:
        VERGE_CHECK(append(graph.values, read_value(field)));
        break;
      default:
        break;
    }
  }
  VERGE_CHECK(check_end(reader, "the graph"));
  return graph;
}

bool read_opset(const WireField& message, OnnxModel& model) {
  std::string domain;
  std::int64_t version = 0;
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    if (field.number == 1) domain = field.text();
    if (field.number == 2) version = field.integer();
  }
  model.opsets[domain == "ai.onnx" ? "" : domain] = version;
  return !reader.is_broken();
}

bool read_metadata(const WireField& message, OnnxModel& model) {
  std::string key, value;
  WireReader reader(message);
  for (WireField field; reader.next(field);) {
    if (field.number == 1) key = field.text();
    if (field.number == 2) value = field.text();
  }
  model.metadata[key] = value;
  return !reader.is_broken();
}

// -- writing ------------------------------------------------------------------------------------------------------

WireWriter write_tensor(const OnnxTensor& tensor) {
  WireWriter message;
  for (const auto size : tensor.shape) message.integer(1, size);
  message.integer(2, static_cast<std::int64_t>(tensor.type));
  for (const auto& text : tensor.texts) message.text(6, text);
  if (!tensor.name.empty()) message.text(8, tensor.name);
  if (tensor.type != ElementType::text) message.text(9, tensor.bytes);
  return message;
}

WireWriter write_graph(const OnnxGraph& graph);

struct AttributeWriter {
  WireWriter& message;

  void operator()(float value) const { message.real(2, value), kind(AttributeKind::real); }
  void operator()(std::int64_t value) const { message.integer(3, value), kind(AttributeKind::integer); }
  void operator()(const std::string& value) const { message.text(4, value), kind(AttributeKind::text); }
  void operator()(const OnnxTensor& value) const {
    message.message(5, write_tensor(value)), kind(AttributeKind::tensor);
  }
  void operator()(const std::shared_ptr<const OnnxGraph>& value) const {
    message.message(6, write_graph(*value));
    kind(AttributeKind::graph);
  }
  void operator()(const std::vector<float>& values) const {
    for (const auto value : values) message.real(7, value);
    kind(AttributeKind::reals);
  }
  void operator()(const std::vector<std::int64_t>& values) const {
    for (const auto value : values) message.integer(8, value);
    kind(AttributeKind::integers);
  }
  void operator()(const std::vector<std::string>& values) const {
    for (const auto& value : values) message.text(9, value);
    kind(AttributeKind::texts);
  }
  void kind(AttributeKind value) const { message.varint(20, static_cast<std::uint64_t>(value)); }
};

WireWriter write_node(const OnnxNode& node) {
  WireWriter message;
  for (const auto& input : node.inputs) message.text(1, input);
  for (const auto& output : node.outputs) message.text(2, output);
  if (!node.name.empty()) message.text(3, node.name);
  message.text(4, node.operation);
  for (const auto& attribute : node.attributes) {
    WireWriter inner;
    inner.text(1, attribute.name);
    std::visit(AttributeWriter{inner}, attribute.value);
    message.message(5, inner);
  }
  if (!node.domain.empty()) message.text(7, node.domain);
  return message;
}

WireWriter write_value(const OnnxValue& value) {
  WireWriter message;
  message.text(1, value.name);
  if (value.type == ElementType::undefined) return message;
  WireWriter tensor, type;
  tensor.integer(1, static_cast<std::int64_t>(value.type));
  if (value.has_shape) {
    WireWriter shape;
    for (std::size_t i = 0; i < value.shape.size(); ++i) {
      WireWriter dimension;
      if (value.shape[i] >= 0)
        dimension.integer(1, value.shape[i]);
      else if (i < value.symbols.size() && !value.symbols[i].empty())
        dimension.text(2, value.symbols[i]);
      shape.message(1, dimension);
    }
    tensor.message(2, shape);
  }
  type.message(1, tensor);
  message.message(2, type);
  return message;
}

WireWriter write_graph(const OnnxGraph& graph) {
  WireWriter message;
  for (const auto& node : graph.nodes) message.message(1, write_node(node));
  message.text(2, graph.name);
  for (const auto& tensor : graph.initialisers) message.message(5, write_tensor(tensor));
  for (const auto& input : graph.inputs) message.message(11, write_value(input));
  for (const auto& output : graph.outputs) message.message(12, write_value(output));
  for (const auto& value : graph.values) message.message(13, write_value(value));
  return message;
}

}  // namespace

Result<OnnxModel> parse_model(std::string_view bytes, const OnnxLimits& limits) {
  if (bytes.size() > limits.bytes_max)
    return Error{ErrorCode::limit,
                 fmt::format("the model has {} bytes, at most {} are read", bytes.size(), limits.bytes_max)};
  OnnxModel model;
  model.opsets.clear();
  model.producer.clear();
  model.ir_version = 0;
  bool has_graph = false;
  WireReader reader(bytes);
  for (WireField field; reader.next(field);) {
    bool is_fine = true;
    switch (field.number) {
      case 1:
        model.ir_version = field.integer();
        break;
      case 2:
        model.producer = field.text();
        break;
      case 3:
        model.producer_version = field.text();
        break;
      case 7: {
        VERGE_TRY(model.graph, read_graph(field, limits.depth_max));
        has_graph = true;
        break;
      }
      case 8:
        is_fine = read_opset(field, model);
        break;
      case 14:
        is_fine = read_metadata(field, model);
        break;
      default:
        break;
    }
    if (!is_fine) return broken(fmt::format("model field {}", field.number), field.offset);
  }
  VERGE_CHECK(check_end(reader, "the model"));
  if (!has_graph || model.opsets.empty()) return broken("it has no graph or no operator set", bytes.size());
  return model;
}

Result<OnnxModel> load_model(const std::filesystem::path& path, const OnnxLimits& limits) {
  auto bytes = read_file(path, limits.bytes_max);
  const auto doing = fmt::format("load model \"{}\"", path.filename().string());
  if (!bytes) return std::move(bytes).error().within(doing);
  auto model = parse_model(*bytes, limits);
  if (!model) return std::move(model).error().within(doing);
  return model;
}

std::string to_bytes(const OnnxModel& model) {
  WireWriter message;
  message.integer(1, model.ir_version);
  if (!model.producer.empty()) message.text(2, model.producer);
  if (!model.producer_version.empty()) message.text(3, model.producer_version);
  message.message(7, write_graph(model.graph));
  for (const auto& [domain, version] : model.opsets) {
    WireWriter opset;
    opset.text(1, domain);
    opset.integer(2, version);
    message.message(8, opset);
  }
  for (const auto& [key, value] : model.metadata) {
    WireWriter entry;
    entry.text(1, key);
    entry.text(2, value);
    message.message(14, entry);
  }
  return std::move(message).take();
}

Status save_model(const OnnxModel& model, const std::filesystem::path& path) {
  return write_file(path, to_bytes(model));
}

}  // namespace verge::models
