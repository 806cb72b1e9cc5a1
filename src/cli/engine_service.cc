#include "cli/engine_service.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/http_client.h"
#include "base/log.h"

namespace verge::cli {
namespace {

std::filesystem::path own_socket(const Home& home) { return home.engine() / "engine.sock"; }

bool has_program(const char* name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const auto program = std::filesystem::path(rest.substr(0, colon)) / name;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(program, ignored) && access(program.c_str(), X_OK) == 0) return true;
    rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
  }
  return false;
}

/// A container may not ask for more open files than we may have ourselves (no CAP_SYS_RESOURCE in many sandboxes).
std::uint64_t open_files_max() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<std::uint64_t>(limit.rlim_max, 1'048'576);
}

std::string containers_conf(const Home& home) {
  const bool has_systemd = std::filesystem::exists("/run/systemd/system");
  return fmt::format(
      "[containers]\n"
      "default_ulimits = [\"nofile={0}:{0}\", \"nproc=4096:4096\"]\n"
      "log_driver = \"k8s-file\"\n"
      "[engine]\n"
      "runtime = \"runc\"\n"
      "cgroup_manager = \"{1}\"\n"
      "events_logger = \"file\"\n"
      "static_dir = \"{2}/libpod\"\n"
      "tmp_dir = \"{2}/run/libpod\"\n"
      "volume_path = \"{2}/volumes\"\n"
      "[network]\n"
      "network_backend = \"netavark\"\n"
      "network_config_dir = \"{2}/networks\"\n",
      open_files_max(), has_systemd ? "systemd" : "cgroupfs", home.engine().string());
}

std::string storage_conf(const Home& home) {
  return fmt::format("[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/storage\"\nrunroot = \"{0}/run/storage\"\n",
                     home.engine().string());
}

}  // namespace

bool engine_answers(const std::filesystem::path& socket) {
  if (!std::filesystem::is_socket(socket)) return false;
  HttpCall call;
  call.url = "http://engine/_ping";
  call.unix_socket = socket;
  call.timeout = std::chrono::seconds(3);
  const auto response = fetch(call);
  return response && response->status == 200;
}

Result<EngineChoice> choose_engine(const Home& home) {
  if (const char* named = std::getenv("VERGE_ENGINE_SOCKET"); named != nullptr && *named != '\0') {
    if (engine_answers(named)) return EngineChoice{named, false};
    return Error{ErrorCode::unavailable, fmt::format("no container engine answers on {} (VERGE_ENGINE_SOCKET)", named)};
  }
  for (const char* standard : {"/var/run/docker.sock", "/run/podman/podman.sock"}) {
    if (engine_answers(standard)) return EngineChoice{standard, false};
  }
  if (has_program("podman")) return EngineChoice{own_socket(home), true};
  return Error{ErrorCode::not_found,
               "no container engine answers and podman is not installed; install Docker or Podman (apt-get install "
               "podman runc netavark "
               "aardvark-dns), or name an engine's socket in VERGE_ENGINE_SOCKET"};
}

Result<ChildSpec> own_engine_child(const Home& home) {
  VERGE_CHECK(write_file(home.engine() / "containers.conf", containers_conf(home)));
  VERGE_CHECK(write_file(home.engine() / "storage.conf", storage_conf(home)));
  VERGE_CHECK(write_file(home.engine() / "registries.conf", "unqualified-search-registries = []\n"));
  std::error_code ignored;
  std::filesystem::create_directories(home.engine() / "run", ignored);
  ChildSpec child;
  child.name = "engine";
  child.process.arguments = {"podman", "system", "service", "--time=0", "unix://" + own_socket(home).string()};
  child.process.environment = {{"CONTAINERS_CONF", (home.engine() / "containers.conf").string()},
                               {"CONTAINERS_STORAGE_CONF", (home.engine() / "storage.conf").string()},
                               {"CONTAINERS_REGISTRIES_CONF", (home.engine() / "registries.conf").string()}};
  child.process.folder = home.engine();
  child.process.log_file = home.logs() / "engine.log";
  child.process.own_session = true;
  return child;
}

Status clean_own_engine(const Home& home, bool purge) {
  const auto below = std::filesystem::weakly_canonical(home.engine()).string() + "/";
  std::vector<std::string> points;
  std::ifstream mounts("/proc/self/mounts");
  for (std::string device, point, rest; mounts >> device >> point && std::getline(mounts, rest);) {
    if (point.starts_with(below)) points.push_back(point);
  }
  // Deepest first: later mounts may sit inside earlier ones.
  std::sort(points.rbegin(), points.rend());
  for (const auto& point : points) {
    if (umount2(point.c_str(), MNT_DETACH) != 0) log_warning("engine", "could not unmount", {{"path", point}});
  }
  std::error_code error;
  std::filesystem::remove(own_socket(home), error);
  std::filesystem::remove_all(home.engine() / "run", error);
  if (purge) std::filesystem::remove_all(home.engine(), error);
  if (error) return Error{ErrorCode::unavailable, "clean " + home.engine().string() + ": " + error.message()};
  return Done{};
}

}  // namespace verge::cli
