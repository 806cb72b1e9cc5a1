#include "cli/solution_images.h"

#include <fmt/format.h>

#include "base/disk.h"
#include "base/json.h"
#include "cli/content_digest.h"
#include "cli/output.h"
#include "cli/runtime_layers.h"
#include "contract/sas.h"
#include "packaging/package.h"

namespace verge::cli {
namespace {

constexpr std::size_t kTagDigits = 12;

std::string tag_of(const std::string& digest) { return digest.substr(digest.find(':') + 1, kTagDigits); }

packaging::PackageOptions options_for(const Solution& solution, const ImageRecipe& recipe,
                                      const std::map<std::string, std::filesystem::path>& models) {
  packaging::PackageOptions options;
  options.pipeline = recipe.pipeline;
  options.files = recipe.files;
  for (const auto& [path, model] : recipe.models) options.files[path] = models.at(model);
  options.reference = solution.name + "/" + recipe.name + ":latest";
  options.needs = recipe.layers;
  return options;
}

Result<std::string> key_of(const packaging::PackageOptions& options, const packaging::Runtime& runtime) {
  ContentDigest digest;
  digest.add(to_text(packaging::to_json(runtime)));
  digest.add(options.reference);
  VERGE_CHECK(digest.add_tree("pipeline", options.pipeline));
  for (const auto& [path, source] : options.files) VERGE_CHECK(digest.add_tree(path, source));
  // What the pipeline names and nobody places elsewhere lies beside it.
  VERGE_TRY(const auto yaml, read_file(options.pipeline));
  VERGE_TRY(const auto named, packaging::find_named_files(yaml, options.pipeline.filename().string()));
  for (const auto& file : named) {
    const auto beside = options.pipeline.parent_path() / file.path;
    if (std::filesystem::exists(beside)) VERGE_CHECK(digest.add_tree(file.path, beside));
  }
  for (const auto& layer : options.needs) digest.add(layer);
  return digest.short_hex();
}

/// {image: {"key", "manifest"}}: which inputs the packaged images were made from.
Json load_packaged(const packaging::BlobStore& store) {
  const auto text = read_file(store.folder() / "packaged.json");
  if (!text) return Json::object();
  auto json = parse_json(*text);
  return json && json->is_object() ? *std::move(json) : Json::object();
}

std::string known_manifest(const Json& packaged, const std::string& reference, const std::string& key,
                           const packaging::BlobStore& store) {
  const Json* known_key = find_member(packaged, {reference, "key"});
  const Json* manifest = find_member(packaged, {reference, "manifest"});
  if (known_key == nullptr || manifest == nullptr || *known_key != key || !manifest->is_string()) return {};
  auto digest = manifest->get<std::string>();
  return store.has(digest) ? digest : std::string();
}

}  // namespace

Result<std::map<std::string, std::string>> package_images(const Solution& solution,
                                                          const std::map<std::string, std::filesystem::path>& models,
                                                          packaging::BlobStore& store, const Progress& progress) {
  VERGE_TRY(const auto parts, find_runtime_parts());
  VERGE_TRY(const auto runtime, ensure_runtime(store, parts, progress));
  Json packaged = load_packaged(store);
  std::map<std::string, std::string> digests;
  for (const auto& recipe : solution.images) {
    const auto options = options_for(solution, recipe, models);
    VERGE_TRY(const auto key, key_of(options, runtime));
    auto digest = known_manifest(packaged, options.reference, key, store);
    if (digest.empty()) {
      auto module = packaging::package_module(store, runtime, options);
      if (!module) return std::move(module).error().within(fmt::format("package image \"{}\"", recipe.name));
      digest = module->manifest.digest;
      packaged[options.reference] = {{"key", key}, {"manifest", digest}};
      progress(fmt::format("image {}: packaged, {} in all, {} of its own", recipe.name, to_size(module->image_bytes),
                           to_size(module->layer.descriptor.size_bytes)));
    }
    digests[recipe.name] = digest;
  }
  VERGE_CHECK(write_file(store.folder() / "packaged.json", to_pretty_text(packaged)));
  return digests;
}

std::string image_reference(const HubAddress& hub, const std::string& repository, const std::string& digest) {
  return fmt::format("{}:{}/{}:{}", hub.host, hub.https_port, repository, tag_of(digest));
}

packaging::RegistryClient registry_of(const HubClient& hub) {
  packaging::RegistryOptions options;
  options.url = hub.url();
  options.trust_pem = hub.address().trust_pem;
  options.credential = [hub]() -> Result<packaging::RegistryCredential> {
    VERGE_TRY(const auto parts, contract::parse_connection_string(hub.address().connection_string));
    VERGE_TRY(auto signature, hub.authorization());
    return packaging::RegistryCredential{parts.policy, std::move(signature), {}};
  };
  return packaging::RegistryClient(std::move(options));
}

Result<std::map<std::string, std::string>> push_images(const HubClient& hub, const Solution& solution,
                                                       const std::map<std::string, std::string>& digests,
                                                       const packaging::BlobStore& store, const Progress& progress) {
  auto registry = registry_of(hub);
  std::map<std::string, std::string> references;
  for (const auto& [image, digest] : digests) {
    const auto repository = solution.name + "/" + image;
    const auto known = registry.resolve(repository, digest);
    if (!known) {
      progress(fmt::format("image {}: pushing it to the hub", image));
      auto pushed = registry.push(store, digest, repository, tag_of(digest));
      if (!pushed) return std::move(pushed).error().within(fmt::format("push image \"{}\"", image));
    }
    references[image] = image_reference(hub.address(), repository, digest);
  }
  return references;
}

}  // namespace verge::cli
