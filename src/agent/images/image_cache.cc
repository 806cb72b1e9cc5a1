#include "agent/images/image_cache.h"

#include <fmt/format.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "packaging/archive.h"
#include "packaging/registry_client.h"

namespace verge::agent {
namespace {

/// The name in the engine: digests are no names there, so they become a tag.
std::string engine_name(const packaging::Reference& reference) {
  packaging::Reference name = reference;
  if (!name.digest.empty()) {
    name.tag = "sha256-" + name.digest.substr(name.digest.find(':') + 1, 32);
    name.digest.clear();
  }
  return name.text();
}

bool belongs_to_hub(const packaging::Reference& reference, const HubAddress& hub) {
  if (!hub.is_verge) return false;
  return reference.registry == fmt::format("{}:{}", hub.host, hub.https_port) ||
         (hub.https_port == 443 && reference.registry == hub.host);
}

const contract::RegistryCredential* credential_for(
    const std::string& registry, const std::map<std::string, contract::RegistryCredential>& registries) {
  for (const auto& [name, credential] : registries) {
    if (credential.address == registry) return &credential;
  }
  return nullptr;
}

/// Removed whatever happens: an archive is as large as its image.
struct TemporaryFile {
  std::filesystem::path path;
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

}  // namespace

bool is_hub_reference(const std::string& reference, const HubAddress& hub) {
  const auto parsed = packaging::parse_reference(reference);
  return parsed && belongs_to_hub(*parsed, hub);
}

ImageCache::ImageCache(ContainerEngine& engine, const Settings& settings, std::function<Result<std::string>()> token,
                       std::function<bool()> is_cancelled)
    : engine_(engine),
      settings_(settings),
      token_(std::move(token)),
      is_cancelled_(std::move(is_cancelled)),
      folder_(settings.home / "images") {
  const auto text = read_file(folder_ / "table.json", 4U << 20U);
  const auto json = text ? parse_json(*text) : Result<Json>(text.error());
  if (!json || !json->is_object()) return;  // Lost: images are fetched once more.
  for (const auto& [reference, item] : json->items()) {
    const auto digest = string_member(item, "digest");
    const auto engine_id = string_member(item, "engine_id");
    if (digest && engine_id) table_[reference] = {*digest, *engine_id};
  }
}

std::optional<EngineImage> ImageCache::find(const std::string& reference) {
  Entry entry;
  {
    const std::lock_guard lock(table_mutex_);
    const auto found = table_.find(reference);
    if (found != table_.end()) entry = found->second;
  }
  if (!entry.engine_id.empty()) {
    if (auto image = engine_.find_image(entry.engine_id)) return image;
  }
  const auto parsed = packaging::parse_reference(reference);
  if (!parsed || belongs_to_hub(*parsed, settings_.hub)) return std::nullopt;
  return engine_.find_image(engine_name(*parsed));
}

std::string ImageCache::digest_of(const std::string& reference) {
  const std::lock_guard lock(table_mutex_);
  const auto found = table_.find(reference);
  return found == table_.end() ? "" : found->second.digest;
}

Result<EngineImage> ImageCache::fetch(const contract::ModuleSpec& spec,
                                      const std::map<std::string, contract::RegistryCredential>& registries) {
  if (auto present = find(spec.image)) return *present;
  if (spec.pull_policy == contract::PullPolicy::never) {
    return Error{ErrorCode::not_found,
                 fmt::format("image {} is not in the container engine, and imagePullPolicy is never", spec.image)};
  }
  const std::lock_guard lock(download_mutex_);
  auto pulled = pull(spec.image, registries);
  if (!pulled) return std::move(pulled).error().within(fmt::format("fetch image {}", spec.image));
  return pulled;
}

Result<EngineImage> ImageCache::pull(const std::string& reference,
                                     const std::map<std::string, contract::RegistryCredential>& registries) {
  VERGE_TRY(const auto parsed, packaging::parse_reference(reference));
  if (parsed.registry.empty()) {
    return Error{ErrorCode::not_found,
                 "it is not in the container engine, and its name has no registry; write HOST[:PORT]/NAME:TAG"};
  }
  packaging::RegistryOptions options;
  options.url = fmt::format("{}://{}", settings_.hub.is_plain ? "http" : "https", parsed.registry);
  options.is_cancelled = is_cancelled_;
  if (belongs_to_hub(parsed, settings_.hub)) {
    options.trust_pem = settings_.hub.ca_pem;
    options.credential = [this]() -> Result<packaging::RegistryCredential> {
      VERGE_TRY(auto token, token_());
      return packaging::RegistryCredential{settings_.device, token, ""};
    };
  } else if (const auto* known = credential_for(parsed.registry, registries); known != nullptr) {
    options.credential = [credential = *known]() -> Result<packaging::RegistryCredential> {
      return packaging::RegistryCredential{credential.username, credential.password, ""};
    };
  }
  VERGE_TRY(auto store, packaging::BlobStore::open(folder_));
  packaging::RegistryClient client(options);
  VERGE_TRY(const auto pulled, client.pull(store, parsed.repository, parsed.version()));

  const TemporaryFile archive{folder_ / "load.tar"};
  const std::string name = engine_name(parsed);
  VERGE_TRY(const auto bytes, packaging::write_archive_file(store, pulled.manifest.digest, name, archive.path));
  VERGE_CHECK(engine_.load_image(archive.path));
  const auto image = engine_.find_image(name);
  if (!image) return Error{ErrorCode::internal, fmt::format("the engine took the archive but does not know {}", name)};
  log_info("images", "image fetched",
           {{"image", reference},
            {"digest", pulled.manifest.digest},
            {"fetched_bytes", pulled.fetched_bytes},
            {"archive_bytes", bytes}});
  VERGE_CHECK(remember(reference, {pulled.manifest.digest, image->id}));
  return *image;
}

Status ImageCache::remember(const std::string& reference, const Entry& entry) {
  const std::lock_guard lock(table_mutex_);
  table_[reference] = entry;
  Json json = Json::object();
  for (const auto& [name, item] : table_) json[name] = {{"digest", item.digest}, {"engine_id", item.engine_id}};
  return write_file(folder_ / "table.json", to_pretty_text(json));
}

}  // namespace verge::agent
