// agent/agent_methods.h -- the direct methods of $edgeAgent: ping, RestartModule, GetModuleLogs.
//
// Source: wire contract §3.4. Threads: on the loop's thread; logs are read by the workers.
#pragma once

#include <functional>
#include <string>

#include "agent/reconcile/reconciler.h"
#include "base/loop.h"

namespace verge::agent {

using AnswerMethod = std::function<void(int status, std::string payload)>;

struct MethodSurroundings {
  Loop& loop;
  Workers& workers;
  ContainerEngine& engine;
  Reconciler& reconciler;
  const Settings& settings;
};

/// Calls `answer` once, on the loop. Names are compared without regard to case, as IoT Edge does.
void call_agent_method(const MethodSurroundings& surroundings, const std::string& name, const std::string& payload,
                       const AnswerMethod& answer);

}  // namespace verge::agent
