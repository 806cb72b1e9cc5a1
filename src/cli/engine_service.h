// cli/engine_service.h -- the container engine: the user's if one answers, else one of our own below VERGE_HOME.
//
// docs/decisions/0004-own-container-engine.md. Threads: calls block.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/home.h"
#include "cli/supervisor.h"

namespace verge::cli {

struct EngineChoice {
  std::filesystem::path socket;
  bool is_own = false;
};
/// $VERGE_ENGINE_SOCKET, Docker's socket, Podman's socket: the first that answers a ping; else ours, if podman is
/// installed. Errors: not_found with what to install.
Result<EngineChoice> choose_engine(const Home& home);
/// True when an engine answers a ping on this socket within 3 s.
bool engine_answers(const std::filesystem::path& socket);
/// Writes containers.conf, storage.conf and registries.conf for our own service and says how to start it.
/// Everything it writes later stays below home.engine(), events, networks and exit files included.
Result<ChildSpec> own_engine_child(const Home& home);
/// Unmounts and removes what our own service left in its run folder; storage is kept as a cache unless `purge`.
Status clean_own_engine(const Home& home, bool purge);

}  // namespace verge::cli
