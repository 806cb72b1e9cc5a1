// hub/twins/twins.h -- the twins of all devices and modules: read, merged, replaced, watched.
//
// An identity without a row has an empty twin (versions 1), so that creating an identity needs no second write.
// Threads: all calls from any thread; changes are made one after the other and wait for the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "base/time.h"
#include "contract/topics.h"
#include "contract/twin.h"
#include "hub/identities/identities.h"
#include "hub/identities/identity_json.h"
#include "storage/database.h"

namespace verge::hub {

class Twins {
 public:
  static std::vector<storage::Migration> migrations();
  Twins(storage::Database& database, const Identities& identities, const Clock& clock);

  /// Errors: not_found when there is no such identity.
  Result<contract::Twin> get(const contract::Identity& who) const;
  /// Every twin that was written, by identity; the others are empty.
  Result<std::map<std::string, contract::Twin>> all() const;

  /// Merges the members `tags` and `properties.desired` of `body`. if_match: etag, "*" or "" for any.
  /// Errors: not_found, conflict (etag), invalid_argument and limit in Azure's words.
  Result<contract::Twin> update(const contract::Identity& who, const Json& body, std::string_view if_match);
  /// The same, replacing tags and desired properties; absent members become empty.
  Result<contract::Twin> replace(const contract::Identity& who, const Json& body, std::string_view if_match);
  /// From the device itself; returns the new version of the reported properties.
  Result<std::int64_t> patch_reported(const contract::Identity& who, const Json& patch);
  /// All of them or none.
  Status replace_desired(const std::vector<std::pair<contract::Identity, Json>>& changes);

  /// After a change of desired properties: the merge patch that leads to them, with $version. On the thread that
  /// made the change. Set once, before use.
  using OnDesired = std::function<void(const contract::Identity&, const Json& patch, std::int64_t version)>;
  void on_desired(OnDesired changed) { on_desired_ = std::move(changed); }
  /// After a change of reported properties.
  void on_reported(std::function<void(const contract::Identity&)> changed) { on_reported_ = std::move(changed); }

 private:
  Status write(const contract::Twin& twin);
  Result<contract::Twin> load(const contract::Identity& who) const;
  Result<contract::Twin> change(const contract::Identity& who, std::string_view if_match,
                                const std::function<Status(contract::Twin&)>& edit);
  void tell_desired(const contract::Identity& who, const Json& before, const contract::Twin& after) const;

  storage::Database& database_;
  const Identities& identities_;
  const Clock& clock_;
  std::mutex writing_;
  OnDesired on_desired_;
  std::function<void(const contract::Identity&)> on_reported_;
};

/// The twin as Azure's service API shows it.
Json twin_document(const contract::Twin& twin, const IdentityRecord& identity, const ConnectionState& connection);
/// The twin as its device sees it: {"desired": {…, "$version"}, "reported": {…, "$version"}}.
Json twin_for_device(const contract::Twin& twin);

}  // namespace verge::hub
