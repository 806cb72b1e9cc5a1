#include "agent/reconcile/create_body.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <map>

#include "base/crypto.h"

namespace verge::agent {
namespace {

constexpr int kBodyVersion = 1;  // Count up when a new agent must re-create the modules of an older one.
constexpr const char* kWorkloadFolder = "/var/run/iotedge";
constexpr const char* kDefaultUser = "1000:1000";

/// createOptions members that need permission: where, the permission's name, and when it matters.
struct Guard {
  const char* member;
  const char* permission;
};
constexpr Guard kGuards[] = {
    {"Privileged", "Privileged"},
    {"CapAdd", "CapAdd"},
    {"SecurityOpt", "SecurityOpt"},
    {"Devices", "Devices"},
    {"DeviceRequests", "Devices"},
    {"DeviceCgroupRules", "Devices"},
    {"Binds", "Binds"},
    {"Mounts", "Binds"},
    {"VolumesFrom", "Binds"},
    {"PidMode", "HostNamespaces"},
    {"IpcMode", "HostNamespaces"},
    {"UTSMode", "HostNamespaces"},
    {"UsernsMode", "HostNamespaces"},
    {"CgroupnsMode", "HostNamespaces"},
    {"CgroupParent", "HostNamespaces"},
    {"Sysctls", "Sysctls"},
    {"OomScoreAdj", "Sysctls"},
    {"OomKillDisable", "Sysctls"},
    {"Runtime", "HostNamespaces"},
    {"MaskedPaths", "SecurityOpt"},
    {"ReadonlyPaths", "SecurityOpt"},
};

bool means_nothing(const Json& value) {
  return value.is_null() || value == false || value == "" || value == "private" ||
         (value.is_structured() && value.empty());
}

/// Named volumes belong to the engine and need no permission; paths of the host do.
bool is_host_path(const Json& bind) { return !bind.is_string() || bind.get_ref<const std::string&>().starts_with('/'); }
bool is_bind_mount(const Json& mount) {
  return !mount.is_object() || mount.value("Type", Json("bind")) == Json("bind");
}

class BodyMaker {
 public:
  BodyMaker(const contract::ModuleSpec& spec, const ModuleSurroundings& surroundings, const EngineImage& image,
            const std::string& generation)
      : spec_(spec),
        settings_(surroundings.settings),
        engine_(surroundings.engine),
        image_(image),
        generation_(generation) {}

  CreateBody make() {
    body_ = spec_.create_options.is_object() ? spec_.create_options : Json::object();
    host_ = object_member(body_, "HostConfig");
    remove_guarded();
    set_identity();
    set_environment();
    set_workload_socket();
    set_isolation();
    set_limits();
    set_network();
    body_["HostConfig"] = host_;
    return {std::move(body_), std::move(left_out_)};
  }

 private:
  static Json object_member(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_object() ? *found : Json::object();
  }
  bool is_allowed(const char* permission) const { return settings_.allowed.count(permission) != 0; }
  void leave_out(std::string_view member, const char* permission) {
    left_out_.push_back(fmt::format(
        "HostConfig.{} is not allowed on this device; its owner can add \"{}\" to \"allowed\" in agent.json", member,
        permission));
  }

  void remove_guarded() {
    for (const Guard& guard : kGuards) {
      const auto found = host_.find(guard.member);
      if (found == host_.end() || is_allowed(guard.permission)) continue;
      if (std::string_view(guard.member) == "Binds" && found->is_array()) {
        remove_items(guard, *found, is_host_path);
      } else if (std::string_view(guard.member) == "Mounts" && found->is_array()) {
        remove_items(guard, *found, is_bind_mount);
      } else {
        if (!means_nothing(*found)) leave_out(guard.member, guard.permission);
        host_.erase(guard.member);
      }
    }
  }

  void remove_items(const Guard& guard, Json& list, bool (*is_guarded)(const Json&)) {
    Json kept = Json::array();
    for (const Json& item : list) {
      if (!is_guarded(item)) kept.push_back(item);
    }
    if (kept.size() != list.size()) leave_out(guard.member, guard.permission);
    list = std::move(kept);
  }

  void set_identity() {
    body_["Image"] = image_.id;
    Json labels = object_member(body_, "Labels");
    for (const auto& [key, value] : owner_labels(settings_)) labels[key] = value;
    labels["net.azure-devices.edge.original-image"] = spec_.image;
    labels[module_label(settings_)] = spec_.name;
    labels[hash_label(settings_)] = spec_hash(spec_, settings_, generation_);
    labels[order_label(settings_)] = std::to_string(spec_.startup_order);
    body_["Labels"] = std::move(labels);
    const auto user = body_.find("User");
    const bool is_named = user != body_.end() && user->is_string() && !user->get_ref<const std::string&>().empty();
    if (!is_named) body_["User"] = is_root(image_.user) ? kDefaultUser : image_.user;
  }

  static bool is_root(const std::string& user) {
    const auto name = user.substr(0, user.find(':'));
    return name.empty() || name == "root" || name.find_first_not_of('0') == std::string::npos;
  }

  /// createOptions, then the manifest's env, then ours; the later wins.
  void set_environment() {
    std::map<std::string, std::string> variables;
    if (const auto given = body_.find("Env"); given != body_.end() && given->is_array()) {
      for (const Json& item : *given) {
        if (!item.is_string()) continue;
        const auto& text = item.get_ref<const std::string&>();
        const auto equals = text.find('=');
        variables[text.substr(0, equals)] = equals == std::string::npos ? "" : text.substr(equals + 1);
      }
    }
    for (const auto& [name, value] : spec_.environment) variables[name] = value;
    variables.try_emplace("RuntimeLogLevel", "Information");
    variables["IOTEDGE_WORKLOADURI"] = fmt::format("unix://{}/workload.sock", kWorkloadFolder);
    variables["IOTEDGE_IOTHUBHOSTNAME"] = settings_.hub.host;
    variables["IOTEDGE_GATEWAYHOSTNAME"] = settings_.gateway_host;
    variables["IOTEDGE_DEVICEID"] = settings_.device;
    variables["IOTEDGE_MODULEID"] = spec_.name;
    variables["IOTEDGE_MODULEGENERATIONID"] = generation_;
    variables["IOTEDGE_AUTHSCHEME"] = "sasToken";
    variables["IOTEDGE_APIVERSION"] = "2021-12-07";
    Json list = Json::array();
    for (const auto& [name, value] : variables) list.push_back(name + "=" + value);
    body_["Env"] = std::move(list);
  }

  void set_workload_socket() {
    // The folder, not the file: a mounted socket file would die with the agent that made it.
    Json binds = host_.contains("Binds") && host_["Binds"].is_array() ? host_["Binds"] : Json::array();
    binds.push_back(fmt::format("{}:{}:ro", (settings_.socket_folder() / spec_.name).string(), kWorkloadFolder));
    host_["Binds"] = std::move(binds);
  }

  void set_isolation() {
    if (!is_allowed("WritableRoot") || !host_.contains("ReadonlyRootfs")) {
      const auto given = host_.find("ReadonlyRootfs");
      if (given != host_.end() && *given == false) leave_out("ReadonlyRootfs: false", "WritableRoot");
      host_["ReadonlyRootfs"] = true;
    }
    Json temporary = object_member(host_, "Tmpfs");
    if (!temporary.contains("/tmp")) {
      temporary["/tmp"] = fmt::format("rw,nosuid,nodev,size={},mode=1777", settings_.limits.tmp_bytes);
    }
    host_["Tmpfs"] = std::move(temporary);
    if (host_.value("Privileged", Json(false)) != true) {
      host_["CapDrop"] = Json::array({"ALL"});
      Json security =
          host_.contains("SecurityOpt") && host_["SecurityOpt"].is_array() ? host_["SecurityOpt"] : Json::array();
      security.push_back("no-new-privileges");
      host_["SecurityOpt"] = std::move(security);
    }
    // The agent restarts modules, with back-off; the engine would do it at once and for ever.
    host_["RestartPolicy"] = {{"Name", "no"}};
    host_["AutoRemove"] = false;
    host_["LogConfig"] = {{"Type", engine_.name == "podman" ? "k8s-file" : "json-file"},
                          {"Config", {{"max-size", fmt::format("{}k", settings_.limits.log_bytes_max >> 10)}}}};
  }

  /// The asked value within 1..max, or `fallback`.
  std::int64_t capped(const char* member, std::int64_t fallback, std::int64_t max) const {
    const auto given = host_.find(member);
    const bool is_given = given != host_.end() && given->is_number_integer() && given->get<std::int64_t>() > 0;
    return std::min(is_given ? given->get<std::int64_t>() : fallback, max);
  }

  void set_limits() {
    const ModuleLimits& limits = settings_.limits;
    const auto memory = capped("Memory", limits.memory_bytes_default, limits.memory_bytes_max);
    const auto pids = capped("PidsLimit", limits.pids_default, limits.pids_max);
    for (const char* member : {"Memory", "MemorySwap", "PidsLimit"}) host_.erase(member);
    if (engine_.limits_memory) host_["Memory"] = memory, host_["MemorySwap"] = memory;
    if (engine_.limits_pids) host_["PidsLimit"] = pids;
    if (limits.cpus_max > 0) {
      const auto most = static_cast<std::int64_t>(limits.cpus_max * 1e9);
      host_["NanoCpus"] = capped("NanoCpus", most, most);
    }
    if (!engine_.limits_cpu) host_.erase("NanoCpus");
  }

  void set_network() {
    Json hosts = host_.contains("ExtraHosts") && host_["ExtraHosts"].is_array() ? host_["ExtraHosts"] : Json::array();
    hosts.push_back(fmt::format("{}:{}", settings_.gateway_host, settings_.network.gateway));
    host_["ExtraHosts"] = std::move(hosts);
    const std::string mode = host_.contains("NetworkMode") && host_["NetworkMode"].is_string()
                                 ? host_["NetworkMode"].get<std::string>()
                                 : "";
    const bool is_foreign = mode == "host" || mode.starts_with("container:") || mode.starts_with("ns:");
    if (is_foreign && is_allowed("HostNetwork")) return;
    if (is_foreign) leave_out("NetworkMode: " + mode, "HostNetwork");
    const Json networking = object_member(body_, "NetworkingConfig");
    if (!is_foreign && mode == "none") return;
    if (!is_foreign && !object_member(networking, "EndpointsConfig").empty()) return;
    host_["NetworkMode"] = settings_.network.name;
    body_["NetworkingConfig"] = {
        {"EndpointsConfig", {{settings_.network.name, {{"Aliases", Json::array({spec_.name})}}}}}};
  }

  const contract::ModuleSpec& spec_;
  const Settings& settings_;
  const EngineInfo& engine_;
  const EngineImage& image_;
  const std::string& generation_;
  Json body_, host_;
  std::vector<std::string> left_out_;
};

}  // namespace

CreateBody make_create_body(const contract::ModuleSpec& spec, const ModuleSurroundings& surroundings,
                            const EngineImage& image, const std::string& generation) {
  return BodyMaker(spec, surroundings, image, generation).make();
}

std::string spec_hash(const contract::ModuleSpec& spec, const Settings& settings, const std::string& generation) {
  const Json identity = {
      {"v", kBodyVersion},
      {"name", spec.name},
      {"version", spec.version},
      {"type", spec.type},
      {"restartPolicy", contract::to_text(spec.restart_policy)},
      {"pull", spec.pull_policy == contract::PullPolicy::never},
      {"order", spec.startup_order},
      {"env", spec.environment},
      {"image", spec.image},
      {"options", spec.create_options},
      {"generation", generation},
      {"hub", settings.hub.host},
      {"device", settings.device},
      {"gateway", settings.gateway_host + " " + settings.network.gateway + " " + settings.network.name},
      {"sockets", settings.socket_folder().string()},
      {"allowed", settings.allowed}};
  return sha256_digest(to_text(identity)).substr(7, 16);
}

std::string container_name(const Settings& settings, const std::string& module, const std::string& hash) {
  std::string safe;
  for (const char c : module.substr(0, 64)) {
    const bool is_safe = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    safe += is_safe ? c : '_';
  }
  return fmt::format("{}-{}-{}-{}", settings.label_prefix, settings.home_tag(), safe, hash.substr(0, 8));
}

Labels owner_labels(const Settings& settings) {
  return {{"net.azure-devices.edge.owner", "Microsoft.Azure.Devices.Edge.Agent"},
          {settings.label_prefix + ".home", settings.home_tag()},
          {settings.label_prefix + ".device", settings.device}};
}
std::string module_label(const Settings& settings) { return settings.label_prefix + ".module"; }
std::string hash_label(const Settings& settings) { return settings.label_prefix + ".spec"; }
std::string order_label(const Settings& settings) { return settings.label_prefix + ".order"; }

const Container* container_among(const std::vector<Container>& ours, const std::string& module,
                                 const Settings& settings) {
  const auto label = module_label(settings);
  const Container* chosen = nullptr;
  for (const Container& container : ours) {
    const auto found = container.labels.find(label);
    if (found == container.labels.end() || found->second != module) continue;
    if (chosen == nullptr || container.state == ContainerState::running) chosen = &container;
  }
  return chosen;
}

}  // namespace verge::agent
