#include "hub/rest/own_calls.h"

#include <charconv>
#include <fmt/core.h>

#include "base/json.h"
#include "hub/rest/fleet_view.h"

namespace verge::hub {
namespace {

constexpr std::int64_t kJoinMinutesDefault = 60;
constexpr std::int64_t kSessionAge_s = 7 * 86'400;
constexpr std::size_t kAuditLinesMax = 1000;

HttpResponse failed(const Call& call, const Error& error) { return error_answer(call.request, error); }

HttpResponse no_content() {
  HttpResponse response;
  response.status = 204;
  return response;
}

std::string text_in(const Call& call, std::string_view name) {
  const auto found = call.request.query.find(name);
  return found == call.request.query.end() ? std::string() : found->second;
}

Result<std::int64_t> number_in(const Call& call, std::string_view name, std::int64_t fallback) {
  const std::string text = text_in(call, name);
  if (text.empty()) return fallback;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size() && number >= 0) return number;
  return Error{ErrorCode::invalid_argument, fmt::format("{} is \"{}\"; send a whole number", name, text.substr(0, 64))};
}

bool is_loopback(const Peer& peer) {
  return peer.address.starts_with("127.") || peer.address.starts_with("[::1]") || peer.address == "unix";
}

std::string session_cookie(const std::string& token, bool is_tls, std::int64_t age_s) {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{}", kSessionCookie, token, age_s,
                     is_tls ? "; Secure" : "");
}

class OwnCalls {
 public:
  explicit OwnCalls(const HubParts& parts) : parts_(parts) {}

  HttpResponse log_in(const Call& call) const {
    const auto body = parse_json(call.request.body);
    if (!body) return failed(call, body.error());
    const auto user = string_member(*body, "user");
    const auto password = string_member(*body, "password");
    if (!user) return failed(call, user.error());
    if (!password) return failed(call, password.error());
    const auto in = parts_.people.log_in(*user, *password, call.request.peer.address);
    if (!in) return login_failed(call, in.error());
    auto response = json_response({{"user", in->person.user}, {"role", std::string(name_of(in->person.role))}});
    response.headers.set("Set-Cookie", session_cookie(in->token, call.request.is_tls, kSessionAge_s));
    return response;
  }

  HttpResponse log_out(const Call& call) const {
    if (const auto out = parts_.people.log_out(call.cookie); !out) return failed(call, out.error());
    auto response = no_content();
    response.headers.set("Set-Cookie", session_cookie("", call.request.is_tls, 0));
    return response;
  }

  HttpResponse me(const Call& call) const {
    return json_response({{"user", call.caller.name}, {"role", std::string(name_of(call.caller.role))}});
  }

  HttpResponse change_password(const Call& call) const {
    const auto body = parse_json(call.request.body);
    if (!body) return failed(call, body.error());
    const auto old_password = string_member(*body, "old");
    const auto new_password = string_member(*body, "new");
    if (!old_password) return failed(call, old_password.error());
    if (!new_password) return failed(call, new_password.error());
    const auto changed = parts_.people.change_password(call.caller.name, *old_password, *new_password, call.cookie,
                                                       call.request.peer.address);
    if (!changed)
      return changed.error().code == ErrorCode::limit ? login_failed(call, changed.error())
                                                      : failed(call, changed.error());
    if (parts_.facts.password_changed) parts_.facts.password_changed(call.caller.name);
    return no_content();
  }

  HttpResponse people(const Call& call) const {
    const auto people = parts_.people.list();
    if (!people) return failed(call, people.error());
    Json list = Json::array();
    for (const Person& person : *people) list.push_back(person_json(person));
    return json_response({{"people", std::move(list)}});
  }

  HttpResponse person(const Call& call) const {
    const auto person = parts_.people.get(call.parameters[0]);
    return person ? json_response(person_json(*person)) : failed(call, person.error());
  }

  HttpResponse put_person(const Call& call) const {
    const auto change = person_change(call);
    if (!change) return failed(call, change.error());
    const std::string& user = call.parameters[0];
    const auto is_new = parts_.people.put(user, *change);
    if (!is_new) return failed(call, is_new.error());
    if (change->password && !*is_new) tell_password_is_new(user);
    const auto person = parts_.people.get(user);
    return person ? json_response(person_json(*person), *is_new ? 201 : 200) : failed(call, person.error());
  }

  HttpResponse remove_person(const Call& call) const {
    const std::string& user = call.parameters[0];
    if (const auto removed = parts_.people.remove(user); !removed) return failed(call, removed.error());
    tell_password_is_new(user);
    return no_content();
  }

  HttpResponse overview(const Call& call) const {
    const auto totals = parts_.history.totals();
    if (!totals) return failed(call, totals.error());
    std::size_t connected = 0;
    const auto devices = devices_view(parts_);
    if (!devices) return failed(call, devices.error());
    for (const Json& device : *devices) connected += device["connected"] == true ? 1 : 0;
    return json_response(
        {{"hub",
          {{"host", parts_.facts.host}, {"version", parts_.facts.version}, {"started_us", parts_.facts.started_us}}},
         {"devices", {{"total", devices->size()}, {"connected", connected}}},
         {"events", {{"total", totals->total}, {"today", totals->today}, {"alarms_today", totals->alarms_today}}}});
  }

  HttpResponse devices(const Call& call) const { return view(call, devices_view(parts_)); }
  HttpResponse sources(const Call& call) const { return view(call, sources_view(parts_)); }

  HttpResponse events(const Call& call) const {
    const auto filter = event_filter(call);
    if (!filter) return failed(call, filter.error());
    const auto page = parts_.history.events(*filter);
    if (!page) return failed(call, page.error());
    // The rows are JSON texts already.
    std::string text = "{\"events\":[";
    for (const auto& event : page->events) {
      text += event;
      text += ',';
    }
    if (!page->events.empty()) text.pop_back();
    text += ']';
    if (page->next != 0) text += fmt::format(",\"next\":\"{}\"", page->next);
    text += '}';
    HttpResponse response;
    response.headers.set("Content-Type", "application/json; charset=utf-8");
    response.body = std::move(text);
    return response;
  }

  HttpResponse series(const Call& call) const {
    const auto filter = series_filter(call);
    if (!filter) return failed(call, filter.error());
    const auto points = parts_.history.series(*filter);
    if (!points) return failed(call, points.error());
    Json list = Json::array();
    for (const auto& [captured_us, value] : *points) list.push_back({captured_us, value});
    return json_response({{"points", std::move(list)}});
  }

  HttpResponse ledger(const Call& call) const {
    const auto lines = parts_.history.ledger(text_in(call, "device"), text_in(call, "module"));
    if (!lines) return failed(call, lines.error());
    Json list = Json::array();
    for (const auto& line : *lines) {
      list.push_back({{"device", line.device},
                      {"module", line.module},
                      {"epoch", line.epoch},
                      {"first", line.first},
                      {"last", line.last},
                      {"count", line.count},
                      {"out_of_order", line.out_of_order}});
    }
    return json_response(list);
  }

  HttpResponse audit(const Call& call) const {
    const auto lines = parts_.audit.newest(kAuditLinesMax);
    if (!lines) return failed(call, lines.error());
    Json list = Json::array();
    for (const auto& line : *lines)
      list.push_back({{"at_us", line.at_us}, {"who", line.who}, {"what", line.what}, {"outcome", line.outcome}});
    return json_response({{"lines", std::move(list)}});
  }

  HttpResponse make_join_token(const Call& call) const {
    const auto body = call.request.body.empty() ? Result<Json>(Json::object()) : parse_json(call.request.body);
    if (!body) return failed(call, body.error());
    const auto device = string_member(*body, "device");
    const auto minutes = integer_member(*body, "minutes", kJoinMinutesDefault);
    if (!device) return failed(call, device.error());
    if (!minutes) return failed(call, minutes.error());
    if (!device->empty() && !contract::is_valid_id(*device))
      return failed(call, {ErrorCode::invalid_argument, "device is no valid id"});
    const auto made = parts_.join_tokens.make(*device, *minutes);
    if (!made) return failed(call, made.error());
    return json_response({{"token", made->token}, {"expires_us", made->expires_us}}, 201);
  }

  HttpResponse join(const Call& call) const {
    const auto body = parse_json(call.request.body);
    if (!body) return failed(call, body.error());
    const auto token = string_member(*body, "token");
    const auto device = string_member(*body, "device");
    if (!token) return failed(call, token.error());
    if (!device) return failed(call, device.error());
    if (!contract::is_valid_id(*device)) return failed(call, {ErrorCode::invalid_argument, "device is no valid id"});
    const auto record = joined(*token, *device);
    if (!record)
      return record.error().code == ErrorCode::invalid_argument ? error_answer(call.request, 401, record.error())
                                                                : failed(call, record.error());
    return json_response({{"device", *device},
                          {"key", (*record)->primary_key},
                          {"host", parts_.facts.host},
                          {"mqtt_port", parts_.facts.mqtt_port},
                          {"https_port", parts_.facts.https_port},
                          {"ca_pem", parts_.facts.ca_pem}},
                         201);
  }

  HttpResponse health(const Call&) const {
    const std::string trouble = parts_.ingest.trouble();
    if (trouble.empty()) return json_response({{"status", "ok"}});
    return json_response({{"status", "failing"}, {"messages", trouble}}, 503);
  }

  HttpResponse metrics(const Call& call) const {
    if (call.caller.kind == Caller::Kind::nobody && !is_loopback(call.request.peer)) {
      return error_answer(call.request, 401,
                          {ErrorCode::invalid_argument, "metrics without a proof are for this machine only"});
    }
    const auto figures = parts_.log.figures();
    Metrics& metrics = parts_.metrics;
    metrics.gauge("verge_hub_log_syncs", "Syncs of the message log since start.")
        .set(static_cast<double>(figures.syncs));
    metrics.gauge("verge_hub_log_sync_seconds", "Duration of the log's syncs.", {{"quantile", "0.5"}})
        .set(figures.sync_s_p50);
    metrics.gauge("verge_hub_log_sync_seconds", "Duration of the log's syncs.", {{"quantile", "0.99"}})
        .set(figures.sync_s_p99);
    metrics.gauge("verge_hub_log_disk_bytes", "Size of the message log.")
        .set(static_cast<double>(parts_.log.disk_bytes()));
    metrics.gauge("verge_hub_history_lag", "Messages that are in the log and not in history.")
        .set(static_cast<double>(parts_.history.lag()));
    metrics.gauge("verge_hub_devices", "Devices with an identity.")
        .set(static_cast<double>(parts_.identities.device_count()));
    auto response = text_response(metrics.to_text());
    response.headers.set("Content-Type", "text/plain; version=0.0.4");
    return response;
  }

 private:
  static HttpResponse view(const Call& call, const Result<Json>& json) {
    return json ? json_response(*json) : failed(call, json.error());
  }

  static Json person_json(const Person& person) {
    return {{"user", person.user}, {"role", std::string(name_of(person.role))}};
  }

  static Result<People::Change> person_change(const Call& call) {
    VERGE_TRY(const Json body, parse_json(call.request.body));
    VERGE_TRY(const auto password, string_member(body, "password"));
    VERGE_TRY(const auto role, string_member(body, "role"));
    People::Change change;
    if (!password.empty()) change.password = password;
    if (role.empty()) return change;
    change.role = role_from_name(role);
    if (*change.role != Role::none) return change;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("there is no role \"{}\"; give viewer, operator or admin", role.substr(0, 64))};
  }

  /// Nobody is logged in by the old one, and where it was written down it is worth nothing.
  void tell_password_is_new(const std::string& user) const {
    if (parts_.facts.password_changed) parts_.facts.password_changed(user);
    if (parts_.facts.sessions_ended) parts_.facts.sessions_ended(user);
  }

  static HttpResponse login_failed(const Call& call, const Error& error) {
    const int status = error.code == ErrorCode::invalid_argument ? 401
                       : error.code == ErrorCode::limit          ? 429
                                                                 : http_status_of(error.code);
    return error_answer(call.request, status, error);
  }

  static Result<EventFilter> event_filter(const Call& call) {
    EventFilter filter;
    filter.family = text_in(call, "family");
    filter.device = text_in(call, "device");
    filter.module = text_in(call, "module");
    filter.stream = text_in(call, "stream");
    filter.type = text_in(call, "type");
    filter.severity = text_in(call, "severity");
    filter.rule = text_in(call, "rule");
    VERGE_TRY(filter.from_us, number_in(call, "from_us", 0));
    VERGE_TRY(filter.to_us, number_in(call, "to_us", 0));
    VERGE_TRY(filter.before, number_in(call, "before", 0));
    VERGE_TRY(const auto limit, number_in(call, "limit", static_cast<std::int64_t>(filter.limit)));
    filter.limit = static_cast<std::size_t>(limit);
    return filter;
  }

  static Result<SeriesFilter> series_filter(const Call& call) {
    SeriesFilter filter;
    filter.device = text_in(call, "device");
    filter.module = text_in(call, "module");
    filter.stream = text_in(call, "stream");
    if (const std::string type = text_in(call, "type"); !type.empty()) filter.type = type;
    VERGE_TRY(filter.from_us, number_in(call, "from_us", 0));
    VERGE_TRY(filter.to_us, number_in(call, "to_us", 0));
    VERGE_TRY(const auto points, number_in(call, "points_max", static_cast<std::int64_t>(filter.points_max)));
    filter.points_max = static_cast<std::size_t>(points);
    return filter;
  }

  /// An existing device gives its key only to a token that was made for it.
  Result<IdentityPointer> joined(const std::string& token, const std::string& device) const {
    VERGE_TRY(const auto meant_for, parts_.join_tokens.spend(token, device));
    if (const auto known = parts_.identities.find({device, ""})) {
      if (meant_for == device) return known;
      return Error{
          ErrorCode::conflict,
          fmt::format("device \"{}\" exists already: choose another id, or make a token for this one", device)};
    }
    IdentityChange change;
    change.who = {device, ""};
    change.is_edge = true;
    return parts_.identities.create(change);
  }

  const HubParts parts_;
};

}  // namespace

void add_own_calls(Router& router, const HubParts& parts) {
  const auto calls = std::make_shared<const OwnCalls>(parts);
  const auto add = [&](std::string method, std::string pattern, Need need, Where where,
                       HttpResponse (OwnCalls::*answer)(const Call&) const) {
    router.add({std::move(method), std::move(pattern), need, where,
                answering([calls, answer](const Call& call) { return (*calls.*answer)(call); })});
  };
  const Need open{.is_open = true};
  const Need person{.role = Role::viewer};
  const Need look{.policy = kServiceConnect, .role = Role::viewer};
  add("POST", "/api/v1/login", open, Where::slow, &OwnCalls::log_in);
  add("POST", "/api/v1/logout", person, Where::control, &OwnCalls::log_out);
  add("GET", "/api/v1/me", person, Where::loop, &OwnCalls::me);
  add("POST", "/api/v1/password", person, Where::slow, &OwnCalls::change_password);
  add("GET", "/api/v1/overview", look, Where::slow, &OwnCalls::overview);
  add("GET", "/api/v1/devices", look, Where::slow, &OwnCalls::devices);
  add("GET", "/api/v1/sources", look, Where::slow, &OwnCalls::sources);
  add("GET", "/api/v1/events", look, Where::slow, &OwnCalls::events);
  add("GET", "/api/v1/series", look, Where::slow, &OwnCalls::series);
  add("GET", "/api/v1/ledger", look, Where::slow, &OwnCalls::ledger);
  add("GET", "/api/v1/audit", {.policy = kRegistryWrite, .role = Role::admin}, Where::slow, &OwnCalls::audit);
  // Who may add administrators may do everything: a service key must grant as much.
  const Need owner{.policy = kRegistryRead | kRegistryWrite | kServiceConnect | kDeviceConnect, .role = Role::admin};
  add("GET", "/api/v1/people", owner, Where::slow, &OwnCalls::people);
  add("GET", "/api/v1/people/{name}", owner, Where::slow, &OwnCalls::person);
  add("PUT", "/api/v1/people/{name}", owner, Where::slow, &OwnCalls::put_person);
  add("DELETE", "/api/v1/people/{name}", owner, Where::slow, &OwnCalls::remove_person);
  add("POST", "/api/v1/join-tokens", {.policy = kRegistryWrite, .role = Role::admin}, Where::control,
      &OwnCalls::make_join_token);
  add("POST", "/api/v1/join", open, Where::control, &OwnCalls::join);
  add("GET", "/healthz", open, Where::loop, &OwnCalls::health);
  add("GET", "/metrics", open, Where::slow, &OwnCalls::metrics);
}

}  // namespace verge::hub
