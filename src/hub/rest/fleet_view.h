// hub/rest/fleet_view.h -- devices, modules and sources as the page shows them, put together from identities, twins and
// connections.
//
// Source: docs/formats/hub-api.md. What a module says about itself stands in its reported properties under "verge":
// {"version", "pipeline": {"hash", "error"}, "streams": [{"name", "family", "kind", "rate_hz", "dropped", "error"}]}.
// Threads: pure over its arguments; reads the disk.
#pragma once

#include "base/json_fwd.h"
#include "base/result.h"
#include "hub/rest/parts.h"

namespace verge::hub {

Result<Json> devices_view(const HubParts& parts);
Result<Json> sources_view(const HubParts& parts);

}  // namespace verge::hub
