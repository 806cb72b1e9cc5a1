// hub/identities/identities.h -- the devices and modules that the hub knows, with their keys.
//
// Rows live in SQLite; all of them are also kept in memory, since every connection and every call looks one up.
// Creating a device with is_edge makes its system modules $edgeAgent and $edgeHub and sets its scope.
// Threads: all calls from any thread. Changes wait for the disk; look-ups do not.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "base/time.h"
#include "contract/topics.h"
#include "storage/database.h"

namespace verge::hub {

struct IdentityRecord {
  contract::Identity who;     ///< Without module: a device.
  std::string generation_id;  ///< Differs between two devices that had the same id one after the other.
  std::string etag;           ///< Changes with every change.
  bool is_enabled = true;
  std::string status_reason;
  std::string auth_type = "sas";                         ///< "sas", "selfSigned", "certificateAuthority" or "none".
  std::string primary_key, secondary_key;                ///< Base64, as in a connection string.
  std::string primary_thumbprint, secondary_thumbprint;  ///< Hex.
  bool is_edge = false;                                  ///< Devices: capabilities.iotEdge.
  std::string scope;                                     ///< Devices: deviceScope.
  std::string managed_by;                                ///< Modules.
  std::int64_t created_us = 0, status_updated_us = 0, last_seen_us = 0;
};
using IdentityPointer = std::shared_ptr<const IdentityRecord>;

/// What a caller may set. Empty keys mean: make one at creation, keep at update.
struct IdentityChange {
  contract::Identity who;
  bool is_enabled = true;
  std::string status_reason;
  std::string auth_type = "sas";
  std::string primary_key, secondary_key, primary_thumbprint, secondary_thumbprint;
  bool is_edge = false;
  std::string managed_by;
};

struct IdentityLimits {
  std::size_t identities_max = 200'000;
  std::size_t modules_max = 100;  ///< Per device, system modules included.
};

inline constexpr std::string_view kAgentModule = "$edgeAgent";
inline constexpr std::string_view kRouterModule = "$edgeHub";
bool is_system_module(std::string_view module);

class Identities {
 public:
  static std::vector<storage::Migration> migrations();
  static Result<std::unique_ptr<Identities>> open(storage::Database& database, const Clock& clock,
                                                  IdentityLimits limits = {});

  /// Null when there is none.
  IdentityPointer find(const contract::Identity& who) const;
  /// In the order of their ids.
  std::vector<IdentityPointer> devices(std::size_t count_max) const;
  std::vector<IdentityPointer> modules_of(std::string_view device) const;
  std::vector<IdentityPointer> all() const;
  std::size_t device_count() const;

  /// Errors: conflict when it exists, not_found when a module's device does not, invalid_argument (id, key,
  /// authentication), limit.
  Result<IdentityPointer> create(const IdentityChange& change);
  /// if_match: an etag, or "*" for any. Errors: not_found, conflict when the etag moved on, invalid_argument.
  Result<IdentityPointer> update(const IdentityChange& change, std::string_view if_match);
  /// Removes a device's modules too. Errors: not_found, conflict.
  Status remove(const contract::Identity& who, std::string_view if_match);
  /// Remembers when it was last connected.
  Status set_last_seen(const contract::Identity& who, std::int64_t now_us);

  enum class Change : std::uint8_t { created, updated, removed };
  /// Called after each change, on the thread that made it. Set once, before use.
  void on_change(std::function<void(const contract::Identity&, Change)> changed) { changed_ = std::move(changed); }

 private:
  struct NaturalOrder {
    bool operator()(const contract::Identity& a, const contract::Identity& b) const {
      return std::tie(a.device, a.module) < std::tie(b.device, b.module);
    }
  };
  using Index = std::map<contract::Identity, IdentityPointer, NaturalOrder>;

  Identities(storage::Database& database, const Clock& clock, IdentityLimits limits);
  Status load();
  Status check_room(const contract::Identity& who) const;
  Status insert(const IdentityRecord& record);
  Status write(const IdentityRecord& record);
  void keep(const IdentityPointer& record, Change change);

  storage::Database& database_;
  const Clock& clock_;
  const IdentityLimits limits_;
  std::mutex writing_;  ///< Changes one after the other, so that an etag's check and its write belong together.
  Guarded<Index> index_;
  std::function<void(const contract::Identity&, Change)> changed_;
};

}  // namespace verge::hub
