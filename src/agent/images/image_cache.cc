#include "agent/images/image_cache.h"

#include <fmt/format.h>
#include <utility>

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

std::set<std::string> names_in(const Json& json, std::string_view member) {
  std::set<std::string> names;
  const Json* list = find_member(json, {member});
  if (list == nullptr || !list->is_array()) return names;
  for (const auto& name : *list) {
    if (name.is_string()) names.insert(name.get<std::string>());
  }
  return names;
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
  if (const auto good = read_file(folder_ / "good.json", 1U << 20U)) {
    // Lost: the images before this start are fetched once more when somebody goes back to them.
    if (const auto sets = parse_json(*good)) good_ = names_in(*sets, "good"), good_before_ = names_in(*sets, "before");
  }
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
  return write_table();
}

/// Under table_mutex_.
Status ImageCache::write_table() {
  Json json = Json::object();
  for (const auto& [name, item] : table_) json[name] = {{"digest", item.digest}, {"engine_id", item.engine_id}};
  return write_file(folder_ / "table.json", to_pretty_text(json));
}

Status ImageCache::prune(const std::set<std::string>& wanted, bool is_good, const std::function<bool()>& is_current) {
  const std::lock_guard lock(download_mutex_);
  if (!is_current()) return Done{};
  VERGE_TRY(auto store, packaging::BlobStore::open(folder_));
  if (is_good && wanted != good_) VERGE_CHECK(note_good(wanted));
  std::size_t removed_count = 0;
  const Status removed = remove_from_engine(unneeded(wanted), is_current, removed_count);
  VERGE_TRY(const auto freed_bytes, sweep(store, is_good));
  if (removed_count > 0 || freed_bytes > 0) {
    log_info("images", "images of earlier deployments removed",
             {{"images", removed_count}, {"freed_bytes", freed_bytes}});
  }
  return removed;
}

Status ImageCache::note_good(const std::set<std::string>& wanted) {
  good_before_ = std::exchange(good_, wanted);
  return write_file(folder_ / "good.json", to_pretty_text({{"good", good_}, {"before", good_before_}}));
}

std::vector<std::string> ImageCache::unneeded(const std::set<std::string>& wanted) {
  const std::lock_guard lock(table_mutex_);
  std::vector<std::string> references;
  for (const auto& [reference, entry] : table_) {
    if (!wanted.contains(reference) && !good_.contains(reference) && !good_before_.contains(reference)) {
      references.push_back(reference);
    }
  }
  return references;
}

Status ImageCache::remove_from_engine(const std::vector<std::string>& references,
                                      const std::function<bool()>& is_current, std::size_t& removed_count) {
  Status status = Done{};
  for (const auto& reference : references) {
    if (!is_current()) break;
    const auto parsed = packaging::parse_reference(reference);
    auto removed = parsed ? engine_.remove_image(engine_name(*parsed)) : Status(Done{});
    if (!removed) {
      status = std::move(removed);  // It stays in the table, so the next time tries again.
      continue;
    }
    const std::lock_guard lock(table_mutex_);
    table_.erase(reference);
    ++removed_count;
    VERGE_CHECK(write_table());
  }
  return status;
}

/// Blobs of images that are no longer in the table; under download_mutex_, so nobody adds any meanwhile.
Result<std::uint64_t> ImageCache::sweep(packaging::BlobStore& store, bool with_partials) {
  std::vector<std::string> manifests;
  {
    const std::lock_guard lock(table_mutex_);
    for (const auto& [reference, entry] : table_) manifests.push_back(entry.digest);
  }
  VERGE_TRY(auto freed_bytes, store.sweep(manifests));
  // All that is wanted is here: what was begun belongs to something else.
  if (with_partials) freed_bytes += store.discard_partials(std::chrono::seconds(0));
  return freed_bytes;
}

}  // namespace verge::agent
