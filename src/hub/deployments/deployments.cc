#include "hub/deployments/deployments.h"

#include <fmt/core.h>

#include "base/json.h"
#include "contract/manifest.h"

namespace verge::hub {
namespace {

constexpr std::string_view kManagedBy = "IotEdge";

Status check_device(const Identities& identities, const std::string& device) {
  const auto record = identities.find({device, ""});
  if (!record) return Error{ErrorCode::not_found, fmt::format("there is no device \"{}\"", device)};
  if (record->is_edge) return Done{};
  return Error{
      ErrorCode::invalid_argument,
      fmt::format("device \"{}\" is no edge device; create it with capabilities.iotEdge to deploy to it", device)};
}

/// Another caller may create the same module at the same time; that is as good.
Status make_identity(Identities& identities, const contract::Identity& who) {
  if (identities.find(who)) return Done{};
  IdentityChange change;
  change.who = who;
  change.managed_by = kManagedBy;
  const auto made = identities.create(change);
  if (made || made.error().code == ErrorCode::conflict) return Done{};
  return made.error();
}

}  // namespace

Status apply_configuration_content(Identities& identities, Twins& twins, const std::string& device, const Json& body) {
  VERGE_TRY(const auto content, contract::parse_modules_content(body));
  VERGE_CHECK(check_device(identities, device));
  std::vector<std::pair<contract::Identity, Json>> changes;
  for (const auto& [module, desired] : content) {
    contract::Identity who{device, module};
    VERGE_CHECK(make_identity(identities, who));
    changes.emplace_back(std::move(who), desired);
  }
  return twins.replace_desired(changes);
}

}  // namespace verge::hub
