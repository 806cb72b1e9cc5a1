// agent/images/image_cache.h -- fetches images from the hub or another registry and loads them into the engine.
//
// HOME/images holds blobs (an OCI image layout) and table.json: reference -> manifest digest -> the engine's image id,
// because engines rewrite digests. What is in the table and in the engine is never fetched again. An image of another
// registry that somebody loaded into the engine by hand counts as fetched; for the hub's only the table counts, since
// the engine may hold an older hub's image of the same name. good.json: the two sets of images that ran last; they and
// the manifest's stay, everything else of the table is removed from engine and folder (prune), so that disk use does
// not grow with the number of deployments.
// Threads: as ImageSource; downloads wait for each other.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/images/image_source.h"
#include "agent/settings.h"
#include "packaging/blob_store.h"

namespace verge::agent {

class ImageCache final : public ImageSource {
 public:
  /// token: a fresh token of the device, for the hub's image store. is_cancelled: ends a download; may be empty.
  ImageCache(ContainerEngine& engine, const Settings& settings, std::function<Result<std::string>()> token,
             std::function<bool()> is_cancelled = {});

  std::optional<EngineImage> find(const std::string& reference) override;
  Result<EngineImage> fetch(const contract::ModuleSpec& spec,
                            const std::map<std::string, contract::RegistryCredential>& registries) override;
  std::string digest_of(const std::string& reference) override;
  Status prune(const std::set<std::string>& wanted, bool is_good, const std::function<bool()>& is_current) override;

 private:
  struct Entry {
    std::string digest, engine_id;
  };
  Result<EngineImage> pull(const std::string& reference,
                           const std::map<std::string, contract::RegistryCredential>& registries);
  Status remember(const std::string& reference, const Entry& entry);
  Status write_table();
  Status note_good(const std::set<std::string>& wanted);
  std::vector<std::string> unneeded(const std::set<std::string>& wanted);
  Status remove_from_engine(const std::vector<std::string>& references, const std::function<bool()>& is_current,
                            std::size_t& removed_count);
  Result<std::uint64_t> sweep(packaging::BlobStore& store, bool with_partials);

  ContainerEngine& engine_;
  const Settings& settings_;
  const std::function<Result<std::string>()> token_;
  const std::function<bool()> is_cancelled_;
  const std::filesystem::path folder_;
  std::mutex download_mutex_;
  std::mutex table_mutex_;
  std::map<std::string, Entry> table_;
  std::set<std::string> good_, good_before_;  ///< Under download_mutex_.
};

/// True when the reference names the hub's own image store.
bool is_hub_reference(const std::string& reference, const HubAddress& hub);

}  // namespace verge::agent
