#include "agent/reconcile/plan.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace verge::agent {
namespace {

using contract::DesiredStatus;
using contract::RestartPolicy;

enum class Condition : std::uint8_t { never_started, running, unhealthy, lost, stopped, failed };

Condition condition_of(const ActualContainer& actual) {
  if (actual.is_lost) return Condition::lost;
  switch (actual.container.state) {
    case ContainerState::running:
      return actual.container.health == "unhealthy" ? Condition::unhealthy : Condition::running;
    case ContainerState::created:
      return Condition::never_started;
    case ContainerState::dead:
      return Condition::lost;
    case ContainerState::paused:
    case ContainerState::restarting:
      return Condition::stopped;
    case ContainerState::removing:
    case ContainerState::exited:
      break;
  }
  return actual.container.exit_code == 0 ? Condition::stopped : Condition::failed;
}

bool has_given_up(RestartPolicy policy, const ModuleHistory& history) {
  return policy != RestartPolicy::always && history.restart_count >= kRestartsMax;
}

bool wants_restart(RestartPolicy policy, Condition condition) {
  switch (policy) {
    case RestartPolicy::never:
      return false;
    case RestartPolicy::on_failure:
      return condition == Condition::failed || condition == Condition::lost;
    case RestartPolicy::on_unhealthy:
      return condition == Condition::failed || condition == Condition::lost || condition == Condition::unhealthy;
    case RestartPolicy::always:
      return condition != Condition::running;
  }
  return false;
}

/// Plans one module at a time; the caller sorts.
class Planner {
 public:
  explicit Planner(const PlanInput& input) : input_(input) {}

  std::vector<Command> run(std::optional<std::int64_t>* rest_us) {
    find_waiting_group();
    for (const auto& [name, module] : input_.desired) plan_module(name, module);
    for (const auto& actual : input_.actual) {
      if (input_.desired.count(actual.module) == 0) {
        commands_.push_back({Action::remove, actual.module, actual.container.id, actual.startup_order});
      }
    }
    std::stable_sort(commands_.begin(), commands_.end(),
                     [](const Command& a, const Command& b) { return key_of(a) < key_of(b); });
    if (rest_us != nullptr && rest_us_) *rest_us = rest_us_;
    return std::move(commands_);
  }

 private:
  static std::tuple<bool, std::uint32_t, int> key_of(const Command& command) {
    const int phase = command.action == Action::remove ? 0 : 1;
    return {command.action != Action::fetch, command.action == Action::fetch ? 0 : command.group, phase};
  }

  /// True once `wait_us` have passed; a clock that was set back does not block for ever.
  bool is_due(std::int64_t since_us, std::int64_t wait_us) {
    const std::int64_t passed_us = input_.now_us - since_us;
    if (passed_us < 0 || passed_us >= wait_us) return true;
    rest_us_ = std::min(rest_us_.value_or(wait_us), wait_us - passed_us);
    return false;
  }

  bool cools_off_after_failure(const ModuleHistory& history) {
    return history.failure_count > 0 &&
           !is_due(history.last_failure_us, cool_off_us(history.failure_count - 1, input_.cool_off));
  }

  const ModuleHistory& history_of(const std::string& module) const {
    static const ModuleHistory none;
    const auto found = input_.history.find(module);
    return found == input_.history.end() ? none : found->second;
  }

  /// Groups above the lowest one whose first image is still to come do not start yet.
  void find_waiting_group() {
    for (const auto& [name, module] : input_.desired) {
      const bool is_first_fetch = !module.has_image && module.blocked.empty() &&
                                  container_of(input_, name) == nullptr && history_of(name).failure_count == 0;
      if (is_first_fetch) waiting_group_ = std::min(waiting_group_, module.spec.startup_order);
    }
  }

  void plan_module(const std::string& name, const DesiredModule& module) {
    const ActualContainer* chosen = container_of(input_, name);
    for (const auto& actual : input_.actual) {
      // More than one is left behind by an agent that died while it replaced a container.
      if (actual.module == name && &actual != chosen) add(Action::remove, name, module, actual.container.id);
    }
    const ModuleHistory& history = history_of(name);
    if (chosen == nullptr) {
      create(name, module, history);
    } else if (chosen->hash != module.hash) {
      replace(name, module, *chosen, history);
    } else {
      keep(name, module, *chosen, history);
    }
  }

  bool can_create(const std::string& name, const DesiredModule& module, const ModuleHistory& history) {
    if (!module.blocked.empty() || cools_off_after_failure(history)) return false;
    if (module.has_image) return true;
    add(Action::fetch, name, module, {});
    return false;
  }

  void create(const std::string& name, const DesiredModule& module, const ModuleHistory& history) {
    if (!can_create(name, module, history) || module.spec.startup_order > waiting_group_) return;
    add(Action::create, name, module, {});
  }

  void replace(const std::string& name, const DesiredModule& module, const ActualContainer& old,
               const ModuleHistory& history) {
    if (can_create(name, module, history)) {
      add(Action::replace, name, module, old.container.id);
      return;
    }
    // The old set keeps running until the new one can be made.
    if (module.spec.status == DesiredStatus::running) keep_running(name, module, old, history);
  }

  void keep(const std::string& name, const DesiredModule& module, const ActualContainer& actual,
            const ModuleHistory& history) {
    if (module.spec.status == DesiredStatus::running) {
      keep_running(name, module, actual, history);
    } else if (condition_of(actual) == Condition::running || condition_of(actual) == Condition::unhealthy) {
      add(Action::stop, name, module, actual.container.id);
    } else if (condition_of(actual) == Condition::lost) {
      add(Action::remove, name, module, actual.container.id);
    }
  }

  void keep_running(const std::string& name, const DesiredModule& module, const ActualContainer& actual,
                    const ModuleHistory& history) {
    const Condition condition = condition_of(actual);
    if (condition == Condition::running || cools_off_after_failure(history)) return;
    if (condition == Condition::never_started) {
      if (module.spec.startup_order <= waiting_group_) add(Action::start, name, module, actual.container.id);
      return;
    }
    const RestartPolicy policy = module.spec.restart_policy;
    const bool ended = condition == Condition::stopped || condition == Condition::failed;
    if (ended && policy != RestartPolicy::never && (history.was_stopped_by_us || ended_with_machine(actual))) {
      add(Action::start, name, module, actual.container.id);
      return;
    }
    if (!wants_restart(policy, condition) || has_given_up(policy, history)) return;
    const std::int64_t since_us = std::max(history.last_exit_us, history.last_restart_us);
    if (!is_due(since_us, cool_off_us(history.restart_count, input_.cool_off))) return;
    add(condition == Condition::lost ? Action::revive : Action::restart, name, module, actual.container.id);
  }

  bool ended_with_machine(const ActualContainer& actual) const {
    return actual.container.started_us != 0 && actual.container.started_us < input_.boot_us;
  }

  void add(Action action, const std::string& name, const DesiredModule& module, const std::string& container) {
    commands_.push_back({action, name, container, module.spec.startup_order});
  }

  const PlanInput& input_;
  std::vector<Command> commands_;
  std::uint32_t waiting_group_ = 4294967295U;
  std::optional<std::int64_t> rest_us_;
};

void note_exit(const ActualContainer& actual, std::int64_t now_us, ModuleHistory& history) {
  const Container& container = actual.container;
  if (actual.is_lost) {
    // Nobody knows when it ended: it counts from when we saw it.
    if (history.last_exit_us < container.started_us) history.last_exit_us = now_us;
    history.last_exit_code = 137;
  } else if (container.state == ContainerState::exited && container.finished_us > 0) {
    history.last_exit_us = container.finished_us;
    history.last_exit_code = container.exit_code;
  }
}

}  // namespace

std::int64_t cool_off_us(std::uint32_t count, const CoolOff& cool_off) {
  constexpr std::uint32_t kDoublingsMax = 20;  // Beyond it every sensible maximum is reached, and nothing overflows.
  return std::min(cool_off.first_us << std::min(count, kDoublingsMax), cool_off.max_us);
}

std::string_view name_of(Action action) {
  switch (action) {
    case Action::fetch:
      return "fetch";
    case Action::remove:
      return "remove";
    case Action::create:
      return "create";
    case Action::replace:
      return "replace";
    case Action::revive:
      return "revive";
    case Action::start:
      return "start";
    case Action::restart:
      return "restart";
    case Action::stop:
      return "stop";
  }
  return "";
}

std::vector<Command> plan(const PlanInput& input, std::optional<std::int64_t>* rest_us) {
  return Planner(input).run(rest_us);
}

std::map<std::string, ModuleHistory> observe(const PlanInput& input) {
  std::map<std::string, ModuleHistory> next;
  for (const auto& [name, module] : input.desired) {
    const auto known = input.history.find(name);
    ModuleHistory history = known == input.history.end() ? ModuleHistory{} : known->second;
    const ActualContainer* actual = container_of(input, name);
    if (actual != nullptr) {
      note_exit(*actual, input.now_us, history);
      if (condition_of(*actual) == Condition::running) {
        history.was_stopped_by_us = false;
        const bool is_healthy = input.now_us - actual->container.started_us >= kHealthyAfter_us;
        if (is_healthy) history.restart_count = 0;
      }
    }
    next.emplace(name, std::move(history));
  }
  return next;
}

std::string_view name_of(RuntimeStatus status) {
  switch (status) {
    case RuntimeStatus::unknown:
      return "unknown";
    case RuntimeStatus::backoff:
      return "backoff";
    case RuntimeStatus::running:
      return "running";
    case RuntimeStatus::unhealthy:
      return "unhealthy";
    case RuntimeStatus::stopped:
      return "stopped";
    case RuntimeStatus::failed:
      return "failed";
    case RuntimeStatus::dead:
      return "dead";
  }
  return "";
}

RuntimeStatus status_of(const DesiredModule& desired, const ActualContainer* container, const ModuleHistory& history) {
  if (container == nullptr) {
    if (history.failure_count > 0) return RuntimeStatus::failed;
    return RuntimeStatus::unknown;
  }
  const Condition condition = condition_of(*container);
  if (condition == Condition::running) return RuntimeStatus::running;
  if (condition == Condition::never_started && history.failure_count > 0) return RuntimeStatus::failed;
  const RestartPolicy policy = desired.spec.restart_policy;
  const bool will_restart = desired.spec.status == DesiredStatus::running && wants_restart(policy, condition) &&
                            !history.was_stopped_by_us && condition != Condition::never_started;
  if (will_restart && has_given_up(policy, history)) return RuntimeStatus::failed;
  if (condition == Condition::unhealthy) return RuntimeStatus::unhealthy;
  if (will_restart) return RuntimeStatus::backoff;
  if (condition == Condition::lost) return RuntimeStatus::dead;
  if (condition == Condition::failed && !history.was_stopped_by_us) return RuntimeStatus::failed;
  return RuntimeStatus::stopped;
}

const ActualContainer* container_of(const PlanInput& input, const std::string& module) {
  const auto desired = input.desired.find(module);
  const ActualContainer* any = nullptr;
  for (const auto& actual : input.actual) {
    if (actual.module != module) continue;
    if (desired != input.desired.end() && actual.hash == desired->second.hash) return &actual;
    if (any == nullptr || actual.container.state == ContainerState::running) any = &actual;
  }
  return any;
}

}  // namespace verge::agent
