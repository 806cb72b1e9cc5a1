// agent/router/router.h -- the modules' endpoint on the device (IoT Edge's edgeHub): MQTT on 8883, HTTPS on 443.
//
// Outputs go along the routes into the outbox; twins, desired patches and methods pass between module and hub; plain
// topics (not below $, devices/, verge/) pass between modules, in memory, QoS 0 or 1, not kept for absent receivers;
// verge/live/MODULE/STREAM goes to the live view, QoS 0, from that module only.
// Peers outside the module subnet and loopback are refused. Modules prove themselves with SAS tokens against keys that
// are known without the hub.
// Threads: everything on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/outbox/outbox.h"
#include "agent/router/module_twins.h"
#include "agent/router/route_table.h"
#include "agent/settings.h"
#include "agent/upstream/hub_api.h"
#include "base/http_server.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/net.h"
#include "base/time.h"

namespace verge::agent {

struct RouterOptions {
  std::string address;  ///< To listen on; the module network's gateway.
  std::uint16_t mqtt_port = 8883;
  std::uint16_t https_port = 443;
  bool bind_before_address_exists = true;
  std::size_t message_bytes_max = 262'144;        ///< Azure's: body and properties.
  std::size_t methods_max = 256;                  ///< Open method calls.
  std::chrono::milliseconds token_sweep{10'000};  ///< How often sessions whose token ended are closed.
};

struct MethodCall {
  std::string module, name, payload;
  std::chrono::milliseconds timeout{30'000};
};
using OnMethodAnswer = std::function<void(Result<std::pair<int, std::string>> status_and_payload)>;

class Router {
 public:
  struct Surroundings {
    Loop& loop;
    const Clock& clock;
    const Settings& settings;
    Metrics& metrics;
    Outbox& outbox;
    ModuleTwins& twins;
  };
  struct Handlers {
    std::function<void(const std::string&module)> connected, disconnected;
    std::function<void(const std::string& module, const std::string& stream, std::string_view frame)> live;
  };

  Router(Surroundings surroundings, RouterOptions options, Handlers handlers);
  ~Router();

  /// tls null: plain, for tests. Errors: as listen_tcp.
  Status listen(const TlsPointer& tls);
  void set_tls(const TlsPointer& tls);
  std::uint16_t mqtt_port() const;
  std::uint16_t https_port() const;

  void set_identities(const ModuleIdentities& identities);
  void set_routes(RouteTable routes);
  /// Closes the sessions of modules that are no longer wanted.
  void disconnect(const std::string& module);

  bool is_connected(const std::string& module) const;
  /// To a connected module. Errors: not_found when it is not connected or does not listen for methods; timeout.
  void call_method(MethodCall call, OnMethodAnswer done);
  void deliver_desired(const std::string& module, std::int64_t version, const Json& patch);
  /// The sink of an "in:MODULE/INPUT" target.
  std::optional<Outbox::Sink> input_sink(const std::string& target);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::agent
