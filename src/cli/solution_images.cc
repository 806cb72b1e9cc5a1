#include "cli/solution_images.h"

#include <chrono>
#include <fmt/format.h>
#include <set>

#include "base/disk.h"
#include "base/json.h"
#include "cli/content_digest.h"
#include "cli/output.h"
#include "cli/runtime_layers.h"
#include "contract/sas.h"
#include "packaging/image_builder.h"

namespace verge::cli {
namespace {

constexpr std::size_t kTagDigits = 12;
constexpr std::chrono::hours kPartialAge{1};  // Another command may still write it.

std::string tag_of(const std::string& digest) { return digest.substr(digest.find(':') + 1, kTagDigits); }

std::string local_name(const Solution& solution, const ImageRecipe& recipe) {
  return solution.name + "/" + recipe.name + ":latest";
}

packaging::PackageOptions options_for(const Solution& solution, const ImageRecipe& recipe,
                                      const std::map<std::string, std::filesystem::path>& models) {
  packaging::PackageOptions options;
  options.pipeline = recipe.pipeline;
  options.files = recipe.files;
  for (const auto& [path, model] : recipe.models) place_files(options.files, path, models.at(model));
  options.reference = local_name(solution, recipe);
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

/// Images that this solution no longer has lose their names.
Status forget_images(packaging::BlobStore& store, const Solution& solution, Json& packaged) {
  std::set<std::string> names;
  for (const auto& recipe : solution.images) names.insert(local_name(solution, recipe));
  std::vector<std::string> gone;
  for (const auto& item : packaged.items())
    if (item.key().starts_with(solution.name + "/") && !names.contains(item.key())) gone.push_back(item.key());
  for (const auto& reference : gone) {
    packaged.erase(reference);
    VERGE_CHECK(store.remove_reference(reference));
  }
  return Done{};
}

/// Removes what neither an image with a name nor the runtime needs.
Status sweep_folder(packaging::BlobStore& store, const packaging::Runtime& runtime, const Progress& progress) {
  VERGE_TRY(const auto index, store.index());
  std::vector<std::string> manifests;
  for (const auto& manifest : index.manifests) manifests.push_back(manifest.digest);
  std::set<std::string> layers;
  for (const auto& layer : runtime.layers) layers.insert(layer.layer.descriptor.digest);
  VERGE_TRY(auto freed_bytes, store.sweep(manifests, layers));
  freed_bytes += store.discard_partials(kPartialAge);
  if (freed_bytes > 0) progress(fmt::format("images: {} of earlier ones removed", to_size(freed_bytes)));
  return Done{};
}

}  // namespace

void place_files(std::map<std::string, std::filesystem::path>& files, const std::string& path,
                 const std::filesystem::path& source) {
  constexpr std::string_view kReport = "report.html";
  if (!std::filesystem::exists(source / "card.json") || !std::filesystem::exists(source / kReport)) {
    files[path] = source;
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(source))
    if (entry.path().filename() != kReport) files[path + "/" + entry.path().filename().string()] = entry.path();
}

Result<std::map<std::string, std::string>> package_images(const Solution& solution,
                                                          const std::map<std::string, std::filesystem::path>& models,
                                                          packaging::BlobStore& store, const Progress& progress) {
  VERGE_TRY(const auto parts, find_runtime_parts());
  for (const auto& recipe : solution.images) {
    auto checked = check_pipeline(parts.program, recipe.pipeline);
    if (!checked) return std::move(checked).error().within(fmt::format("package image \"{}\"", recipe.name));
  }
  VERGE_TRY(const auto lock, store.lock());
  VERGE_TRY(const auto runtime, ensure_runtime(store, parts, progress));
  return package_images_on(runtime, solution, models, store, progress);
}

Result<std::map<std::string, std::string>> package_images_on(const packaging::Runtime& runtime,
                                                             const Solution& solution,
                                                             const std::map<std::string, std::filesystem::path>& models,
                                                             packaging::BlobStore& store, const Progress& progress) {
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
      progress(fmt::format("image {}: packaged, {} compressed: {}", recipe.name, to_size(module->image_bytes),
                           layer_sizes(module->parts)));
    }
    digests[recipe.name] = digest;
  }
  VERGE_CHECK(forget_images(store, solution, packaged));
  VERGE_CHECK(write_file(store.folder() / "packaged.json", to_pretty_text(packaged)));
  VERGE_CHECK(sweep_folder(store, runtime, progress));
  return digests;
}

Result<std::vector<packaging::PackagedModule::Part>> image_parts(const packaging::BlobStore& store,
                                                                 const packaging::Runtime& runtime,
                                                                 const std::string& manifest_digest) {
  VERGE_TRY(const auto image, packaging::read_image(store, manifest_digest));
  std::vector<packaging::PackagedModule::Part> parts;
  for (const auto& layer : image.layers) {
    std::string name = "module";
    for (const auto& known : runtime.layers)
      if (known.layer.descriptor.digest == layer.descriptor.digest) name = known.name;
    parts.push_back({name, layer.descriptor.digest, layer.descriptor.size_bytes});
  }
  return parts;
}

std::string layer_sizes(const std::vector<packaging::PackagedModule::Part>& parts) {
  std::string text;
  for (const auto& part : parts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", part.name, to_size(part.bytes));
  return text;
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
