#include "cli/run_app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <utility>

#include "base/json.h"
#include "cli/edit_distance.h"

namespace verge::cli {
namespace {

std::vector<const CLI::App*> visible_commands(const CLI::App& app) {
  std::vector<const CLI::App*> commands;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) commands.push_back(command);
  }
  return commands;
}

const CLI::App* find_command(const CLI::App& app, const std::string& word) {
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == word) return command;
  }
  return nullptr;
}

/// The group of commands in which the words go wrong, and the word that does; nullptr when every word is known.
std::pair<const CLI::App*, std::string> wrong_word(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* group = &app;
  bool is_value = false;
  for (const auto& word : words) {
    if (std::exchange(is_value, false)) continue;
    is_value = word == "-o" || word == "--output" || word == "--connection";
    if (word.starts_with('-')) continue;
    if (visible_commands(*group).empty()) return {nullptr, {}};
    const auto* command = find_command(*group, word);
    if (command == nullptr) return {group, word};
    group = command;
  }
  return {nullptr, {}};
}

/// The library's words, except where they hide which word is wrong, or that a file is missing.
Error named_error(const CLI::ParseError& error, const std::vector<std::string>& words) {
  const std::string text = error.what();
  if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr && text.find("does not exist") != std::string::npos)
    return {ErrorCode::not_found, text};
  const bool has_command =
      std::any_of(words.begin(), words.end(), [](const auto& word) { return !word.starts_with('-'); });
  if (!has_command && !words.empty())
    return {ErrorCode::invalid_argument, fmt::format("\"{}\" alone is no command; see --help", words.front())};
  return {ErrorCode::invalid_argument, text + "; see --help"};
}

int print_error(const Error& error, OutputForm form) {
  if (form == OutputForm::json) {
    fmt::print(stderr, "{}\n", to_text({{"error", {{"code", name_of(error.code)}, {"message", error.message}}}}));
  } else {
    fmt::print(stderr, "verge: {}\n", error.message);
  }
  return exit_code_of(error.code);
}

}  // namespace

void add_global_options(CLI::App& app, Context& context) {
  // Given before or after the command, as people do.
  app.fallthrough();
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.add_option_function<std::string>(
         "-o,--output",
         [&context](const std::string& form) { context.form = form == "json" ? OutputForm::json : OutputForm::table; },
         "Form of what is printed: table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->trigger_on_parse();
  app.add_option("--connection", context.connection_file,
                 "File that says how to reach a hub; default: the hub of this machine");
  app.footer(
      "Examples:\n  verge up --solution examples/first_light\n  verge device list -o json\n  verge message watch "
      "--severity alarm\n\n"
      "Kept in VERGE_HOME (default ~/.local/share/verge). Exit codes: 0 done, 2 invalid, 3 not found, 4 conflict, 5 "
      "unavailable,\n"
      "6 timeout, 7 limit, 8 corrupt or not as expected, 70 a bug.");
}

std::string nearest_command(const CLI::App& app, const std::vector<std::string>& words) {
  const auto [group, word] = wrong_word(app, words);
  if (group == nullptr) return {};
  std::string nearest;
  std::size_t least = std::min<std::size_t>(2, std::max<std::size_t>(1, word.size() / 3)) + 1;
  for (const auto* command : visible_commands(*group)) {
    const auto distance = edit_distance(word, command->get_name());
    if (distance >= least) continue;
    least = distance;
    nearest = command->get_name();
  }
  if (nearest.empty() && word.size() >= 3) {
    for (const auto* command : visible_commands(*group))
      if (command->get_name().starts_with(word)) nearest = command->get_name();
  }
  return nearest;
}

int run_app(CLI::App& app, const Context& context, int count, const char* const* words) {
  const std::vector<std::string> given(words + std::min(count, 1), words + count);
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const auto [group, word] = wrong_word(app, given);
    if (group == nullptr) return print_error(named_error(error, given), context.form);
    const auto nearest = nearest_command(app, given);
    const auto hint = nearest.empty() ? std::string("see --help") : fmt::format("did you mean \"{}\"?", nearest);
    return print_error({ErrorCode::invalid_argument, fmt::format("there is no command \"{}\"; {}", word, hint)},
                       context.form);
  } catch (const Json::exception& error) {
    // Answers are read as the API documents them; another shape is the other side's fault, and no reason to die.
    return print_error({ErrorCode::corrupt, std::string("an answer or a file is not as expected: ") + error.what()},
                       context.form);
  } catch (const std::filesystem::filesystem_error& error) {
    // Of a path that cannot even be looked at: too long a name, a link that leads to itself, a folder of others.
    return print_error({ErrorCode::invalid_argument, fmt::format("look at \"{}\": {}; give another path",
                                                                 error.path1().string(), error.code().message())},
                       context.form);
  }
  if (context.status) return 0;
  return print_error(context.status.error(), context.form);
}

}  // namespace verge::cli
