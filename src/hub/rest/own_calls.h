// hub/rest/own_calls.h -- the hub's own API under /api/v1, health and metrics.
//
// Source: docs/formats/hub-api.md. Threads: adds routes; handlers run as the router says.
#pragma once

#include "hub/rest/parts.h"
#include "hub/rest/router.h"

namespace verge::hub {

void add_own_calls(Router& router, const HubParts& parts);

}  // namespace verge::hub
