#include "agent/router/router.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "agent/router/topic_tree.h"
#include "base/json.h"
#include "base/log.h"
#include "contract/sas.h"
#include "contract/topics.h"
#include "messaging/endpoint.h"

namespace verge::agent {
namespace {

using contract::Identity;
using contract::PropertyBag;
using messaging::Acknowledge;
using messaging::ConnectCode;
using messaging::ConnectRequest;
using messaging::PublishIn;
using messaging::SessionPointer;

constexpr std::string_view kLivePrefix = "verge/live/";
constexpr std::chrono::milliseconds kMethodTimeoutMax{300'000};

std::string lowered(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

/// What Azure's clients look for in the body of a failed twin call.
std::string twin_error_body(const Error& error) {
  const int code = error.code == ErrorCode::limit ? 403100 : 400000 + http_status_of(error.code);
  return to_text(Json{{"message", error.message}, {"errorCode", code}, {"trackingId", ""}, {"details", nullptr}});
}

std::size_t size_of(const PropertyBag& properties) {
  std::size_t size = 0;
  for (const auto& [name, value] : properties.all()) size += value.size() + (name.starts_with("$.") ? 0 : name.size());
  return size;
}

/// What goes last when the outbox is full: alarms, then what routes with a priority carry.
std::uint8_t rank_of(const RouteTable::Match& match, const PropertyBag& properties) {
  if (properties.get(kSeverityProperty) == "alarm") return kAlarmRank;
  if (match.priority >= kOrdinaryRank - kRouteRankFirst) return kOrdinaryRank;
  return static_cast<std::uint8_t>(kRouteRankFirst + match.priority);
}

}  // namespace

struct Router::Impl : std::enable_shared_from_this<Router::Impl> {
  struct PendingMethod {
    std::string module;
    OnMethodAnswer done;
    Loop::TimerId timer = 0;
  };

  Impl(Surroundings s, RouterOptions o, Handlers h)
      : with(s),
        options(std::move(o)),
        handlers(std::move(h)),
        received(s.metrics.counter("verge_router_received_total", "Messages that modules published.")),
        unrouted(s.metrics.counter("verge_router_dropped_total", "Messages dropped.", {{"reason", "no_route"}})),
        slow(s.metrics.counter("verge_router_dropped_total", "Messages dropped.", {{"reason", "slow_receiver"}})),
        clients(s.metrics.gauge("verge_router_clients", "Connected modules.")) {}

  const Surroundings with;
  const RouterOptions options;
  const Handlers handlers;
  Counter &received, &unrouted, &slow;
  Gauge& clients;

  std::unique_ptr<messaging::Endpoint> endpoint;
  std::unique_ptr<HttpServer> https;
  std::unique_ptr<Listener> listener;
  std::uint16_t https_port = 0;
  ModuleIdentities identities;
  std::optional<RouteTable> routes;
  TopicTree topics;
  std::map<std::string, std::int64_t> token_ends_s;  // module -> Unix time
  std::map<std::string, PendingMethod> methods;
  std::uint64_t next_method = 1;
  Loop::TimerId sweep_timer = 0;

  Loop& loop() const { return with.loop; }
  const std::string& device() const { return with.settings.device; }

  // -- listening

  void build() {
    messaging::Endpoint::Handlers callbacks;
    callbacks.authenticate = [this](const ConnectRequest& request, auto decide) {
      const auto [code, module] = authenticate(request);
      decide(code, code == ConnectCode::accepted ? Identity{device(), module}.to_text() : "");
    };
    callbacks.connected = [this](const SessionPointer& session) { on_connected(session); };
    callbacks.may_subscribe = [this](const SessionPointer& session, std::string_view filter, std::uint8_t qos) {
      return may_subscribe(session, filter, qos);
    };
    callbacks.subscribed = [this](const SessionPointer& session, std::string_view filter) {
      const auto who = Identity::from_text(session->identity());
      if (contract::parse_subscription(filter, who) == contract::Subscription::inputs) with.outbox.wake_all();
    };
    callbacks.unsubscribed = [this](const SessionPointer& session, std::string_view filter) {
      topics.unsubscribe(session->identity(), filter);
    };
    callbacks.publish = [this](const SessionPointer& session, const PublishIn& message, Acknowledge acknowledge) {
      return on_publish(session, message, std::move(acknowledge));
    };
    callbacks.closed = [this](const SessionPointer& session, bool clean, std::string_view reason) {
      on_closed(session, clean, reason);
    };
    messaging::Endpoint::Options endpoint_options;
    endpoint_options.closes_on_refused_subscription = false;
    endpoint = std::make_unique<messaging::Endpoint>(loop(), endpoint_options, callbacks);

    HttpServer::Handlers web;
    web.request = [this](HttpRequest request, Respond respond) { on_request(std::move(request), std::move(respond)); };
    web.accept_websocket = [this](const HttpRequest& head, std::string& protocol) {
      protocol = "mqtt";
      return is_welcome(head.peer) && head.path.ends_with("iothub/websocket");
    };
    web.websocket = [this](const HttpRequest&, const std::shared_ptr<WebSocket>& socket) {
      endpoint->accept(as_connection(socket), https_port);
    };
    https = std::make_unique<HttpServer>(loop(), web);
    sweep_timer = loop().every(options.token_sweep, [this] { close_ended_tokens(); });
  }

  Status listen(const TlsPointer& tls) {
    ListenOptions listen_options;
    listen_options.address = options.address;
    listen_options.port = options.mqtt_port;
    listen_options.tls = tls;
    listen_options.bind_before_address_exists = options.bind_before_address_exists;
    listen_options.connections_max = 512;
    VERGE_TRY(listener, listen_tcp(loop(), listen_options, [this](ConnectionPointer connection) {
                if (!is_welcome(connection->peer())) return connection->abort();
                endpoint->accept(std::move(connection), options.mqtt_port);
              }));
    listen_options.port = options.https_port;
    VERGE_TRY(https_port, https->listen(listen_options));
    return Done{};
  }

  bool is_welcome(const Peer& peer) const {
    return is_in_subnet(peer.address, with.settings.network.subnet) || is_in_subnet(peer.address, "127.0.0.0/8");
  }

  void close() {
    loop().cancel(sweep_timer);
    for (auto& [id, method] : methods) loop().cancel(method.timer);
    methods.clear();
    listener.reset();
    https.reset();
    endpoint.reset();
  }

  // -- who is there

  /// The module that a token stands for and the token's end, or nothing.
  std::optional<std::int64_t> verify(const std::string& module, std::string_view text) const {
    const auto known = identities.find(module);
    const auto token = contract::parse_sas(text);
    if (known == identities.end() || !token) return std::nullopt;
    const auto resource = lowered(token->resource);
    const auto path = lowered(fmt::format("/devices/{}/modules/{}", device(), module));
    const bool is_ours =
        resource == lowered(with.settings.hub.host) + path || resource == lowered(with.settings.gateway_host) + path;
    if (!is_ours || token->end_s <= with.clock.now_us() / 1'000'000) return std::nullopt;
    for (const auto* key : {&known->second.primary_key, &known->second.secondary_key}) {
      if (!key->empty() && contract::verify_sas(*token, *key)) return token->end_s;
    }
    return std::nullopt;
  }

  std::pair<ConnectCode, std::string> authenticate(const ConnectRequest& request) {
    const auto name = contract::parse_connect_username(request.username);
    if (!name) return {ConnectCode::bad_credentials, ""};
    const Identity& who = name->identity;
    if (request.client_id != who.to_text()) return {ConnectCode::bad_client_id, ""};
    if (who.device != device() || who.module.empty()) return {ConnectCode::not_authorized, ""};
    const auto end_s = verify(who.module, request.password);
    if (!end_s) {
      log_warning("router", "refused a module: its token does not fit",
                  {{"module", who.module}, {"peer", request.peer.address}});
      return {ConnectCode::not_authorized, ""};
    }
    token_ends_s[who.module] = *end_s;
    return {ConnectCode::accepted, who.module};
  }

  void close_ended_tokens() {
    const auto now_s = with.clock.now_us() / 1'000'000;
    for (const auto& session : endpoint->sessions()) {
      const auto end = token_ends_s.find(Identity::from_text(session->identity()).module);
      if (end != token_ends_s.end() && end->second <= now_s) session->close("its token ended");
    }
  }

  SessionPointer session_of(const std::string& module) const {
    return endpoint->find(Identity{device(), module}.to_text());
  }

  void on_connected(const SessionPointer& session) {
    const auto module = Identity::from_text(session->identity()).module;
    log_info("router", "module connected", {{"module", module}});
    clients.set(static_cast<double>(endpoint->session_count()));
    handlers.connected(module);
    with.outbox.wake_all();  // A persistent session may have its inputs subscribed already.
  }

  void on_closed(const SessionPointer& session, bool clean, std::string_view reason) {
    const auto module = Identity::from_text(session->identity()).module;
    log_info("router", "module disconnected", {{"module", module}, {"reason", reason}});
    clients.set(static_cast<double>(endpoint->session_count()));
    if (!clean && session->request().has_will) publish_will(session);
    const auto current = endpoint->find(session->identity());
    if (current != nullptr && current != session) return;  // Replaced by a newer connection.
    topics.remove(session->identity());
    fail_methods(module);
    handlers.disconnected(module);
  }

  bool may_subscribe(const SessionPointer& session, std::string_view filter, std::uint8_t qos) {
    const auto who = Identity::from_text(session->identity());
    if (contract::parse_subscription(filter, who)) return true;
    if (!is_plain_filter(filter)) return false;
    topics.subscribe(session->identity(), filter, std::min<std::uint8_t>(qos, 1));
    return true;
  }

  // -- what modules say

  Status on_publish(const SessionPointer& session, const PublishIn& message, Acknowledge acknowledge) {
    const auto who = Identity::from_text(session->identity());
    if (message.topic.starts_with(kLivePrefix)) return on_live(who.module, message, acknowledge);
    if (is_plain_topic(message.topic)) {
      pass_on(message.topic, message.payload, message.qos);
      acknowledge(Done{});
      return Done{};
    }
    VERGE_TRY(auto topic, contract::parse_published_topic(message.topic));
    if (auto* telemetry = std::get_if<contract::TelemetryTopic>(&topic)) {
      if (telemetry->sender != who) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{} published as {}", who.to_text(), telemetry->sender.to_text())};
      }
      if (message.retain) telemetry->properties.set("mqtt-retain", "true");
      return on_output(who.module, std::move(telemetry->properties), std::string(message.payload), message.duplicate,
                       acknowledge);
    }
    acknowledge(Done{});
    if (const auto* get = std::get_if<contract::TwinGetTopic>(&topic)) {
      on_twin_get(who.module, get->request_id);
    } else if (const auto* patch = std::get_if<contract::TwinPatchTopic>(&topic)) {
      return on_twin_patch(who.module, patch->request_id, message.payload);
    } else if (const auto* answer = std::get_if<contract::MethodResponseTopic>(&topic)) {
      on_method_answer(who.module, *answer, std::string(message.payload));
    }
    return Done{};
  }

  Status on_live(const std::string& module, const PublishIn& message, const Acknowledge& acknowledge) {
    const auto rest = message.topic.substr(kLivePrefix.size());
    const auto slash = rest.find('/');
    if (message.qos != 0 || slash == std::string_view::npos || rest.substr(0, slash) != module) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("module {} published to {}: live frames go to verge/live/{}/STREAM with QoS 0", module,
                               message.topic, module)};
    }
    acknowledge(Done{});
    handlers.live(module, std::string(rest.substr(slash + 1)), message.payload);
    return Done{};
  }

  void pass_on(std::string_view topic, std::string_view payload, std::uint8_t qos) {
    for (const auto& [client, wanted_qos] : topics.match(topic)) {
      const auto receiver = endpoint->find(client);
      if (receiver == nullptr) continue;
      // A receiver that does not keep up loses messages; it must not hold up the others.
      if (!receiver->deliver(topic, payload, std::min(qos, wanted_qos))) slow.add();
    }
  }

  Status on_output(const std::string& module, PropertyBag properties, std::string payload, bool is_repeated,
                   const Acknowledge& acknowledge) {
    received.add();
    if (payload.size() + size_of(properties) > options.message_bytes_max) {
      return Error{ErrorCode::limit, fmt::format("module {} published {} bytes; the most are {}", module,
                                                 payload.size() + size_of(properties), options.message_bytes_max)};
    }
    if (!routes) {
      acknowledge(Error{ErrorCode::unavailable, "this device has no routes yet: it never reached its hub"});
      return Done{};
    }
    const std::string output(properties.get("$.on"));
    const auto matches = routes->targets(device(), module, output, properties, payload);
    if (matches.empty()) {
      unrouted.add();
      acknowledge(Done{});
      return Done{};
    }
    std::vector<Outbox::Message> messages;
    const auto bag = properties.to_text();
    for (const auto& match : matches) {
      messages.push_back({match.target, module, bag, payload, match.time_to_live_s, rank_of(match, properties)});
    }
    with.outbox.append(std::move(messages), acknowledge,
                       {std::string(properties.get(kMessageIdProperty)), is_repeated});
    return Done{};
  }

  void publish_will(const SessionPointer& session) {
    const auto& request = session->request();
    const auto who = Identity::from_text(session->identity());
    if (is_plain_topic(request.will_topic)) return pass_on(request.will_topic, request.will_payload, request.will_qos);
    auto topic = contract::parse_published_topic(request.will_topic);
    auto* telemetry = topic ? std::get_if<contract::TelemetryTopic>(&*topic) : nullptr;
    if (telemetry == nullptr || telemetry->sender != who) return;
    telemetry->properties.set("iothub-MessageType", "Will");
    const auto sent =
        on_output(who.module, std::move(telemetry->properties), request.will_payload, false, [](const Status&) {});
    if (!sent) log_error("router", sent.error());
  }

  // -- twins

  void answer_twin(const std::string& module, const std::string& topic, const std::string& body) const {
    const auto session = session_of(module);
    if (session != nullptr) (void)session->deliver(topic, body, 0);
  }

  void on_twin_get(const std::string& module, const std::string& request_id) {
    with.twins.get(module, [weak = weak_from_this(), module, request_id](Result<Json> twin) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      const int status = twin ? 200 : http_status_of(twin.error().code);
      self->answer_twin(module, contract::twin_response_topic(status, request_id),
                        twin ? to_text(*twin) : twin_error_body(twin.error()));
    });
  }

  Status on_twin_patch(const std::string& module, const std::string& request_id, std::string_view payload) {
    const auto done = [weak = weak_from_this(), module, request_id](const Result<std::int64_t>& version) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      if (version) {
        self->answer_twin(module, contract::twin_response_topic(204, request_id, *version), "");
      } else {
        self->answer_twin(module, contract::twin_response_topic(http_status_of(version.error().code), request_id),
                          twin_error_body(version.error()));
      }
    };
    const auto patch = parse_json(payload);
    if (patch && patch->is_object()) {
      with.twins.report(module, *patch, done);
    } else {
      done(Error{ErrorCode::invalid_argument, "reported properties must be a JSON object"});
    }
    return Done{};
  }

  void deliver_desired(const std::string& module, std::int64_t version, const Json& patch) const {
    const auto session = session_of(module);
    const auto topic = contract::desired_patch_topic(version);
    if (session != nullptr && session->is_subscribed(topic)) (void)session->deliver(topic, to_text(patch), 1);
  }

  // -- methods

  void call_method(MethodCall call, OnMethodAnswer done) {
    const auto session = session_of(call.module);
    const std::string id = std::to_string(next_method++);
    const auto topic = contract::method_request_topic(call.name, id);
    if (session == nullptr || !session->is_subscribed(topic)) {
      return done(Error{ErrorCode::not_found, fmt::format("call {} on module {}: the module is not connected or does "
                                                          "not listen for methods",
                                                          call.name, call.module)});
    }
    if (methods.size() >= options.methods_max) {
      return done(Error{ErrorCode::limit, fmt::format("call {}: {} calls are open", call.name, methods.size())});
    }
    if (const auto sent = session->deliver(topic, call.payload, 0); !sent) return done(sent.error());
    PendingMethod& pending = methods[id];
    pending.module = call.module;
    pending.done = std::move(done);
    pending.timer = loop().after(std::min(call.timeout, kMethodTimeoutMax), [this, id, call] {
      finish_method(id, Error{ErrorCode::timeout, fmt::format("call {} on module {}: no answer within {} ms", call.name,
                                                              call.module, call.timeout.count())});
    });
  }

  void finish_method(const std::string& id, Result<std::pair<int, std::string>> answer) {
    const auto found = methods.find(id);
    if (found == methods.end()) return;
    const auto done = std::move(found->second.done);
    loop().cancel(found->second.timer);
    methods.erase(found);
    done(std::move(answer));
  }

  void on_method_answer(const std::string& module, const contract::MethodResponseTopic& answer, std::string payload) {
    const auto found = methods.find(answer.request_id);
    if (found == methods.end() || found->second.module != module) return;  // Too late, or not its call.
    finish_method(answer.request_id, std::pair(answer.status, std::move(payload)));
  }

  void fail_methods(const std::string& module) {
    std::vector<std::string> ids;
    for (const auto& [id, method] : methods) {
      if (method.module == module) ids.push_back(id);
    }
    for (const auto& id : ids) {
      finish_method(id, Error{ErrorCode::not_found, fmt::format("module {} disconnected during the call", module)});
    }
  }

  /// POST /twins/D/modules/M/methods from a module of this device.
  void on_request(HttpRequest request, Respond respond) {
    const auto refuse = [&respond](int status, std::string_view message) {
      respond(json_response(Json{{"Message", message}}, status));
    };
    if (!is_welcome(request.peer)) return refuse(403, "only modules of this device may call");
    const auto path = request.segments();
    const bool is_method = request.method == "POST" && path.size() == 5 && path[0] == "twins" && path[2] == "modules" &&
                           path[4] == "methods";
    if (!is_method)
      return refuse(404, fmt::format("ErrorCode:NotFound;there is no {} {}", request.method, request.path));
    const auto caller = Identity::from_text(std::string(request.headers.get("x-ms-edge-moduleId")));
    if (caller.module.empty())
      return refuse(400, "ErrorCode:ArgumentInvalid;header x-ms-edge-moduleId must be DEVICE/MODULE");
    if (caller.device != device() || !verify(caller.module, request.headers.get("Authorization")) ||
        path[1] != device()) {
      return refuse(401, "ErrorCode:Unauthorized;the caller's token does not fit");
    }
    const auto body = parse_json(request.body);
    const auto name =
        body && body->is_object() ? string_member(*body, "methodName") : Result<std::string>(std::string());
    if (!name || name->empty()) return refuse(400, "ErrorCode:ArgumentInvalid;methodName is missing");
    MethodCall call;
    call.module = path[3];
    call.name = *name;
    if (const Json* payload = find_member(*body, {"payload"}); payload != nullptr) call.payload = to_text(*payload);
    const auto timeout_s = integer_member(*body, "responseTimeoutInSeconds", 30);
    call.timeout = std::chrono::seconds(std::clamp<std::int64_t>(timeout_s ? *timeout_s : 30, 5, 300));
    call_method(std::move(call), [respond](Result<std::pair<int, std::string>> answer) {
      if (!answer) {
        return respond(json_response(Json{{"Message", answer.error().message}}, http_status_of(answer.error().code)));
      }
      const auto payload = parse_json(answer->second);
      respond(json_response(Json{{"status", answer->first}, {"payload", payload ? *payload : Json(nullptr)}}));
    });
  }

  // -- inputs

  std::optional<Outbox::Sink> input_sink(const std::string& target) {
    const auto slash = target.find('/');
    if (!target.starts_with("in:") || slash == std::string::npos) return std::nullopt;
    const Identity receiver{device(), target.substr(3, slash - 3)};
    const auto input = target.substr(slash + 1);
    const auto session = session_of(receiver.module);
    if (session == nullptr) return std::nullopt;
    Outbox::Sink sink;
    sink.is_ready = [session, topic = contract::input_topic(receiver, input, {})] {
      return session->is_open() && session->is_subscribed(topic);
    };
    sink.send = [session, receiver, input, sender = device()](const OutboxRecord& record,
                                                              std::function<void(Status)> done) {
      auto properties = PropertyBag::from_text(record.properties);
      if (!properties) properties = PropertyBag{};
      properties->set("$.cdid", sender);
      properties->set("$.cmid", record.sender);
      return session->deliver(contract::input_topic(receiver, input, *properties), record.payload, 1, std::move(done));
    };
    return sink;
  }
};

Router::Router(Surroundings surroundings, RouterOptions options, Handlers handlers)
    : impl_(std::make_shared<Impl>(surroundings, std::move(options), std::move(handlers))) {
  impl_->build();
}
Router::~Router() { impl_->close(); }

Status Router::listen(const TlsPointer& tls) { return impl_->listen(tls); }
void Router::set_tls(const TlsPointer& tls) {
  if (impl_->listener != nullptr) impl_->listener->set_tls(tls);
  impl_->https->set_tls(tls);
}
std::uint16_t Router::mqtt_port() const { return impl_->listener->port(); }
std::uint16_t Router::https_port() const { return impl_->https_port; }
void Router::set_identities(const ModuleIdentities& identities) { impl_->identities = identities; }
void Router::set_routes(RouteTable routes) { impl_->routes = std::move(routes); }
void Router::disconnect(const std::string& module) {
  if (const auto session = impl_->session_of(module); session != nullptr) session->close("the module was removed");
}
bool Router::is_connected(const std::string& module) const { return impl_->session_of(module) != nullptr; }
void Router::call_method(MethodCall call, OnMethodAnswer done) { impl_->call_method(std::move(call), std::move(done)); }
void Router::deliver_desired(const std::string& module, std::int64_t version, const Json& patch) {
  impl_->deliver_desired(module, version, patch);
}
std::optional<Outbox::Sink> Router::input_sink(const std::string& target) { return impl_->input_sink(target); }

}  // namespace verge::agent
