#include "contract/manifest.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/core.h>
#include <limits>

#include "base/bytes.h"
#include "contract/topics.h"

namespace verge::contract {
namespace {

constexpr int kBadFormat = 400;
constexpr int kBadSchemaVersion = 412;
constexpr int kEmpty = 417;
constexpr std::size_t kPieceCharacters = 512;
constexpr std::size_t kPiecesMax = 100;
constexpr std::uint32_t kRoutePriorityMax = 9;
constexpr std::string_view kCreateOptions = "createOptions";

ConfigError refused(int code, std::string description) {
  return ConfigError{DeploymentStatus{code, std::move(description)}};
}

Error bad(std::string message) { return Error{ErrorCode::invalid_argument, std::move(message)}; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

/// The member as an object; nullptr when absent or null.
Result<const Json*> object_member(const Json& object, std::string_view key) {
  const Json* member = find_member(object, {key});
  if (member == nullptr || member->is_null()) return static_cast<const Json*>(nullptr);
  if (!member->is_object()) return bad(fmt::format("\"{}\" must be an object", key));
  return member;
}

Result<const Json*> required_object(const Json& object, std::string_view key) {
  VERGE_TRY(const Json* member, object_member(object, key));
  if (member == nullptr) return bad(fmt::format("\"{}\" is missing", key));
  return member;
}

template <class Value, std::size_t N>
Result<Value> choice_member(const Json& object, std::string_view key, Value fallback,
                            const std::array<std::pair<std::string_view, Value>, N>& choices) {
  VERGE_TRY(const std::string text, string_member(object, key));
  if (text.empty()) return fallback;
  std::string names;
  for (const auto& [name, value] : choices) {
    if (lower(text) == name) return value;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  return bad(fmt::format("\"{}\" is \"{}\"; allowed are {}", key, text, names));
}

constexpr std::array<std::pair<std::string_view, DesiredStatus>, 2> kStatuses{
    {{"running", DesiredStatus::running}, {"stopped", DesiredStatus::stopped}}};
constexpr std::array<std::pair<std::string_view, RestartPolicy>, 4> kRestartPolicies{
    {{"never", RestartPolicy::never},
     {"on-failure", RestartPolicy::on_failure},
     {"on-unhealthy", RestartPolicy::on_unhealthy},
     {"always", RestartPolicy::always}}};
constexpr std::array<std::pair<std::string_view, PullPolicy>, 2> kPullPolicies{
    {{"on-create", PullPolicy::on_create}, {"never", PullPolicy::never}}};

Result<std::uint32_t> count_member(const Json& object, std::string_view key, std::uint32_t fallback,
                                   std::uint32_t count_max) {
  VERGE_TRY(const std::int64_t number, integer_member(object, key, fallback));
  if (number == fallback) return fallback;
  if (number < 0 || number > count_max) {
    return bad(fmt::format("\"{}\" is {}; allowed is 0 to {}", key, number, count_max));
  }
  return static_cast<std::uint32_t>(number);
}

// --- createOptions ---------------------------------------------------------------------------

/// Which piece a key names: 0 for createOptions, 7 for createOptions07.
std::optional<std::size_t> piece_index(std::string_view key) {
  if (lower(key.substr(0, kCreateOptions.size())) != lower(kCreateOptions)) return std::nullopt;
  const std::string_view digits = key.substr(kCreateOptions.size());
  if (digits.empty()) return 0;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return index;
}

Result<std::string> joined_create_options(const Json& settings) {
  std::map<std::size_t, std::string> pieces;
  for (const auto& [key, value] : settings.items()) {
    const auto index = piece_index(key);
    if (!index) continue;
    // Azure's reader takes an object for its text.
    std::string text = value.is_null() ? "" : value.is_string() ? value.get<std::string>() : verge::to_text(value);
    if (!pieces.emplace(*index, std::move(text)).second) return bad(fmt::format("settings.{} stands there twice", key));
  }
  std::string joined;
  for (const auto& [index, text] : pieces) {
    if (index >= kPiecesMax) return bad("settings.createOptions has more than 100 pieces");
    if (index > 0 && !pieces.contains(index - 1)) {
      return bad(fmt::format("settings.createOptions{:02} follows a piece that is missing", index));
    }
    joined += text;
  }
  return joined;
}

/// The members whose type decides whether an engine could read the rest at all.
Status check_create_options(const Json& options) {
  struct Member {
    std::string_view name;
    bool is_list;
  };
  constexpr std::array<Member, 8> kMembers{{{"HostConfig", false},
                                            {"NetworkingConfig", false},
                                            {"ExposedPorts", false},
                                            {"Labels", false},
                                            {"Volumes", false},
                                            {"Env", true},
                                            {"Cmd", true},
                                            {"Entrypoint", true}}};
  for (const Member& member : kMembers) {
    const Json* value = find_member(options, {member.name});
    if (value == nullptr || value->is_null()) continue;
    if (member.is_list ? !value->is_array() : !value->is_object()) {
      return bad(fmt::format("settings.createOptions: \"{}\" must be {}", member.name,
                             member.is_list ? "a list" : "an object"));
    }
  }
  return Done{};
}

Result<Json> read_create_options(const Json& settings) {
  VERGE_TRY(const std::string text, joined_create_options(settings));
  if (is_blank(text) || lower(text) == "null") return Json::object();
  auto options = parse_json(text);
  if (!options) return std::move(options).error().within("settings.createOptions");
  if (!options->is_object()) return bad("settings.createOptions must hold a JSON object");
  VERGE_CHECK(check_create_options(*options));
  return options;
}

// --- modules ---------------------------------------------------------------------------------

Result<std::string> read_image(const Json& settings) {
  VERGE_TRY(const std::string written, string_member(settings, "image"));
  std::string image(trimmed(written));
  if (image.empty()) return bad("settings.image is missing");
  const std::size_t slash = image.rfind('/');
  const std::string_view last = std::string_view(image).substr(slash == std::string::npos ? 0 : slash + 1);
  const auto colons = std::count(last.begin(), last.end(), ':');
  const bool is_complete = !last.empty() && last.front() != ':' && last.back() != ':' && colons <= 1;
  if (!is_complete) return bad(fmt::format("settings.image \"{}\" is not of the form repository/name:tag", image));
  constexpr std::string_view kParent = "$upstream:";
  if (image.front() == '$' && lower(image.substr(0, kParent.size())) != kParent) {
    return bad(fmt::format("settings.image \"{}\": only $upstream:<port>/… may begin with '$'", image));
  }
  return colons == 0 ? image + ":latest" : image;
}

Result<std::map<std::string, std::string>> read_environment(const Json& module) {
  std::map<std::string, std::string> environment;
  VERGE_TRY(const Json* entries, object_member(module, "env"));
  if (entries == nullptr) return environment;
  for (const auto& [key, entry] : entries->items()) {
    const Json* value = find_member(entry, {"value"});
    if (key.empty() || key.find('=') != std::string::npos || value == nullptr || value->is_structured()) {
      return bad(fmt::format("env \"{}\" must be of the form {{\"value\": \"text\"}}", key));
    }
    environment[key] = value->is_string() ? value->get<std::string>() : value->is_null() ? "" : verge::to_text(*value);
  }
  return environment;
}

Result<ModuleSpec> read_module(const std::string& name, const Json& json) {
  if (!json.is_object()) return bad("must be an object");
  ModuleSpec module;
  module.name = name;
  module.original = json;
  VERGE_TRY(module.version, string_member(json, "version"));
  VERGE_TRY(module.type, string_member(json, "type"));
  if (module.type != "docker") return bad(fmt::format("type is \"{}\"; only \"docker\" is known", module.type));
  VERGE_TRY(module.status, choice_member(json, "status", module.status, kStatuses));
  VERGE_TRY(module.restart_policy, choice_member(json, "restartPolicy", module.restart_policy, kRestartPolicies));
  VERGE_TRY(module.pull_policy, choice_member(json, "imagePullPolicy", module.pull_policy, kPullPolicies));
  VERGE_TRY(module.startup_order,
            count_member(json, "startupOrder", module.startup_order, std::numeric_limits<std::uint32_t>::max()));
  VERGE_TRY(module.environment, read_environment(json));
  VERGE_TRY(const Json* settings, required_object(json, "settings"));
  VERGE_TRY(module.image, read_image(*settings));
  VERGE_TRY(module.create_options, read_create_options(*settings));
  return module;
}

Result<std::map<std::string, ModuleSpec>> read_modules(const Json* entries) {
  std::map<std::string, ModuleSpec> modules;
  if (entries == nullptr) return modules;
  for (const auto& [name, json] : entries->items()) {
    if (!is_valid_id(name) || name.front() == '$') {
      return bad(
          fmt::format("module \"{}\": a name has 1 to 128 letters, digits or -._ and does not begin with '$'", name));
    }
    auto module = read_module(name, json);
    if (!module) return std::move(module).error().within(fmt::format("module \"{}\"", name));
    modules.emplace(name, *std::move(module));
  }
  return modules;
}

Result<std::map<std::string, RegistryCredential>> read_registries(const Json& runtime) {
  std::map<std::string, RegistryCredential> registries;
  VERGE_TRY(const Json* settings, object_member(runtime, "settings"));
  if (settings == nullptr) return registries;
  VERGE_TRY(const Json* entries, object_member(*settings, "registryCredentials"));
  if (entries == nullptr) return registries;
  for (const auto& [name, entry] : entries->items()) {
    RegistryCredential credential;
    VERGE_TRY(credential.address, string_member(entry, "address"));
    VERGE_TRY(credential.username, string_member(entry, "username"));
    VERGE_TRY(credential.password, string_member(entry, "password"));
    if (is_blank(credential.address) || is_blank(credential.username) || is_blank(credential.password)) {
      return bad(fmt::format("registryCredentials \"{}\" needs address, username and password", name));
    }
    registries.emplace(name, std::move(credential));
  }
  return registries;
}

Result<AgentConfig> read_agent_config(const Json& desired) {
  AgentConfig config;
  config.original = desired;
  if (find_member(desired, {"schemaVersion"}) == nullptr) return bad("\"schemaVersion\" is missing");
  VERGE_TRY(config.schema_version, string_member(desired, "schemaVersion"));
  VERGE_TRY(const Json* runtime, required_object(desired, "runtime"));
  VERGE_TRY(const std::string runtime_type, string_member(*runtime, "type"));
  if (runtime_type != "docker")
    return bad(fmt::format("runtime.type is \"{}\"; only \"docker\" is known", runtime_type));
  VERGE_TRY(config.registries, read_registries(*runtime));
  VERGE_TRY(const Json* system_modules, required_object(desired, "systemModules"));
  VERGE_TRY(config.system_modules, read_modules(system_modules));
  VERGE_TRY(const Json* modules, object_member(desired, "modules"));
  VERGE_TRY(config.modules, read_modules(modules));
  return config;
}

// --- versions and routes ---------------------------------------------------------------------

struct SchemaVersion {
  int major = 0, minor = 0, patch = 0;
  auto operator<=>(const SchemaVersion&) const = default;
};

/// "1.1" or "1.1.0".
std::optional<SchemaVersion> read_version(std::string_view text) {
  std::array<int, 3> numbers{0, 0, 0};
  std::size_t count = 0;
  const char* at = text.data();
  const char* const last = text.data() + text.size();
  while (count < numbers.size()) {
    const auto [end, error] = std::from_chars(at, last, numbers.at(count));
    if (error != std::errc{} || numbers.at(count) < 0) return std::nullopt;
    ++count;
    at = end;
    if (at == last || *at != '.') break;
    ++at;
  }
  if (at != last || count < 2) return std::nullopt;
  return SchemaVersion{numbers[0], numbers[1], numbers[2]};
}

Result<RouteSpec> read_route(const std::string& name, const Json& json, bool has_priorities) {
  RouteSpec route;
  route.name = name;
  if (is_blank(name)) return bad("a route has no name");
  if (json.is_string()) {
    route.text = json.get<std::string>();
  } else if (json.is_object() && has_priorities) {
    VERGE_TRY(route.text, string_member(json, "route"));
    VERGE_TRY(route.priority, count_member(json, "priority", route.priority, kRoutePriorityMax));
    VERGE_TRY(route.time_to_live_s, count_member(json, "timeToLiveSecs", 0, std::numeric_limits<std::uint32_t>::max()));
  } else {
    return bad(has_priorities ? "must be a text or an object with \"route\""
                              : "must be a text; objects need schemaVersion 1.1 or later");
  }
  return route;
}

Status read_routes(const Json& entries, bool has_priorities, std::vector<RouteSpec>& routes) {
  for (const auto& [name, json] : entries.items()) {
    auto route = read_route(name, json, has_priorities);
    if (!route) return std::move(route).error().within(fmt::format("route \"{}\"", name));
    if (!is_blank(route->text)) {
      routes.push_back(*std::move(route));
    } else if (has_priorities) {  // In 1.0 an empty text switches a route off.
      return bad(fmt::format("route \"{}\" is empty; remove it or write FROM … INTO …", name));
    }
  }
  return Done{};
}

Result<RouterConfig> read_router_config(const Json& desired) {
  RouterConfig config;
  config.original = desired;
  if (!desired.is_object()) return bad("must be an object");
  VERGE_TRY(const std::string version_text, string_member(desired, "schemaVersion"));
  const auto version = read_version(version_text);
  if (!version || version->major != 1 || version->minor > 3) {
    return bad(fmt::format("schemaVersion \"{}\" is not known; write 1.0 to 1.3", version_text));
  }
  const bool has_priorities = version->minor >= 1;
  VERGE_TRY(const Json* routes, object_member(desired, "routes"));
  if (routes == nullptr && has_priorities) return bad("\"routes\" is missing");
  if (routes != nullptr) VERGE_CHECK(read_routes(*routes, has_priorities, config.routes));
  VERGE_TRY(const Json* store, required_object(desired, "storeAndForwardConfiguration"));
  VERGE_TRY(config.time_to_live_s, integer_member(*store, "timeToLiveSecs", config.time_to_live_s));
  return config;
}

template <class Choice, std::size_t N>
std::string name_among(Choice value, const std::array<std::pair<std::string_view, Choice>, N>& choices) {
  for (const auto& [name, choice] : choices) {
    if (choice == value) return std::string(name);
  }
  return {};
}

/// The longest prefix of at most `bytes_max` bytes that does not cut a UTF-8 character.
std::string_view whole_characters(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

const Json* digest_of(const ModuleSpec& module) { return find_member(module.original, {"settings", "digest"}); }

bool equal(const Json* a, const Json* b) { return (a == nullptr || b == nullptr) ? a == b : *a == *b; }

}  // namespace

bool ModuleSpec::needs_same_container(const ModuleSpec& other) const {
  return version == other.version && type == other.type && restart_policy == other.restart_policy &&
         pull_policy == other.pull_policy && startup_order == other.startup_order && environment == other.environment &&
         image == other.image && create_options == other.create_options && equal(digest_of(*this), digest_of(other));
}

std::variant<AgentConfig, ConfigError> parse_agent_config(const Json& desired) {
  if (desired.is_null() || (desired.is_object() && desired.empty())) {
    return refused(kEmpty, "The configuration of $edgeAgent is empty; apply a deployment manifest to this device.");
  }
  if (!desired.is_object()) return refused(kBadFormat, "Agent configuration: must be a JSON object");
  auto config = read_agent_config(desired);
  // Azure reads everything first, so a bad format counts before a version it does not know.
  if (!config) return refused(kBadFormat, "Agent configuration: " + config.error().message);
  const auto version = read_version(config->schema_version);
  if (!version || version->major != 1 || *version > SchemaVersion{1, 1, 0}) {
    return refused(kBadSchemaVersion,
                   fmt::format("Agent configuration: schemaVersion \"{}\" is not supported; write 1.0 or 1.1",
                               config->schema_version));
  }
  return *std::move(config);
}

std::variant<RouterConfig, ConfigError> parse_router_config(const Json& desired) {
  auto config = read_router_config(desired);
  if (!config) return refused(kBadFormat, "Router configuration: " + config.error().message);
  return *std::move(config);
}

Result<std::map<std::string, Json>> parse_modules_content(const Json& body) {
  const Json* content = find_member(body, {"modulesContent"});
  if (content == nullptr) content = find_member(body, {"content", "modulesContent"});
  if (content == nullptr || !content->is_object() || content->empty()) {
    return bad("read a deployment manifest: \"modulesContent\" is missing or empty");
  }
  std::map<std::string, Json> modules;
  for (const auto& [name, entry] : content->items()) {
    if (!is_valid_id(name)) return bad(fmt::format("read a deployment manifest: \"{}\" is not a module id", name));
    const Json* desired = find_member(entry, {"properties.desired"});
    if (desired == nullptr || !desired->is_object() || entry.size() != 1) {
      return bad(
          fmt::format("read a deployment manifest: module \"{}\" must hold one object \"properties.desired\"; dotted "
                      "keys belong to "
                      "layered deployments",
                      name));
    }
    modules.emplace(name, *desired);
  }
  return modules;
}

Json split_create_options(const Json& options) {
  const std::string text = verge::to_text(options);
  Json pieces = Json::object();
  std::string_view rest = text;
  for (std::size_t index = 0; !rest.empty(); ++index) {
    const std::string_view piece = whole_characters(rest, kPieceCharacters);
    pieces[index == 0 ? std::string(kCreateOptions) : fmt::format("{}{:02}", kCreateOptions, index)] =
        std::string(piece);
    rest.remove_prefix(piece.size());
  }
  return pieces;
}

std::string to_text(RestartPolicy policy) { return name_among(policy, kRestartPolicies); }
std::string to_text(DesiredStatus status) { return name_among(status, kStatuses); }

}  // namespace verge::contract
