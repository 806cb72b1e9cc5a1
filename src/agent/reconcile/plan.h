// agent/reconcile/plan.h -- what to do next, as a pure function of what should be, what is, and what was.
//
// Source: wire contract §3.3 (IoT Edge's planner). Two things differ on purpose: policy `always` never gives up
// (the original stops after 20 restarts, which strands a device after a long outage), and a module that ran before the
// machine went down is started again under `on-failure` and `on-unhealthy`, too.
// A new image is fetched while the old container runs; a higher start-up order waits for a lower one's first fetch.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/engine/container_engine.h"
#include "contract/manifest.h"

namespace verge::agent {

inline constexpr std::uint32_t kRestartsMax = 20;  ///< For every policy but `always`.
inline constexpr std::int64_t kCoolOffFirst_us = 10'000'000;
inline constexpr std::int64_t kCoolOffMax_us = 300'000'000;
inline constexpr std::int64_t kHealthyAfter_us = 600'000'000;  ///< Running so long clears the counters.

/// How long a module rests before its next start; agent.json may set other numbers than IoT Edge's.
struct CoolOff {
  std::int64_t first_us = kCoolOffFirst_us;
  std::int64_t max_us = kCoolOffMax_us;
};
/// min(first * 2^count, max).
std::int64_t cool_off_us(std::uint32_t count, const CoolOff& cool_off = {});

struct DesiredModule {
  contract::ModuleSpec spec;
  std::string hash;        ///< Names the container that fits; another hash means re-create.
  bool has_image = false;  ///< In the engine, ready to use.
  std::string blocked;     ///< Not empty: why it cannot be created yet (no identity, refused options).
};

struct ActualContainer {
  Container container;
  std::string module;
  std::string hash;
  std::uint32_t startup_order = 4294967295U;
  bool is_lost = false;  ///< The engine says running, but there is no such process.
};

/// What the agent remembers of a module over rounds and over its own restarts.
struct ModuleHistory {
  std::uint32_t restart_count = 0;
  std::int64_t last_exit_us = 0;
  std::int64_t last_restart_us = 0;
  int last_exit_code = 0;
  bool was_stopped_by_us = false;   ///< The exit was our own doing: no failure, no cool-off.
  std::uint32_t failure_count = 0;  ///< Of commands (fetch, create, start) in a row.
  std::int64_t last_failure_us = 0;
  std::string last_failure;
  bool operator==(const ModuleHistory&) const = default;
};

struct PlanInput {
  std::map<std::string, DesiredModule> desired;
  std::vector<ActualContainer> actual;
  std::map<std::string, ModuleHistory> history;
  std::int64_t now_us = 0;
  std::int64_t boot_us = 0;  ///< Wall clock at which the machine started.
  CoolOff cool_off;
};

enum class Action : std::uint8_t {
  fetch,    ///< Bring the module's image into the engine.
  remove,   ///< Stop and remove `container`.
  create,   ///< Create, and start when the module is desired to run.
  replace,  ///< Create the new one, stop `container`, start the new one; on failure start the old one again.
  revive,   ///< `container` is lost or dead: remove it by force, create, start. Counts as a restart.
  start,    ///< Start `container` for the first time, or again after we stopped it.
  restart,  ///< Start `container` again after it ended by itself, or stop and start it when unhealthy.
  stop,
};
std::string_view name_of(Action action);

struct Command {
  Action action = Action::start;
  std::string module;
  std::string container;    ///< Id; empty for fetch and create.
  std::uint32_t group = 0;  ///< Start-up order; groups run one after the other, lowest first.
  bool operator==(const Command&) const = default;
};

/// Fetches first, then by group: removals before the rest. Empty when all is as it should be or cools off.
///
/// rest_us  gets the time until the first module that cools off now may be tried again; stays as it is when none does
std::vector<Command> plan(const PlanInput& input, std::optional<std::int64_t>* rest_us = nullptr);

/// The history after looking at `actual`: exits noted, counters cleared after long health, dropped modules forgotten.
std::map<std::string, ModuleHistory> observe(const PlanInput& input);

enum class RuntimeStatus : std::uint8_t { unknown, backoff, running, unhealthy, stopped, failed, dead };
std::string_view name_of(RuntimeStatus status);

/// Azure's runtimeStatus of one module. `container` is the one it runs in, or null.
RuntimeStatus status_of(const DesiredModule& desired, const ActualContainer* container, const ModuleHistory& history);

/// The container that belongs to `module`: the one with the wanted hash, else any, else null.
const ActualContainer* container_of(const PlanInput& input, const std::string& module);

}  // namespace verge::agent
