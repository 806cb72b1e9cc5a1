#include "agent/reconcile/report.h"

#include <fmt/format.h>

#include "base/time.h"
#include "contract/twin.h"

namespace verge::agent {
namespace {

constexpr std::size_t kDescriptionBytesMax = 512;  // Long engine messages must not fill the twin's 32 KB.

std::string time_text(std::int64_t time_us) { return time_us <= 0 ? "0001-01-01T00:00:00Z" : to_iso8601(time_us); }

std::string shortened(std::string text) {
  if (text.size() > kDescriptionBytesMax) text.resize(kDescriptionBytesMax);
  return text;
}

std::string describe(const DesiredModule& module, const ActualContainer* actual, const ModuleHistory& history,
                     const ReportInput& input) {
  std::string text;
  if (!module.blocked.empty()) {
    text = module.blocked;
  } else if (history.failure_count > 0) {
    text = history.last_failure;
  } else if (actual == nullptr) {
    text = module.has_image ? "about to be created" : "fetching the image";
  } else if (actual->is_lost) {
    text = "the engine says running, but its process is gone";
  } else if (actual->container.state == ContainerState::exited && actual->container.exit_code == 137 &&
             !history.was_stopped_by_us) {
    text = "killed, perhaps for its memory limit";
  } else if (actual->container.state == ContainerState::exited) {
    text = fmt::format("ended with code {}", actual->container.exit_code);
  } else if (actual->container.state == ContainerState::running) {
    text = "running";
  }
  const auto remark = input.remarks.find(module.spec.name);
  if (remark != input.remarks.end()) text += (text.empty() ? "" : "; ") + remark->second;
  return shortened(std::move(text));
}

Json settings_report(const contract::ModuleSpec& spec, const std::string& image_hash) {
  Json settings = contract::split_create_options(spec.create_options);
  settings["image"] = spec.image;
  settings["imageHash"] = image_hash;
  return settings;
}

Json module_report(const std::string& name, const DesiredModule& module, const ReportInput& input) {
  static const ModuleHistory none;
  const auto found = input.state->history.find(name);
  const ModuleHistory& history = found == input.state->history.end() ? none : found->second;
  const ActualContainer* actual = container_of(*input.state, name);
  const auto hash = input.image_hashes.find(name);
  Json environment = Json::object();
  for (const auto& [key, value] : module.spec.environment) environment[key] = {{"value", value}};
  return {{"version", module.spec.version},
          {"type", module.spec.type},
          {"status", contract::to_text(module.spec.status)},
          {"restartPolicy", contract::to_text(module.spec.restart_policy)},
          {"imagePullPolicy", module.spec.pull_policy == contract::PullPolicy::never ? "never" : "on-create"},
          {"startupOrder", module.spec.startup_order},
          {"env", environment},
          {"settings", settings_report(module.spec, hash == input.image_hashes.end() ? "" : hash->second)},
          {"exitCode", history.last_exit_code},
          {"statusDescription", describe(module, actual, history, input)},
          {"lastStartTimeUtc", time_text(actual == nullptr ? 0 : actual->container.started_us)},
          {"lastExitTimeUtc", time_text(history.last_exit_us)},
          {"restartCount", history.restart_count},
          {"lastRestartTimeUtc", time_text(history.last_restart_us)},
          {"runtimeStatus", name_of(status_of(module, actual, history))}};
}

Json system_module_report(const contract::AgentConfig& config, const std::string& name) {
  const auto found = config.system_modules.find(name);
  Json report = {{"type", "docker"},
                 {"runtimeStatus", "running"},
                 {"exitCode", 0},
                 {"restartCount", 0},
                 {"statusDescription", "part of the agent's own process"},
                 {"settings", {{"image", ""}, {"imageHash", ""}, {"createOptions", "{}"}}}};
  if (found != config.system_modules.end()) report["settings"]["image"] = found->second.image;
  if (name == "edgeHub") report["status"] = "running", report["restartPolicy"] = "always";
  return report;
}

contract::DeploymentStatus overall_status(const ReportInput& input) {
  if (input.status.code != 200) return input.status;
  for (const auto& [name, history] : input.state->history) {
    if (history.failure_count > 0) return {500, shortened(fmt::format("module {}: {}", name, history.last_failure))};
  }
  return input.status;
}

}  // namespace

Json agent_report(const ReportInput& input) {
  const auto status = overall_status(input);
  Json modules = Json::object();
  for (const auto& [name, module] : input.state->desired) modules[name] = module_report(name, module, input);
  Json runtime_settings = Json::object();
  if (const Json* given = find_member(input.config.original, {"runtime", "settings"}); given != nullptr) {
    runtime_settings = *given;
    if (runtime_settings.is_object()) runtime_settings.erase("registryCredentials");  // Never echo a password.
  }
  return {{"schemaVersion", "1.1"},
          {"version", {{"version", input.agent_version}, {"build", "verge"}, {"commit", ""}}},
          {"lastDesiredVersion", input.desired_version},
          {"lastDesiredStatus", {{"code", status.code}, {"description", status.description}}},
          {"runtime",
           {{"type", "docker"},
            {"platform",
             {{"os", input.engine.os}, {"architecture", input.engine.architecture}, {"version", input.engine.version}}},
            {"settings", runtime_settings}}},
          {"systemModules",
           {{"edgeAgent", system_module_report(input.config, "edgeAgent")},
            {"edgeHub", system_module_report(input.config, "edgeHub")}}},
          {"modules", modules}};
}

}  // namespace verge::agent
