#include "packaging/oci.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/json.h"

namespace verge::packaging {
namespace {

constexpr std::size_t entries_max = 1'000;

Error refuse(std::string message) { return {ErrorCode::invalid_argument, std::move(message)}; }

Result<Json> parse_document(std::string_view text, std::string_view what) {
  if (text.size() > document_bytes_max)
    return Error{ErrorCode::limit,
                 fmt::format("the {} has {} bytes, at most {} are read", what, text.size(), document_bytes_max)};
  auto json = parse_json(text);
  if (!json) return std::move(json).error().within(fmt::format("read {}", what));
  if (!json->is_object()) return refuse(fmt::format("the {} is not a JSON object", what));
  return json;
}

Result<std::map<std::string, std::string>> text_map(const Json& object, std::string_view key) {
  std::map<std::string, std::string> map;
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return map;
  if (!found->is_object()) return refuse(fmt::format("\"{}\" must be an object", key));
  for (const auto& [name, value] : found->items()) {
    if (!value.is_string()) return refuse(fmt::format("\"{}/{}\" must be text", key, name));
    map[name] = value.get<std::string>();
  }
  return map;
}

Result<std::vector<std::string>> text_list(const Json& object, std::string_view key) {
  std::vector<std::string> list;
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return list;
  if (!found->is_array() || found->size() > entries_max) return refuse(fmt::format("\"{}\" must be a list", key));
  for (const auto& item : *found) {
    if (!item.is_string()) return refuse(fmt::format("\"{}\" must hold texts", key));
    list.push_back(item.get<std::string>());
  }
  return list;
}

Result<Platform> read_platform(const Json& json) {
  Platform platform;
  VERGE_TRY(platform.architecture, string_member(json, "architecture"));
  VERGE_TRY(platform.os, string_member(json, "os"));
  VERGE_TRY(platform.variant, string_member(json, "variant"));
  return platform;
}

Result<Descriptor> read_descriptor(const Json& json) {
  if (!json.is_object()) return refuse("a descriptor must be an object");
  Descriptor descriptor;
  VERGE_TRY(descriptor.media_type, string_member(json, "mediaType"));
  VERGE_TRY(descriptor.digest, string_member(json, "digest"));
  VERGE_TRY(const auto size, integer_member(json, "size", -1));
  if (!is_digest(descriptor.digest)) return refuse(fmt::format("\"{}\" is not a sha256 digest", descriptor.digest));
  if (size < 0) return refuse(fmt::format("the size of {} is missing", descriptor.digest));
  descriptor.size_bytes = static_cast<std::uint64_t>(size);
  VERGE_TRY(descriptor.annotations, text_map(json, "annotations"));
  if (const auto platform = json.find("platform"); platform != json.end() && platform->is_object()) {
    VERGE_TRY(descriptor.platform, read_platform(*platform));
  }
  return descriptor;
}

Result<std::vector<Descriptor>> read_descriptors(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return refuse(fmt::format("\"{}\" must be a list", key));
  if (found->size() > entries_max)
    return Error{ErrorCode::limit,
                 fmt::format("\"{}\" has {} entries, at most {} are read", key, found->size(), entries_max)};
  std::vector<Descriptor> list;
  for (const auto& item : *found) {
    VERGE_TRY(auto descriptor, read_descriptor(item));
    list.push_back(std::move(descriptor));
  }
  return list;
}

Json platform_json(const Platform& platform) {
  Json json{{"architecture", platform.architecture}, {"os", platform.os}};
  if (!platform.variant.empty()) json["variant"] = platform.variant;
  return json;
}

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_word(char c) { return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

/// Lower-case words joined by '.', '_', '__' or dashes.
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_lower_or_digit(text[i]) || text[i] == '-') continue;
    if (text[i] != '.' && text[i] != '_') return false;
    if (text[i] == '.' && !is_lower_or_digit(text[i + 1])) return false;
  }
  return true;
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && is_word(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

/// Docker's rule: the first part is a host when it could not be a repository's.
bool is_registry(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost";
}

}  // namespace

Platform this_platform() {
#if defined(__aarch64__)
  return {"arm64", "linux", "v8"};
#else
  return {"amd64", "linux", ""};
#endif
}

bool is_digest(std::string_view text) {
  constexpr std::string_view prefix = "sha256:";
  if (text.size() != prefix.size() + 64 || !text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Json to_json(const Descriptor& descriptor) {
  Json json{{"digest", descriptor.digest}, {"mediaType", descriptor.media_type}, {"size", descriptor.size_bytes}};
  if (!descriptor.annotations.empty()) json["annotations"] = descriptor.annotations;
  if (descriptor.platform) json["platform"] = platform_json(*descriptor.platform);
  return json;
}

Json to_json(const Manifest& manifest) {
  Json layers = Json::array();
  for (const auto& layer : manifest.layers) layers.push_back(to_json(layer));
  Json json{{"schemaVersion", 2},
            {"mediaType", manifest.media_type},
            {"config", to_json(manifest.config)},
            {"layers", std::move(layers)}};
  if (!manifest.annotations.empty()) json["annotations"] = manifest.annotations;
  return json;
}

Json to_json(const ImageConfig& config) {
  Json json = platform_json(config.platform);
  if (!config.created.empty()) json["created"] = config.created;
  Json run = Json::object();
  if (!config.user.empty()) run["User"] = config.user;
  if (!config.environment.empty()) run["Env"] = config.environment;
  if (!config.entrypoint.empty()) run["Entrypoint"] = config.entrypoint;
  if (!config.command.empty()) run["Cmd"] = config.command;
  if (!config.working_folder.empty()) run["WorkingDir"] = config.working_folder;
  if (!config.labels.empty()) run["Labels"] = config.labels;
  json["config"] = std::move(run);
  json["rootfs"] = {{"type", "layers"}, {"diff_ids", config.diff_ids}};
  return json;
}

Json to_json(const Index& index) {
  Json manifests = Json::array();
  for (const auto& manifest : index.manifests) manifests.push_back(to_json(manifest));
  Json json{{"schemaVersion", 2}, {"mediaType", media_types::index}, {"manifests", std::move(manifests)}};
  if (!index.annotations.empty()) json["annotations"] = index.annotations;
  return json;
}

Result<Manifest> parse_manifest(std::string_view text) {
  VERGE_TRY(const auto json, parse_document(text, "image manifest"));
  Manifest manifest;
  VERGE_TRY(const auto version, integer_member(json, "schemaVersion"));
  if (version != 2) return refuse(fmt::format("image manifest: schemaVersion {} is not supported, 2 is", version));
  VERGE_TRY(manifest.media_type, string_member(json, "mediaType", std::string(media_types::manifest)));
  const auto config = json.find("config");
  if (config == json.end()) return refuse("image manifest: \"config\" is missing");
  VERGE_TRY(manifest.config, read_descriptor(*config));
  VERGE_TRY(manifest.layers, read_descriptors(json, "layers"));
  VERGE_TRY(manifest.annotations, text_map(json, "annotations"));
  return manifest;
}

Result<ImageConfig> parse_image_config(std::string_view text) {
  VERGE_TRY(const auto json, parse_document(text, "image configuration"));
  ImageConfig config;
  VERGE_TRY(config.platform, read_platform(json));
  VERGE_TRY(config.created, string_member(json, "created"));
  const Json empty = Json::object();
  const Json* run = find_member(json, {"config"});
  if (!run || !run->is_object()) run = &empty;
  VERGE_TRY(config.user, string_member(*run, "User"));
  VERGE_TRY(config.environment, text_list(*run, "Env"));
  VERGE_TRY(config.entrypoint, text_list(*run, "Entrypoint"));
  VERGE_TRY(config.command, text_list(*run, "Cmd"));
  VERGE_TRY(config.working_folder, string_member(*run, "WorkingDir"));
  VERGE_TRY(config.labels, text_map(*run, "Labels"));
  const Json* files = find_member(json, {"rootfs"});
  if (!files) return refuse("image configuration: \"rootfs\" is missing");
  VERGE_TRY(config.diff_ids, text_list(*files, "diff_ids"));
  return config;
}

Result<Index> parse_index(std::string_view text) {
  VERGE_TRY(const auto json, parse_document(text, "image index"));
  Index index;
  VERGE_TRY(index.manifests, read_descriptors(json, "manifests"));
  VERGE_TRY(index.annotations, text_map(json, "annotations"));
  return index;
}

const Descriptor* find_platform(const Index& index, const Platform& platform) {
  for (const auto& manifest : index.manifests) {
    if (!manifest.platform) continue;
    const auto& offered = *manifest.platform;
    if (offered.architecture != platform.architecture || offered.os != platform.os) continue;
    if (offered.variant.empty() || platform.variant.empty() || offered.variant == platform.variant) return &manifest;
  }
  return nullptr;
}

std::string Reference::text() const {
  std::string text = registry.empty() ? repository : registry + "/" + repository;
  if (!tag.empty()) text += ":" + tag;
  if (!digest.empty()) text += "@" + digest;
  return text;
}

Result<Reference> parse_reference(std::string_view text) {
  const auto refuse_part = [&](std::string_view part, std::string_view value) {
    return refuse(fmt::format(
        "image name \"{}\": the {} \"{}\" is not allowed (form: [HOST[:PORT]/]name[/name][:TAG][@sha256:…])", text,
        part, value));
  };
  Reference reference;
  std::string_view rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_digest(reference.digest)) return refuse_part("digest", reference.digest);
  }
  if (const auto slash = rest.find('/'); slash != std::string_view::npos && is_registry(rest.substr(0, slash))) {
    reference.registry = rest.substr(0, slash);
    rest = rest.substr(slash + 1);
  }
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_tag(reference.tag)) return refuse_part("tag", reference.tag);
  } else if (reference.digest.empty()) {
    reference.tag = "latest";
  }
  reference.repository = rest;
  if (rest.size() > 255) return refuse_part("name", rest);
  for (std::size_t start = 0; start <= rest.size();) {
    const auto end = std::min(rest.find('/', start), rest.size());
    if (!is_path_component(rest.substr(start, end - start))) return refuse_part("name", rest);
    start = end + 1;
  }
  return reference;
}

}  // namespace verge::packaging
