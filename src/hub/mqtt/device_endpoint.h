// hub/mqtt/device_endpoint.h -- Azure's MQTT contract over the endpoint library: who connects, what each topic does.
//
// Source: wire contract §1. Topics form a closed set per identity; anything else, and anything oversized, closes the
// connection, because MQTT 3.1.1 has no other way to say no. A connection ends when its token does.
// Threads: everything on the loop's thread, except connection_of().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/guarded.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/net.h"
#include "base/time.h"
#include "contract/topics.h"
#include "hub/identities/identities.h"
#include "hub/identities/identity_json.h"
#include "hub/mqtt/ingest.h"
#include "hub/mqtt/methods.h"
#include "hub/rest/access.h"
#include "hub/twins/twins.h"
#include "messaging/endpoint.h"

namespace verge::hub {

/// What the endpoint works with; all outlive it. `control` runs the calls that wait for the disk, in their order.
struct DeviceEndpointParts {
  Loop& loop;
  Workers& control;
  const Clock& clock;
  Identities& identities;
  Twins& twins;
  const Access& access;
  Ingest& ingest;
  Metrics& metrics;
};

class DeviceEndpoint {
 public:
  explicit DeviceEndpoint(const DeviceEndpointParts& parts);
  ~DeviceEndpoint();

  /// Takes over an accepted stream (TLS, or MQTT over WebSocket).
  void accept(ConnectionPointer connection, std::uint16_t local_port);
  Methods& methods() { return *methods_; }
  /// Sends a change of desired properties, if the identity listens.
  void push_desired(const contract::Identity& who, const std::string& patch, std::int64_t version);
  /// Ends its connection, if there is one: it was removed or disabled.
  void disconnect(const contract::Identity& who, std::string_view reason);
  /// Any thread.
  ConnectionState connection_of(const contract::Identity& who) const;
  std::size_t connected_count() const;
  /// Closes all connections; no call-back follows.
  void close();

  /// Called when an identity connects or disconnects.
  void on_connection(std::function<void(const contract::Identity&, bool is_connected)> changed) {
    changed_ = std::move(changed);
  }

 private:
  struct Client {
    contract::Identity who;
    Ingest::SenderPointer sender;
    std::int64_t token_end_s = 0;
    messaging::SessionPointer session;
  };
  using Verdict = std::function<void(messaging::ConnectCode, std::string)>;

  messaging::Endpoint::Handlers handlers();
  void authenticate(const messaging::ConnectRequest& request, const Verdict& verdict);
  Result<contract::Identity> identity_of(const messaging::ConnectRequest& request) const;
  void connected(const messaging::SessionPointer& session);
  void closed(const messaging::SessionPointer& session, bool clean);
  void send_will(const Client& client, const messaging::ConnectRequest& request);
  Status published(const messaging::SessionPointer& session, const messaging::PublishIn& message,
                   messaging::Acknowledge acknowledge);
  Status telemetry(const Client& client, const contract::TelemetryTopic& topic, const messaging::PublishIn& message,
                   messaging::Acknowledge acknowledge);
  void answer_twin_get(const Client& client, const std::string& request_id);
  void apply_twin_patch(const Client& client, const std::string& request_id, std::string body,
                        messaging::Acknowledge acknowledge);
  void answer_twin(const std::weak_ptr<messaging::Session>& session, const std::string& topic, const std::string& body);
  void close_ended_tokens();
  Client* find_client(const std::string& identity);

  DeviceEndpointParts parts_;
  std::unordered_map<std::string, Client> clients_;  ///< Connected ones, by "device[/module]".
  Guarded<std::unordered_map<std::string, ConnectionState>> states_;
  std::function<void(const contract::Identity&, bool)> changed_;
  Gauge& connections_;
  Counter& refused_connects_;
  Loop::TimerId timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< Answers of workers that come too late are dropped.
  std::unique_ptr<Methods> methods_;
  std::unique_ptr<messaging::Endpoint> endpoint_;
};

}  // namespace verge::hub
