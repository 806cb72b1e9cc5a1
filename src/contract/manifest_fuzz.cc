#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "contract/event.h"
#include "contract/manifest.h"
#include "contract/twin.h"

using namespace verge;
using namespace verge::contract;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto json = parse_json({reinterpret_cast<const char*>(data), size});
  if (!json) return 0;

  const auto agent = parse_agent_config(*json);
  if (const auto* config = std::get_if<AgentConfig>(&agent)) {
    for (const auto& [name, module] : config->modules) VERGE_ASSERT(module.needs_same_container(module));
  }
  static_cast<void>(parse_router_config(*json));
  static_cast<void>(static_cast<bool>(parse_modules_content(*json)));
  if (const auto event = event_from_json(*json)) {
    const auto again = event_from_json(contract::to_json(*event));
    VERGE_ASSERT(again && contract::to_json(*again) == contract::to_json(*event));
  }
  Properties properties;
  if (patch_properties(properties, *json, 0, kDesiredBytesMax, "Properties.Desired")) {
    Json result = Json::object();
    merge_patch(result, difference(Json::object(), properties.values));
    VERGE_ASSERT(result == properties.values || !json->is_object() || to_text(*json).find("null") != std::string::npos);
  }
  return 0;
}
