#include "hub/identities/identity_json.h"

#include <fmt/core.h>

#include "base/json.h"

namespace verge::hub {
namespace {

Json key_pair(const std::string& primary, const std::string& secondary, std::string_view first,
              std::string_view second) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{std::string(first), text_or_null(primary)}, {std::string(second), text_or_null(secondary)}};
}

/// Reads {"symmetricKey": {...}, "x509Thumbprint": {...}, "type": "..."}.
Status read_authentication(const Json& body, IdentityChange& change) {
  const Json* authentication = find_member(body, {"authentication"});
  if (authentication == nullptr || authentication->is_null()) return Done{};
  VERGE_TRY(change.auth_type, string_member(*authentication, "type", "sas"));
  if (const Json* keys = find_member(*authentication, {"symmetricKey"}); keys != nullptr && keys->is_object()) {
    VERGE_TRY(change.primary_key, string_member(*keys, "primaryKey"));
    VERGE_TRY(change.secondary_key, string_member(*keys, "secondaryKey"));
  }
  if (const Json* prints = find_member(*authentication, {"x509Thumbprint"}); prints != nullptr && prints->is_object()) {
    VERGE_TRY(change.primary_thumbprint, string_member(*prints, "primaryThumbprint"));
    VERGE_TRY(change.secondary_thumbprint, string_member(*prints, "secondaryThumbprint"));
  }
  return Done{};
}

Status check_id(const Json& body, std::string_view key, const std::string& expected) {
  VERGE_TRY(const auto id, string_member(body, key, expected));
  if (id == expected) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("{} is \"{}\" in the body and \"{}\" in the path: make them equal", key, id, expected)};
}

}  // namespace

std::string azure_time(std::int64_t epoch_us) { return epoch_us == 0 ? "0001-01-01T00:00:00Z" : to_iso8601(epoch_us); }

Json authentication_json(const IdentityRecord& record) {
  return {{"type", record.auth_type},
          {"symmetricKey", key_pair(record.primary_key, record.secondary_key, "primaryKey", "secondaryKey")},
          {"x509Thumbprint", key_pair(record.primary_thumbprint, record.secondary_thumbprint, "primaryThumbprint",
                                      "secondaryThumbprint")}};
}

Json to_json(const IdentityRecord& record, const ConnectionState& connection) {
  const std::string last_seen = azure_time(connection.last_seen_us);
  Json json{{"deviceId", record.who.device},
            {"generationId", record.generation_id},
            {"etag", record.etag},
            {"connectionState", connection.is_connected ? "Connected" : "Disconnected"},
            {"connectionStateUpdatedTime", last_seen},
            {"lastActivityTime", last_seen},
            {"cloudToDeviceMessageCount", 0},
            {"authentication", authentication_json(record)}};
  if (!record.who.module.empty()) {
    json["moduleId"] = record.who.module;
    json["managedBy"] = record.managed_by.empty() ? Json(nullptr) : Json(record.managed_by);
    return json;
  }
  json["status"] = record.is_enabled ? "enabled" : "disabled";
  json["statusReason"] = record.status_reason.empty() ? Json(nullptr) : Json(record.status_reason);
  json["statusUpdatedTime"] = azure_time(record.status_updated_us);
  json["capabilities"] = {{"iotEdge", record.is_edge}};
  if (!record.scope.empty()) json["deviceScope"] = record.scope;
  return json;
}

Result<IdentityChange> identity_change_from_json(const contract::Identity& who, const Json& body) {
  if (!body.is_object())
    return Error{ErrorCode::invalid_argument, "the body must be a JSON object that describes the identity"};
  IdentityChange change;
  change.who = who;
  VERGE_CHECK(check_id(body, "deviceId", who.device));
  if (!who.module.empty()) VERGE_CHECK(check_id(body, "moduleId", who.module));
  VERGE_TRY(const auto status, string_member(body, "status", "enabled"));
  if (status != "enabled" && status != "disabled") {
    return Error{ErrorCode::invalid_argument, fmt::format("status \"{}\"; use enabled or disabled", status)};
  }
  change.is_enabled = status == "enabled";
  VERGE_TRY(change.status_reason, string_member(body, "statusReason"));
  VERGE_TRY(change.managed_by, string_member(body, "managedBy"));
  if (const Json* capabilities = find_member(body, {"capabilities"});
      capabilities != nullptr && capabilities->is_object()) {
    VERGE_TRY(change.is_edge, bool_member(*capabilities, "iotEdge"));
  }
  VERGE_CHECK(read_authentication(body, change));
  return change;
}

}  // namespace verge::hub
