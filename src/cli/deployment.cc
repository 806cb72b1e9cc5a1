#include "cli/deployment.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/json.h"
#include "cli/output.h"
#include "contract/manifest.h"
#include "contract/twin.h"

namespace verge::cli {
namespace {

const Json* find_by_id(const Json& list, const std::string& id) {
  if (!list.is_array()) return nullptr;
  for (const auto& entry : list) {
    if (text_in(entry, "id") == id) return &entry;
  }
  return nullptr;
}

/// "" when the module runs.
std::string trouble_of(const Json* module) {
  if (module == nullptr) return "not created yet";
  const auto status = text_in(*module, "runtime_status");
  const auto description = text_in(*module, "status_description");
  if (const Json* error = find_member(*module, {"pipeline", "error"});
      error != nullptr && error->is_string() && !error->empty()) {
    if (const auto text = error->get<std::string>(); !text.empty()) return "pipeline: " + text;
  }
  if (status == "running") return {};
  if (status.empty()) return "not created yet";
  return description.empty() ? status : status + ": " + description;
}

/// "" when every source of the module delivers, and there is one.
std::string silence_of(const Json& sources, const std::string& device, const std::string& module) {
  bool has_source = false;
  for (const auto& source : sources) {
    if (text_in(source, "device") != device || text_in(source, "module") != module) continue;
    has_source = true;
    const auto stream = text_in(source, "stream");
    if (const auto error = text_in(source, "error"); !error.empty()) return fmt::format("source {}: {}", stream, error);
    const auto rate_hz = number_member(source, "rate_hz");
    if (!rate_hz || !(*rate_hz > 0)) return fmt::format("source {} delivers nothing yet", stream);
  }
  return has_source ? "" : "running, no source reported yet";
}

}  // namespace

Result<Json> manifest_difference(const HubClient& hub, const std::string& device, const Json& manifest) {
  VERGE_TRY(const auto contents, contract::parse_modules_content(manifest));
  Json changes = Json::object();
  for (const auto& [module, wanted] : contents) {
    Json current = Json::object();
    auto twin = hub.get("/twins/" + percent_encode(device) + "/modules/" + percent_encode(module));
    if (twin) {
      if (const Json* desired = find_member(*twin, {"properties", "desired"})) current = *desired;
      current.erase("$version");
      current.erase("$metadata");
    } else if (twin.error().code != ErrorCode::not_found) {
      return std::move(twin).error();
    }
    if (Json patch = contract::difference(current, wanted); !patch.empty()) changes[module] = std::move(patch);
  }
  return changes;
}

Result<Json> apply_manifest(const HubClient& hub, const std::string& device, const Json& manifest) {
  VERGE_TRY(auto changes, manifest_difference(hub, device, manifest));
  if (changes.empty()) return changes;
  // Azure's call takes the content without the wrapping that files often have.
  const Json& body = manifest.contains("content") ? manifest.at("content") : manifest;
  VERGE_CHECK(hub.call("POST", "/devices/" + percent_encode(device) + "/applyConfigurationContent", body));
  return changes;
}

Result<std::set<std::string>> modules_of(const Json& manifest) {
  VERGE_TRY(const auto contents, contract::parse_modules_content(manifest));
  std::set<std::string> names;
  const auto agent = contents.find("$edgeAgent");
  if (agent == contents.end()) return names;
  const Json* modules = find_member(agent->second, {"modules"});
  if (modules == nullptr || !modules->is_object()) return names;
  for (const auto& [name, module] : modules->items()) {
    if (text_in(module, "status") != "stopped") names.insert(name);
  }
  return names;
}

std::vector<std::string> missing_results(const Json& devices, const Json& sources, const std::string& device,
                                         const std::set<std::string>& modules, const std::set<std::string>& heard) {
  const Json* known = find_by_id(devices, device);
  const bool is_connected = known != nullptr && known->contains("connected") && known->at("connected") == true;
  if (!is_connected) return {fmt::format("device {} is not connected yet; see `verge logs --program agent`", device)};
  std::vector<std::string> missing;
  const Json* status = find_member(*known, {"agent", "status"});
  if (status != nullptr) {
    const auto code = integer_member(*status, "code");
    if (code && *code >= 400 && *code != 406 && *code != 417)
      missing.push_back(fmt::format("agent: {} ({})", text_in(*status, "description"), *code));
  }
  const Json* running = find_member(*known, {"modules"});
  for (const auto& module : modules) {
    auto trouble = trouble_of(running == nullptr ? nullptr : find_by_id(*running, module));
    if (trouble.empty() && heard.count(module) == 0) trouble = silence_of(sources, device, module);
    if (!trouble.empty()) missing.push_back(module + ": " + trouble);
  }
  return missing;
}

}  // namespace verge::cli
