// agent/engine/container_engine.h -- a container engine (Podman or Docker), as far as the agent needs one.
//
// What an engine says can be wrong: a container whose monitor died stays "running" for ever. Callers compare
// Container::pid with the machine's processes.
// Threads: calls block; make them from worker threads. Several at once are allowed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace verge::agent {

using Labels = std::map<std::string, std::string>;

enum class ContainerState : std::uint8_t { created, running, paused, restarting, removing, exited, dead };

struct Container {
  std::string id;
  std::string name;
  Labels labels;
  std::string image_id;
  ContainerState state = ContainerState::created;
  std::string health;  ///< "", "starting", "healthy" or "unhealthy".
  int exit_code = 0;
  std::int64_t pid = 0;         ///< Of its first process; 0 when it does not run.
  std::int64_t started_us = 0;  ///< Wall clock; 0: never.
  std::int64_t finished_us = 0;
};

struct EngineInfo {
  std::string name;     ///< "podman" or "docker".
  std::string version;  ///< Of the engine.
  std::string api_version;
  std::string os, architecture, kernel;
  bool limits_memory = true;  ///< False where the machine's control groups cannot.
  bool limits_pids = true;
  bool limits_cpu = true;
};

struct EngineImage {
  std::string id;    ///< "sha256:…", the engine's own.
  std::string user;  ///< The image's default user; empty: root.
};

struct LogQuery {
  std::int64_t tail = -1;    ///< Lines; negative: all.
  std::int64_t since_s = 0;  ///< Unix seconds; 0: from the beginning.
  std::int64_t until_s = 0;  ///< 0: to the end.
  std::size_t bytes_max = 1U << 20U;
};

class ContainerEngine {
 public:
  virtual ~ContainerEngine() = default;

  /// Errors of all calls: unavailable when the engine does not answer, not_found, conflict, invalid_argument with
  /// the engine's own words, internal when it failed.
  virtual Result<EngineInfo> info() = 0;
  /// All containers that carry all of `labels`, running or not.
  virtual Result<std::vector<Container>> list(const Labels& labels) = 0;
  virtual Result<Container> inspect(const std::string& id) = 0;
  /// `body` is the Docker Engine API's create body. Returns the container's id.
  virtual Result<std::string> create(const std::string& name, const Json& body) = 0;
  virtual Status start(const std::string& id) = 0;
  /// Asks with SIGTERM, kills after `grace_s`. A container that does not run is a success.
  virtual Status stop(const std::string& id, int grace_s) = 0;
  virtual Status kill(const std::string& id) = 0;
  /// Removes by force, also a container whose state the engine got wrong. One that is gone is a success.
  virtual Status remove(const std::string& id) = 0;
  virtual Result<std::string> logs(const std::string& id, const LogQuery& query) = 0;

  /// Makes the bridge network unless it is there with the same subnet. Errors: conflict when it is there with
  /// another subnet, or the subnet is taken.
  virtual Status ensure_network(const std::string& name, const std::string& subnet, const std::string& gateway,
                                const Labels& labels) = 0;
  /// Removes it if it carries all of `labels`; absence is a success.
  virtual Status remove_network(const std::string& name, const Labels& labels) = 0;

  virtual std::optional<EngineImage> find_image(const std::string& reference_or_id) = 0;
  /// Loads an archive (OCI layout or docker-archive).
  virtual Status load_image(const std::filesystem::path& archive) = 0;
  virtual Status remove_image(const std::string& reference_or_id) = 0;
};

}  // namespace verge::agent
