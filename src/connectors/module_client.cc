#include "connectors/module_client.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/guarded.h"
#include "base/json.h"
#include "base/local_http.h"
#include "base/log.h"
#include "connectors/event_queue.h"
#include "connectors/event_stamp.h"
#include "contract/sas.h"
#include "contract/topics.h"
#include "messaging/client.h"
#include "messaging/endpoint.h"

namespace verge::connectors {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kPostedMax = 1024;  // Publishes on their way to the loop; more are dropped.
constexpr auto kTrustRetryMax = milliseconds(30'000);
constexpr auto kWorkloadTimeout = milliseconds(10'000);
const char* const kUnixScheme = "unix://";

HttpCall workload_call(const ModuleEnvironment& environment, std::string method, std::string path) {
  HttpCall call;
  call.method = std::move(method);
  call.url = "http://workload" + path + "?api-version=2020-07-07";
  call.unix_socket = environment.workload_socket;
  call.timeout = kWorkloadTimeout;
  call.body_bytes_max = 1U << 20U;
  return call;
}

Result<std::string> text_of(Result<HttpResponse> response, std::string_view doing, const char* member) {
  VERGE_TRY(const HttpResponse answer, require_success(std::move(response), doing));
  auto json = parse_json(answer.body);
  if (!json) return std::move(json).error().within(doing);
  const Json* text = find_member(*json, {member});
  if (text == nullptr || !text->is_string()) {
    return Error{ErrorCode::corrupt, fmt::format("{}: the answer has no \"{}\"", doing, member)};
  }
  return text->get<std::string>();
}

Result<std::string> fetch_trust_bundle(const ModuleEnvironment& environment) {
  return text_of(fetch_local(workload_call(environment, "GET", "/trust-bundle")), "get the trust bundle",
                 "certificate");
}

Result<std::string> fetch_token(const ModuleEnvironment& environment, std::int64_t end_s) {
  const std::string resource =
      fmt::format("{}/devices/{}/modules/{}", environment.iothub_host, environment.device, environment.module);
  HttpCall call = workload_call(environment, "POST",
                                fmt::format("/modules/{}/genid/{}/sign", percent_encode(environment.module),
                                            percent_encode(environment.generation)));
  call.headers.set("Content-Type", "application/json");
  call.body = to_text(Json{
      {"keyId", "primary"}, {"algo", "HMACSHA256"}, {"data", to_base64(contract::sas_signing_text(resource, end_s))}});
  VERGE_TRY(const std::string signature, text_of(fetch_local(call), "have a token signed", "digest"));
  return contract::sas_from_signature(resource, signature, end_s);
}

}  // namespace

Result<ModuleEnvironment> read_module_environment(const std::map<std::string, std::string>& variables) {
  ModuleEnvironment environment;
  std::string workload;
  const std::pair<const char*, std::string*> wanted[] = {{"IOTEDGE_DEVICEID", &environment.device},
                                                         {"IOTEDGE_MODULEID", &environment.module},
                                                         {"IOTEDGE_MODULEGENERATIONID", &environment.generation},
                                                         {"IOTEDGE_IOTHUBHOSTNAME", &environment.iothub_host},
                                                         {"IOTEDGE_GATEWAYHOSTNAME", &environment.gateway_host},
                                                         {"IOTEDGE_WORKLOADURI", &workload}};
  for (const auto& [name, target] : wanted) {
    const auto at = variables.find(name);
    if (at == variables.end() || at->second.empty()) {
      return Error{ErrorCode::unavailable,
                   fmt::format("connect as a module: not inside an agent, {} is missing", name)};
    }
    *target = at->second;
  }
  if (!workload.starts_with(kUnixScheme)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("connect as a module: IOTEDGE_WORKLOADURI is {}, only unix:// is supported", workload)};
  }
  environment.workload_socket = workload.substr(std::string_view(kUnixScheme).size());
  return environment;
}

Result<ModuleEnvironment> read_module_environment() {
  std::map<std::string, std::string> variables;
  for (const char* name : {"IOTEDGE_DEVICEID", "IOTEDGE_MODULEID", "IOTEDGE_MODULEGENERATIONID",
                           "IOTEDGE_IOTHUBHOSTNAME", "IOTEDGE_GATEWAYHOSTNAME", "IOTEDGE_WORKLOADURI"}) {
    if (const char* value = std::getenv(name)) variables[name] = value;
  }
  return read_module_environment(variables);
}

/// Lives on the loop; what other threads touch is atomic or guarded.
struct ModuleClient::Impl : std::enable_shared_from_this<Impl> {
  Impl(Loop& on_loop, ModuleClientOptions settings, Metrics& metrics)
      : loop(on_loop),
        options(std::move(settings)),
        stamp(options.environment.device, options.environment.module, system_clock()),
        queue(EventQueue(options.events_max)),
        sent(metrics.counter("verge_events_sent_total", "Events acknowledged by the router.")),
        dropped(metrics.gauge("verge_events_dropped", "Events dropped because too many waited.")) {}

  // ---- connecting
  void get_trust(milliseconds delay) {
    run_blocking([environment = options.environment] { return fetch_trust_bundle(environment); },
                 [delay](Impl& self, Result<std::string> bundle) {
                   if (bundle) return self.connect(*bundle);
                   log_error("module", bundle.error());
                   self.after(delay, [delay](Impl& later) { later.get_trust(std::min(delay * 2, kTrustRetryMax)); });
                 });
  }

  /// `work` on a worker thread, then `done` on the loop, if we still live.
  template <class Work, class Finish>
  void run_blocking(Work work, Finish done) {
    auto status = workers.submit([weak = weak_from_this(), work, done, &on_loop = loop] {
      auto result = work();
      on_loop.post([weak, done, result = std::move(result)]() mutable {
        if (auto self = weak.lock(); self && !self->is_stopped) done(*self, std::move(result));
      });
    });
    if (!status) log_error("module", status.error());
  }

  template <class Work>
  void after(milliseconds delay, Work work) {
    loop.after(delay, [weak = weak_from_this(), work] {
      if (auto self = weak.lock(); self && !self->is_stopped) work(*self);
    });
  }

  void connect(const std::string& trust) {
    auto tls = TlsContext::make_client({.trust_pem = trust});
    if (!tls) {
      log_error("module", std::move(tls).error().within("use the trust bundle"));
      return after(kTrustRetryMax, [](Impl& self) { self.get_trust(milliseconds(1000)); });
    }
    const ModuleEnvironment& environment = options.environment;
    const contract::Identity identity{environment.device, environment.module};
    messaging::ClientOptions settings;
    settings.connect.host = environment.gateway_host;
    settings.connect.port = environment.gateway_port;
    settings.connect.tls = *tls;
    settings.client_id = identity.to_text();
    settings.username = contract::connect_username(environment.iothub_host, identity, "verge-infer");
    messaging::Client::Handlers on;
    const auto weak = weak_from_this();
    on.password = [weak](std::function<void(Result<std::string>)> give) {
      if (auto self = weak.lock()) self->get_token(std::move(give));
    };
    on.connected = [weak](bool) {
      if (auto self = weak.lock()) self->on_connected();
    };
    on.disconnected = [weak](const Error& reason) {
      if (auto self = weak.lock()) self->on_disconnected(reason);
    };
    on.message = [weak](std::string_view topic, std::string_view payload, std::uint8_t) {
      if (auto self = weak.lock()) self->on_message(topic, payload);
    };
    client = std::make_unique<messaging::Client>(loop, settings, std::move(on));
    client->subscribe("$iothub/twin/res/#", 1);
    client->subscribe("$iothub/twin/PATCH/properties/desired/#", 1);
    client->subscribe("$iothub/methods/POST/#", 1);
    for (const auto& [id, subscription] : subscriptions) client->subscribe(subscription.filter, 1);
    client->start();
  }

  void get_token(std::function<void(Result<std::string>)> give) {
    const std::int64_t end_s = system_clock().now_us() / 1'000'000 + options.token_life_s;
    run_blocking([environment = options.environment, end_s] { return fetch_token(environment, end_s); },
                 [give = std::move(give)](Impl& self, Result<std::string> token) {
                   if (token) self.renew_later();
                   give(std::move(token));
                 });
  }

  /// Tokens end; a new connection brings a new one before that.
  void renew_later() {
    const std::uint64_t number = ++token_number;
    after(milliseconds(options.token_life_s * 800), [number](Impl& self) {
      if (number == self.token_number && self.client) self.client->reconnect();
    });
  }

  void on_connected() {
    is_connected = true;
    log_info("module", "connected", {{"gateway", options.environment.gateway_host}});
    if (handlers.connection) handlers.connection(true);
    is_report_in_flight = false;  // its answer went with the old connection
    get_twin();
    send_report();
    pump();
  }

  void on_disconnected(const Error& reason) {
    const bool was_connected = is_connected.exchange(false);
    if (was_connected || last_reason != reason.message) log_warning("module", "not connected: " + reason.message);
    last_reason = reason.message;
    if (was_connected && handlers.connection) handlers.connection(false);
  }

  // ---- twin
  void get_twin() {
    twin_request = new_uuid();
    publish_now("$iothub/twin/GET/?$rid=" + twin_request, " ", 1);
  }

  void on_twin_response(const contract::TwinResponse& response, std::string_view payload) {
    if (response.request_id == report_request) return on_report_response(response, payload);
    if (response.request_id != twin_request) return;
    auto body = parse_json(payload);
    const Json* given = body ? find_member(*body, {"desired"}) : nullptr;
    if (response.status != 200 || given == nullptr) {
      log_warning("module", "the twin was refused", {{"status", response.status}});
      return;
    }
    desired = *given;
    if (handlers.desired) handlers.desired(desired);
  }

  void on_desired_patch(std::int64_t version, std::string_view payload) {
    auto patch = parse_json(payload);
    if (!patch || !patch->is_object()) return;
    const Json* known = find_member(desired, {"$version"});
    const std::int64_t last = known != nullptr && known->is_number_integer() ? known->get<std::int64_t>() : 0;
    if (last == 0 || version > last + 1) return get_twin();  // a change was missed
    if (version <= last) return;
    merge_patch(desired, *patch);
    desired["$version"] = version;
    if (handlers.desired) handlers.desired(desired);
  }

  void queue_report(const Json& patch) {
    if (waiting_report.is_null()) waiting_report = Json::object();
    // Deletions must survive until they are sent, so members are laid over each other, not merged away.
    overlay(waiting_report, patch);
    send_report();
  }

  static void overlay(Json& target, const Json& patch) {
    if (!target.is_object() || !patch.is_object()) {
      target = patch;
      return;
    }
    for (const auto& [key, value] : patch.items()) overlay(target[key], value);
  }

  void send_report() {
    if (!is_connected || is_report_in_flight) return;
    if (!sent_report.is_null()) {  // not answered before the connection broke
      overlay(sent_report, waiting_report.is_null() ? Json::object() : waiting_report);
      waiting_report = std::move(sent_report);
      sent_report = nullptr;
    }
    if (waiting_report.is_null()) return;
    sent_report = std::move(waiting_report);
    waiting_report = nullptr;
    report_request = new_uuid();
    is_report_in_flight = true;
    publish_now("$iothub/twin/PATCH/properties/reported/?$rid=" + report_request, to_text(sent_report), 1);
  }

  void on_report_response(const contract::TwinResponse& response, std::string_view payload) {
    if (response.status >= 300) {
      log_warning("module", "reported properties were refused",
                  {{"status", response.status}, {"answer", std::string(payload.substr(0, 200))}});
    }
    sent_report = nullptr;
    is_report_in_flight = false;
    send_report();
  }

  // ---- messages
  void on_message(std::string_view topic, std::string_view payload) {
    if (topic.starts_with("$iothub/")) {
      auto received = contract::parse_received_topic(topic);
      if (!received) return;
      if (const auto* twin = std::get_if<contract::TwinResponse>(&*received)) return on_twin_response(*twin, payload);
      if (const auto* patch = std::get_if<contract::DesiredPatch>(&*received)) {
        return on_desired_patch(patch->version, payload);
      }
      if (const auto* method = std::get_if<contract::MethodRequest>(&*received)) return on_method(*method, payload);
      return;
    }
    std::vector<OnMessage> receivers;  // A receiver may unsubscribe.
    for (const auto& [id, subscription] : subscriptions) {
      if (messaging::topic_matches(subscription.filter, topic)) receivers.push_back(subscription.on_message);
    }
    for (const OnMessage& receiver : receivers) receiver(topic, payload);
  }

  void on_method(const contract::MethodRequest& request, std::string_view payload) {
    const auto answer = [this](const std::string& id, const pipeline::MethodReply& reply) {
      publish_now(contract::method_response_topic(reply.status, id), to_text(reply.payload), 1);
    };
    auto parameters = payload.empty() ? Result<Json>(Json()) : parse_json(payload);
    if (!parameters) return answer(request.request_id, {400, {{"message", parameters.error().message}}});
    if (!handlers.method) return answer(request.request_id, {404, {{"message", "this module offers no methods"}}});
    handlers.method(request.name, *parameters,
                    [weak = weak_from_this(), &on_loop = loop, id = request.request_id, answer](auto reply) {
                      if (on_loop.is_loop_thread()) {
                        if (auto self = weak.lock(); self && !self->is_stopped) answer(id, reply);
                        return;
                      }
                      on_loop.post([weak, id, answer, reply = std::move(reply)] {
                        if (auto self = weak.lock(); self && !self->is_stopped) answer(id, reply);
                      });
                    });
  }

  void publish_now(const std::string& topic, const std::string& payload, std::uint8_t qos) {
    if (!client) return;
    auto status = client->publish(topic, payload, qos);
    if (!status && qos > 0) log_error("module", status.error(), {{"topic", topic}});
  }

  // ---- events
  void pump() {
    pump_is_posted = false;
    while (is_connected && in_flight < options.in_flight_max) {
      auto next = queue.with([](EventQueue& events) { return events.pop(); });
      if (!next) return;
      stamp.stamp(next->event);
      send(*next);
    }
  }

  void send(const OutgoingEvent& outgoing) {
    contract::PropertyBag properties;
    properties.set("$.on", outgoing.output);
    properties.set("$.ct", "application/json");
    properties.set("$.ce", "utf-8");
    // With it the router knows an event that it stored before its acknowledgement was lost.
    properties.set("$.mid", outgoing.event.id);
    // Routes can ask for it, and a full outbox spares alarms.
    if (outgoing.event.severity != "info") properties.set("severity", outgoing.event.severity);
    const std::string topic =
        contract::telemetry_topic({options.environment.device, options.environment.module}, properties);
    ++in_flight;
    auto status = client->publish(topic, to_text(contract::to_json(outgoing.event)), 1,
                                  [weak = weak_from_this()](Status acknowledged) {
                                    auto self = weak.lock();
                                    if (!self) return;
                                    --self->in_flight;
                                    if (acknowledged) self->sent.add();
                                    if (!self->is_stopped) self->pump();
                                  });
    if (!status) {
      --in_flight;
      log_error("module", status.error());
    }
  }

  void wake_pump() {
    if (pump_is_posted.exchange(true)) return;
    loop.post([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->pump();
    });
  }

  struct Subscription {
    std::string filter;
    OnMessage on_message;
  };

  Loop& loop;
  ModuleClientOptions options;
  Handlers handlers;
  std::unique_ptr<messaging::Client> client;
  EventStamp stamp;
  Guarded<EventQueue> queue;
  Counter& sent;
  Gauge& dropped;
  std::map<std::uint64_t, Subscription> subscriptions;
  Json desired = Json::object(), waiting_report, sent_report;
  std::string twin_request, report_request, last_reason;
  std::uint64_t token_number = 0;
  std::atomic<std::uint64_t> last_subscription{0};
  std::atomic<std::size_t> in_flight{0}, posted{0};
  std::atomic<bool> is_connected{false}, pump_is_posted{false};
  bool is_report_in_flight = false, is_stopped = false;
  Workers workers{1, 16};  ///< Last: its thread ends before the rest goes.
};

ModuleClient::ModuleClient(Loop& loop, ModuleClientOptions options, Metrics& metrics)
    : impl_(std::make_shared<Impl>(loop, std::move(options), metrics)) {}

ModuleClient::~ModuleClient() { impl_->is_stopped = true; }

void ModuleClient::start(Handlers handlers) {
  impl_->handlers = std::move(handlers);
  impl_->get_trust(milliseconds(1000));
}

void ModuleClient::stop() {
  impl_->is_stopped = true;
  impl_->is_connected = false;
  if (impl_->client) impl_->client->stop();
}

const ModuleEnvironment& ModuleClient::environment() const { return impl_->options.environment; }

void ModuleClient::send_event(std::string output, contract::Event event) {
  const std::uint64_t dropped = impl_->queue.with([&](EventQueue& queue) {
    queue.push({std::move(output), std::move(event)});
    return queue.dropped_count();
  });
  impl_->dropped.set(static_cast<double>(dropped));
  impl_->wake_pump();
}

void ModuleClient::report(Json patch) {
  impl_->loop.post([weak = std::weak_ptr(impl_), patch = std::move(patch)] {
    if (auto self = weak.lock()) self->queue_report(patch);
  });
}

void ModuleClient::publish(std::string topic, std::string payload, std::uint8_t qos) {
  if (impl_->posted >= kPostedMax) return;
  ++impl_->posted;
  impl_->loop.post([weak = std::weak_ptr(impl_), topic = std::move(topic), payload = std::move(payload), qos] {
    auto self = weak.lock();
    if (!self) return;
    --self->posted;
    if (self->is_connected || qos > 0) self->publish_now(topic, payload, qos);
  });
}

std::uint64_t ModuleClient::subscribe(std::string filter, OnMessage on_message) {
  const std::uint64_t id = ++impl_->last_subscription;
  impl_->loop.post(
      [weak = std::weak_ptr(impl_), id, filter = std::move(filter), on_message = std::move(on_message)]() mutable {
        auto self = weak.lock();
        if (!self) return;
        if (self->client) self->client->subscribe(filter, 1);
        self->subscriptions[id] = {std::move(filter), std::move(on_message)};
      });
  return id;
}

void ModuleClient::unsubscribe(std::uint64_t id) {
  impl_->loop.post([weak = std::weak_ptr(impl_), id] {
    auto self = weak.lock();
    if (!self) return;
    const auto at = self->subscriptions.find(id);
    if (at == self->subscriptions.end()) return;
    const std::string filter = at->second.filter;
    self->subscriptions.erase(at);
    const auto is_same = [&](const auto& other) { return other.second.filter == filter; };
    if (self->client && std::ranges::none_of(self->subscriptions, is_same)) self->client->unsubscribe(filter);
  });
}

bool ModuleClient::is_connected() const { return impl_->is_connected; }

std::uint64_t ModuleClient::dropped_events() const {
  return impl_->queue.with([](const EventQueue& queue) { return queue.dropped_count(); });
}

std::size_t ModuleClient::waiting_events() const {
  return impl_->queue.with([](const EventQueue& queue) { return queue.size(); }) + impl_->in_flight;
}

}  // namespace verge::connectors
