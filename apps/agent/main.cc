// verge-agent: keeps a device's modules running and its messages safe.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <malloc.h>

#include "agent/agent.h"
#include "agent/engine/docker_engine.h"
#include "agent/preflight.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"

namespace {

using namespace verge;

constexpr const char* kExamples = R"(
Examples:
  verge-agent --home /var/lib/verge/agent                run in the foreground (a service manager restarts it)
  verge-agent --home /var/lib/verge/agent --check        say whether this machine is ready, and why not
  verge-agent --home /var/lib/verge/agent --remove-all   remove this agent's containers, network and sockets

HOME/agent.json for a Verge hub (made by `verge join`):
  {"hub": {"host": "hub.local", "mqtt_port": 8883, "https_port": 8443, "ca_pem_file": "hub-ca.pem"},
   "device": "press-7", "key_file": "device.key", "engine": {"socket": "/run/podman/podman.sock"}}
HOME/agent.json for Azure IoT Hub:
  {"connection_string_file": "connection-string"}

SIGTERM stops the agent; its modules keep running, and the next agent takes them over.
)";

int fail(const Error& error) {
  fmt::print(stderr, "verge-agent: {}\n", error.message);
  return exit_code_of(error.code);
}

int check(agent::DockerEngine& engine, const agent::Settings& settings, bool as_json) {
  const auto results = agent::run_checks(engine, settings, system_clock());
  bool is_good = true;
  Json list = Json::array();
  for (const auto& result : results) {
    const char* verdict = "good";
    if (result.verdict == agent::CheckResult::Verdict::warning) verdict = "warning";
    if (result.verdict == agent::CheckResult::Verdict::bad) verdict = "bad", is_good = false;
    list.push_back({{"name", result.name}, {"verdict", verdict}, {"text", result.text}});
    if (!as_json) fmt::print("{:<8} {:<10} {}\n", verdict, result.name, result.text);
  }
  if (as_json) fmt::print("{}\n", to_pretty_text(list));
  return is_good ? 0 : exit_code_of(ErrorCode::unavailable);
}

int run(agent::DockerEngine& engine, const agent::Settings& settings) {
  Loop loop;
  agent::Agent daemon({loop, engine, system_disk(), system_clock(),
                       [](std::int64_t pid) { return is_alive(static_cast<pid_t>(pid)); }, VERGE_VERSION},
                      settings);
  if (const auto started = daemon.start(); !started) return fail(started.error());
  loop.on_signal([&](int signal) {
    if (signal == SIGHUP) return;  // A closed terminal is no reason to stop.
    log_info("agent", "stopping; the modules keep running");
    daemon.stop([&] { loop.stop(); });
  });
  loop.run();
  return 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  // Each arena costs a device memory that this program's few threads do not need.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
  std::signal(SIGPIPE, SIG_IGN);

  CLI::App app{"verge-agent: keeps a device's modules running and its messages safe."};
  app.footer(kExamples);
  std::string home;
  std::string output = "text";
  bool wants_check = false;
  bool wants_removal = false;
  app.add_option("--home", home, "Folder with agent.json; everything the agent keeps lies there")->required();
  auto* check_flag = app.add_flag("--check", wants_check, "Check this machine and end");
  app.add_flag("--remove-all", wants_removal, "Remove this agent's containers, network and sockets, and end")
      ->excludes(check_flag);
  app.add_option("-o,--output", output, "Form of --check's answer: text or json")
      ->check(CLI::IsMember({"text", "json"}));
  app.set_version_flag("--version", VERGE_VERSION);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : verge::exit_code_of(verge::ErrorCode::invalid_argument);
  }

  const auto settings = verge::agent::load_settings(home);
  if (!settings) return fail(settings.error());
  verge::agent::DockerEngine engine(settings->engine_socket);
  if (wants_check) return check(engine, *settings, output == "json");
  if (wants_removal) {
    const auto removed = verge::agent::remove_all(engine, *settings);
    return removed ? 0 : fail(removed.error());
  }
  return run(engine, *settings);
}
