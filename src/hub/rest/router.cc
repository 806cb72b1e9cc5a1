#include "hub/rest/router.h"

#include <chrono>
#include <fmt/core.h>

#include "base/bytes.h"
#include "base/json.h"

namespace verge::hub {

const std::string_view kSessionCookie = "verge_session";

namespace {

constexpr std::string_view kBasic = "Basic ";
constexpr std::string_view kSasScheme = "SharedAccessSignature ";
constexpr std::string_view kChangeHeader = "X-Verge";

std::vector<std::string> split_pattern(std::string_view pattern) {
  std::vector<std::string> segments;
  while (!pattern.empty()) {
    pattern.remove_prefix(1);
    const auto slash = pattern.find('/');
    segments.emplace_back(pattern.substr(0, slash));
    pattern.remove_prefix(slash == std::string_view::npos ? pattern.size() : slash);
  }
  return segments;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
             std::vector<std::string>& parameters) {
  parameters.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == "*") {
      parameters.insert(parameters.end(), path.begin() + static_cast<std::ptrdiff_t>(std::min(i, path.size())),
                        path.end());
      return true;
    }
    if (i >= path.size()) return false;
    if (pattern[i].starts_with('{')) {
      parameters.push_back(path[i]);
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  return pattern.size() == path.size();
}

bool is_change(const HttpRequest& request) { return request.method != "GET" && request.method != "HEAD"; }

/// The password of Basic credentials; an image client sends its token there.
Result<std::string> basic_password(std::string_view header) {
  VERGE_TRY(const auto text, from_base64(header.substr(kBasic.size())));
  const auto colon = text.find(':');
  if (colon == std::string::npos) return Error{ErrorCode::invalid_argument, "read Basic credentials: no colon"};
  return text.substr(colon + 1);
}

bool reaches_own(Own own, const Caller& caller, const std::vector<std::string>& parameters) {
  if (own == Own::nothing) return false;
  if (own == Own::everybody) return true;
  const contract::Identity& who = caller.identity;
  if (parameters.empty() || parameters[0] != who.device) return false;
  const bool is_device = who.module.empty() || who.module == kAgentModule;
  switch (own) {
    case Own::device:
      return is_device;
    case Own::identity:
      return is_device || (parameters.size() > 1 && parameters[1] == who.module);
    case Own::any:
      return true;
    default:
      return false;
  }
}

/// A policy token may be narrowed to one device or module by its resource.
bool is_within(const contract::Identity& resource, const std::vector<std::string>& parameters) {
  if (resource.device.empty()) return true;
  if (parameters.empty() || parameters[0] != resource.device) return false;
  return resource.module.empty() || (parameters.size() > 1 && parameters[1] == resource.module);
}

bool may(const Need& need, const Caller& caller, const std::vector<std::string>& parameters) {
  switch (caller.kind) {
    case Caller::Kind::policy:
      return need.policy != 0 && (caller.grants & need.policy) == need.policy && is_within(caller.identity, parameters);
    case Caller::Kind::identity:
      return reaches_own(need.own, caller, parameters);
    case Caller::Kind::person:
      return need.role != Role::none && caller.role >= need.role;
    case Caller::Kind::nobody:
      break;
  }
  return false;
}

bool is_own_api(const HttpRequest& request) { return request.path.starts_with("/api/"); }
bool is_image_api(const HttpRequest& request) { return request.path == "/v2" || request.path.starts_with("/v2/"); }
bool is_azure_api(const HttpRequest& request) {
  for (const std::string_view root : {"/devices", "/twins", "/configurations", "/statistics", "/jobs", "/messages"}) {
    if (request.path.starts_with(root)) return true;
  }
  return false;
}

std::string_view azure_name(int status) {
  switch (status) {
    case 400:
      return "ArgumentInvalid";
    case 401:
      return "IotHubUnauthorizedAccess";
    case 403:
      return "IotHubUnauthorized";
    case 404:
      return "DeviceNotFound";
    case 409:
      return "DeviceAlreadyExists";
    case 412:
      return "PreconditionFailed";
    case 413:
      return "RequestEntityTooLarge";
    case 429:
      return "ThrottlingException";
    case 503:
      return "ServiceUnavailable";
    case 504:
      return "GatewayTimeout";
    default:
      return "ServerError";
  }
}

std::string_view image_code(int status) {
  switch (status) {
    case 401:
      return "UNAUTHORIZED";
    case 403:
      return "DENIED";
    case 404:
      return "NAME_UNKNOWN";
    case 405:
      return "UNSUPPORTED";
    case 429:
      return "TOOMANYREQUESTS";
    default:
      return "UNKNOWN";
  }
}

std::string_view own_code(int status, ErrorCode code) {
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 405:
      return "method_not_allowed";
    default:
      return name_of(code);
  }
}

HttpResponse unauthorized(const HttpRequest& request, const Error& error) {
  auto response = error_answer(request, 401, error);
  if (is_image_api(request)) response.headers.set("WWW-Authenticate", "Basic realm=\"images\"");
  return response;
}

}  // namespace

std::function<void(const std::shared_ptr<const Call>&, Respond)> answering(
    std::function<HttpResponse(const Call&)> answer) {
  return [answer = std::move(answer)](const std::shared_ptr<const Call>& call, const Respond& respond) {
    respond(answer(*call));
  };
}

HttpResponse azure_error(int status, std::string_view name, std::string_view text) {
  return json_response({{"Message", fmt::format("ErrorCode:{};{}", name, text)},
                        {"ExceptionMessage", fmt::format("Tracking ID:{}", new_uuid())}},
                       status);
}

HttpResponse error_answer(const HttpRequest& request, int status, const Error& error) {
  if (is_azure_api(request)) return azure_error(status, azure_name(status), error.message);
  if (is_image_api(request)) {
    return json_response({{"errors", {{{"code", std::string(image_code(status))}, {"message", error.message}}}}},
                         status);
  }
  return json_response({{"code", std::string(own_code(status, error.code))}, {"message", error.message}}, status);
}

std::string cookie_of(const HttpRequest& request, std::string_view name) {
  std::string_view rest = request.headers.get("Cookie");
  while (!rest.empty()) {
    const auto end = rest.find(';');
    std::string_view item = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    while (item.starts_with(' ')) item.remove_prefix(1);
    if (item.size() > name.size() && item.starts_with(name) && item[name.size()] == '=')
      return std::string(item.substr(name.size() + 1));
  }
  return {};
}

Router::Router(const Parts& parts)
    : parts_(parts), duration_(parts.metrics.histogram("verge_hub_rest_seconds", "From a request to its answer.")) {}

void Router::add(Route route) {
  auto segments = split_pattern(route.pattern);
  routes_.push_back({std::move(route), std::move(segments)});
}

const Router::Compiled* Router::find(const HttpRequest& request, std::vector<std::string>& parameters,
                                     bool& path_is_known) const {
  const auto path = request.segments();
  path_is_known = false;
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  for (const auto& compiled : routes_) {
    if (!matches(compiled.segments, path, parameters)) continue;
    if (compiled.route.method == method) return &compiled;
    path_is_known = true;
  }
  return nullptr;
}

Result<Caller> Router::caller_of(const HttpRequest& request) const {
  const std::string_view authorization = request.headers.get("Authorization");
  if (authorization.starts_with(kSasScheme)) return parts_.access.check_token(authorization);
  if (authorization.starts_with(kBasic) && is_image_api(request)) {
    VERGE_TRY(const auto token, basic_password(authorization));
    return parts_.access.check_token(token);
  }
  if (!authorization.empty())
    return Error{ErrorCode::invalid_argument,
                 "this kind of Authorization is not known here; use a SharedAccessSignature"};
  Caller caller;
  if (const auto person = parts_.people.find(cookie_of(request, kSessionCookie))) {
    caller.kind = Caller::Kind::person;
    caller.name = person->user;
    caller.role = person->role;
  }
  return caller;
}

bool Router::is_allowed(const HttpRequest& head) const {
  std::vector<std::string> parameters;
  bool path_is_known = false;
  const Compiled* compiled = find(head, parameters, path_is_known);
  if (compiled == nullptr) return false;
  if (compiled->route.need.is_open) return true;
  const auto caller = caller_of(head);
  return caller && may(compiled->route.need, *caller, parameters);
}

void Router::handle(HttpRequest request, Respond respond) {
  std::vector<std::string> parameters;
  bool path_is_known = false;
  const Compiled* compiled = find(request, parameters, path_is_known);
  if (compiled == nullptr) {
    if (path_is_known)
      return respond(error_answer(request, 405,
                                  {ErrorCode::invalid_argument, fmt::format("{} is not known here", request.method)}));
    if (fallback_ && !is_change(request)) return respond(fallback_(request));
    return respond(error_answer(
        request, 404, {ErrorCode::not_found, fmt::format("there is nothing at \"{}\"", request.path.substr(0, 200))}));
  }
  const Need& need = compiled->route.need;
  auto caller = caller_of(request);
  if (!caller && !need.is_open) return respond(unauthorized(request, caller.error()));
  auto call = std::make_shared<Call>();
  if (caller) call->caller = *std::move(caller);
  if (!need.is_open) {
    if (call->caller.kind == Caller::Kind::nobody)
      return respond(unauthorized(request, {ErrorCode::invalid_argument, "log in, or send a SharedAccessSignature"}));
    if (!may(need, call->caller, parameters)) {
      // Azure says 401 to a token that is good for something else.
      const int status = call->caller.kind == Caller::Kind::person || is_own_api(request) ? 403 : 401;
      return respond(error_answer(
          request, status, {ErrorCode::invalid_argument, fmt::format("\"{}\" may not do this", call->caller.name)}));
    }
    if (call->caller.kind == Caller::Kind::person && is_change(request) && request.headers.get(kChangeHeader) != "1") {
      return respond(error_answer(
          request, 403, {ErrorCode::invalid_argument, "changes by a logged-in person need the header X-Verge: 1"}));
    }
  }
  call->cookie = cookie_of(request, kSessionCookie);
  call->parameters = std::move(parameters);
  call->request = std::move(request);
  run(*compiled, std::move(call), std::move(respond));
}

void Router::run(const Compiled& compiled, std::shared_ptr<Call> call, Respond respond) {
  auto answer = watched(compiled, *call, std::move(respond));
  const std::shared_ptr<const Call> fixed = call;
  if (compiled.route.where == Where::loop) return compiled.route.handle(fixed, answer);
  Workers& workers = compiled.route.where == Where::control ? parts_.control : parts_.slow;
  const auto queued = workers.submit([&handle = compiled.route.handle, fixed, answer] { handle(fixed, answer); });
  if (!queued) answer(error_answer(call->request, 503, {ErrorCode::unavailable, "the hub is busy: retry later"}));
}

/// Measures, and writes changes to the audit log after their answer.
Respond Router::watched(const Compiled& compiled, const Call& call, Respond respond) {
  const auto begun = std::chrono::steady_clock::now();
  const bool is_audited = compiled.route.need.is_audited && is_change(call.request);
  std::string who, what;
  if (is_audited) {
    who = call.caller.name.empty() ? "nobody, from " + call.request.peer.address : call.caller.name;
    what = call.request.method + " " + call.request.path;
  }
  return [this, begun, is_audited, who = std::move(who), what = std::move(what),
          respond = std::move(respond)](HttpResponse response) {
    duration_.observe_s(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    const std::string outcome = std::to_string(response.status);
    respond(std::move(response));
    if (!is_audited) return;
    const auto write = [&audit = parts_.audit, who, what, outcome] { audit.write(who, what, outcome); };
    if (!parts_.control.submit(write)) write();  // A full queue must not hide an act.
  };
}

}  // namespace verge::hub
