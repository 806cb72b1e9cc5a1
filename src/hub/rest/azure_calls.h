// hub/rest/azure_calls.h -- Azure's service API: devices, modules, twins, methods, deployments, queries, statistics.
//
// Source: wire contract §2 (service.json of the service SDK). Any api-version is accepted.
// Threads: adds routes; handlers run as the router says.
#pragma once

#include "hub/rest/parts.h"
#include "hub/rest/router.h"

namespace verge::hub {

void add_azure_calls(Router& router, const HubParts& parts);

}  // namespace verge::hub
