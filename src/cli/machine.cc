#include "cli/machine.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <deque>
#include <fmt/format.h>
#include <fstream>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "base/disk.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time.h"

namespace verge::cli {
namespace {

constexpr std::uint64_t kFreeBytesMin = 1ULL << 30U;
constexpr std::chrono::seconds kStartTimeout{30};
const std::string kLoopback = "127.0.0.1";

bool port_is_free(const std::string& address, std::uint16_t port) {
  const int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (handle < 0) return false;
  const int on = 1;
  setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &name.sin_addr);
  const bool is_free = bind(handle, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  close(handle);
  return is_free;
}

Status require_room(const Home& home) {
  std::error_code ignored;
  std::filesystem::create_directories(home.root, ignored);
  VERGE_TRY(const auto free, system_disk().free_bytes(home.root));
  if (free >= kFreeBytesMin) return Done{};
  return Error{ErrorCode::limit,
               fmt::format("{} has {} MB free, Verge needs {} MB; free some room or set VERGE_HOME to another disk",
                           home.root.string(), free >> 20U, kFreeBytesMin >> 20U)};
}

Status require_ports(const MachineOptions& options) {
  const std::pair<std::uint16_t, const char*> ports[] = {
      {options.mqtt_port, "--mqtt-port"}, {options.https_port, "--https-port"}, {options.http_port, "--http-port"}};
  for (const auto& [port, option] : ports) {
    if (port != 0 && !port_is_free(options.listen, port)) {
      return Error{ErrorCode::conflict,
                   fmt::format("port {} on {} is taken by another program; end it, or choose another port with {}",
                               port, options.listen, option)};
    }
  }
  return Done{};
}

std::string last_lines(const std::filesystem::path& file, std::size_t count, std::string_view indent) {
  std::ifstream stream(file);
  std::deque<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(std::move(line));
    if (lines.size() > count) lines.pop_front();
  }
  std::string text;
  for (const auto& line : lines) text += fmt::format("{}{}\n", indent, line);
  return text;
}

ChildSpec program_child(const Home& home, const std::string& name, std::vector<std::string> arguments) {
  ChildSpec child;
  child.name = name;
  child.process.arguments = {(program_folder() / ("verge-" + name)).string()};
  child.process.arguments.insert(child.process.arguments.end(), arguments.begin(), arguments.end());
  child.process.log_file = home.logs() / (name + ".log");
  child.process.own_session = true;
  return child;
}

Json to_json(const MachineOptions& options, const EngineChoice& engine) {
  return {
      {"device", options.device},         {"listen", options.listen},       {"mqtt_port", options.mqtt_port},
      {"https_port", options.https_port}, {"http_port", options.http_port}, {"subnet", options.subnet},
      {"gateway", options.gateway},       {"has_hub", options.has_hub},     {"engine_socket", engine.socket.string()},
      {"engine_is_own", engine.is_own}};
}

Result<std::uint16_t> port_in(const Json& json, std::string_view member, std::uint16_t fallback) {
  VERGE_TRY(const auto port, integer_member(json, member, fallback));
  if (port < 0 || port > 65'535) return Error{ErrorCode::corrupt, fmt::format("{} is {}, no port", member, port)};
  return static_cast<std::uint16_t>(port);
}

Result<Machine> machine_from(const Json& json) {
  Machine machine;
  auto& options = machine.options;
  VERGE_TRY(options.device, string_member(json, "device"));
  VERGE_TRY(options.listen, string_member(json, "listen", options.listen));
  VERGE_TRY(options.mqtt_port, port_in(json, "mqtt_port", options.mqtt_port));
  VERGE_TRY(options.https_port, port_in(json, "https_port", options.https_port));
  VERGE_TRY(options.http_port, port_in(json, "http_port", options.http_port));
  VERGE_TRY(options.subnet, string_member(json, "subnet", options.subnet));
  VERGE_TRY(options.gateway, string_member(json, "gateway", options.gateway));
  VERGE_TRY(options.has_hub, bool_member(json, "has_hub", true));
  VERGE_TRY(const auto socket, string_member(json, "engine_socket"));
  machine.engine.socket = socket;
  VERGE_TRY(machine.engine.is_own, bool_member(json, "engine_is_own", false));
  return machine;
}

/// Hub up: it has written its connection file and says that it is well.
Result<HubClient> wait_for_hub(const Home& home) {
  const auto end = std::chrono::steady_clock::now() + kStartTimeout;
  std::string reason = "it did not write " + (home.hub() / "connection.json").string();
  while (std::chrono::steady_clock::now() < end) {
    if (auto address = load_hub_address(home.hub() / "connection.json")) {
      HubClient hub(*std::move(address));
      auto health = hub.get("/healthz");
      if (health) return hub;
      reason = health.error().message;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return Error{ErrorCode::unavailable,
               fmt::format("the hub did not come up in {} s: {}; the end of {}:\n{}", kStartTimeout.count(), reason,
                           (home.logs() / "hub.log").string(), last_lines(home.logs() / "hub.log", 5, "  "))};
}

Status wait_for_engine(const Home& home, const EngineChoice& engine) {
  const auto end = std::chrono::steady_clock::now() + kStartTimeout;
  while (!engine_answers(engine.socket)) {
    if (std::chrono::steady_clock::now() >= end) {
      return Error{ErrorCode::unavailable,
                   fmt::format("the container engine did not answer on {} in {} s; the end of {}:\n{}",
                               engine.socket.string(), kStartTimeout.count(), (home.logs() / "engine.log").string(),
                               last_lines(home.logs() / "engine.log", 5, "  "))};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return Done{};
}

Result<HubClient> wait_for_programs(const Home& home, const EngineChoice& engine) {
  VERGE_TRY(auto hub, wait_for_hub(home));
  VERGE_CHECK(wait_for_engine(home, engine));
  return hub;
}

Status start_supervisor(const Home& home, const MachineOptions& options, const EngineChoice& engine) {
  VERGE_CHECK(write_file(home.machine_file(), to_pretty_text(to_json(options, engine)), 0600));
  ProcessOptions process;
  process.arguments = {(program_folder() / "verge").string(), "supervise"};
  process.environment = {{"VERGE_HOME", home.root.string()}};
  process.log_file = home.logs() / "supervisor.log";
  process.own_session = true;
  VERGE_CHECK(start_process(process));
  return Done{};
}

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  file >> total_pages >> resident_pages;
  return resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string default_device_name() {
  std::string name(256, '\0');
  if (gethostname(name.data(), name.size() - 1) != 0) return "edge";
  name.resize(std::min(name.find('\0'), std::size_t{63}));
  std::erase_if(name, [](unsigned char letter) { return std::isalnum(letter) == 0 && letter != '-' && letter != '.'; });
  return name.empty() || name == "localhost" ? "edge" : name;
}

Result<std::vector<ChildSpec>> machine_children(const Home& home, const MachineOptions& options,
                                                const EngineChoice& engine) {
  std::error_code ignored;
  std::filesystem::create_directories(home.logs(), ignored);
  std::vector<ChildSpec> children;
  if (engine.is_own) {
    VERGE_TRY(auto child, own_engine_child(home));
    children.push_back(std::move(child));
  }
  if (options.has_hub) {
    children.push_back(program_child(
        home, "hub",
        {"--home", home.hub().string(), "--listen", options.listen, "--mqtt-port", std::to_string(options.mqtt_port),
         "--https-port", std::to_string(options.https_port), "--http-port", std::to_string(options.http_port)}));
  }
  auto agent = program_child(home, "agent", {"--home", home.agent().string()});
  agent.waits_for = home.agent() / "agent.json";
  children.push_back(std::move(agent));
  return children;
}

Result<Machine> load_machine(const Home& home) {
  auto text = read_file(home.machine_file(), 1U << 20U);
  if (!text && text.error().code == ErrorCode::not_found) {
    return Error{ErrorCode::not_found,
                 fmt::format("nothing was started in {}; start it with `verge up`", home.root.string())};
  }
  if (!text) return std::move(text).error();
  const auto json = parse_json(*text);
  auto machine = json ? machine_from(*json) : Result<Machine>(json.error());
  if (!machine)
    return Error{ErrorCode::corrupt, fmt::format("read {}: {}", home.machine_file().string(), machine.error().message)};
  return machine;
}

namespace {

/// An agent that is joined follows the engine, the network and the ports of its own machine's hub when they changed.
Status refresh_agent_settings(const Home& home, const MachineOptions& options, const EngineChoice& engine) {
  const auto file = home.agent() / "agent.json";
  if (!joined_device(home)) return Done{};
  VERGE_TRY(const auto text, read_file(file, 1U << 20U));
  VERGE_TRY(const auto before, parse_json(text));
  Json settings = before;
  settings["engine"]["socket"] = engine.socket.string();
  settings["network"]["subnet"] = options.subnet;
  settings["network"]["gateway"] = options.gateway;
  if (options.has_hub && options.mqtt_port != 0 && options.https_port != 0) {
    settings["hub"]["mqtt_port"] = options.mqtt_port;
    settings["hub"]["https_port"] = options.https_port;
  }
  if (settings == before) return Done{};
  return write_file(file, to_pretty_text(settings), 0600);
}

/// Our own engine was ended in order, and its containers with it: there is nobody left to ask.
bool is_own_engine_ended(const Home& home) {
  const auto machine = load_machine(home);
  return machine && machine->engine.is_own && !std::filesystem::exists(home.engine() / "run");
}

}  // namespace

Status start_programs(const Home& home, const MachineOptions& options, const EngineChoice& engine) {
  VERGE_TRY(const auto state, load_supervisor_state(home));
  if (state.supervisor.is_alive()) return Done{};
  const auto hub = state.children.find("hub");
  const bool has_running_hub = hub != state.children.end() && hub->second.is_alive();
  VERGE_CHECK(require_room(home));
  if (options.has_hub && !has_running_hub) VERGE_CHECK(require_ports(options));
  VERGE_CHECK(refresh_agent_settings(home, options, engine));
  return start_supervisor(home, options, engine);
}

Result<HubClient> start_machine(const Home& home, const MachineOptions& options, const EngineChoice& engine) {
  VERGE_TRY(const auto before, load_supervisor_state(home));
  VERGE_CHECK(start_programs(home, options, engine));
  auto hub = wait_for_programs(home, engine);
  if (hub || before.is_anything_alive()) return hub;
  // A start that failed leaves nothing running that would try for ever.
  auto error = std::move(hub).error();
  if (const auto stopped = stop_machine(home, false); !stopped) error.message += "; " + stopped.error().message;
  return error;
}

std::optional<std::string> joined_device(const Home& home) {
  const auto text = read_file(home.agent() / "agent.json", 1U << 20U);
  if (!text) return std::nullopt;
  const auto settings = parse_json(*text);
  if (!settings) return std::nullopt;
  const auto device = string_member(*settings, "device");
  if (!device || device->empty()) return std::nullopt;
  return *device;
}

Status join_hub(const Home& home, const std::string& hub_url, const std::string& trust_pem, const std::string& token,
                const std::string& device, const MachineOptions& options, const EngineChoice& engine) {
  const auto settings_file = home.agent() / "agent.json";
  if (const auto known = joined_device(home)) {
    if (*known == device) return Done{};
    return Error{ErrorCode::conflict,
                 fmt::format("this machine is joined already, as {} ({}); leave first: verge down --purge", *known,
                             settings_file.string())};
  }

  HttpCall call;
  call.method = "POST";
  call.url = hub_url + "/api/v1/join";
  call.trust_pem = trust_pem;
  call.headers.set("Content-Type", "application/json");
  call.body = to_text({{"token", token}, {"device", device}});
  VERGE_TRY(const auto response, require_success(fetch(call), "join " + hub_url));
  VERGE_TRY(const auto joined, parse_json(response.body));

  VERGE_TRY(const auto key, string_member(joined, "key"));
  VERGE_TRY(const auto ca_pem, string_member(joined, "ca_pem"));
  if (key.empty()) return Error{ErrorCode::corrupt, "join " + hub_url + ": the hub's answer holds no key"};
  std::error_code ignored;
  std::filesystem::create_directories(home.agent(), ignored);
  VERGE_CHECK(write_file(home.agent() / "device.key", key, 0600));
  VERGE_CHECK(write_file(home.agent() / "hub-ca.pem", ca_pem));
  const Json settings{
      {"hub",
       {{"host", joined.value("host", "localhost")},
        {"mqtt_port", joined.value("mqtt_port", 8883)},
        {"https_port", joined.value("https_port", 8443)},
        {"ca_pem_file", "hub-ca.pem"}}},
      {"device", joined.value("device", device)},
      {"key_file", "device.key"},
      {"engine", {{"socket", engine.socket.string()}}},
      {"network", {{"name", "azure-iot-edge"}, {"subnet", options.subnet}, {"gateway", options.gateway}}},
  };
  return write_file(settings_file, to_pretty_text(settings), 0600);
}

Status stop_machine(const Home& home, bool purge) {
  VERGE_TRY(const auto state, load_supervisor_state(home));
  std::vector<std::string> left;
  const auto end_child = [&](const std::string& name) {
    const auto child = state.children.find(name);
    if (child != state.children.end() && end_process(child->second)) fmt::print("stopped {}\n", name);
  };

  if (end_process(state.supervisor)) fmt::print("stopped the supervisor\n");
  end_child("agent");
  if (std::filesystem::exists(home.agent() / "agent.json") && !is_own_engine_ended(home)) {
    const auto removed = run_process(
        {.arguments = {(program_folder() / "verge-agent").string(), "--home", home.agent().string(), "--remove-all"},
         .environment = {},
         .folder = {},
         .log_file = {},
         .own_session = false},
        std::chrono::seconds(120));
    if (!removed || removed->exit_code != 0) {
      left.push_back("containers or their network (" +
                     (removed ? removed->output.substr(0, 300) : removed.error().message) + ")");
    } else {
      fmt::print("removed containers and their network\n");
    }
  }
  end_child("hub");
  const auto engine = state.children.find("engine");
  if (engine != state.children.end()) {
    end_child("engine");
    if (auto cleaned = clean_own_engine(home, purge); !cleaned) left.push_back(cleaned.error().message);
  }
  std::error_code ignored;
  std::filesystem::remove(home.supervisor_file(), ignored);
  if (purge && left.empty()) {
    std::filesystem::remove_all(home.root, ignored);
    fmt::print("removed {}\n", home.root.string());
  }
  if (left.empty()) return Done{};
  return Error{ErrorCode::unavailable, "some things are left: " + fmt::format("{}", fmt::join(left, "; "))};
}

Result<std::string> program_log(const Home& home, const std::string& program, std::size_t lines) {
  const auto file = home.logs() / (program + ".log");
  if (!std::filesystem::exists(file)) {
    return Error{ErrorCode::not_found,
                 fmt::format("there is no log {}; known programs are hub, agent, engine, supervisor", file.string())};
  }
  return last_lines(file, lines, "");
}

Result<Json> machine_status(const Home& home) {
  VERGE_TRY(const auto state, load_supervisor_state(home));
  Json programs = Json::array();
  for (const auto& [name, mark] : state.children) {
    const auto restarts = state.restarts.find(name);
    programs.push_back({{"name", name},
                        {"pid", mark.pid},
                        {"running", mark.is_alive()},
                        {"restarts", restarts == state.restarts.end() ? 0 : restarts->second},
                        {"memory_bytes", mark.is_alive() ? resident_bytes(mark.pid) : 0}});
  }
  return Json{{"home", home.root.string()},
              {"supervisor", {{"running", state.supervisor.is_alive()}, {"pid", state.supervisor.pid}}},
              {"programs", programs}};
}

}  // namespace verge::cli
