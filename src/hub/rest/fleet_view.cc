#include "hub/rest/fleet_view.h"

#include <map>
#include <set>

#include "base/json.h"

namespace verge::hub {
namespace {

using TwinsById = std::map<std::string, contract::Twin>;

const Json& reported_of(const TwinsById& twins, const contract::Identity& who) {
  static const Json kEmpty = Json::object();
  const auto found = twins.find(who.to_text());
  return found == twins.end() ? kEmpty : found->second.reported.values;
}

/// What a module says about itself; a module that does not know us may say it at the top.
const Json* own_fact(const Json& reported, std::string_view key) {
  if (const Json* fact = find_member(reported, {"verge", key})) return fact;
  return find_member(reported, {key});
}

void copy(const Json* value, std::string_view key, Json& target) {
  if (value != nullptr && !value->is_null() && *value != "") target[std::string(key)] = *value;
}

/// Streams are told as a list of objects with "name" (or "stream"), of names, or as an object by name.
std::vector<Json> streams_of(const Json& reported) {
  std::vector<Json> streams;
  const Json* told = own_fact(reported, "streams");
  if (told == nullptr) return streams;
  for (const auto& [key, value] : told->items()) {
    Json stream = value.is_object() ? value : Json::object();
    if (value.is_string()) stream["stream"] = value;
    if (told->is_object()) stream["stream"] = key;
    if (!stream.contains("stream") && stream.contains("name")) stream["stream"] = stream["name"];
    if (stream.contains("stream") && stream["stream"].is_string()) streams.push_back(std::move(stream));
  }
  return streams;
}

/// A module behind a router has no connection of its own here; the router tells of its clients.
bool is_connected(const HubParts& parts, const Json& router_reported, const contract::Identity& who) {
  if (parts.endpoint.connection_of(who).is_connected) return true;
  const Json* status = find_member(router_reported, {"clients", who.to_text(), "status"});
  return status != nullptr && *status == "Connected";
}

Json module_view(const HubParts& parts, const TwinsById& twins, const contract::Identity& who, const Json& agent,
                 const Json& router) {
  Json view{{"id", who.module}, {"connected", is_connected(parts, router, who)}};
  const std::string name = who.module;
  copy(find_member(agent, {"modules", name, "runtimeStatus"}), "runtime_status", view);
  copy(find_member(agent, {"modules", name, "statusDescription"}), "status_description", view);
  copy(find_member(agent, {"modules", name, "exitCode"}), "exit_code", view);
  copy(find_member(agent, {"modules", name, "restartCount"}), "restart_count", view);
  copy(find_member(agent, {"modules", name, "lastStartTimeUtc"}), "last_start", view);
  copy(find_member(agent, {"modules", name, "settings", "image"}), "image", view);
  copy(find_member(agent, {"modules", name, "settings", "imageHash"}), "image_hash", view);
  const Json& reported = reported_of(twins, who);
  copy(own_fact(reported, "version"), "version", view);
  copy(own_fact(reported, "pipeline"), "pipeline", view);
  Json names = Json::array();
  for (const Json& stream : streams_of(reported)) names.push_back(stream["stream"]);
  view["streams"] = std::move(names);
  return view;
}

/// Modules that have an identity, and those that the agent runs without one.
std::set<std::string> modules_of(const HubParts& parts, const std::string& device, const Json& agent) {
  std::set<std::string> modules;
  for (const auto& record : parts.identities.modules_of(device)) {
    if (!is_system_module(record->who.module)) modules.insert(record->who.module);
  }
  if (const Json* told = find_member(agent, {"modules"}); told != nullptr && told->is_object()) {
    for (const auto& [name, module] : told->items()) modules.insert(name);
  }
  return modules;
}

Json agent_view(const Json& agent) {
  Json view = Json::object();
  copy(find_member(agent, {"version", "version"}), "version", view);
  Json status = Json::object();
  copy(find_member(agent, {"lastDesiredStatus", "code"}), "code", status);
  copy(find_member(agent, {"lastDesiredStatus", "description"}), "description", status);
  if (!status.empty()) view["status"] = std::move(status);
  return view;
}

/// A device is connected when it is itself, or when its agent or router is.
ConnectionState device_connection(const HubParts& parts, const std::string& device) {
  ConnectionState state;
  for (const auto module : {std::string_view(), kAgentModule, kRouterModule}) {
    const auto own = parts.endpoint.connection_of({device, std::string(module)});
    state.is_connected |= own.is_connected;
    state.last_seen_us = std::max(state.last_seen_us, own.last_seen_us);
  }
  if (state.is_connected) state.last_seen_us = parts.clock.now_us();
  return state;
}

}  // namespace

Result<Json> devices_view(const HubParts& parts) {
  VERGE_TRY(const auto twins, parts.twins.all());
  Json list = Json::array();
  for (const auto& record : parts.identities.devices(SIZE_MAX)) {
    const std::string& device = record->who.device;
    const Json& agent = reported_of(twins, {device, std::string(kAgentModule)});
    const Json& router = reported_of(twins, {device, std::string(kRouterModule)});
    const ConnectionState connection = device_connection(parts, device);
    Json modules = Json::array();
    for (const auto& module : modules_of(parts, device, agent))
      modules.push_back(module_view(parts, twins, {device, module}, agent, router));
    Json view{{"id", device},
              {"connected", connection.is_connected},
              {"edge", record->is_edge},
              {"modules", std::move(modules)}};
    if (connection.last_seen_us != 0) view["last_seen_us"] = connection.last_seen_us;
    if (Json told = agent_view(agent); !told.empty()) view["agent"] = std::move(told);
    list.push_back(std::move(view));
  }
  return list;
}

Result<Json> sources_view(const HubParts& parts) {
  VERGE_TRY(const auto twins, parts.twins.all());
  Json list = Json::array();
  for (const auto& record : parts.identities.all()) {
    if (record->who.module.empty()) continue;
    const Json& router = reported_of(twins, {record->who.device, std::string(kRouterModule)});
    for (Json& stream : streams_of(reported_of(twins, record->who))) {
      Json source{{"device", record->who.device},
                  {"module", record->who.module},
                  {"stream", stream["stream"]},
                  {"connected", is_connected(parts, router, record->who)}};
      for (const char* key : {"family", "kind", "rate_hz", "dropped", "error"})
        copy(find_member(stream, {key}), key, source);
      list.push_back(std::move(source));
    }
  }
  return list;
}

}  // namespace verge::hub
