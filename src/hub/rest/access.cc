#include "hub/rest/access.h"

#include <algorithm>
#include <cctype>
#include <fmt/core.h>
#include <optional>

#include "base/bytes.h"
#include "base/json.h"

namespace verge::hub {
namespace {

constexpr std::size_t kKeyBytes = 32;

struct PolicyForm {
  std::string_view name;
  Permissions grants;
};
constexpr PolicyForm kPolicies[] = {
    {"iothubowner", kRegistryRead | kRegistryWrite | kServiceConnect | kDeviceConnect},
    {"service", kServiceConnect},
    {"device", kDeviceConnect},
    {"registryRead", kRegistryRead},
    {"registryReadWrite", kRegistryRead | kRegistryWrite},
};

Error refused(std::string_view why) {
  return Error{ErrorCode::invalid_argument, fmt::format("check the access signature: {}", why)};
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

/// "host/devices/d/modules/m" in its parts; nothing when it has another form.
struct Resource {
  std::string_view host;
  contract::Identity identity;  ///< Empty device: the whole hub.
};
std::optional<Resource> parse_resource(std::string_view text) {
  if (text.ends_with('/')) text.remove_suffix(1);
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const auto slash = text.find('/');
    parts.push_back(text.substr(0, slash));
    text.remove_prefix(slash == std::string_view::npos ? text.size() : slash + 1);
  }
  if (parts.empty()) return std::nullopt;
  if (parts.size() == 1) return Resource{parts[0], {}};
  if (parts.size() >= 3 && parts[1] == "devices" &&
      (parts.size() == 3 || (parts.size() == 5 && parts[3] == "modules"))) {
    return Resource{parts[0], {std::string(parts[2]), parts.size() == 5 ? std::string(parts[4]) : std::string()}};
  }
  return std::nullopt;
}

/// A token for a device covers its modules' paths, one for the hub covers everything.
bool covers(const contract::Identity& resource, const contract::Identity& who) {
  if (resource.device.empty()) return true;
  return resource.device == who.device && (resource.module.empty() || resource.module == who.module);
}

bool has_signature_of(const contract::SasToken& token, const IdentityRecord& record) {
  return (!record.primary_key.empty() && contract::verify_sas(token, record.primary_key)) ||
         (!record.secondary_key.empty() && contract::verify_sas(token, record.secondary_key));
}

}  // namespace

std::vector<Policy> make_policies() {
  std::vector<Policy> policies;
  for (const auto& form : kPolicies) {
    policies.push_back(
        {std::string(form.name), form.grants, to_base64(random_bytes(kKeyBytes)), to_base64(random_bytes(kKeyBytes))});
  }
  return policies;
}

Json to_json(const std::vector<Policy>& policies) {
  Json list = Json::array();
  for (const auto& policy : policies) {
    list.push_back({{"name", policy.name}, {"primaryKey", policy.primary_key}, {"secondaryKey", policy.secondary_key}});
  }
  return list;
}

Result<std::vector<Policy>> policies_from_json(const Json& json) {
  std::vector<Policy> policies;
  if (!json.is_array()) return Error{ErrorCode::corrupt, "the policies are no list"};
  for (const Json& item : json) {
    Policy policy;
    VERGE_TRY(policy.name, string_member(item, "name"));
    VERGE_TRY(policy.primary_key, string_member(item, "primaryKey"));
    VERGE_TRY(policy.secondary_key, string_member(item, "secondaryKey"));
    const auto form = std::find_if(std::begin(kPolicies), std::end(kPolicies),
                                   [&](const auto& known) { return known.name == policy.name; });
    if (form == std::end(kPolicies) || policy.primary_key.empty()) {
      return Error{ErrorCode::corrupt, fmt::format("policy \"{}\" is unknown or has no key", policy.name)};
    }
    policy.grants = form->grants;
    policies.push_back(std::move(policy));
  }
  return policies;
}

std::string_view name_of(Role role) {
  switch (role) {
    case Role::viewer:
      return "viewer";
    case Role::operator_:
      return "operator";
    case Role::admin:
      return "admin";
    case Role::none:
      break;
  }
  return "none";
}

Role role_from_name(std::string_view name) {
  for (const Role role : {Role::viewer, Role::operator_, Role::admin}) {
    if (name_of(role) == name) return role;
  }
  return Role::none;
}

Access::Access(const Identities& identities, const Clock& clock, std::vector<Policy> policies,
               std::vector<std::string> hosts)
    : identities_(identities), clock_(clock), policies_(std::move(policies)), hosts_(std::move(hosts)) {}

bool Access::is_own_host(std::string_view host) const {
  if (const auto colon = host.rfind(':'); colon != std::string_view::npos && host.find(':') == colon)
    host = host.substr(0, colon);
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& own) { return equal_ignoring_case(own, host); });
}

const Policy* Access::find_policy(std::string_view name) const {
  const auto found =
      std::find_if(policies_.begin(), policies_.end(), [&](const auto& policy) { return policy.name == name; });
  return found == policies_.end() ? nullptr : &*found;
}

Status Access::check_times_and_host(const contract::SasToken& token) const {
  if (token.end_s <= clock_.now_us() / 1'000'000) return refused("it has ended; make a new one");
  const auto resource = parse_resource(token.resource);
  if (!resource) return refused("sr must be HOST, HOST/devices/D or HOST/devices/D/modules/M");
  if (!is_own_host(resource->host))
    return refused(fmt::format("it is for host \"{}\", which is not this hub", resource->host));
  return Done{};
}

Result<Caller> Access::policy_caller(const contract::SasToken& token) const {
  const Policy* policy = find_policy(token.policy);
  if (policy == nullptr ||
      (!contract::verify_sas(token, policy->primary_key) && !contract::verify_sas(token, policy->secondary_key))) {
    return refused("no such policy, or it was not signed with its key");
  }
  Caller caller;
  caller.kind = Caller::Kind::policy;
  caller.name = policy->name;
  caller.grants = policy->grants;
  caller.identity = parse_resource(token.resource)->identity;
  return caller;
}

Result<Caller> Access::identity_caller(const contract::SasToken& token) const {
  const auto resource = parse_resource(token.resource);
  const auto record = identities_.find(resource->identity);
  if (!record || !has_signature_of(token, *record))
    return refused("no such device or module, or it was not signed with its key");
  if (!record->is_enabled) return refused("the device is disabled");
  Caller caller;
  caller.kind = Caller::Kind::identity;
  caller.name = record->who.to_text();
  caller.identity = record->who;
  return caller;
}

Result<Caller> Access::check_token(std::string_view text) const {
  VERGE_TRY(const auto token, contract::parse_sas(text));
  VERGE_CHECK(check_times_and_host(token));
  return token.policy.empty() ? identity_caller(token) : policy_caller(token);
}

Result<std::int64_t> Access::check_connect(std::string_view text, const contract::Identity& who) const {
  VERGE_TRY(const auto token, contract::parse_sas(text));
  VERGE_CHECK(check_times_and_host(token));
  const auto record = identities_.find(who);
  const auto device = identities_.find({who.device, ""});
  if (!record || !device) return refused("no such device or module");
  if (!record->is_enabled || !device->is_enabled) return refused("the device is disabled");
  if (!covers(parse_resource(token.resource)->identity, who)) return refused("it is for another device or module");
  if (token.policy.empty()) {
    if (record->auth_type != "sas") return refused("this identity does not use keys");
    if (!has_signature_of(token, *record)) return refused("it was not signed with this identity's key");
    return token.end_s;
  }
  VERGE_TRY(const auto caller, policy_caller(token));
  if ((caller.grants & kDeviceConnect) == 0)
    return refused(fmt::format("policy \"{}\" may not connect devices", caller.name));
  return token.end_s;
}

}  // namespace verge::hub
