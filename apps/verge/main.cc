// apps/verge/main.cc -- program verge: the one command line.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "cli/commands.h"
#include "cli/run_app.h"
#include "cli/runtime_layers.h"
#include "embedded_files.h"

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);
  verge::cli::find_onnxruntime();
  verge::cli::Context context;
  CLI::App app{"verge: models from teaching to the edge, on your own machines.", "verge"};
  app.set_version_flag("--version", "verge " VERGE_VERSION);
  verge::cli::add_global_options(app, context);
  verge::cli::add_machine_commands(app, context);
  verge::cli::add_fleet_commands(app, context);
  verge::cli::add_people_commands(app, context);
  verge::cli::add_message_commands(app, context);
  verge::cli::add_evidence_commands(app, context);
  verge::cli::add_camera_commands(app, context);
  verge::cli::add_microphone_commands(app, context);
  verge::cli::add_model_commands(app, context);
  verge::cli::add_access_commands(app, context);
  verge::cli::add_data_commands(app, context, embedded_files());
  verge::cli::add_package_commands(app, context);
  return verge::cli::run_app(app, context, count, words);
}
