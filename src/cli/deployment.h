// cli/deployment.h -- applying a deployment manifest to a device only where it changes something.
//
// Threads: calls block; pure otherwise.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "cli/hub_client.h"

namespace verge::cli {

/// What would change on one device: for each module of the manifest the merge patch from today's desired properties;
/// modules without a change are left out. Errors: invalid_argument (the manifest), the hub's.
Result<Json> manifest_difference(const HubClient& hub, const std::string& device, const Json& manifest);
/// Applies the manifest unless nothing would change. Returns the difference. Errors: as above, the hub's refusal.
Result<Json> apply_manifest(const HubClient& hub, const std::string& device, const Json& manifest);
/// Names of the modules that the manifest wants to run. Errors: invalid_argument.
Result<std::set<std::string>> modules_of(const Json& manifest);

/// What still lacks until a device shows results, in sentences; empty when every module runs and every source of each
/// module delivers. `devices` and `sources`: the answers of /api/v1/devices and /api/v1/sources. A module in `heard`
/// has sent an event since it was started, so its sources need not be asked.
std::vector<std::string> missing_results(const Json& devices, const Json& sources, const std::string& device,
                                         const std::set<std::string>& modules, const std::set<std::string>& heard);

}  // namespace verge::cli
