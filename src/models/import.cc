#include "models/import.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "models/catalogue.h"

namespace verge::models {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t run_elements_max = std::size_t{1} << 26U;  ///< Of one input in the check run.

struct Converted {
  std::string format;
  std::string bytes;
  std::size_t nodes_before = 0, nodes_after = 0;
  std::vector<OnnxValue> inputs, outputs;
};

Result<Converted> convert_tfjs(const fs::path& source, const TfjsImportOptions& options) {
  VERGE_TRY(const auto graph, read_tfjs_graph(source));
  auto model = import_tfjs(graph, options);
  if (!model) return std::move(model).error().within(fmt::format("import model \"{}\"", source.filename().string()));
  return Converted{"tfjs",
                   to_bytes(*model),
                   graph.nodes.size(),
                   model->graph.nodes.size(),
                   model->graph.inputs,
                   model->graph.outputs};
}

/// An ONNX file stays as it is, byte for byte.
Result<Converted> take_onnx(const fs::path& source) {
  VERGE_TRY(const auto model, load_model(source));
  VERGE_TRY(auto bytes, read_file(source, OnnxLimits{}.bytes_max));
  Converted converted{"onnx", std::move(bytes),   model.graph.nodes.size(), model.graph.nodes.size(),
                      {},     model.graph.outputs};
  for (const auto& input : model.graph.inputs)
    if (!model.graph.find_initialiser(input.name)) converted.inputs.push_back(input);
  return converted;
}

std::optional<inference::DataType> data_type(ElementType type) {
  switch (type) {
    case ElementType::float32:
      return inference::DataType::float32;
    case ElementType::float16:
      return inference::DataType::float16;
    case ElementType::uint8:
      return inference::DataType::uint8;
    case ElementType::int8:
      return inference::DataType::int8;
    case ElementType::int32:
      return inference::DataType::int32;
    case ElementType::int64:
      return inference::DataType::int64;
    case ElementType::boolean:
      return inference::DataType::boolean;
    default:
      return std::nullopt;
  }
}

std::vector<CardTensor> card_tensors(const std::vector<OnnxValue>& values) {
  std::vector<CardTensor> tensors;
  for (const auto& value : values)
    if (const auto type = data_type(value.type); type && value.has_shape)
      tensors.push_back({value.name, *type, value.shape});
  return tensors;
}

/// The user's card, completed; written and read back so that what is stored is known to be readable.
Result<ModelCard> make_card(const ImportOptions& options, const Converted& converted) {
  Json json = options.card;
  if (!json.contains("name")) json["name"] = options.target.filename().string();
  json["file"] = options.file_name;
  json["digest"] = sha256_digest(converted.bytes);
  VERGE_TRY(auto card, parse_card(to_text(json)));
  if (card.inputs.empty()) card.inputs = card_tensors(converted.inputs);
  if (card.outputs.empty()) card.outputs = card_tensors(converted.outputs);
  return card;
}

Status run_on_zeros(inference::Session& session) {
  std::vector<inference::Tensor> tensors;
  std::vector<inference::NamedTensor> inputs;
  for (const auto& info : session.inputs()) {
    inference::Shape shape = info.shape;
    std::replace(shape.begin(), shape.end(), std::int64_t{-1}, std::int64_t{1});
    if (inference::element_count(shape) > run_elements_max)
      return Error{ErrorCode::limit,
                   fmt::format("input \"{}\" {} is too large to try", info.name, inference::to_text(shape))};
    tensors.emplace_back(info.type, shape);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) inputs.push_back({session.inputs()[i].name, &tensors[i]});
  auto outputs = session.run(inputs);
  if (!outputs) return std::move(outputs).error();
  return Done{};
}

bool has_free_sizes(const inference::Session& session) {
  return std::any_of(session.inputs().begin(), session.inputs().end(), [](const auto& info) {
    return std::any_of(info.shape.begin(), info.shape.end(), [](auto size) { return size < 0; });
  });
}

Status copy_file_to(const fs::path& source, const fs::path& target) {
  std::error_code error;
  fs::copy_file(source, target, fs::copy_options::overwrite_existing, error);
  if (!error) return Done{};
  const auto code = error == std::errc::no_such_file_or_directory ? ErrorCode::not_found : ErrorCode::unavailable;
  return Error{code, fmt::format("copy \"{}\" to \"{}\": {}", source.string(), target.string(), error.message())};
}

Status make_target(const fs::path& target) {
  std::error_code error;
  fs::create_directories(target, error);
  if (error)
    return Error{ErrorCode::unavailable, fmt::format("make folder \"{}\": {}", target.string(), error.message())};
  return Done{};
}

Result<TfjsImportOptions> read_import_options(const Json& json) {
  TfjsImportOptions options;
  if (const auto* names = find_member(json, {"names"}); names && names->is_object())
    for (const auto& [from, to] : names->items()) options.names[from] = to.get<std::string>();
  if (const auto* outputs = find_member(json, {"outputs"}); outputs && outputs->is_array())
    options.outputs = outputs->get<std::vector<std::string>>();
  if (const auto* shapes = find_member(json, {"input_shapes"}); shapes && shapes->is_object())
    for (const auto& [name, shape] : shapes->items()) options.input_shapes[name] = shape.get<Dimensions>();
  return options;
}

Status check_files(const CatalogueEntry& entry, const fs::path& files) {
  for (const auto& source : entry.sources)
    for (const auto& file : source.files) {
      VERGE_TRY(const auto digest, sha256_digest_of_file(files / file.name));
      if (digest != file.digest)
        return Error{ErrorCode::corrupt,
                     fmt::format("\"{}\" is {}, the catalogue says {}; fetch {} {} again", (files / file.name).string(),
                                 digest, file.digest, source.package, source.version)};
    }
  return Done{};
}

Json source_json(const CatalogueSource& source) {
  Json files = Json::array();
  for (const auto& file : source.files) files.push_back({{"path", file.path}, {"digest", file.digest}});
  return {{"kind", source.kind}, {"package", source.package}, {"version", source.version}, {"files", std::move(files)}};
}

}  // namespace

Result<ImportReport> import_model(const fs::path& source, const ImportOptions& options) {
  const auto extension = source.extension();
  if (extension != ".json" && extension != ".onnx")
    return Error{ErrorCode::invalid_argument,
                 fmt::format("import model \"{}\": its format is not known; TensorFlow.js graph "
                             "models (.json) and ONNX files (.onnx) are",
                             source.string())};
  VERGE_TRY(const auto converted, extension == ".json" ? convert_tfjs(source, options.tfjs) : take_onnx(source));
  ImportReport report;
  report.format = converted.format;
  report.nodes_before = converted.nodes_before;
  report.nodes_after = converted.nodes_after;
  VERGE_TRY(report.card, make_card(options, converted));

  if (options.is_checked) {
    VERGE_TRY(const auto session, inference::load_onnx_bytes(converted.bytes));
    VERGE_CHECK(check_card(report.card, source.filename().string(), session->inputs(), session->outputs()));
    // A free size may have to fit another one; only fixed models can be run without knowing more.
    if (!has_free_sizes(*session)) {
      auto run = run_on_zeros(*session);
      if (!run)
        return std::move(run).error().within(fmt::format("try model \"{}\" on zeros", source.filename().string()));
      report.was_run = true;
    }
  }
  VERGE_CHECK(make_target(options.target));
  for (const auto& [name, file] : options.extra_files) VERGE_CHECK(copy_file_to(file, options.target / name));
  VERGE_CHECK(write_file(options.target / options.file_name, converted.bytes));
  // The card last: with it the folder is a model.
  VERGE_CHECK(write_file(options.target / "card.json", to_pretty_text(to_json(report.card)) + "\n"));
  return report;
}

Result<ImportReport> import_from_catalogue(std::string_view name, const fs::path& files, const fs::path& target,
                                           bool is_checked) {
  const auto* entry = find_in_catalogue(name);
  if (!entry || entry->kind != "model") {
    std::string known;
    for (const auto& other : catalogue())
      if (other.kind == "model") known += (known.empty() ? "" : ", ") + other.name;
    return Error{ErrorCode::not_found, fmt::format("the catalogue has no model \"{}\"; it has: {}", name, known)};
  }
  VERGE_CHECK(check_files(*entry, files));
  ImportOptions options;
  options.target = target;
  options.is_checked = is_checked;
  options.card = entry->card;
  options.card["name"] = entry->name;
  options.card["licence"] = entry->sources.front().licence;
  options.card["source"] = source_json(entry->sources.front());
  VERGE_TRY(options.tfjs, read_import_options(entry->import_options));
  VERGE_TRY(const auto main_file, string_member(entry->import_options, "file"));
  if (entry->importer.empty()) options.file_name = main_file;
  for (const auto& source : entry->sources)
    for (const auto& file : source.files)
      if (file.name != main_file && (entry->importer.empty() || file.name == "LICENSE"))
        options.extra_files[file.name] = files / file.name;
  return import_model(files / main_file, options);
}

}  // namespace verge::models
