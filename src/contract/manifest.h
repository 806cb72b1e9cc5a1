// contract/manifest.h -- the deployment manifest (Azure's JSON) and what an agent reports about it.
//
// Source: wire contract §3. Reading never guesses: what Azure rejects, we reject with its status code.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::contract {

enum class DesiredStatus : std::uint8_t { running, stopped };
enum class RestartPolicy : std::uint8_t { never, on_failure, on_unhealthy, always };
enum class PullPolicy : std::uint8_t { on_create, never };

/// One module as the $edgeAgent twin desires it.
struct ModuleSpec {
  std::string name;
  std::string version, type = "docker";
  DesiredStatus status = DesiredStatus::running;
  RestartPolicy restart_policy = RestartPolicy::on_unhealthy;
  PullPolicy pull_policy = PullPolicy::on_create;
  std::uint32_t startup_order = 4294967295U;
  std::map<std::string, std::string> environment;
  std::string image;                     ///< With tag; ":latest" is added when there is none.
  Json create_options = Json::object();  ///< The joined createOptions pieces, parsed.
  Json original = Json::object();        ///< As written, for the report.
  /// True when a container made for `other` serves this one too: all but the status is equal (a differing status means
  /// start or stop). create_options compare as JSON.
  bool needs_same_container(const ModuleSpec& other) const;
};

struct RegistryCredential {
  std::string address, username, password;
};

struct RouteSpec {
  std::string name, text;
  std::uint32_t priority = 2'000'000'000;  ///< 0 highest .. 9; default after 9.
  std::uint32_t time_to_live_s = 0;        ///< 0: the global one.
};

/// Azure's deployment status codes: 200 400 406 412 417 500.
struct DeploymentStatus {
  int code = 200;
  std::string description;
};

struct AgentConfig {
  std::string schema_version = "1.1";
  std::map<std::string, RegistryCredential> registries;
  std::map<std::string, ModuleSpec> modules;  ///< Without the system modules.
  std::map<std::string, ModuleSpec> system_modules;
  Json original = Json::object();
};
/// From desired properties of $edgeAgent (without $version). The error carries the status to report: 417 when empty,
/// 400 for a bad format, then 412 for a schema version above 1.1.0. createOptions may also be an object.
struct ConfigError {
  DeploymentStatus status;
};
std::variant<AgentConfig, ConfigError> parse_agent_config(const Json& desired);

struct RouterConfig {
  std::vector<RouteSpec> routes;
  std::int64_t time_to_live_s = 7200;  ///< Negative: for ever.
  Json original = Json::object();
};
/// From desired properties of $edgeHub; the routes' own text is checked by expression/route.h. Every error is a 400,
/// a schema version outside 1.0 … 1.3 too. Routes come sorted by name.
std::variant<RouterConfig, ConfigError> parse_router_config(const Json& desired);

/// What the body of applyConfigurationContent asks for, per module: full desired properties.
/// Accepts {"modulesContent": …} and {"content": {"modulesContent": …}}. Errors: invalid_argument.
Result<std::map<std::string, Json>> parse_modules_content(const Json& body);

/// createOptions as Azure wants it: pieces of at most 512 bytes, createOptions, createOptions01, ….
Json split_create_options(const Json& options);
std::string to_text(RestartPolicy policy);
std::string to_text(DesiredStatus status);

}  // namespace verge::contract
