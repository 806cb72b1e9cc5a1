// device, module, twin, method, deployment, apply: what an operator does to a fleet.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <memory>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/time.h"
#include "cli/commands.h"
#include "cli/deployment.h"

namespace verge::cli {
namespace {

/// The arguments of one command, kept alive by its callback.
struct FleetArguments {
  std::string device, module, name, text;
  std::filesystem::path file;
  bool flag = false;
  int seconds = 30;
};

std::string twin_path(const FleetArguments& arguments) {
  std::string path = "/twins/" + percent_encode(arguments.device);
  if (!arguments.module.empty()) path += "/modules/" + percent_encode(arguments.module);
  return path;
}

/// JSON from an argument: "@FILE" reads a file, "-" is refused, anything else is the text itself.
Result<Json> json_argument(const std::string& text, std::string_view what) {
  if (!text.starts_with('@')) {
    auto value = parse_json(text);
    if (!value) return std::move(value).error().within(what);
    return value;
  }
  VERGE_TRY(const auto content, read_file(text.substr(1)));
  auto value = parse_json(content);
  if (!value) return std::move(value).error().within("read " + text.substr(1));
  return value;
}

Status list_devices(const Context& context) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(auto devices, hub.get("/api/v1/devices"));
  if (context.form == OutputForm::json) {
    context.print(devices);
    return Done{};
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& device : devices) {
    std::size_t running = 0, deployed = 0;
    // An identity that no manifest names any more has no status.
    for (const auto& module : device.value("modules", Json::array())) {
      const auto status = module.value("runtime_status", "");
      deployed += status.empty() ? 0 : 1;
      running += status == "running" ? 1 : 0;
    }
    rows.push_back({device.value("id", ""), device.value("connected", false) ? "connected" : "away",
                    to_age(device.value("last_seen_us", std::int64_t{0}), system_clock().now_us()),
                    fmt::format("{} of {}", running, deployed)});
  }
  fmt::print("{}", to_table({"DEVICE", "STATE", "LAST SEEN", "MODULES RUNNING"}, rows));
  return Done{};
}

Status show_device(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto device, hub.get("/devices/" + percent_encode(arguments.device)));
  VERGE_TRY(const auto twin, hub.get(twin_path(arguments)));
  context.print({{"device", device}, {"twin", twin}});
  return Done{};
}

Status create_device(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  const Json body{{"deviceId", arguments.device},
                  {"status", "enabled"},
                  {"authentication", {{"type", "sas"}, {"symmetricKey", {{"primaryKey", ""}, {"secondaryKey", ""}}}}},
                  {"capabilities", {{"iotEdge", arguments.flag}}}};
  VERGE_TRY(const auto device, hub.call("PUT", "/devices/" + percent_encode(arguments.device), body));
  context.print(device);
  return Done{};
}

Status delete_device(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_CHECK(hub.call("DELETE", "/devices/" + percent_encode(arguments.device), nullptr, "\"*\""));
  fmt::print("deleted device {}\n", arguments.device);
  return Done{};
}

Status list_modules(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto devices, hub.get("/api/v1/devices"));
  Json rows = Json::array();
  for (const auto& device : devices) {
    if (!arguments.device.empty() && device.value("id", "") != arguments.device) continue;
    for (auto module : device.value("modules", Json::array())) {
      module["device"] = device.value("id", "");
      rows.push_back(std::move(module));
    }
  }
  context.print_list(rows, {{"DEVICE", "device"},
                            {"MODULE", "id"},
                            {"STATUS", "runtime_status"},
                            {"RESTARTS", "restart_count"},
                            {"SINCE", "last_start"},
                            {"IMAGE", "image"}});
  return Done{};
}

Status show_twin(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto twin, hub.get(twin_path(arguments)));
  context.print(twin);
  return Done{};
}

Status set_twin(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto patch, json_argument(arguments.text, "the patch"));
  const Json body = arguments.flag ? Json{{"tags", patch}} : Json{{"properties", {{"desired", patch}}}};
  VERGE_TRY(const auto twin, hub.call("PATCH", twin_path(arguments), body));
  context.print(twin);
  return Done{};
}

Status call_method(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto payload, json_argument(arguments.text, "the payload"));
  VERGE_TRY(const auto reply, hub.call_method(arguments.device, arguments.module, arguments.name, payload,
                                              std::chrono::seconds(arguments.seconds)));
  context.print(reply);
  const auto status = reply.value("status", 0);
  if (status >= 400) {
    return Error{ErrorCode::invalid_argument, fmt::format("method {} answered with status {}", arguments.name, status)};
  }
  return Done{};
}

Status apply_file(const Context& context, const HubClient& hub, const std::string& device,
                  const std::filesystem::path& file, bool is_dry_run) {
  VERGE_TRY(const auto text, read_file(file));
  auto manifest = parse_json(text);
  if (!manifest) return std::move(manifest).error().within("read " + file.string());
  if (is_dry_run) {
    VERGE_TRY(const auto changes, manifest_difference(hub, device, *manifest));
    context.print({{"device", device}, {"changes", changes}});
    return Done{};
  }
  VERGE_TRY(const auto changes, apply_manifest(hub, device, *manifest));
  if (context.form == OutputForm::json) {
    context.print({{"device", device}, {"changes", changes}});
  } else if (changes.empty()) {
    fmt::print("{}: nothing to change\n", device);
  } else {
    fmt::print("{}: applied {} ({} changed)\n", device, file.string(), changes.size());
  }
  return Done{};
}

Status apply_one(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  return apply_file(context, hub, arguments.device, arguments.file, arguments.flag);
}

/// Fleet as code: every DEVICE.json of a folder.
Status apply_folder(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(arguments.file, error)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  if (error) {
    return Error{ErrorCode::not_found, "read the folder " + arguments.file.string() + ": " + error.message()};
  }
  if (files.empty()) {
    return Error{ErrorCode::not_found,
                 arguments.file.string() + " holds no manifest; name each one after its device: press-3.json"};
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    VERGE_CHECK(apply_file(context, hub, file.stem().string(), file, arguments.flag));
  }
  return Done{};
}

Status show_deployment(const Context& context, const FleetArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto twin, hub.get("/twins/" + percent_encode(arguments.device) + "/modules/%24edgeAgent"));
  const auto& properties = twin.at("properties");
  context.print({{"desired", properties.value("desired", Json::object())},
                 {"reported", properties.value("reported", Json::object())}});
  return Done{};
}

CLI::App* add(CLI::App& parent, Context& context, const std::shared_ptr<FleetArguments>& arguments, const char* name,
              const char* summary, Status (*run)(const Context&, const FleetArguments&)) {
  auto* command = parent.add_subcommand(name, summary);
  command->callback([&context, arguments, run] { context.status = run(context, *arguments); });
  return command;
}

}  // namespace

void add_fleet_commands(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<FleetArguments>();

  auto* device = app.add_subcommand("device", "Devices the hub knows")->group("Fleet")->require_subcommand(1);
  device->footer(
      "Examples:\n  verge device list\n  verge device create press-3 --edge\n  verge device show press-3 -o json");
  device->add_subcommand("list", "All devices and their state")->callback([&context] {
    context.status = list_devices(context);
  });
  for (auto* command : {add(*device, context, arguments, "show", "One device with its twin", show_device),
                        add(*device, context, arguments, "create", "Register a device; prints its keys", create_device),
                        add(*device, context, arguments, "delete", "Remove a device and its modules", delete_device)}) {
    command->add_option("device", arguments->device, "Device id")->required();
  }
  device->get_subcommand("create")->add_flag("--edge", arguments->flag, "It runs an agent and containers");

  auto* module = app.add_subcommand("module", "Modules and how they run")->group("Fleet")->require_subcommand(1);
  add(*module, context, arguments, "list", "Modules of one device, or of all", list_modules)
      ->add_option("device", arguments->device, "Device id");
  module->footer("Example:\n  verge module list press-3");

  auto* twin =
      app.add_subcommand("twin", "Twins: tags, desired and reported properties")->group("Fleet")->require_subcommand(1);
  twin->footer(
      "Examples:\n  verge twin get press-3 vision\n"
      "  verge twin set press-3 -m vision '{\"pipeline\": {\"sources\": {\"gate\": {\"fps\": 2}}}}'\n  verge twin set "
      "press-3 --tags '{\"site\": \"hall 2\"}'");
  auto* get_twin = add(*twin, context, arguments, "get", "Show a twin", show_twin);
  auto* patch_twin = add(*twin, context, arguments, "set", "Merge a patch into the desired properties", set_twin);
  for (auto* command : {get_twin, patch_twin}) {
    command->add_option("device", arguments->device, "Device id")->required();
  }
  get_twin->add_option("module", arguments->module, "Module id");
  patch_twin->add_option("--module,-m", arguments->module, "Module id");
  patch_twin->add_option("patch", arguments->text, "JSON, or @FILE; null deletes")->required();
  patch_twin->add_flag("--tags", arguments->flag, "Change the tags instead");

  auto* method = app.add_subcommand("method", "Direct methods")->group("Fleet")->require_subcommand(1);
  method->footer(
      "Examples:\n  verge method call press-3 machine fault '{\"kind\": \"drift\", \"seed\": 7}'\n"
      "  verge method call press-3 '$edgeAgent' ping '{}'");
  auto* call = add(*method, context, arguments, "call", "Call a method and print its answer", call_method);
  call->add_option("device", arguments->device, "Device id")->required();
  call->add_option("module", arguments->module, "Module id")->required();
  call->add_option("name", arguments->name, "Method name")->required();
  arguments->text = "{}";
  call->add_option("payload", arguments->text, "JSON, or @FILE");
  call->add_option("--timeout", arguments->seconds, "Seconds to wait for the answer, 5..300")
      ->check(CLI::Range(5, 300));

  auto* deployment = app.add_subcommand("deployment", "Deployment manifests")->group("Fleet")->require_subcommand(1);
  deployment->footer(
      "Examples:\n  verge deployment apply press-3 deployment.json --dry-run\n  verge deployment show press-3");
  auto* apply = add(*deployment, context, arguments, "apply", "Set what one device runs (Azure's manifest)", apply_one);
  apply->add_option("device", arguments->device, "Device id")->required();
  apply->add_option("file", arguments->file, "Manifest")->required()->check(CLI::ExistingFile);
  apply->add_flag("--dry-run", arguments->flag, "Print what would change");
  add(*deployment, context, arguments, "show", "What should run and what does", show_deployment)
      ->add_option("device", arguments->device, "Device id")
      ->required();

  auto* fleet =
      add(app, context, arguments, "apply", "Fleet as code: applies every DEVICE.json of a folder", apply_folder)
          ->group("Fleet");
  fleet->add_option("-f,--folder", arguments->file, "Folder of manifests")->required()->check(CLI::ExistingDirectory);
  fleet->add_flag("--dry-run", arguments->flag, "Print what would change");
  fleet->footer("Example:\n  verge apply -f fleet/ --dry-run");
}

}  // namespace verge::cli
