// connectors/module_client.h -- this program as a module of an IoT Edge device: identity, twin, methods, messages.
//
// Works under our agent and under Azure IoT Edge. Reads IOTEDGE_* from the environment, gets the trust bundle and token
// signatures from the workload API (a unix socket), and speaks MQTT over TLS with the gateway on port 8883.
// Source: wire contract §1.3, §4.4, §4.5.
// Threads: construct, start and stop on the loop's thread; everything else from any thread; handlers run on the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/result.h"
#include "contract/event.h"
#include "pipeline/stage.h"

namespace verge::connectors {

/// Who this module is and where its gateway and workload API are.
struct ModuleEnvironment {
  std::string device, module, generation, iothub_host, gateway_host;
  std::filesystem::path workload_socket;
  std::uint16_t gateway_port = 8883;
};

/// From a map of environment variables. Errors: unavailable "not inside an agent: IOTEDGE_… is missing";
/// invalid_argument for a workload URI that is not unix://.
Result<ModuleEnvironment> read_module_environment(const std::map<std::string, std::string>& variables);
/// The same from this process's environment.
Result<ModuleEnvironment> read_module_environment();

struct ModuleClientOptions {
  ModuleEnvironment environment;
  std::int64_t token_life_s = 3600;  ///< A token is replaced, by connecting again, at four fifths of its life.
  std::size_t events_max = 10'000;   ///< Waiting events; then the oldest of severity info goes, else the oldest.
  std::size_t in_flight_max = 64;    ///< Events sent and not yet acknowledged.
};

class ModuleClient {
 public:
  using MethodAnswer = std::function<void(pipeline::MethodReply)>;
  struct Handlers {
    /// The whole desired properties, after each connection and each change; "$version" included.
    std::function<void(const Json& desired)> desired;
    /// Answers once, at once or later, from any thread.
    std::function<void(const std::string& name, const Json& parameters, MethodAnswer answer)> method;
    std::function<void(bool is_connected)> connection;
  };
  using OnMessage = std::function<void(std::string_view topic, std::string_view payload)>;

  ModuleClient(Loop& loop, ModuleClientOptions options, Metrics& metrics);
  ~ModuleClient();
  ModuleClient(const ModuleClient&) = delete;
  ModuleClient& operator=(const ModuleClient&) = delete;

  /// Begins to connect, for ever, with back-off. The workload API may come up later.
  void start(Handlers handlers);
  void stop();

  const ModuleEnvironment& environment() const;
  /// Queues an event for output `output`; it gets its id and sequence when it leaves, so that sequences have no holes.
  void send_event(std::string output, contract::Event event);
  /// Sends a merge patch of reported properties; the newest wins, sent again until it is acknowledged.
  void report(Json patch);
  /// Plain topics of the device's router, outside Azure's set. QoS 0 is dropped when not connected.
  void publish(std::string topic, std::string payload, std::uint8_t qos);
  /// Remembered over reconnects. Returns an id for unsubscribe.
  std::uint64_t subscribe(std::string filter, OnMessage on_message);
  void unsubscribe(std::uint64_t id);
  bool is_connected() const;
  std::uint64_t dropped_events() const;
  /// Events that are not yet acknowledged.
  std::size_t waiting_events() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace verge::connectors
