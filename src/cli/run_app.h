// cli/run_app.h -- options that all commands share, and from words to an exit code.
//
// Threads: one.
#pragma once

#include <string>

#include "cli/commands.h"

namespace verge::cli {

/// -o, --connection; call it before the commands are added.
void add_global_options(CLI::App& app, Context& context);
/// Parses and runs. A mistake in the words is exit code 2 with the nearest command; an error of a command is printed
/// once (with -o json as {"error": {"code", "message"}} on standard error) and gives its own code.
int run_app(CLI::App& app, const Context& context, int count, const char* const* words);

/// The command of `app` (and of the command groups named before it) that is nearest to the first word that none has; ""
/// when every word is known or none is near: at most a third of the letters, and two, may differ.
std::string nearest_command(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace verge::cli
