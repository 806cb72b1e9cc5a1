// people: who may log in to the hub's page.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/people.h"

namespace verge::cli {
namespace {

struct PeopleArguments {
  std::string user, role = "viewer";
  std::filesystem::path password_file;
};

Status list_people_of_hub(const Context& context) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const Json people, list_hub_people(hub));
  context.print_list(people, {{"NAME", "user"}, {"ROLE", "role"}});
  return Done{};
}

Status add_and_tell(const Context& context, const PeopleArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const std::string password, ask_password(arguments.user, arguments.password_file));
  VERGE_TRY(const Json added, add_hub_person(hub, arguments.user, arguments.role, password));
  if (context.form == OutputForm::json) {
    context.print(added);
  } else {
    fmt::print("{} may log in as {} at {}\n", arguments.user, arguments.role, hub.url());
  }
  return Done{};
}

Status remove_from_hub(const Context& context, const PeopleArguments& arguments) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const Json removed, remove_hub_person(hub, arguments.user));
  if (context.form == OutputForm::json) {
    context.print(removed);
  } else {
    fmt::print("{} may no longer log in; what was open for him is closed\n", arguments.user);
  }
  return Done{};
}

}  // namespace

void add_people_commands(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<PeopleArguments>();
  auto* people =
      app.add_subcommand("people", "Who may log in to the hub's page")->group("Fleet")->require_subcommand(1);
  people->footer(
      "Roles: a viewer looks; an operator also calls methods, changes twins and deploys; an admin also sees keys and\n"
      "adds devices and people.\n\n"
      "Examples:\n  verge people add grace --role operator\n"
      "  verge people add lobby-screen --password-file lobby.password\n  verge people remove grace");
  auto* adding = people->add_subcommand("add", "Let somebody log in; asks for the password");
  auto* listing = people->add_subcommand("list", "Everybody and their roles");
  auto* removing = people->add_subcommand("remove", "End somebody's sessions, and log in no more");
  for (auto* command : {adding, removing}) command->add_option("name", arguments->user, "As to log in")->required();
  adding->add_option("--role", arguments->role, "viewer, operator or admin")
      ->check(CLI::IsMember({"viewer", "operator", "admin"}))
      ->capture_default_str();
  adding->add_option("--password-file", arguments->password_file,
                     "Its first line, 10 characters or more; - is standard input. Without: the terminal asks");
  adding->callback([&context, arguments] { context.status = add_and_tell(context, *arguments); });
  listing->callback([&context] { context.status = list_people_of_hub(context); });
  removing->callback([&context, arguments] { context.status = remove_from_hub(context, *arguments); });
}

}  // namespace verge::cli
