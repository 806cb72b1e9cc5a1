#include "hub/rest/azure_calls.h"

#include <algorithm>
#include <charconv>
#include <fmt/core.h>
#include <map>

#include "base/bytes.h"
#include "base/json.h"
#include "expression/query.h"
#include "hub/deployments/deployments.h"
#include "hub/identities/identity_json.h"

namespace verge::hub {
namespace {

using contract::Identity;

constexpr std::size_t kDevicesMax = 1000;
constexpr std::size_t kPageItemsDefault = 100, kPageItemsMax = 1000;
constexpr std::int64_t kTimeoutDefault_s = 30, kTimeoutMin_s = 5, kTimeoutMax_s = 300;

/// An etag without quotes and weakness; empty when the header is absent.
std::string if_match_of(const Call& call) {
  std::string_view text = call.request.headers.get("If-Match");
  if (text.starts_with("W/")) text.remove_prefix(2);
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"')) text = text.substr(1, text.size() - 2);
  return std::string(text);
}

/// What the path names; nobody on a path without ids.
Identity identity_of(const Call& call) {
  const auto parameter = [&](std::size_t index) {
    return index < call.parameters.size() ? call.parameters[index] : std::string();
  };
  return {parameter(0), parameter(1)};
}

/// What Azure calls an error, by what was asked for.
HttpResponse failed(const Call& call, const Error& error, bool has_if_match = false) {
  const bool is_module = !identity_of(call).module.empty();
  switch (error.code) {
    case ErrorCode::not_found:
      // A missing device is a missing device on a module's path, too.
      if (is_module && error.message.find("module") != std::string::npos)
        return azure_error(404, "ModuleNotFound", error.message);
      return azure_error(404, "DeviceNotFound", error.message);
    case ErrorCode::conflict:
      if (has_if_match) return azure_error(412, "PreconditionFailed", error.message);
      return azure_error(409, is_module ? "ModuleAlreadyExistsOnDevice" : "DeviceAlreadyExists", error.message);
    case ErrorCode::invalid_argument:
      return azure_error(400, "ArgumentInvalid", error.message);
    case ErrorCode::limit:
      return azure_error(400, "ArgumentInvalid", error.message);
    default:
      return error_answer(call.request, error);
  }
}

HttpResponse no_content() {
  HttpResponse response;
  response.status = 204;
  return response;
}

HttpResponse with_etag(HttpResponse response, const std::string& etag) {
  response.headers.set("ETag", "\"" + etag + "\"");
  return response;
}

class AzureCalls {
 public:
  explicit AzureCalls(const HubParts& parts) : parts_(parts) {}

  Json identity_json(const IdentityRecord& record) const {
    return to_json(record, parts_.endpoint.connection_of(record.who));
  }

  HttpResponse list_devices(const Call& call) const {
    std::size_t top = kDevicesMax;
    if (const auto text = call.request.query.find("top"); text != call.request.query.end()) {
      std::from_chars(text->second.data(), text->second.data() + text->second.size(), top);
    }
    Json list = Json::array();
    for (const auto& record : parts_.identities.devices(std::min(top, kDevicesMax)))
      list.push_back(identity_json(*record));
    return json_response(list);
  }

  HttpResponse get_identity(const Call& call) const {
    const Identity who = identity_of(call);
    const auto device = parts_.identities.find({who.device, ""});
    if (!device) return azure_error(404, "DeviceNotFound", fmt::format("there is no device \"{}\"", who.device));
    const auto record = parts_.identities.find(who);
    if (!record) return azure_error(404, "ModuleNotFound", fmt::format("there is no module \"{}\"", who.to_text()));
    return with_etag(json_response(identity_json(*record)), record->etag);
  }

  HttpResponse list_modules(const Call& call) const {
    if (!parts_.identities.find({call.parameters[0], ""})) {
      return azure_error(404, "DeviceNotFound", fmt::format("there is no device \"{}\"", call.parameters[0]));
    }
    Json list = Json::array();
    for (const auto& record : parts_.identities.modules_of(call.parameters[0])) list.push_back(identity_json(*record));
    return json_response(list);
  }

  HttpResponse put_identity(const Call& call) const {
    const auto body = parse_json(call.request.body);
    if (!body) return failed(call, body.error());
    auto change = identity_change_from_json(identity_of(call), *body);
    if (!change) return failed(call, change.error());
    const std::string if_match = if_match_of(call);
    if (is_system_module(change->who.module) && if_match.empty()) {
      return azure_error(403, "SystemModuleModifyUnauthorizedAccess",
                         "system modules come and go with their edge device");
    }
    const auto record =
        if_match.empty() ? parts_.identities.create(*change) : parts_.identities.update(*change, if_match);
    if (!record) return failed(call, record.error(), !if_match.empty());
    const bool is_new_module = if_match.empty() && !change->who.module.empty();
    return with_etag(json_response(identity_json(**record), is_new_module ? 201 : 200), (*record)->etag);
  }

  HttpResponse delete_identity(const Call& call) const {
    const Identity who = identity_of(call);
    if (is_system_module(who.module)) {
      return azure_error(403, "SystemModuleModifyUnauthorizedAccess",
                         "system modules come and go with their edge device");
    }
    const std::string if_match = if_match_of(call);
    const auto removed = parts_.identities.remove(who, if_match.empty() ? "*" : if_match);
    return removed ? no_content() : failed(call, removed.error(), true);
  }

  HttpResponse twin_answer(const contract::Twin& twin) const {
    const Identity who{twin.device, twin.module};
    const auto record = parts_.identities.find(who);
    if (!record) return azure_error(404, "DeviceNotFound", fmt::format("\"{}\" was removed meanwhile", who.to_text()));
    return with_etag(json_response(twin_document(twin, *record, parts_.endpoint.connection_of(who))), twin.etag);
  }

  HttpResponse get_twin(const Call& call) const {
    const auto twin = parts_.twins.get(identity_of(call));
    return twin ? twin_answer(*twin) : failed(call, twin.error());
  }

  HttpResponse change_twin(const Call& call, bool replaces) const {
    const auto body = parse_json(call.request.body);
    if (!body) return failed(call, body.error());
    const auto twin = replaces ? parts_.twins.replace(identity_of(call), *body, if_match_of(call))
                               : parts_.twins.update(identity_of(call), *body, if_match_of(call));
    return twin ? twin_answer(*twin) : failed(call, twin.error(), true);
  }

  HttpResponse apply_configuration(const Call& call) const {
    const auto body = parse_json(call.request.body);
    if (!body) return failed(call, body.error());
    const auto applied = apply_configuration_content(parts_.identities, parts_.twins, call.parameters[0], *body);
    return applied ? no_content() : failed(call, applied.error());
  }

  /// The twins that a query reads, as documents.
  Result<std::vector<Json>> documents(bool of_modules) const {
    VERGE_TRY(const auto twins, parts_.twins.all());
    std::vector<Json> list;
    for (const auto& record : parts_.identities.all()) {
      if (record->who.module.empty() == of_modules) continue;
      const auto known = twins.find(record->who.to_text());
      contract::Twin twin;
      if (known != twins.end()) {
        twin = known->second;
      } else {
        VERGE_TRY(twin, parts_.twins.get(record->who));
      }
      list.push_back(twin_document(twin, *record, parts_.endpoint.connection_of(record->who)));
    }
    return list;
  }

  HttpResponse query(const Call& call) const {
    const auto rows = run(call);
    if (!rows) return failed(call, rows.error());
    const auto page = page_of(call);
    if (!page) return failed(call, page.error());
    const auto [begin, count] = *page;
    Json list = Json::array();
    for (std::size_t i = begin; i < std::min(rows->items.size(), begin + count); ++i) list.push_back(rows->items[i]);
    auto response = json_response(list);
    response.headers.set("x-ms-item-type", rows->are_twins ? "Twin" : "Raw");
    // Absent on the last page: the Node SDK asks whether it is undefined.
    if (begin + count < rows->items.size())
      response.headers.set("x-ms-continuation", to_base64(std::to_string(begin + count)));
    return response;
  }

  void call_method(const std::shared_ptr<const Call>& call, const Respond& respond) const {
    auto method = method_of(*call);
    if (!method) return respond(failed(*call, method.error()));
    if (!parts_.identities.find(method->who)) {
      return respond(failed(*call, {ErrorCode::not_found, fmt::format("there is no {} \"{}\"",
                                                                      method->who.module.empty() ? "device" : "module",
                                                                      method->who.to_text())}));
    }
    parts_.endpoint.methods().call(*method,
                                   [respond](const Result<MethodAnswer>& answer) { respond(method_answer(answer)); });
  }

  HttpResponse statistics_of_devices() const {
    std::size_t total = 0, enabled = 0;
    for (const auto& record : parts_.identities.devices(SIZE_MAX)) {
      ++total;
      enabled += record->is_enabled ? 1 : 0;
    }
    return json_response(
        {{"totalDeviceCount", total}, {"enabledDeviceCount", enabled}, {"disabledDeviceCount", total - enabled}});
  }

  HttpResponse statistics_of_service() const {
    std::size_t connected = 0;
    for (const auto& record : parts_.identities.devices(SIZE_MAX))
      connected += parts_.endpoint.connection_of(record->who).is_connected ? 1 : 0;
    return json_response({{"connectedDeviceCount", connected}});
  }

 private:
  struct Rows {
    std::vector<Json> items;
    bool are_twins = false;
  };

  Result<Rows> run(const Call& call) const {
    VERGE_TRY(const auto body, parse_json(call.request.body));
    VERGE_TRY(const auto text, string_member(body, "query"));
    VERGE_TRY(const auto query, expression::parse_query(text));
    if (query.from != "devices" && query.from != "devices.modules") {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("query FROM {}: this hub answers devices and devices.modules", query.from)};
    }
    VERGE_TRY(const auto twins, documents(query.from == "devices.modules"));
    VERGE_TRY(auto items, expression::run_query(query, twins));
    return Rows{std::move(items), query.selections.empty()};
  }

  /// {first item, count}
  static Result<std::pair<std::size_t, std::size_t>> page_of(const Call& call) {
    const auto number = [](std::string_view text, std::size_t fallback) -> Result<std::size_t> {
      if (text.empty()) return fallback;
      std::size_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error == std::errc{} && end == text.data() + text.size()) return value;
      return Error{ErrorCode::invalid_argument,
                   "x-ms-max-item-count or x-ms-continuation is not one that this hub gave"};
    };
    VERGE_TRY(auto count, number(call.request.headers.get("x-ms-max-item-count"), kPageItemsDefault));
    count = std::clamp<std::size_t>(count, 1, kPageItemsMax);
    VERGE_TRY(const auto text, from_base64(call.request.headers.get("x-ms-continuation")));
    VERGE_TRY(const auto begin, number(text, 0));
    return std::pair{std::min<std::size_t>(begin, SIZE_MAX - count), count};
  }

  static Result<MethodCall> method_of(const Call& call) {
    VERGE_TRY(const auto body, parse_json(call.request.body));
    MethodCall method;
    method.who = identity_of(call);
    VERGE_TRY(method.name, string_member(body, "methodName"));
    VERGE_TRY(const auto response_s, integer_member(body, "responseTimeoutInSeconds", kTimeoutDefault_s));
    VERGE_TRY(const auto connect_s, integer_member(body, "connectTimeoutInSeconds", 0));
    if (response_s < kTimeoutMin_s || response_s > kTimeoutMax_s || connect_s < 0 || connect_s > kTimeoutMax_s) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("responseTimeoutInSeconds {} or connectTimeoutInSeconds {}; use {} to {}, and 0 to {}",
                               response_s, connect_s, kTimeoutMin_s, kTimeoutMax_s, kTimeoutMax_s)};
    }
    method.response_timeout = std::chrono::seconds(response_s);
    method.connect_timeout = std::chrono::seconds(connect_s);
    // An absent payload goes out as null: a stock SDK parses whatever arrives.
    const Json* payload = find_member(body, {"payload"});
    method.payload = payload == nullptr ? "null" : to_text(*payload);
    return method;
  }

  static HttpResponse method_answer(const Result<MethodAnswer>& answer) {
    if (!answer) {
      const auto details = [&](int code) {
        return fmt::format(R"({{"errorCode":{},"message":{}}})", code, to_text(Json(answer.error().message)));
      };
      switch (answer.error().code) {
        case ErrorCode::not_found:
          return azure_error(404, "DeviceNotOnline", details(404103));
        case ErrorCode::timeout:
          return azure_error(504, "GatewayTimeout", details(504101));
        case ErrorCode::limit:
          return azure_error(413, "RequestEntityTooLarge", answer.error().message);
        default:
          return azure_error(400, "ArgumentInvalid", answer.error().message);
      }
    }
    if (answer->payload.empty()) return json_response({{"status", answer->status}, {"payload", nullptr}});
    const auto payload = parse_json(answer->payload);
    if (!payload) return azure_error(502, "BadDeviceResponse", "the device answered with something that is not JSON");
    return json_response({{"status", answer->status}, {"payload", *payload}});
  }

  const HubParts parts_;
};

}  // namespace

void add_azure_calls(Router& router, const HubParts& parts) {
  const auto calls = std::make_shared<const AzureCalls>(parts);
  const auto add = [&](std::string method, std::string pattern, Need need,
                       HttpResponse (AzureCalls::*answer)(const Call&) const, Where where = Where::control) {
    router.add({std::move(method), std::move(pattern), need, where,
                answering([calls, answer](const Call& call) { return (*calls.*answer)(call); })});
  };
  const Need read{.policy = kRegistryRead, .role = Role::admin};  // The answers hold keys.
  const Need write{.policy = kRegistryWrite, .role = Role::admin};
  const Need service{.policy = kServiceConnect, .role = Role::operator_};
  const Need look{.policy = kServiceConnect, .role = Role::viewer};
  const auto also = [](Need need, Own own) { return need.own = own, need; };

  add("POST", "/devices/query", {.policy = kServiceConnect, .role = Role::viewer, .is_audited = false},
      &AzureCalls::query, Where::slow);
  add("GET", "/devices", read, &AzureCalls::list_devices);
  add("POST", "/devices/{device}/applyConfigurationContent", {.policy = kRegistryWrite, .role = Role::operator_},
      &AzureCalls::apply_configuration);
  add("GET", "/devices/{device}/modules", also(read, Own::device), &AzureCalls::list_modules);
  for (const std::string path : {"/devices/{device}", "/devices/{device}/modules/{module}"}) {
    const bool is_module = path.ends_with("{module}");
    add("GET", path, also(read, Own::identity), &AzureCalls::get_identity);
    add("PUT", path, is_module ? also(write, Own::device) : write, &AzureCalls::put_identity);
    add("DELETE", path, is_module ? also(write, Own::device) : write, &AzureCalls::delete_identity);
  }
  for (const std::string path : {"/twins/{device}", "/twins/{device}/modules/{module}"}) {
    add("GET", path, also(look, Own::identity), &AzureCalls::get_twin);
    router.add({"PATCH", path, service, Where::control,
                answering([calls](const Call& call) { return calls->change_twin(call, false); })});
    router.add({"PUT", path, service, Where::control,
                answering([calls](const Call& call) { return calls->change_twin(call, true); })});
    router.add({"POST", path + "/methods", service, Where::loop,
                [calls](const std::shared_ptr<const Call>& call, const Respond& respond) {
                  calls->call_method(call, respond);
                }});
  }
  router.add({"GET", "/statistics/devices", read, Where::control,
              answering([calls](const Call&) { return calls->statistics_of_devices(); })});
  router.add({"GET", "/statistics/service", look, Where::control,
              answering([calls](const Call&) { return calls->statistics_of_service(); })});
}

}  // namespace verge::hub
