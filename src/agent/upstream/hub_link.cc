#include "agent/upstream/hub_link.h"

#include <fmt/format.h>
#include <map>

#include "base/json.h"
#include "base/log.h"
#include "contract/sas.h"
#include "messaging/client.h"

namespace verge::agent {
namespace {

constexpr std::chrono::minutes kRenewAfter{50};
constexpr std::chrono::seconds kAnswerTimeout{30};
constexpr std::size_t kRequestsMax = 256;

ErrorCode code_of_status(int status) {
  switch (status) {
    case 400:
      return ErrorCode::invalid_argument;
    case 404:
      return ErrorCode::not_found;
    case 409:
    case 412:
      return ErrorCode::conflict;
    case 413:
    case 429:
      return ErrorCode::limit;
    case 504:
      return ErrorCode::timeout;
    default:
      return status >= 500 ? ErrorCode::unavailable : ErrorCode::invalid_argument;
  }
}

struct Answer {
  contract::TwinResponse response;
  std::string body;
};

}  // namespace

struct HubLink::Impl : std::enable_shared_from_this<HubLink::Impl> {
  using OnAnswer = std::function<void(Result<Answer>)>;
  struct Request {
    OnAnswer done;
    Loop::TimerId timer = 0;
  };

  Impl(Loop& l, const Clock& c, const Settings& s, std::string m, ModuleIdentity i, Handlers h)
      : loop(l), clock(c), settings(s), module(std::move(m)), identity(std::move(i)), handlers(std::move(h)) {}

  Loop& loop;
  const Clock& clock;
  const Settings& settings;
  const std::string module;
  const ModuleIdentity identity;
  const Handlers handlers;
  std::unique_ptr<messaging::Client> client;
  std::map<std::string, Request> requests;
  std::uint64_t next_request = 1;
  Loop::TimerId renew_timer = 0;

  contract::Identity who() const { return {settings.device, module}; }

  void open(TlsPointer tls) {
    messaging::ClientOptions options;
    options.connect.host = settings.hub.host;
    options.connect.port = settings.hub.mqtt_port;
    options.connect.tls = std::move(tls);
    options.client_id = who().to_text();
    options.username = contract::connect_username(settings.hub.host, who(), "verge-agent");
    messaging::Client::Handlers callbacks;
    const std::weak_ptr<Impl> weak = weak_from_this();
    callbacks.password = [weak](std::function<void(Result<std::string>)> give) {
      if (const auto self = weak.lock()) give(self->token());
    };
    callbacks.connected = [weak](bool) {
      if (const auto self = weak.lock()) self->on_connected();
    };
    callbacks.disconnected = [weak](const Error& reason) {
      if (const auto self = weak.lock()) self->on_disconnected(reason);
    };
    callbacks.message = [weak](std::string_view topic, std::string_view payload, std::uint8_t) {
      if (const auto self = weak.lock()) self->on_message(topic, payload);
    };
    client = std::make_unique<messaging::Client>(loop, options, callbacks);
    client->subscribe("$iothub/twin/res/#", 0);
    client->subscribe("$iothub/twin/PATCH/properties/desired/#", 1);
    client->subscribe("$iothub/methods/POST/#", 0);
    renew_timer = loop.every(kRenewAfter, [this] { client->reconnect(); });
  }

  Result<std::string> token() const {
    const auto resource = fmt::format("{}/devices/{}/modules/{}", settings.hub.host, settings.device, module);
    return contract::make_sas(resource, identity.primary_key, clock.now_us() / 1'000'000 + contract::kSasLife_s);
  }

  void on_connected() {
    if (handlers.connected) handlers.connected();
  }

  void on_disconnected(const Error& reason) {
    fail_requests(reason);
    if (handlers.disconnected) handlers.disconnected(reason);
  }

  void fail_requests(const Error& reason) {
    auto open_requests = std::move(requests);
    requests.clear();
    for (auto& [id, request] : open_requests) {
      loop.cancel(request.timer);
      request.done(Error{ErrorCode::unavailable, reason.message});
    }
  }

  void on_message(std::string_view topic, std::string_view payload) {
    const auto received = contract::parse_received_topic(topic);
    if (!received) {
      log_warning("upstream", received.error().message, {{"module", module}});
      return;
    }
    if (const auto* response = std::get_if<contract::TwinResponse>(&*received)) {
      on_answer({*response, std::string(payload)});
    } else if (const auto* patch = std::get_if<contract::DesiredPatch>(&*received)) {
      on_desired(patch->version, payload);
    } else if (const auto* method = std::get_if<contract::MethodRequest>(&*received)) {
      on_method(*method, std::string(payload));
    }
  }

  void on_answer(Answer answer) {
    const auto found = requests.find(answer.response.request_id);
    if (found == requests.end()) return;  // Too late, or of an earlier connection.
    const auto done = std::move(found->second.done);
    loop.cancel(found->second.timer);
    requests.erase(found);
    if (answer.response.status >= 300) {
      done(Error{code_of_status(answer.response.status),
                 fmt::format("the hub answered {}: {}", answer.response.status, answer.body.substr(0, 300))});
      return;
    }
    done(std::move(answer));
  }

  void on_desired(std::int64_t version, std::string_view payload) {
    const auto json = parse_json(payload);
    if (!json || !json->is_object()) {
      log_warning("upstream", "the hub sent desired properties that are no JSON object", {{"module", module}});
      return;
    }
    if (handlers.desired) handlers.desired(version, *json);
  }

  void on_method(const contract::MethodRequest& request, std::string payload) {
    const auto answer = [weak = weak_from_this(), id = request.request_id](int status, const std::string& body) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      (void)self->client->publish(contract::method_response_topic(status, id), body, 0);
    };
    if (handlers.method) {
      handlers.method(request.name, payload, answer);
    } else {
      answer(404, R"({"message":"this module has no methods"})");
    }
  }

  void send(const std::function<std::string(const std::string& id)>& topic, std::string_view body, std::uint8_t qos,
            OnAnswer done) {
    if (!client->is_connected()) {
      done(Error{ErrorCode::unavailable, fmt::format("module {}: the hub is not connected", module)});
      return;
    }
    if (requests.size() >= kRequestsMax) {
      done(Error{ErrorCode::limit, fmt::format("module {}: {} twin requests are open", module, kRequestsMax)});
      return;
    }
    const std::string id = std::to_string(next_request++);
    Request& request = requests[id];
    request.done = std::move(done);
    request.timer = loop.after(kAnswerTimeout, [this, id] {
      const auto found = requests.find(id);
      if (found == requests.end()) return;
      const auto late = std::move(found->second.done);
      requests.erase(found);
      late(Error{ErrorCode::timeout, fmt::format("module {}: the hub did not answer a twin request", module)});
    });
    (void)client->publish(topic(id), body, qos);
  }

  void close() {
    loop.cancel(renew_timer);
    fail_requests(Error{ErrorCode::unavailable, "the connection to the hub was closed"});
    client->stop();
    client.reset();
  }
};

HubLink::HubLink(Loop& loop, const Clock& clock, const Settings& settings, TlsPointer tls, std::string module,
                 const ModuleIdentity& identity, Handlers handlers)
    : impl_(std::make_shared<Impl>(loop, clock, settings, std::move(module), identity, std::move(handlers))) {
  impl_->open(std::move(tls));
}
HubLink::~HubLink() { impl_->close(); }

void HubLink::start() { impl_->client->start(); }
bool HubLink::is_connected() const { return impl_->client->is_connected(); }

Status HubLink::publish(const contract::PropertyBag& properties, std::string_view payload,
                        std::function<void(Status)> done) {
  return impl_->client->publish(contract::telemetry_topic(impl_->who(), properties), payload, 1, std::move(done));
}

void HubLink::get_twin(std::function<void(Result<Json>)> done) {
  const auto topic = [](const std::string& id) { return "$iothub/twin/GET/?$rid=" + id; };
  impl_->send(topic, " ", 0, [done = std::move(done)](Result<Answer> answer) {
    if (!answer) return done(answer.error());
    auto json = parse_json(answer->body);
    if (json && !json->is_object()) json = Error{ErrorCode::corrupt, "the hub's twin is no JSON object"};
    done(std::move(json));
  });
}

void HubLink::report(const Json& patch, std::function<void(Result<std::int64_t>)> done) {
  const auto topic = [](const std::string& id) { return "$iothub/twin/PATCH/properties/reported/?$rid=" + id; };
  impl_->send(topic, to_text(patch), 1, [done = std::move(done)](Result<Answer> answer) {
    if (!answer) return done(answer.error());
    done(answer->response.version.value_or(0));
  });
}

}  // namespace verge::agent
