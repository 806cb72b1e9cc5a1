// hub/deployments/deployments.h -- writes what a manifest asks for into identities and twins.
//
// Source: wire contract §2.2 (applyConfigurationContent). Automatic configurations will call the same function for
// every device they target. What the content means is the agent's business: it reports bad routes and options.
// Threads: pure over its arguments; call from any thread.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "base/result.h"
#include "hub/identities/identities.h"
#include "hub/twins/twins.h"

namespace verge::hub {

/// Creates the missing module identities that the content names, then replaces the desired properties of all named
/// modules at once. Modules that it does not name stay as they are.
/// Errors: not_found (no such device), invalid_argument (not an edge device, malformed), limit (a twin too large).
Status apply_configuration_content(Identities& identities, Twins& twins, const std::string& device, const Json& body);

}  // namespace verge::hub
