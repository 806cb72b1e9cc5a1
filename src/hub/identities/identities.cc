#include "hub/identities/identities.h"

#include <fmt/core.h>

#include "base/bytes.h"

namespace verge::hub {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kKeyBytesMin = 16, kKeyBytesMax = 64;

std::string new_key() { return to_base64(random_bytes(kKeyBytes)); }
std::string new_etag() { return to_base64(random_bytes(9)); }

Error invalid(const contract::Identity& who, std::string_view why) {
  return Error{ErrorCode::invalid_argument, fmt::format("identity \"{}\": {}", who.to_text(), why)};
}

Status check_key(const contract::Identity& who, std::string_view key) {
  if (key.empty()) return Done{};
  const auto bytes = from_base64(key);
  if (!bytes || bytes->size() < kKeyBytesMin || bytes->size() > kKeyBytesMax) {
    return invalid(who, "a key must be base64 of 16 to 64 bytes; leave it empty to get one made");
  }
  return Done{};
}

Status check(const IdentityChange& change) {
  if (!contract::is_valid_id(change.who.device))
    return invalid(change.who,
                   "the device id holds a character that ids may not have, or is not 1 to 128 characters long");
  if (!change.who.module.empty() && !contract::is_valid_id(change.who.module))
    return invalid(change.who,
                   "the module id holds a character that ids may not have, or is longer than 128 characters");
  VERGE_CHECK(check_key(change.who, change.primary_key));
  VERGE_CHECK(check_key(change.who, change.secondary_key));
  const std::string_view type = change.auth_type;
  if (type != "sas" && type != "selfSigned" && type != "certificateAuthority" && type != "none") {
    return invalid(change.who,
                   fmt::format("authentication type \"{}\"; use sas, selfSigned, certificateAuthority or none", type));
  }
  return Done{};
}

void apply(const IdentityChange& change, std::int64_t now_us, IdentityRecord& record) {
  if (record.is_enabled != change.is_enabled) record.status_updated_us = now_us;
  record.is_enabled = change.is_enabled;
  record.status_reason = change.status_reason;
  record.auth_type = change.auth_type;
  if (!change.primary_key.empty()) record.primary_key = change.primary_key;
  if (!change.secondary_key.empty()) record.secondary_key = change.secondary_key;
  if (change.auth_type == "sas" && record.primary_key.empty()) record.primary_key = new_key();
  if (change.auth_type == "sas" && record.secondary_key.empty()) record.secondary_key = new_key();
  record.primary_thumbprint = change.primary_thumbprint;
  record.secondary_thumbprint = change.secondary_thumbprint;
  record.managed_by = change.managed_by;
  record.etag = new_etag();
}

IdentityRecord new_record(const IdentityChange& change, std::int64_t now_us) {
  IdentityRecord record;
  record.who = change.who;
  record.generation_id = std::to_string(now_us);
  record.created_us = now_us;
  record.is_edge = change.is_edge && change.who.module.empty();
  if (record.is_edge) record.scope = fmt::format("ms-azure-iot-edge://{}-{}", change.who.device, now_us);
  apply(change, now_us, record);
  return record;
}

IdentityRecord system_module(const std::string& device, std::string_view module, std::int64_t now_us) {
  IdentityChange change;
  change.who = {device, std::string(module)};
  return new_record(change, now_us);
}

Error moved_on(const contract::Identity& who) {
  return Error{ErrorCode::conflict, fmt::format("identity \"{}\" was changed meanwhile: read it again", who.to_text())};
}

Error unknown(const contract::Identity& who) {
  return Error{ErrorCode::not_found,
               fmt::format("there is no {} \"{}\"", who.module.empty() ? "device" : "module", who.to_text())};
}

bool fits(std::string_view if_match, const IdentityRecord& record) {
  return if_match == "*" || if_match == record.etag;
}

std::vector<storage::Value> values_of(const IdentityRecord& record) {
  return {record.who.device,
          record.who.module,
          record.generation_id,
          record.etag,
          std::int64_t{record.is_enabled},
          record.status_reason,
          record.auth_type,
          record.primary_key,
          record.secondary_key,
          record.primary_thumbprint,
          record.secondary_thumbprint,
          std::int64_t{record.is_edge},
          record.scope,
          record.managed_by,
          record.created_us,
          record.status_updated_us,
          record.last_seen_us};
}

IdentityRecord record_of(const storage::Row& row) {
  IdentityRecord record;
  record.who = {row.text(0), row.text(1)};
  record.generation_id = row.text(2);
  record.etag = row.text(3);
  record.is_enabled = row.integer(4) != 0;
  record.status_reason = row.text(5);
  record.auth_type = row.text(6);
  record.primary_key = row.text(7);
  record.secondary_key = row.text(8);
  record.primary_thumbprint = row.text(9);
  record.secondary_thumbprint = row.text(10);
  record.is_edge = row.integer(11) != 0;
  record.scope = row.text(12);
  record.managed_by = row.text(13);
  record.created_us = row.integer(14);
  record.status_updated_us = row.integer(15);
  record.last_seen_us = row.integer(16);
  return record;
}

constexpr std::string_view kColumns =
    "device, module, generation_id, etag, is_enabled, status_reason, auth_type, primary_key, secondary_key, "
    "primary_thumbprint, secondary_thumbprint, is_edge, scope, managed_by, created_us, status_updated_us, last_seen_us";

}  // namespace

bool is_system_module(std::string_view module) { return module == kAgentModule || module == kRouterModule; }

std::vector<storage::Migration> Identities::migrations() {
  return {{"identities.1",
           "CREATE TABLE identities (device TEXT NOT NULL, module TEXT NOT NULL, generation_id TEXT NOT NULL,"
           " etag TEXT NOT NULL, is_enabled INTEGER NOT NULL, status_reason TEXT NOT NULL, auth_type TEXT NOT NULL,"
           " primary_key TEXT NOT NULL, secondary_key TEXT NOT NULL, primary_thumbprint TEXT NOT NULL,"
           " secondary_thumbprint TEXT NOT NULL, is_edge INTEGER NOT NULL, scope TEXT NOT NULL,"
           " managed_by TEXT NOT NULL, created_us INTEGER NOT NULL, status_updated_us INTEGER NOT NULL,"
           " last_seen_us INTEGER NOT NULL, PRIMARY KEY (device, module)) WITHOUT ROWID"}};
}

Identities::Identities(storage::Database& database, const Clock& clock, IdentityLimits limits)
    : database_(database), clock_(clock), limits_(limits) {}

Result<std::unique_ptr<Identities>> Identities::open(storage::Database& database, const Clock& clock,
                                                     IdentityLimits limits) {
  std::unique_ptr<Identities> identities(new Identities(database, clock, limits));
  VERGE_CHECK(identities->load());
  return identities;
}

Status Identities::load() {
  VERGE_TRY(const auto rows, database_.query(fmt::format("SELECT {} FROM identities", kColumns)));
  index_.with([&](Index& index) {
    for (const auto& row : rows) {
      auto record = std::make_shared<const IdentityRecord>(record_of(row));
      index.emplace(record->who, record);
    }
  });
  return Done{};
}

IdentityPointer Identities::find(const contract::Identity& who) const {
  return index_.with([&](const Index& index) -> IdentityPointer {
    const auto found = index.find(who);
    return found == index.end() ? nullptr : found->second;
  });
}

std::vector<IdentityPointer> Identities::all() const {
  return index_.with([](const Index& index) {
    std::vector<IdentityPointer> list;
    list.reserve(index.size());
    for (const auto& [who, record] : index) list.push_back(record);
    return list;
  });
}

std::vector<IdentityPointer> Identities::devices(std::size_t count_max) const {
  return index_.with([&](const Index& index) {
    std::vector<IdentityPointer> list;
    for (const auto& [who, record] : index) {
      if (list.size() == count_max) break;
      if (who.module.empty()) list.push_back(record);
    }
    return list;
  });
}

std::size_t Identities::device_count() const {
  return index_.with([](const Index& index) {
    std::size_t count = 0;
    for (const auto& [who, record] : index) count += who.module.empty() ? 1 : 0;
    return count;
  });
}

std::vector<IdentityPointer> Identities::modules_of(std::string_view device) const {
  return index_.with([&](const Index& index) {
    std::vector<IdentityPointer> list;
    for (auto i = index.upper_bound({std::string(device), ""}); i != index.end() && i->first.device == device; ++i) {
      list.push_back(i->second);
    }
    return list;
  });
}

Status Identities::check_room(const contract::Identity& who) const {
  const std::size_t count = index_.with([](const Index& index) { return index.size(); });
  if (count + 3 > limits_.identities_max) {
    return Error{ErrorCode::limit, fmt::format("the hub holds {} identities, its limit: remove some first", count)};
  }
  if (!who.module.empty() && modules_of(who.device).size() >= limits_.modules_max) {
    return Error{ErrorCode::limit, fmt::format("device \"{}\" has {} modules, its limit: remove some first", who.device,
                                               limits_.modules_max)};
  }
  return Done{};
}

Status Identities::insert(const IdentityRecord& record) {
  VERGE_CHECK(
      database_.execute(fmt::format("INSERT INTO identities ({}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", kColumns),
                        values_of(record)));
  return Done{};
}

Status Identities::write(const IdentityRecord& record) {
  VERGE_CHECK(database_.execute(
      "UPDATE identities SET etag = ?, is_enabled = ?, status_reason = ?, auth_type = ?, primary_key = ?,"
      " secondary_key = ?, primary_thumbprint = ?, secondary_thumbprint = ?, managed_by = ?, status_updated_us = ?"
      " WHERE device = ? AND module = ?",
      {record.etag, std::int64_t{record.is_enabled}, record.status_reason, record.auth_type, record.primary_key,
       record.secondary_key, record.primary_thumbprint, record.secondary_thumbprint, record.managed_by,
       record.status_updated_us, record.who.device, record.who.module}));
  return Done{};
}

void Identities::keep(const IdentityPointer& record, Change change) {
  index_.with([&](Index& index) { index[record->who] = record; });
  if (changed_) changed_(record->who, change);
}

Result<IdentityPointer> Identities::create(const IdentityChange& change) {
  VERGE_CHECK(check(change));
  const std::lock_guard lock(writing_);
  if (find(change.who)) {
    return Error{ErrorCode::conflict,
                 fmt::format("\"{}\" exists already: send If-Match to change it", change.who.to_text())};
  }
  if (!change.who.module.empty() && !find({change.who.device, ""})) return unknown({change.who.device, ""});
  VERGE_CHECK(check_room(change.who));

  const std::int64_t now_us = clock_.now_us();
  std::vector<IdentityPointer> made{std::make_shared<const IdentityRecord>(new_record(change, now_us))};
  if (made[0]->is_edge) {
    for (const auto module : {kAgentModule, kRouterModule}) {
      made.push_back(std::make_shared<const IdentityRecord>(system_module(change.who.device, module, now_us)));
    }
  }
  const auto stored = database_.transaction([&]() -> Status {
    for (const auto& record : made) VERGE_CHECK(insert(*record));
    return Done{};
  });
  if (!stored) return stored.error();
  for (const auto& record : made) keep(record, Change::created);
  return made[0];
}

Result<IdentityPointer> Identities::update(const IdentityChange& change, std::string_view if_match) {
  VERGE_CHECK(check(change));
  const std::lock_guard lock(writing_);
  const IdentityPointer old = find(change.who);
  if (!old) return unknown(change.who);
  if (!fits(if_match, *old)) return moved_on(change.who);
  if (change.who.module.empty() && change.is_edge != old->is_edge) {
    return invalid(change.who, "capabilities.iotEdge cannot change; remove the device and create it again");
  }
  auto record = std::make_shared<IdentityRecord>(*old);
  apply(change, clock_.now_us(), *record);
  VERGE_CHECK(write(*record));
  keep(record, Change::updated);
  return IdentityPointer(record);
}

Status Identities::remove(const contract::Identity& who, std::string_view if_match) {
  const std::lock_guard lock(writing_);
  const IdentityPointer old = find(who);
  if (!old) return unknown(who);
  if (!fits(if_match, *old)) return moved_on(who);
  std::vector<contract::Identity> gone{who};
  if (who.module.empty()) {
    for (const auto& module : modules_of(who.device)) gone.push_back(module->who);
    VERGE_CHECK(database_.execute("DELETE FROM identities WHERE device = ?", {who.device}));
  } else {
    VERGE_CHECK(database_.execute("DELETE FROM identities WHERE device = ? AND module = ?", {who.device, who.module}));
  }
  index_.with([&](Index& index) {
    for (const auto& identity : gone) index.erase(identity);
  });
  for (const auto& identity : gone) {
    if (changed_) changed_(identity, Change::removed);
  }
  return Done{};
}

Status Identities::set_last_seen(const contract::Identity& who, std::int64_t now_us) {
  const std::lock_guard lock(writing_);
  const IdentityPointer old = find(who);
  if (!old) return unknown(who);
  VERGE_CHECK(database_.execute("UPDATE identities SET last_seen_us = ? WHERE device = ? AND module = ?",
                                {now_us, who.device, who.module}));
  auto record = std::make_shared<IdentityRecord>(*old);
  record->last_seen_us = now_us;
  index_.with([&](Index& index) { index[who] = record; });
  return Done{};
}

}  // namespace verge::hub
