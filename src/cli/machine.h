// cli/machine.h -- one machine as hub and device at once: starting, joining, stopping, looking.
//
// Threads: calls block and print progress to standard output.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "cli/engine_service.h"
#include "cli/home.h"
#include "cli/hub_client.h"
#include "cli/supervisor.h"

namespace verge::cli {

struct MachineOptions {
  std::string device;  ///< Default: this machine's host name.
  std::string listen = "127.0.0.1";
  std::uint16_t mqtt_port = 8883, https_port = 8443, http_port = 8080;
  std::string subnet = "172.31.77.0/24", gateway = "172.31.77.1";
  bool has_hub = true;  ///< False after `verge join`: this machine is only a device.
};

/// How a machine was started, as kept in home.machine_file().
struct Machine {
  MachineOptions options;
  EngineChoice engine;
};
/// Errors: not_found ("start it with verge up"), corrupt.
Result<Machine> load_machine(const Home& home);

/// The host name in the letters a device id may have; "edge" when there is none.
std::string default_device_name();

/// The programs of one machine: engine (if it is ours), hub, agent. The programs lie beside the running one.
Result<std::vector<ChildSpec>> machine_children(const Home& home, const MachineOptions& options,
                                                const EngineChoice& engine);

/// Starts what does not run yet, without waiting. A second call adopts what runs and keeps the options it was started
/// with. An agent that is joined gets this start's engine, network and (with a hub here) ports.
/// Errors: conflict when a port is taken by somebody else (naming it), limit without room on the disk.
Status start_programs(const Home& home, const MachineOptions& options, const EngineChoice& engine);

/// start_programs(), then waits until hub and engine answer.
/// Errors: as above; unavailable with the last lines of the log when one does not come up.
Result<HubClient> start_machine(const Home& home, const MachineOptions& options, const EngineChoice& engine);

/// The device that this home is joined as; nothing when it is not.
std::optional<std::string> joined_device(const Home& home);

/// Writes the agent's settings from a join token; keeps the key in a file of mode 0600.
/// Errors: not_found, conflict when this home is joined already as another device, the hub's refusal.
Status join_hub(const Home& home, const std::string& hub_url, const std::string& trust_pem, const std::string& token,
                const std::string& device, const MachineOptions& options, const EngineChoice& engine);

/// Ends agent, containers, hub, engine (if it is ours), in this order; then looks for anything left and says so.
/// `purge` removes VERGE_HOME too. Errors: unavailable naming what is left.
Status stop_machine(const Home& home, bool purge);

/// The newest lines of a program's log ("hub", "agent", "engine", "supervisor"). Errors: not_found.
Result<std::string> program_log(const Home& home, const std::string& program, std::size_t lines);

/// {"supervisor": {"running", "pid"}, "programs": [{"name","pid","running","restarts","memory_bytes"}], "home"}
Result<Json> machine_status(const Home& home);

}  // namespace verge::cli
