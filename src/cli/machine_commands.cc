// up, down, status, check, join, logs, supervise, completion: one machine as hub and device.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <thread>

#include "base/disk.h"
#include "base/json.h"
#include "base/time.h"
#include "cli/check.h"
#include "cli/commands.h"
#include "cli/deployment.h"
#include "cli/machine.h"
#include "cli/runtime_layers.h"
#include "cli/solution.h"
#include "cli/solution_images.h"
#include "cli/solution_models.h"
#include "cli/supervisor.h"

namespace verge::cli {
namespace {

constexpr std::chrono::minutes kResultsTimeout{5};
constexpr std::chrono::seconds kReminderPeriod{15};
constexpr std::chrono::milliseconds kPoll{500};

struct MachineArguments {
  MachineOptions machine;
  std::filesystem::path folder;  ///< --solution, --truth
  std::string hub_url, token, module, program;
  std::filesystem::path trust_file;
  bool is_quiet = false, is_purge = false;
  int lines = 100;
  double pace = 60;
};

/// One line per step, at once, also into a pipe.
Progress printing(bool is_quiet) {
  return [is_quiet](const std::string& line) {
    if (is_quiet) return;
    fmt::print("{}\n", line);
    std::fflush(stdout);
  };
}

// ---- up ----

/// The options of the last start, with what is asked for now on top; what runs keeps its own, and that is said.
Result<MachineOptions> options_for(const Context& context, const MachineArguments& arguments,
                                   const Progress& progress) {
  auto options = arguments.machine;
  if (std::filesystem::exists(context.home.machine_file())) {
    VERGE_TRY(const auto state, load_supervisor_state(context.home));
    VERGE_TRY(const auto machine, load_machine(context.home));
    const bool is_running = state.is_anything_alive();
    bool is_kept = false;
    const auto recall = [&](auto member) {
      const bool is_asked_for = options.*member != MachineOptions{}.*member;
      is_kept |= is_running && is_asked_for && options.*member != machine.options.*member;
      if (is_running || !is_asked_for) options.*member = machine.options.*member;
    };
    for (const auto port : {&MachineOptions::mqtt_port, &MachineOptions::https_port, &MachineOptions::http_port})
      recall(port);
    for (const auto text : {&MachineOptions::listen, &MachineOptions::subnet, &MachineOptions::gateway}) recall(text);
    if (options.device.empty()) options.device = machine.options.device;
    if (is_kept) progress("it runs already; its ports and network stay as they are (`verge down` first)");
  }
  if (options.device.empty()) options.device = joined_device(context.home).value_or(default_device_name());
  return options;
}

Status join_own_hub(const Context& context, const HubClient& hub, const MachineOptions& options,
                    const EngineChoice& engine, const Progress& progress) {
  if (joined_device(context.home) == options.device) return Done{};
  VERGE_TRY(const auto token, hub.call("POST", "/api/v1/join-tokens", {{"device", options.device}, {"minutes", 5}}));
  VERGE_TRY(const auto secret, string_member(token, "token"));
  VERGE_CHECK(join_hub(context.home, hub.url(), hub.address().trust_pem, secret, options.device, options, engine));
  progress(fmt::format("device {}: joined", options.device));
  return Done{};
}

/// The manifest with the references of images that are in the hub's store.
Result<Json> prepare_solution(const Context& context, const HubClient& hub, const Solution& solution,
                              const Progress& progress) {
  VERGE_TRY(const auto models, make_models(solution, context.home, progress));
  VERGE_TRY(auto store, packaging::BlobStore::open(context.home.images()));
  VERGE_TRY(const auto digests, package_images(solution, models, store, progress));
  VERGE_TRY(const auto references, push_images(hub, solution, digests, store, progress));
  return fill_manifest(solution.manifest, references);
}

/// Modules that have sent an event since this moment.
Result<std::set<std::string>> heard_modules(const HubClient& hub, const std::string& device, std::int64_t since_us) {
  VERGE_TRY(const auto answer, hub.get("/api/v1/events?limit=200&device=" + device));
  std::set<std::string> heard;
  const Json* events = find_member(answer, {"events"});
  if (events == nullptr) return heard;
  for (const auto& event : *events) {
    const auto received_us = integer_member(event, "received_us");
    const auto module = string_member(event, "module");
    if (received_us && module && *received_us >= since_us) heard.insert(*module);
  }
  return heard;
}

Status wait_for_results(const HubClient& hub, const std::string& device, const std::set<std::string>& modules,
                        const Progress& progress) {
  const auto begin_us = system_clock().now_us();
  const auto end = std::chrono::steady_clock::now() + kResultsTimeout;
  auto reminder = std::chrono::steady_clock::now();
  std::string told;
  std::string missing_text = "nothing was asked yet";
  while (std::chrono::steady_clock::now() < end) {
    VERGE_TRY(const auto devices, hub.get("/api/v1/devices"));
    VERGE_TRY(const auto sources, hub.get("/api/v1/sources"));
    VERGE_TRY(const auto heard, heard_modules(hub, device, begin_us));
    const auto missing = missing_results(devices, sources, device, modules, heard);
    if (missing.empty()) return Done{};
    missing_text = fmt::format("{}", fmt::join(missing, "; "));
    if (missing_text != told || std::chrono::steady_clock::now() > reminder) {
      progress("waiting for " + missing_text);
      told = missing_text;
      reminder = std::chrono::steady_clock::now() + kReminderPeriod;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return Error{
      ErrorCode::timeout,
      fmt::format("after {} minutes there are no results yet: {}; it goes on by itself, look again with `verge status`",
                  kResultsTimeout.count(), missing_text)};
}

void print_address(const HubClient& hub, bool is_first_start) {
  const auto& address = hub.address();
  fmt::print("\nThe page:  http://127.0.0.1:{}\nUser:      admin\n", address.http_port);
  const auto password = read_file(address.password_file, 4096);
  if (!password) {
    fmt::print("Password:  the one you chose\n");
    return;
  }
  if (is_first_start) fmt::print("Password:  {}\n", password->substr(0, password->find('\n')));
  fmt::print("           (kept in {} until you change it)\n", address.password_file.string());
}

Status run_up(const Context& context, const MachineArguments& arguments) {
  const auto progress = printing(arguments.is_quiet);
  VERGE_TRY(const auto options, options_for(context, arguments, progress));
  // A solution that cannot be read is refused before anything starts.
  std::optional<Solution> solution;
  if (!arguments.folder.empty()) {
    VERGE_TRY(solution, load_solution(arguments.folder, find_cache()));
  }
  const bool is_first_start = !std::filesystem::exists(context.home.machine_file());
  VERGE_TRY(const auto engine, choose_engine(context.home));
  VERGE_TRY(const auto hub, start_machine(context.home, options, engine));
  progress(fmt::format("hub: answers on {}", hub.url()));
  VERGE_CHECK(join_own_hub(context, hub, options, engine, progress));
  if (solution) {
    VERGE_TRY(const auto manifest, prepare_solution(context, hub, *solution, progress));
    VERGE_TRY(const auto changes, apply_manifest(hub, options.device, manifest));
    progress(changes.empty() ? fmt::format("{}: runs this already, nothing to change", options.device)
                             : fmt::format("{}: manifest applied ({} changed)", options.device, changes.size()));
    VERGE_TRY(const auto modules, modules_of(manifest));
    VERGE_CHECK(wait_for_results(hub, options.device, modules, progress));
    progress(fmt::format("{}: {} modules run and deliver", options.device, modules.size()));
  }
  if (!arguments.is_quiet) print_address(hub, is_first_start);
  return Done{};
}

// ---- down, status, logs ----

Status show_status(const Context& context) {
  VERGE_TRY(auto status, machine_status(context.home));
  Json devices = Json::array();
  std::string hub_trouble;
  if (const auto hub = context.hub(); !hub) {
    hub_trouble = hub.error().message;
  } else if (auto answer = hub->get("/api/v1/devices"); answer) {
    devices = *std::move(answer);
  } else {
    hub_trouble = answer.error().message;
  }
  if (context.form == OutputForm::json) {
    status["devices"] = devices;
    if (!hub_trouble.empty()) status["hub_error"] = hub_trouble;
    context.print(status);
    return Done{};
  }
  std::vector<std::vector<std::string>> programs;
  for (const auto& program : status.at("programs")) {
    programs.push_back({to_cell(program.at("name")), program.at("running") == true ? "running" : "not running",
                        to_cell(program.at("pid")), to_cell(program.at("restarts")),
                        to_size(program.at("memory_bytes").get<std::uint64_t>())});
  }
  if (programs.empty()) {
    fmt::print("Nothing runs in {}; start it with `verge up`.\n", context.home.root.string());
    return Done{};
  }
  fmt::print("{}", to_table({"PROGRAM", "STATE", "PID", "RESTARTS", "MEMORY"}, programs));
  if (status.at("supervisor").at("running") != true) fmt::print("Nobody supervises them; `verge up` does.\n");
  if (!hub_trouble.empty()) {
    fmt::print("\nThe hub: {}\n", hub_trouble);
    return Done{};
  }
  std::vector<std::vector<std::string>> modules;
  for (const auto& device : devices) {
    const Json* of_device = find_member(device, {"modules"});
    for (const auto& module : of_device == nullptr ? Json::array() : *of_device) {
      const auto cell = [&](const char* member) {
        return module.contains(member) ? to_cell(module.at(member)) : std::string("-");
      };
      modules.push_back(
          {to_cell(device.at("id")), cell("id"), cell("runtime_status"), cell("restart_count"), cell("last_start")});
    }
  }
  fmt::print("\n{}", to_table({"DEVICE", "MODULE", "STATUS", "RESTARTS", "SINCE"}, modules));
  return Done{};
}

/// --device, else what this machine is joined as.
Result<std::string> device_of(const Context& context, const MachineArguments& arguments) {
  if (!arguments.machine.device.empty()) return arguments.machine.device;
  if (auto device = joined_device(context.home)) return *std::move(device);
  return Error{ErrorCode::invalid_argument, "this machine is joined to no hub; name the device with --device"};
}

Status show_logs(const Context& context, const MachineArguments& arguments) {
  if (!arguments.program.empty()) {
    VERGE_TRY(const auto text, program_log(context.home, arguments.program, static_cast<std::size_t>(arguments.lines)));
    fmt::print("{}", text);
    return Done{};
  }
  if (arguments.module.empty()) return Error{ErrorCode::invalid_argument, "name a module, or a program with --program"};
  VERGE_TRY(const auto device, device_of(context, arguments));
  VERGE_TRY(const auto hub, context.hub());
  const Json request{{"schemaVersion", "1.0"},
                     {"items", {{{"id", arguments.module}, {"filter", {{"tail", arguments.lines}}}}}},
                     {"encoding", "none"},
                     {"contentType", "text"}};
  VERGE_TRY(const auto reply, hub.call_method(device, "$edgeAgent", "GetModuleLogs", request));
  const auto status = integer_member(reply, "status");
  const Json* logs = find_member(reply, {"payload"});
  if (!status || *status != 200 || logs == nullptr || !logs->is_array()) {
    return Error{ErrorCode::unavailable,
                 fmt::format("read logs of {} on {}: {}", arguments.module, device, to_text(reply).substr(0, 500))};
  }
  if (logs->empty())
    return Error{ErrorCode::not_found, fmt::format("{} has no container of a module \"{}\"", device, arguments.module)};
  if (context.form == OutputForm::json) {
    context.print(*logs);
    return Done{};
  }
  for (const auto& log : *logs) fmt::print("{}", to_cell(log.contains("payload") ? log.at("payload") : Json("")));
  return Done{};
}

// ---- join, check, supervise ----

Status run_join(const Context& context, const MachineArguments& arguments) {
  auto options = arguments.machine;
  options.has_hub = false;
  if (options.device.empty()) options.device = joined_device(context.home).value_or(default_device_name());
  std::string trust_pem;
  if (!arguments.trust_file.empty()) {
    VERGE_TRY(trust_pem, read_file(arguments.trust_file, 1U << 20U));
  }
  VERGE_TRY(const auto engine, choose_engine(context.home));
  VERGE_CHECK(join_hub(context.home, arguments.hub_url, trust_pem, arguments.token, options.device, options, engine));
  VERGE_CHECK(start_programs(context.home, options, engine));
  fmt::print("device {}: joined {}\n", options.device, arguments.hub_url);
  return Done{};
}

Status run_the_check(const Context& context, const MachineArguments& arguments) {
  VERGE_TRY(const auto truth, load_truth(arguments.folder));
  VERGE_TRY(const auto device, device_of(context, arguments));
  VERGE_TRY(const auto hub, context.hub());
  CheckOptions options;
  options.device = device;
  options.pace = arguments.pace;
  const auto report = run_check(hub, truth, options, printing(arguments.is_quiet || context.form == OutputForm::json));
  if (context.form == OutputForm::json) {
    context.print(to_json(report));
  } else {
    fmt::print("\n{}", to_tables(report));
  }
  if (report.is_met()) return Done{};
  return Error{ErrorCode::corrupt, "not as the truth says: " + report.missing()};
}

Status run_supervise(const Context& context) {
  VERGE_TRY(const auto machine, load_machine(context.home));
  VERGE_TRY(const auto children, machine_children(context.home, machine.options, machine.engine));
  return run_supervisor(context.home, children);
}

void add_network_options(CLI::App& command, MachineOptions& options) {
  command.add_option("--device", options.device, "Device id; default: this machine's name");
  command.add_option("--subnet", options.subnet, "Of the modules' network")->capture_default_str();
  command.add_option("--gateway", options.gateway, "The agent's address in it")->capture_default_str();
}

}  // namespace

void add_machine_commands(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<MachineArguments>();
  const auto add = [&](const char* name, const char* summary, const char* example, auto run) {
    auto* command = app.add_subcommand(name, summary)->group("This machine");
    command->footer(std::string("Examples:\n") + example);
    command->callback([&context, arguments, run] { context.status = run(context, *arguments); });
    return command;
  };

  auto* up = add("up", "Start hub, agent and (if none answers) a container engine; deploy a solution",
                 "  verge up\n  verge up --solution examples/first_light\n  VERGE_HOME=/tmp/v verge up --http-port "
                 "9080 --https-port 9443 "
                 "--mqtt-port 9883 --subnet 172.31.78.0/24 --gateway 172.31.78.1",
                 run_up);
  up->add_option("--solution", arguments->folder, "Folder with solution.json")->check(CLI::ExistingDirectory);
  up->add_flag("--quiet", arguments->is_quiet, "Print errors only");
  up->add_option("--listen", arguments->machine.listen, "Address of the MQTT and HTTPS ports")->capture_default_str();
  up->add_option("--mqtt-port", arguments->machine.mqtt_port, "MQTT over TLS")->capture_default_str();
  up->add_option("--https-port", arguments->machine.https_port, "REST, image store, page over TLS")
      ->capture_default_str();
  up->add_option("--http-port", arguments->machine.http_port, "The page, on this machine only")->capture_default_str();
  add_network_options(*up, arguments->machine);

  add("down", "Stop everything that `up` started", "  verge down\n  verge down --purge",
      [](const Context& with, const MachineArguments& given) { return stop_machine(with.home, given.is_purge); })
      ->add_flag("--purge", arguments->is_purge, "Remove everything kept in VERGE_HOME too");
  add("status", "What runs on this machine", "  verge status\n  verge status -o json",
      [](const Context& with, const MachineArguments&) { return show_status(with); });

  auto* check =
      add("check", "Compare what the containers report with a truth labelled by hand",
          "  verge check --truth examples/first_light/truth\n  verge check --truth examples/first_light/truth -o json",
          run_the_check);
  check->add_option("--truth", arguments->folder, "Folder with people.json, transcripts.json, faults.json")
      ->required()
      ->check(CLI::ExistingDirectory);
  check->add_option("--device", arguments->machine.device, "Device id; default: this machine's");
  check->add_option("--pace", arguments->pace, "Simulated seconds per second for the machine, 1..1000")
      ->check(CLI::Range(1.0, 1000.0))
      ->capture_default_str();
  check->add_flag("--quiet", arguments->is_quiet, "Print the result only");

  auto* join = add("join", "Make this machine a device of a hub elsewhere",
                   "  verge join https://hub.example:8443 TOKEN --ca hub-ca.pem\n  verge join https://hub.example:8443 "
                   "TOKEN --device press-3",
                   run_join);
  join->add_option("hub", arguments->hub_url, "The hub's address")->required();
  join->add_option("token", arguments->token, "A join token of the hub")->required();
  join->add_option("--ca", arguments->trust_file, "The hub's authority (PEM); default: the system's bundle")
      ->check(CLI::ExistingFile);
  add_network_options(*join, arguments->machine);

  auto* logs = add("logs", "The newest lines of a module or of a program of this machine",
                   "  verge logs vision\n  verge logs --program agent --lines 20", show_logs);
  logs->add_option("module", arguments->module, "Module id (a regular expression)");
  logs->add_option("--program", arguments->program, "hub, agent, engine or supervisor")
      ->check(CLI::IsMember({"hub", "agent", "engine", "supervisor"}));
  logs->add_option("--lines", arguments->lines, "How many, 1..10000")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  logs->add_option("--device", arguments->machine.device, "Device id; default: this machine's");

  // What `up` starts in the background; an empty group hides it from the help.
  add("supervise", "Keep this machine's programs running", "  verge supervise",
      [](const Context& with, const MachineArguments&) { return run_supervise(with); })
      ->group("");

  app.add_subcommand("completion", "Print a completion script for bash")
      ->group("This machine")
      ->footer("Example:\n  source <(verge completion)")
      ->callback([&app] { fmt::print("{}", completion_script(app)); });
}

}  // namespace verge::cli
