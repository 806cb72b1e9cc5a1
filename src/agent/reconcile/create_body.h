// agent/reconcile/create_body.h -- the container of one module, as the Docker Engine API's create body.
//
// The manifest's createOptions are the base; what protects the device and what the module needs to reach us is ours
// and wins: read-only root, no capabilities, no new privileges, limits, the module network, the workload socket,
// the IOTEDGE_* variables. What createOptions ask for beyond that is left out unless agent.json allows it, and named in
// `left_out` for the report.
// Source: wire contract §3.1, §3.3, §4.4. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/engine/container_engine.h"
#include "agent/settings.h"
#include "base/json.h"
#include "contract/manifest.h"

namespace verge::agent {

/// What is the same for all modules of this agent.
struct ModuleSurroundings {
  const Settings& settings;
  EngineInfo engine;
};

struct CreateBody {
  Json body;
  std::vector<std::string> left_out;  ///< Sentences: "HostConfig.Privileged is not allowed on this device".
};

/// generation: of the module's identity; image: what the reference stands for in the engine.
CreateBody make_create_body(const contract::ModuleSpec& spec, const ModuleSurroundings& surroundings,
                            const EngineImage& image, const std::string& generation);

/// What names the container that fits a spec: changes when, and only when, the container has to be made again. Does
/// not depend on the engine or on the image's content, so that restarts and upgrades of the engine re-create nothing.
std::string spec_hash(const contract::ModuleSpec& spec, const Settings& settings, const std::string& generation);

/// "verge-<home>-<module>-<hash>": unique on the machine, so that the old and the new container of a module can exist
/// side by side, and two agents, too.
std::string container_name(const Settings& settings, const std::string& module, const std::string& hash);

/// The labels that say "ours": nothing without them is ever touched.
Labels owner_labels(const Settings& settings);
std::string module_label(const Settings& settings);  ///< Name of the label that holds the module's name.
std::string hash_label(const Settings& settings);
std::string order_label(const Settings& settings);
/// The module's container among all of ours: the one that runs, else any, else null.
const Container* container_among(const std::vector<Container>& ours, const std::string& module,
                                 const Settings& settings);

}  // namespace verge::agent
