// agent/upstream/hub_link.h -- one identity's MQTT connection to the hub: telemetry, twin, methods.
//
// Connects with the identity's own key, renews the token before it ends, reconnects for ever.
// Threads: everything on the loop's thread; call-backs come from there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/settings.h"
#include "agent/upstream/hub_api.h"
#include "base/json_fwd.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/time.h"
#include "contract/topics.h"

namespace verge::agent {

class HubLink {
 public:
  struct Handlers {
    std::function<void()> connected;
    std::function<void(const Error& reason)> disconnected;
    /// A change of desired properties, with $version inside.
    std::function<void(std::int64_t version, const Json& patch)> desired;
    /// A direct method; answer once, within 300 s.
    std::function<void(const std::string& name, const std::string& payload,
                       std::function<void(int status, std::string payload)> answer)>
        method;
  };

  /// tls: null for a hub without TLS. identity: the key to connect with.
  HubLink(Loop& loop, const Clock& clock, const Settings& settings, TlsPointer tls, std::string module,
          const ModuleIdentity& identity, Handlers handlers);
  ~HubLink();

  void start();
  bool is_connected() const;
  /// QoS 1; `done` when the hub acknowledged it. Errors: limit.
  Status publish(const contract::PropertyBag& properties, std::string_view payload, std::function<void(Status)> done);
  /// The whole twin: {"desired": {…, "$version"}, "reported": {…, "$version"}}. Errors: unavailable, timeout (30 s),
  /// and what the hub's status says.
  void get_twin(std::function<void(Result<Json>)> done);
  /// Merges into the reported properties; gives their new version.
  void report(const Json& patch, std::function<void(Result<std::int64_t>)> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::agent
