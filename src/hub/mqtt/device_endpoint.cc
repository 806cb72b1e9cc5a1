#include "hub/mqtt/device_endpoint.h"

#include <chrono>
#include <fmt/core.h>
#include <optional>
#include <vector>

#include "base/json.h"
#include "base/log.h"

namespace verge::hub {
namespace {

constexpr std::chrono::milliseconds kTokenCheckPeriod{1000};

std::string auth_method(const contract::Identity& who) {
  return fmt::format(R"({{"scope":"{}","type":"sas","issuer":"iothub"}})", who.module.empty() ? "device" : "module");
}

/// Azure's status and error code of a failed twin call.
struct TwinFailure {
  int status;
  int error_code;
};
TwinFailure twin_failure(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return {400, 400004};
    case ErrorCode::not_found:
      return {404, 404001};
    case ErrorCode::limit:
      return {403, 403100};
    case ErrorCode::unavailable:
      return {503, 503001};
    default:
      return {500, 500001};
  }
}

std::string failure_body(const Error& error, int error_code) {
  return to_text({{"message", error.message}, {"errorCode", error_code}, {"trackingId", ""}, {"details", nullptr}});
}

struct TwinAnswer {
  std::string topic, body;
};
TwinAnswer failed(const Error& error, const std::string& request_id) {
  const auto [status, error_code] = twin_failure(error.code);
  return {contract::twin_response_topic(status, request_id), failure_body(error, error_code)};
}

TwinAnswer get_twin(const Twins& twins, const contract::Identity& who, const std::string& request_id) {
  const auto twin = twins.get(who);
  if (!twin) return failed(twin.error(), request_id);
  return {contract::twin_response_topic(200, request_id), to_text(twin_for_device(*twin))};
}

TwinAnswer patch_twin(Twins& twins, const contract::Identity& who, const std::string& request_id,
                      std::string_view body) {
  const auto patch = parse_json(body);
  if (!patch) return failed(patch.error(), request_id);
  const auto version = twins.patch_reported(who, *patch);
  if (!version) return failed(version.error(), request_id);
  return {contract::twin_response_topic(204, request_id, *version), {}};
}

}  // namespace

DeviceEndpoint::DeviceEndpoint(const DeviceEndpointParts& parts)
    : parts_(parts),
      connections_(parts.metrics.gauge("verge_hub_connections", "Connected devices and modules.")),
      refused_connects_(parts.metrics.counter("verge_hub_connects_refused_total", "Connects without a valid proof.")) {
  methods_ = std::make_unique<Methods>(parts_.loop, [this](const contract::Identity& who) -> messaging::SessionPointer {
    const auto session = endpoint_->find(who.to_text());
    return session && session->is_subscribed("$iothub/methods/POST/any/?$rid=1") ? session : nullptr;
  });
  endpoint_ = std::make_unique<messaging::Endpoint>(parts_.loop, messaging::Endpoint::Options{}, handlers());
  timer_ = parts_.loop.every(kTokenCheckPeriod, [this] { close_ended_tokens(); });
}

DeviceEndpoint::~DeviceEndpoint() {
  *alive_ = false;
  parts_.loop.cancel(timer_);
}

messaging::Endpoint::Handlers DeviceEndpoint::handlers() {
  using messaging::SessionPointer;
  messaging::Endpoint::Handlers handlers;
  handlers.authenticate = [this](const auto& request, auto verdict) { authenticate(request, verdict); };
  handlers.connected = [this](const SessionPointer& session) { connected(session); };
  handlers.may_subscribe = [](const SessionPointer& session, std::string_view filter, std::uint8_t) {
    return contract::parse_subscription(filter, contract::Identity::from_text(session->identity())).has_value();
  };
  handlers.subscribed = [this](const SessionPointer& session, std::string_view filter) {
    const auto who = contract::Identity::from_text(session->identity());
    if (contract::parse_subscription(filter, who) == contract::Subscription::methods) methods_->listens(who);
  };
  handlers.publish = [this](const SessionPointer& session, const messaging::PublishIn& message,
                            messaging::Acknowledge acknowledge) {
    return published(session, message, std::move(acknowledge));
  };
  handlers.closed = [this](const SessionPointer& session, bool clean, std::string_view) { closed(session, clean); };
  return handlers;
}

void DeviceEndpoint::accept(ConnectionPointer connection, std::uint16_t local_port) {
  endpoint_->accept(std::move(connection), local_port);
}

/// The identity that user name and client id agree on.
Result<contract::Identity> DeviceEndpoint::identity_of(const messaging::ConnectRequest& request) const {
  VERGE_TRY(const auto username, contract::parse_connect_username(request.username));
  if (username.identity.to_text() != request.client_id) {
    return Error{ErrorCode::invalid_argument, fmt::format("client id \"{}\" is not the identity of the user name",
                                                          request.client_id.substr(0, 256))};
  }
  if (!parts_.access.is_own_host(username.host)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("host \"{}\" of the user name is not this hub", username.host.substr(0, 256))};
  }
  return username.identity;
}

void DeviceEndpoint::authenticate(const messaging::ConnectRequest& request, const Verdict& verdict) {
  const auto refuse = [&](const Error& error) {
    refused_connects_.add();
    log_warning(
        "hub", "refused a connection",
        {{"client", request.client_id.substr(0, 256)}, {"from", request.peer.address}, {"because", error.message}});
    verdict(messaging::ConnectCode::not_authorized, {});
  };
  const auto who = identity_of(request);
  if (!who) return refuse(who.error());
  const auto end_s = parts_.access.check_connect(request.password, *who);
  if (!end_s) return refuse(end_s.error());
  verdict(messaging::ConnectCode::accepted, request.client_id);
}

void DeviceEndpoint::connected(const messaging::SessionPointer& session) {
  const std::string& id = session->identity();
  Client client;
  client.who = contract::Identity::from_text(id);
  client.session = session;
  const auto record = parts_.identities.find(client.who);
  const auto end_s = parts_.access.check_connect(session->request().password, client.who);
  if (!record || !end_s) return session->close("it was removed while it connected");
  client.token_end_s = *end_s;
  client.sender = parts_.ingest.sender(client.who, record->generation_id, auth_method(client.who));
  clients_[id] = client;
  connections_.set(static_cast<double>(clients_.size()));
  const std::int64_t now_us = parts_.clock.now_us();
  states_.with([&](auto& states) { states[id] = {true, now_us}; });
  if (changed_) changed_(client.who, true);
}

void DeviceEndpoint::closed(const messaging::SessionPointer& session, bool clean) {
  const auto found = clients_.find(session->identity());
  if (found == clients_.end() || found->second.session != session) return;  // A newer connection took its place.
  const Client client = std::move(found->second);
  clients_.erase(found);
  connections_.set(static_cast<double>(clients_.size()));
  const std::int64_t now_us = parts_.clock.now_us();
  states_.with([&](auto& states) { states[client.who.to_text()] = {false, now_us}; });
  if (!clean) send_will(client, session->request());
  methods_->disconnected(client.who);
  (void)parts_.control.submit([&identities = parts_.identities, who = client.who, now_us] {
    (void)identities.set_last_seen(who, now_us);  // Lost when the identity is gone, which is right.
  });
  if (changed_) changed_(client.who, false);
}

/// A will is telemetry that says why it came; a will for another topic is nobody's.
void DeviceEndpoint::send_will(const Client& client, const messaging::ConnectRequest& request) {
  if (!request.has_will) return;
  const auto topic = contract::parse_published_topic(request.will_topic);
  const auto* telemetry = topic ? std::get_if<contract::TelemetryTopic>(&*topic) : nullptr;
  if (telemetry == nullptr || telemetry->sender != client.who) return;
  contract::PropertyBag properties = telemetry->properties;
  properties.set("iothub-MessageType", "Will");
  const auto sent = parts_.ingest.publish(*client.sender, properties, request.will_payload, false, [](Status) {});
  if (!sent)
    log_warning("hub", "dropped a will", {{"client", client.who.to_text()}, {"because", sent.error().message}});
}

DeviceEndpoint::Client* DeviceEndpoint::find_client(const std::string& identity) {
  const auto found = clients_.find(identity);
  return found == clients_.end() ? nullptr : &found->second;
}

Status DeviceEndpoint::published(const messaging::SessionPointer& session, const messaging::PublishIn& message,
                                 messaging::Acknowledge acknowledge) {
  const Client* client = find_client(session->identity());
  if (client == nullptr) return Error{ErrorCode::unavailable, "the connection is closing"};
  VERGE_TRY(const auto topic, contract::parse_published_topic(message.topic));
  if (const auto* telemetry_topic = std::get_if<contract::TelemetryTopic>(&topic)) {
    return telemetry(*client, *telemetry_topic, message, std::move(acknowledge));
  }
  if (const auto* patch = std::get_if<contract::TwinPatchTopic>(&topic)) {
    if (message.payload.size() > kMessageBytesMax) return Error{ErrorCode::limit, "a twin patch of more than 256 KiB"};
    apply_twin_patch(*client, patch->request_id, std::string(message.payload), std::move(acknowledge));
    return Done{};
  }
  if (const auto* get = std::get_if<contract::TwinGetTopic>(&topic)) {
    answer_twin_get(*client, get->request_id);
  } else if (const auto* answer = std::get_if<contract::MethodResponseTopic>(&topic)) {
    methods_->answered(client->who, answer->request_id, answer->status, message.payload);
  }
  acknowledge(Done{});
  return Done{};
}

Status DeviceEndpoint::telemetry(const Client& client, const contract::TelemetryTopic& topic,
                                 const messaging::PublishIn& message, messaging::Acknowledge acknowledge) {
  if (topic.sender != client.who) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("\"{}\" may not send as \"{}\"", client.who.to_text(), topic.sender.to_text())};
  }
  return parts_.ingest.publish(*client.sender, topic.properties, message.payload, message.retain,
                               std::move(acknowledge));
}

void DeviceEndpoint::answer_twin_get(const Client& client, const std::string& request_id) {
  const std::weak_ptr<messaging::Session> session = client.session;
  const auto queued = parts_.control.submit(
      [this, alive = alive_, &loop = parts_.loop, &twins = parts_.twins, session, who = client.who, request_id] {
        loop.post([this, alive, session, answer = get_twin(twins, who, request_id)] {
          if (*alive) answer_twin(session, answer.topic, answer.body);
        });
      });
  if (!queued) {
    const auto answer = failed({ErrorCode::unavailable, "the hub is busy: retry later"}, request_id);
    answer_twin(session, answer.topic, answer.body);
  }
}

void DeviceEndpoint::apply_twin_patch(const Client& client, const std::string& request_id, std::string body,
                                      messaging::Acknowledge acknowledge) {
  const std::weak_ptr<messaging::Session> session = client.session;
  const auto queued = parts_.control.submit([this, alive = alive_, &loop = parts_.loop, &twins = parts_.twins, session,
                                             who = client.who, request_id, body = std::move(body), acknowledge] {
    auto answer = patch_twin(twins, who, request_id, body);
    acknowledge(Done{});
    loop.post([this, alive, session, answer = std::move(answer)] {
      if (*alive) answer_twin(session, answer.topic, answer.body);
    });
  });
  if (!queued) {
    acknowledge(Done{});
    const auto answer = failed({ErrorCode::unavailable, "the hub is busy: retry later"}, request_id);
    answer_twin(session, answer.topic, answer.body);
  }
}

void DeviceEndpoint::answer_twin(const std::weak_ptr<messaging::Session>& session, const std::string& topic,
                                 const std::string& body) {
  const auto open = session.lock();
  if (!open || !open->is_open()) return;
  if (const auto sent = open->deliver(topic, body, 0); !sent) open->close(sent.error().message);
}

void DeviceEndpoint::push_desired(const contract::Identity& who, const std::string& patch, std::int64_t version) {
  const Client* client = find_client(who.to_text());
  const std::string topic = contract::desired_patch_topic(version);
  if (client == nullptr || !client->session->is_subscribed(topic)) return;
  // Not queued and not repeated: a device reads its twin again after every connect.
  if (const auto sent = client->session->deliver(topic, patch, 0); !sent) client->session->close(sent.error().message);
}

void DeviceEndpoint::disconnect(const contract::Identity& who, std::string_view reason) {
  const Client* client = find_client(who.to_text());
  if (client == nullptr) return;
  const auto session = client->session;  // Closing erases the client.
  session->close(reason);
}

void DeviceEndpoint::close_ended_tokens() {
  const std::int64_t now_s = parts_.clock.now_us() / 1'000'000;
  std::vector<messaging::SessionPointer> ended;
  for (const auto& [id, client] : clients_) {
    if (client.token_end_s <= now_s) ended.push_back(client.session);
  }
  for (const auto& session : ended) session->close("its token has ended");
}

ConnectionState DeviceEndpoint::connection_of(const contract::Identity& who) const {
  const auto known = states_.with([&](const auto& states) -> std::optional<ConnectionState> {
    const auto found = states.find(who.to_text());
    if (found == states.end()) return std::nullopt;
    return found->second;
  });
  if (known) return *known;
  const auto record = parts_.identities.find(who);
  return {false, record ? record->last_seen_us : 0};
}

std::size_t DeviceEndpoint::connected_count() const { return clients_.size(); }

void DeviceEndpoint::close() {
  changed_ = nullptr;
  endpoint_->close();
  methods_->close();
}

}  // namespace verge::hub
