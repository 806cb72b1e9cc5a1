// access: who may come in, on this machine.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>

#include "base/json.h"
#include "cli/access.h"
#include "cli/commands.h"

namespace verge::cli {
namespace {

Status enrol_and_tell(const Context& context, const AccessRequest& request) {
  VERGE_TRY(const Json report,
            enrol_person(request, context.home, [](const std::string& line) { fmt::print(stderr, "{}\n", line); }));
  if (context.form == OutputForm::json) {
    context.print(report);
    return Done{};
  }
  fmt::print("{} is enrolled with {} looks; {} of {} pictures are good\n", request.name,
             report.at("looks").get<std::size_t>(), report.at("good").get<std::size_t>(),
             report.at("pictures").get<std::size_t>());
  return Done{};
}

Status print_people(const Context& context, const AccessRequest& request) {
  VERGE_TRY(const Json people, list_people(request));
  context.print_list(people, {{"NAME", "name"}, {"LOOKS", "looks"}, {"ENROLLED", "enrolled"}, {"WHEN", "when"}});
  return Done{};
}

Status remove_and_tell(const Context& context, const AccessRequest& request) {
  VERGE_TRY(const Json removed, remove_person(request));
  if (context.form == OutputForm::json) {
    context.print(removed);
  } else {
    fmt::print("{} is forgotten\n", request.name);
  }
  return Done{};
}

std::string number_text(const Json& json, const char* member) {
  return json.contains(member) ? fmt::format("{:.3f}", json.at(member).get<double>()) : "-";
}
std::string count_text(const Json& json, const char* member) {
  return std::to_string(json.at(member).get<std::uint64_t>());
}

Status print_check(const Context& context, const AccessRequest& request) {
  VERGE_TRY(const Json found, check_people(request));
  if (context.form == OutputForm::json) {
    context.print(found);
    return Done{};
  }
  const double bound = found.at("false_accept_max").get<double>();
  fmt::print("{}\n",
             to_table({"", ""}, {{"people", count_text(found, "people")},
                                 {"looks compared with their own person's others", count_text(found, "genuine_looks")},
                                 {"  least alike", number_text(found, "genuine_least")},
                                 {"  that the threshold would not know", count_text(found, "genuine_errors")},
                                 {"pairs of two people", count_text(found, "impostor_pairs")},
                                 {"  most alike", number_text(found, "impostor_most")},
                                 {"  that the threshold takes for one", count_text(found, "impostor_errors")},
                                 {"  independent of each other", count_text(found, "independent_pairs")},
                                 {"threshold", number_text(found, "threshold")},
                                 {"a stranger is taken for one given person, at most", fmt::format("{:.2g}", bound)},
                                 {"a stranger is taken for anybody, at most",
                                  fmt::format("{:.2g}", found.at("false_accept_max_of_stranger").get<double>())}}));
  fmt::print("With 95 % confidence, for strangers who happen to come; not for photographs, twins or chosen doubles.\n");
  return Done{};
}

}  // namespace

void add_access_commands(CLI::App& app, Context& context) {
  const auto request = std::make_shared<AccessRequest>();
  auto* access = app.add_subcommand("access", "Who may come in: people of a gallery on this machine")
                     ->group("Models")
                     ->require_subcommand(1);
  access->footer(
      "Examples:\n  verge access enrol \"Ada Lovelace\" pictures/ada/ --gallery people\n"
      "  verge access check --gallery people --false-accept 0.01\n"
      "  verge access remove \"Ada Lovelace\" --gallery people\n\n"
      "A gallery that a running module has is changed by the module's methods:\n"
      "  verge method call gate-3 vision access.enrol '{\"name\": \"Ada Lovelace\"}'");
  auto* enrolling = access->add_subcommand("enrol", "Take somebody in from several pictures of him alone");
  auto* listing = access->add_subcommand("list", "Who is enrolled");
  auto* removing = access->add_subcommand("remove", "Forget somebody: his key is overwritten, his record removed");
  auto* checking =
      access->add_subcommand("check", "How often strangers would be let in, as far as the enrolled can tell");
  for (auto* command : {enrolling, removing}) {
    command->add_option("name", request->name, "As events show it")->required();
  }
  for (auto* command : {enrolling, listing, removing, checking}) {
    command->add_option("--gallery", request->gallery, "Folder of the enrolled")->required();
    command->add_option("--keyring", request->keyring, "File of their keys; default: the folder's name with .keys");
  }
  enrolling->add_option("pictures", request->pictures, "JPEG and PNG files, or folders of them")
      ->required()
      ->check(CLI::ExistingPath);
  enrolling->add_option("--when", request->when, "When he may come in: \"hour >= 7 AND door = 'gate'\"");
  enrolling->add_flag("--also", request->may_be_alike,
                      "Even when the face is like that of somebody who is enrolled: twins; else that is refused");
  enrolling->add_option("--detector", request->detector, "Face detector: a name of the catalogue, or a model folder")
      ->capture_default_str();
  enrolling->add_option("--embedder", request->embedder, "What describes faces; the pipeline must use the same")
      ->capture_default_str();
  checking->add_option("--threshold", request->threshold, "From this similarity on it is the same person")
      ->check(CLI::Range(0.1, 0.999))
      ->capture_default_str();
  checking
      ->add_option("--false-accept", request->false_accept,
                   "The threshold that promises this rate; refused (exit code 2) when the enrolled do not support it")
      ->check(CLI::Range(1e-6, 0.5));
  enrolling->callback([&context, request] { context.status = enrol_and_tell(context, *request); });
  listing->callback([&context, request] { context.status = print_people(context, *request); });
  removing->callback([&context, request] { context.status = remove_and_tell(context, *request); });
  checking->callback([&context, request] { context.status = print_check(context, *request); });
}

}  // namespace verge::cli
