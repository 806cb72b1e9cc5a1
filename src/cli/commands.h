// cli/commands.h -- the commands of `verge`, grouped as in `verge --help`; each is a function over HubClient or a local
// part.
//
// main() calls add_*_commands() in the order of the help. A command's callback stores its Status in Context::status;
// main() prints an error once and exits with its code. Threads: one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/home.h"
#include "cli/hub_client.h"
#include "cli/output.h"
#include "cli/review_server.h"

namespace CLI {
class App;
}

namespace verge::cli {

/// What all commands share: global options and the outcome.
struct Context {
  Home home = find_home();
  std::filesystem::path connection_file;  ///< --connection; default: home.hub()/connection.json.
  OutputForm form = OutputForm::table;    ///< -o table|json
  Status status = Done{};

  Result<HubClient> hub() const;
  /// Prints a list: all of it as JSON, or the named members as a table's columns.
  void print_list(const Json& items, const std::vector<std::pair<std::string, std::string>>& heading_and_member) const;
  void print(const Json& value) const;
};

void add_machine_commands(CLI::App& app, Context& context);     ///< up down status check join supervise logs
void add_fleet_commands(CLI::App& app, Context& context);       ///< device module twin method deployment apply
void add_people_commands(CLI::App& app, Context& context);      ///< people add|list|remove
void add_message_commands(CLI::App& app, Context& context);     ///< message watch|list
void add_evidence_commands(CLI::App& app, Context& context);    ///< evidence list|get
void add_camera_commands(CLI::App& app, Context& context);      ///< camera discover|check
void add_microphone_commands(CLI::App& app, Context& context);  ///< microphone list|check
void add_model_commands(CLI::App& app, Context& context);       ///< train model
void add_access_commands(CLI::App& app, Context& context);      ///< access enrol|list|remove|check
/// data transcribe|review|import|export|split|show|versions|report; review_page: the files of web/ that it serves.
void add_data_commands(CLI::App& app, Context& context, std::vector<PageFile> review_page);
void add_package_commands(CLI::App& app, Context& context);  ///< package image run
/// The text of a bash completion script for everything in `app`.
std::string completion_script(const CLI::App& app);

}  // namespace verge::cli
