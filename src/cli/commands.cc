#include "cli/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/json.h"

namespace verge::cli {

Result<HubClient> Context::hub() const {
  VERGE_TRY(auto address, load_hub_address(connection_file.empty() ? home.hub() / "connection.json" : connection_file));
  return HubClient(std::move(address));
}

void Context::print_list(const Json& items,
                         const std::vector<std::pair<std::string, std::string>>& heading_and_member) const {
  if (form == OutputForm::json) return print(items);
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;
  for (const auto& [heading, member] : heading_and_member) headings.push_back(heading);
  for (const auto& item : items) {
    std::vector<std::string> row;
    for (const auto& [heading, member] : heading_and_member) {
      row.push_back(item.contains(member) ? to_cell(item.at(member)) : "-");
    }
    rows.push_back(std::move(row));
  }
  fmt::print("{}", to_table(headings, rows));
}

void Context::print(const Json& value) const { fmt::print("{}\n", to_pretty_text(value)); }

namespace {

std::string words_of(const CLI::App& app) {
  std::set<std::string> words{"--help"};
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) words.insert(command->get_name());
  }
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) words.insert("--" + name);
  }
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace

std::string completion_script(const CLI::App& app) {
  std::string cases;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) continue;
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), words_of(*command));
  }
  return fmt::format(
      "# bash completion of verge; load it with: source <(verge completion)\n"
      "_verge() {{\n"
      "  local words current=${{COMP_WORDS[COMP_CWORD]}}\n"
      "  case ${{COMP_WORDS[1]}} in\n{}    *) words=\"{}\" ;;\n"
      "  esac\n"
      "  [ \"$COMP_CWORD\" -eq 1 ] && words=\"{}\"\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}}\n"
      "complete -o default -F _verge verge\n",
      cases, words_of(app), words_of(app));
}

}  // namespace verge::cli
