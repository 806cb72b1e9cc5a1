#include "packaging/package.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <yaml-cpp/yaml.h>

#include "base/disk.h"

namespace verge::packaging {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t pipeline_bytes_max = 1U << 20U;
constexpr int depth_max = 64;
constexpr std::string_view file_keys[] = {"model",  "models", "path",      "file", "files",
                                          "folder", "url",    "tokenizer", "card", "profile"};

bool is_local(std::string_view path) {
  return !path.empty() && !path.starts_with('/') && !path.starts_with("${") &&
         path.find("://") == std::string_view::npos;
}

void collect(const YAML::Node& node, std::string_view key, int depth, std::vector<NamedFile>& found) {
  if (depth > depth_max) return;
  if (node.IsMap()) {
    for (const auto& item : node)
      collect(item.second, item.first.IsScalar() ? item.first.Scalar() : std::string(), depth + 1, found);
  } else if (node.IsSequence()) {
    for (const auto& item : node) collect(item, key, depth + 1, found);
  } else if (node.IsScalar() && std::find(std::begin(file_keys), std::end(file_keys), key) != std::end(file_keys) &&
             is_local(node.Scalar())) {
    found.push_back({std::string(key), node.Scalar(), node.Mark().line + 1, node.Mark().column + 1});
  }
}

/// What the user may have meant: the entries of the folder where the file was looked for.
std::string neighbours(const fs::path& missing) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(missing.parent_path(), error), end; !error && entry != end; entry.increment(error))
    names.insert(entry->path().filename().string());
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  if (names.empty()) return fmt::format("\"{}\" is empty or not there", missing.parent_path().string());
  return fmt::format("\"{}\" holds {}", missing.parent_path().string(), text);
}

bool leaves_folder(std::string_view path) {
  const auto normal = fs::path(path).lexically_normal();
  return !normal.empty() && *normal.begin() == "..";
}

/// True when `path` is one of the given files, lies in a given folder, or is a folder of given files.
bool is_given(const std::string& path, const std::map<std::string, fs::path>& files) {
  return std::any_of(files.begin(), files.end(), [&](const auto& file) {
    return path == file.first || path.starts_with(file.first + "/") || file.first.starts_with(path + "/");
  });
}

Status add_named_files(const PackageOptions& options, const std::string& yaml, LayerWriter& layer) {
  const auto file_name = options.pipeline.filename().string();
  VERGE_TRY(const auto named, find_named_files(yaml, file_name));
  for (const auto& file : named) {
    const auto normal = fs::path(file.path).lexically_normal().generic_string();
    const auto place = fmt::format("{}:{}:{}: {} \"{}\"", file_name, file.line, file.column, file.key, file.path);
    if (leaves_folder(file.path))
      return Error{ErrorCode::invalid_argument, place +
                                                    " leads out of the pipeline's folder; give it with its own place "
                                                    "(files) or move it beside the pipeline"};
    if (is_given(normal, options.files)) continue;
    const auto source = options.pipeline.parent_path() / normal;
    std::error_code error;
    if (!fs::exists(source, error))
      return Error{ErrorCode::not_found, fmt::format("{} is not there; {}", place, neighbours(source))};
    VERGE_CHECK(layer.add_tree(fmt::format("{}/{}", module_folder, normal), source));
  }
  return Done{};
}

Status add_given_files(const PackageOptions& options, LayerWriter& layer) {
  for (const auto& [path, source] : options.files) {
    if (!is_local(path) || leaves_folder(path))
      return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" must be a path below the pipeline's folder", path)};
    VERGE_CHECK(layer.add_tree(fmt::format("{}/{}", module_folder, path), source));
  }
  return Done{};
}

Result<Layer> build_module_layer(BlobStore& store, const PackageOptions& options, const std::string& yaml) {
  LayerWriter layer;
  VERGE_CHECK(add_named_files(options, yaml, layer));
  VERGE_CHECK(add_given_files(options, layer));
  VERGE_CHECK(layer.add_bytes(fmt::format("{}/pipeline.yaml", module_folder), yaml));
  return layer.write(store);
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

/// The layers to use, lowest first.
Result<std::vector<const RuntimeLayer*>> choose_layers(const Runtime& runtime, const PackageOptions& options,
                                                       const std::vector<std::string>& kinds) {
  for (const auto& name : options.needs)
    if (!runtime.find(name)) {
      std::string known;
      for (const auto& layer : runtime.layers) known += (known.empty() ? "" : ", ") + layer.name;
      return Error{ErrorCode::invalid_argument,
                   fmt::format("there is no runtime layer \"{}\"; there are {}", name, known)};
    }
  std::vector<const RuntimeLayer*> chosen;
  for (const auto& layer : runtime.layers) {
    const auto& wanted_by = layer.for_sources;
    const bool is_wanted =
        wanted_by.empty() || contains(options.needs, layer.name) ||
        std::any_of(kinds.begin(), kinds.end(), [&](const auto& kind) { return contains(wanted_by, kind); });
    if (is_wanted) chosen.push_back(&layer);
  }
  return chosen;
}

Result<YAML::Node> load_yaml(std::string_view yaml, std::string_view file_name) {
  try {
    return YAML::Load(std::string(yaml));
  } catch (const YAML::Exception& error) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{}:{}:{}: {}", file_name, error.mark.line + 1, error.mark.column + 1, error.msg)};
  }
}

}  // namespace

Result<std::vector<NamedFile>> find_named_files(std::string_view yaml, std::string_view file_name) {
  VERGE_TRY(const auto root, load_yaml(yaml, file_name));
  std::vector<NamedFile> found;
  collect(root, {}, 0, found);
  return found;
}

Result<std::vector<std::string>> find_source_kinds(std::string_view yaml, std::string_view file_name) {
  VERGE_TRY(const auto root, load_yaml(yaml, file_name));
  std::set<std::string> kinds;
  // A member that is not there is no node at all: only IsDefined may be asked.
  const YAML::Node sources = root.IsMap() ? root["sources"] : YAML::Node();
  if (sources.IsDefined() && sources.IsMap())
    for (const auto& source : sources) {
      const YAML::Node kind = source.second.IsMap() ? source.second["kind"] : YAML::Node();
      if (kind.IsDefined() && kind.IsScalar()) kinds.insert(kind.Scalar());
    }
  return std::vector<std::string>(kinds.begin(), kinds.end());
}

Result<PackagedModule> package_module(BlobStore& store, const Runtime& runtime, const PackageOptions& options) {
  VERGE_TRY(const auto reference, parse_reference(options.reference));
  VERGE_TRY(const auto yaml, read_file(options.pipeline, pipeline_bytes_max));
  VERGE_TRY(const auto kinds, find_source_kinds(yaml, options.pipeline.filename().string()));
  VERGE_TRY(const auto layers, choose_layers(runtime, options, kinds));
  PackagedModule module;
  VERGE_TRY(module.layer, build_module_layer(store, options, yaml));

  Image image;
  for (const auto* layer : layers) {
    image.layers.push_back(layer->layer);
    module.parts.push_back({layer->name, layer->layer.descriptor.digest, layer->layer.descriptor.size_bytes});
  }
  image.layers.push_back(module.layer);
  module.parts.push_back({"module", module.layer.descriptor.digest, module.layer.descriptor.size_bytes});
  for (const auto& layer : image.layers) module.image_bytes += layer.descriptor.size_bytes;

  image.config.platform = runtime.platform;
  image.config.user = fmt::format("{0}:{0}", module_user);
  image.config.environment = {"PATH=/usr/bin", "TZ=UTC", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"};
  image.config.environment.insert(image.config.environment.end(), options.environment.begin(),
                                  options.environment.end());
  image.config.entrypoint = {std::string(program_path), fmt::format("{}/pipeline.yaml", module_folder)};
  image.config.entrypoint.insert(image.config.entrypoint.end(), options.arguments.begin(), options.arguments.end());
  image.config.working_folder = module_folder;
  image.config.labels = options.labels;
  VERGE_TRY(module.manifest, write_image(store, image));
  VERGE_CHECK(store.set_reference(reference.text(), module.manifest));
  return module;
}

}  // namespace verge::packaging
