#include "agent/upstream/hub_api.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/http_client.h"
#include "base/json.h"
#include "contract/sas.h"

namespace verge::agent {
namespace {

constexpr std::string_view kApiVersion = "api-version=2017-11-08-preview";  // What Azure's own daemon asks for.

std::string text_at(const Json& json, std::initializer_list<std::string_view> path) {
  const Json* found = find_member(json, path);
  return found != nullptr && found->is_string() ? found->get<std::string>() : "";
}

ModuleIdentity identity_from(const Json& json) {
  ModuleIdentity identity;
  identity.primary_key = text_at(json, {"authentication", "symmetricKey", "primaryKey"});
  identity.secondary_key = text_at(json, {"authentication", "symmetricKey", "secondaryKey"});
  identity.generation = text_at(json, {"generationId"});
  if (identity.generation.empty()) identity.generation = "1";
  identity.is_managed = text_at(json, {"managedBy"}) == "IotEdge";
  return identity;
}

struct Caller {
  const Settings& settings;
  const std::string& token;
  const std::function<bool()>& is_cancelled;
};

Result<Json> call_hub(const Caller& caller, std::string_view method, const std::string& path, const Json* body,
                      const std::string& doing) {
  const Settings& settings = caller.settings;
  HttpCall call;
  call.is_cancelled = caller.is_cancelled;
  call.method = method;
  call.url = fmt::format("{}://{}:{}{}?{}", settings.hub.is_plain ? "http" : "https", settings.hub.host,
                         settings.hub.https_port, path, kApiVersion);
  call.trust_pem = settings.hub.ca_pem;
  call.headers.set("Authorization", caller.token);
  if (body != nullptr) {
    call.headers.set("Content-Type", "application/json");
    call.body = to_text(*body);
  }
  if (method == "DELETE") call.headers.set("If-Match", "*");
  VERGE_TRY(const auto response, require_success(fetch(call), doing));
  if (response.body.empty()) return Json::object();
  auto parsed = parse_json(response.body);
  if (!parsed) return std::move(parsed).error().within(doing);
  return parsed;
}

}  // namespace

Result<std::string> HubApi::device_token() const {
  return contract::make_sas(fmt::format("{}/devices/{}", settings_.hub.host, settings_.device), settings_.key,
                            clock_.now_us() / 1'000'000 + contract::kSasLife_s);
}

Result<ModuleIdentities> HubApi::list_modules() const {
  VERGE_TRY(const auto token, device_token());
  const auto path = fmt::format("/devices/{}/modules", percent_encode(settings_.device));
  VERGE_TRY(const Json list,
            call_hub({settings_, token, is_cancelled_}, "GET", path, nullptr, "list this device's modules at the hub"));
  if (!list.is_array()) return Error{ErrorCode::corrupt, "list this device's modules at the hub: no list came back"};
  ModuleIdentities identities;
  for (const Json& item : list) {
    const auto name = text_at(item, {"moduleId"});
    if (!name.empty()) identities[name] = identity_from(item);
  }
  return identities;
}

Result<ModuleIdentity> HubApi::create_module(const std::string& module) const {
  VERGE_TRY(const auto token, device_token());
  const auto path = fmt::format("/devices/{}/modules/{}", percent_encode(settings_.device), percent_encode(module));
  const auto doing = fmt::format("create identity of module \"{}\" at the hub", module);
  const Json body = {{"moduleId", module},
                     {"deviceId", settings_.device},
                     {"managedBy", "IotEdge"},
                     {"authentication", {{"type", "sas"}}}};
  auto made = call_hub({settings_, token, is_cancelled_}, "PUT", path, &body, doing);
  if (!made && made.error().code == ErrorCode::conflict) {
    made = call_hub({settings_, token, is_cancelled_}, "GET", path, nullptr, doing);
  }
  if (!made) return std::move(made).error();
  return identity_from(*made);
}

Status HubApi::remove_module(const std::string& module) const {
  VERGE_TRY(const auto token, device_token());
  const auto path = fmt::format("/devices/{}/modules/{}", percent_encode(settings_.device), percent_encode(module));
  const auto removed = call_hub({settings_, token, is_cancelled_}, "DELETE", path, nullptr,
                                fmt::format("remove identity of module \"{}\"", module));
  if (!removed && removed.error().code != ErrorCode::not_found) return removed.error();
  return Done{};
}

Status save_identities(const std::filesystem::path& path, const ModuleIdentities& identities) {
  Json json = Json::object();
  for (const auto& [name, identity] : identities) {
    json[name] = {{"primary", identity.primary_key},
                  {"secondary", identity.secondary_key},
                  {"generation", identity.generation},
                  {"managed", identity.is_managed}};
  }
  return write_file(path, to_text(json), 0600);
}

Result<ModuleIdentities> load_identities(const std::filesystem::path& path) {
  const auto text = read_file(path, 4U << 20U);
  if (!text && text.error().code == ErrorCode::not_found) return ModuleIdentities{};
  if (!text) return text.error();
  const auto json = parse_json(*text);
  if (!json || !json->is_object()) {
    return Error{ErrorCode::corrupt,
                 fmt::format("read {}: not a JSON object; remove it, the hub has the identities", path.string())};
  }
  ModuleIdentities identities;
  for (const auto& [name, item] : json->items()) {
    ModuleIdentity identity;
    identity.primary_key = text_at(item, {"primary"});
    identity.secondary_key = text_at(item, {"secondary"});
    identity.generation = text_at(item, {"generation"});
    const auto managed = item.is_object() ? bool_member(item, "managed", true) : Result<bool>(true);
    identity.is_managed = !managed || *managed;
    identities[name] = identity;
  }
  return identities;
}

}  // namespace verge::agent
