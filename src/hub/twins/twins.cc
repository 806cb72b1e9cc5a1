#include "hub/twins/twins.h"

#include <fmt/core.h>

#include "base/bytes.h"
#include "base/json.h"

namespace verge::hub {
namespace {

constexpr std::string_view kColumns =
    "device, module, tags, desired, desired_metadata, desired_version, reported, reported_metadata, reported_version, "
    "version";

std::string etag_of(std::int64_t version) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[7 - i] = static_cast<char>((version >> (8 * i)) & 0xFF);
  return to_base64(bytes);
}

Result<contract::Twin> twin_of(const storage::Row& row) {
  contract::Twin twin;
  twin.device = row.text(0);
  twin.module = row.text(1);
  VERGE_TRY(twin.tags, parse_json(row.text(2)));
  VERGE_TRY(twin.desired.values, parse_json(row.text(3)));
  VERGE_TRY(twin.desired.metadata, parse_json(row.text(4)));
  twin.desired.version = row.integer(5);
  VERGE_TRY(twin.reported.values, parse_json(row.text(6)));
  VERGE_TRY(twin.reported.metadata, parse_json(row.text(7)));
  twin.reported.version = row.integer(8);
  twin.version = row.integer(9);
  twin.etag = etag_of(twin.version);
  return twin;
}

Error unknown(const contract::Identity& who) {
  return Error{ErrorCode::not_found,
               fmt::format("there is no {} \"{}\"", who.module.empty() ? "device" : "module", who.to_text())};
}

/// The object at `path` of a request body; null when the caller left it out.
Result<const Json*> object_at(const Json& body, std::initializer_list<std::string_view> path, std::string_view name) {
  const Json* value = find_member(body, path);
  if (value == nullptr || value->is_null()) return static_cast<const Json*>(nullptr);
  if (!value->is_object()) return Error{ErrorCode::invalid_argument, fmt::format("{} must be a JSON object", name)};
  return value;
}

Status patch_tags(contract::Twin& twin, const Json& patch) {
  Json merged = twin.tags;
  merge_patch(merged, patch);
  VERGE_CHECK(contract::check_properties(patch, merged, contract::kTagsBytesMax, "'Tags'"));
  twin.tags = std::move(merged);
  return Done{};
}

Status check_shape(const Json& body) {
  if (body.is_object()) return Done{};
  return Error{ErrorCode::invalid_argument, "the body must be a JSON object with tags, properties.desired or both"};
}

}  // namespace

std::vector<storage::Migration> Twins::migrations() {
  return {{"twins.1",
           "CREATE TABLE twins (device TEXT NOT NULL, module TEXT NOT NULL, tags TEXT NOT NULL, desired TEXT NOT NULL,"
           " desired_metadata TEXT NOT NULL, desired_version INTEGER NOT NULL, reported TEXT NOT NULL,"
           " reported_metadata TEXT NOT NULL, reported_version INTEGER NOT NULL, version INTEGER NOT NULL,"
           " PRIMARY KEY (device, module),"
           " FOREIGN KEY (device, module) REFERENCES identities (device, module) ON DELETE CASCADE)"}};
}

Twins::Twins(storage::Database& database, const Identities& identities, const Clock& clock)
    : database_(database), identities_(identities), clock_(clock) {}

Result<contract::Twin> Twins::load(const contract::Identity& who) const {
  VERGE_TRY(const auto row,
            database_.query_one(fmt::format("SELECT {} FROM twins WHERE device = ? AND module = ?", kColumns),
                                {who.device, who.module}));
  if (row) return twin_of(*row);
  contract::Twin twin;
  twin.device = who.device;
  twin.module = who.module;
  twin.etag = etag_of(twin.version);
  return twin;
}

Result<contract::Twin> Twins::get(const contract::Identity& who) const {
  if (!identities_.find(who)) return unknown(who);
  return load(who);
}

Result<std::map<std::string, contract::Twin>> Twins::all() const {
  VERGE_TRY(const auto rows, database_.query(fmt::format("SELECT {} FROM twins", kColumns)));
  std::map<std::string, contract::Twin> twins;
  for (const auto& row : rows) {
    VERGE_TRY(auto twin, twin_of(row));
    std::string key = contract::Identity{twin.device, twin.module}.to_text();
    twins.emplace(std::move(key), std::move(twin));
  }
  return twins;
}

Status Twins::write(const contract::Twin& twin) {
  VERGE_CHECK(database_.execute(fmt::format("INSERT OR REPLACE INTO twins ({}) VALUES (?,?,?,?,?,?,?,?,?,?)", kColumns),
                                {twin.device, twin.module, to_text(twin.tags), to_text(twin.desired.values),
                                 to_text(twin.desired.metadata), twin.desired.version, to_text(twin.reported.values),
                                 to_text(twin.reported.metadata), twin.reported.version, twin.version}));
  return Done{};
}

/// Reads, edits and writes one twin; the etag's check and the write are not torn apart by another change.
Result<contract::Twin> Twins::change(const contract::Identity& who, std::string_view if_match,
                                     const std::function<Status(contract::Twin&)>& edit) {
  contract::Twin twin;
  Json desired_before;
  std::int64_t desired_version_before = 0;
  {
    const std::lock_guard lock(writing_);
    if (!identities_.find(who)) return unknown(who);
    VERGE_TRY(twin, load(who));
    if (!if_match.empty() && if_match != "*" && if_match != twin.etag) {
      return Error{ErrorCode::conflict, fmt::format("twin \"{}\" was changed meanwhile: read it again", who.to_text())};
    }
    desired_before = twin.desired.values;
    desired_version_before = twin.desired.version;
    VERGE_CHECK(edit(twin));
    twin.version += 1;
    twin.etag = etag_of(twin.version);
    VERGE_CHECK(write(twin));
  }
  if (twin.desired.version != desired_version_before) tell_desired(who, desired_before, twin);
  return twin;
}

void Twins::tell_desired(const contract::Identity& who, const Json& before, const contract::Twin& after) const {
  if (!on_desired_) return;
  Json patch = contract::difference(before, after.desired.values);
  if (!patch.is_object()) patch = Json::object();
  patch["$version"] = after.desired.version;
  on_desired_(who, patch, after.desired.version);
}

Result<contract::Twin> Twins::update(const contract::Identity& who, const Json& body, std::string_view if_match) {
  VERGE_CHECK(check_shape(body));
  VERGE_TRY(const Json* tags, object_at(body, {"tags"}, "tags"));
  VERGE_TRY(const Json* desired, object_at(body, {"properties", "desired"}, "properties.desired"));
  return change(who, if_match, [&](contract::Twin& twin) -> Status {
    if (tags != nullptr) VERGE_CHECK(patch_tags(twin, *tags));
    if (desired == nullptr) return Done{};
    return contract::patch_properties(twin.desired, *desired, clock_.now_us(), contract::kDesiredBytesMax,
                                      "'Properties.Desired'");
  });
}

Result<contract::Twin> Twins::replace(const contract::Identity& who, const Json& body, std::string_view if_match) {
  VERGE_CHECK(check_shape(body));
  static const Json kEmpty = Json::object();
  VERGE_TRY(const Json* tags, object_at(body, {"tags"}, "tags"));
  VERGE_TRY(const Json* desired, object_at(body, {"properties", "desired"}, "properties.desired"));
  return change(who, if_match, [&](contract::Twin& twin) -> Status {
    twin.tags = Json::object();
    VERGE_CHECK(patch_tags(twin, tags == nullptr ? kEmpty : *tags));
    return contract::replace_properties(twin.desired, desired == nullptr ? kEmpty : *desired, clock_.now_us(),
                                        contract::kDesiredBytesMax, "'Properties.Desired'");
  });
}

Result<std::int64_t> Twins::patch_reported(const contract::Identity& who, const Json& patch) {
  std::int64_t version = 0;
  {
    const std::lock_guard lock(writing_);
    if (!identities_.find(who)) return unknown(who);
    VERGE_TRY(auto twin, load(who));
    VERGE_CHECK(contract::patch_properties(twin.reported, patch, clock_.now_us(), contract::kReportedBytesMax,
                                           "'Properties.Reported'"));
    // Azure's etag and version stand for tags and desired only; reported properties count by themselves.
    VERGE_CHECK(write(twin));
    version = twin.reported.version;
  }
  if (on_reported_) on_reported_(who);
  return version;
}

Status Twins::replace_desired(const std::vector<std::pair<contract::Identity, Json>>& changes) {
  std::vector<std::pair<Json, contract::Twin>> done;  // {before, after}
  {
    const std::lock_guard lock(writing_);
    for (const auto& [who, values] : changes) {
      if (!identities_.find(who)) return unknown(who);
      VERGE_TRY(auto twin, load(who));
      Json before = twin.desired.values;
      VERGE_CHECK(contract::replace_properties(twin.desired, values, clock_.now_us(), contract::kDesiredBytesMax,
                                               fmt::format("'Properties.Desired' of {}", who.module)));
      twin.version += 1;
      twin.etag = etag_of(twin.version);
      done.emplace_back(std::move(before), std::move(twin));
    }
    const auto stored = database_.transaction([&]() -> Status {
      for (const auto& [before, twin] : done) VERGE_CHECK(write(twin));
      return Done{};
    });
    if (!stored) return stored.error();
  }
  for (const auto& [before, twin] : done) tell_desired({twin.device, twin.module}, before, twin);
  return Done{};
}

Json twin_document(const contract::Twin& twin, const IdentityRecord& identity, const ConnectionState& connection) {
  Json json{{"deviceId", twin.device},
            {"etag", twin.etag},
            {"deviceEtag", identity.etag},
            {"status", identity.is_enabled ? "enabled" : "disabled"},
            {"statusUpdateTime", azure_time(identity.status_updated_us)},
            {"connectionState", connection.is_connected ? "Connected" : "Disconnected"},
            {"lastActivityTime", azure_time(connection.last_seen_us)},
            {"cloudToDeviceMessageCount", 0},
            {"authenticationType", identity.auth_type},
            {"x509Thumbprint", authentication_json(identity)["x509Thumbprint"]},
            {"version", twin.version},
            {"tags", twin.tags},
            {"properties", {{"desired", to_json(twin.desired, true)}, {"reported", to_json(twin.reported, true)}}}};
  if (!twin.module.empty()) {
    json["moduleId"] = twin.module;
    return json;
  }
  json["capabilities"] = {{"iotEdge", identity.is_edge}};
  if (!identity.scope.empty()) json["deviceScope"] = identity.scope;
  return json;
}

Json twin_for_device(const contract::Twin& twin) {
  return {{"desired", to_json(twin.desired, false)}, {"reported", to_json(twin.reported, false)}};
}

}  // namespace verge::hub
