// agent/reconcile/report.h -- the reported properties of $edgeAgent, in IoT Edge's field names.
//
// Source: wire contract §3.2. Only the difference to what the hub has is sent (contract::difference).
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "agent/reconcile/plan.h"
#include "base/json.h"

namespace verge::agent {

struct ReportInput {
  const PlanInput* state = nullptr;
  contract::AgentConfig config;
  contract::DeploymentStatus status;  ///< Of reading the manifest; failing commands make it 500.
  std::int64_t desired_version = 0;
  EngineInfo engine;
  std::map<std::string, std::string> image_hashes;  ///< Module -> digest, where known.
  std::map<std::string, std::string> remarks;       ///< Module -> what was left out of its createOptions.
  std::string agent_version;
};

Json agent_report(const ReportInput& input);

}  // namespace verge::agent
