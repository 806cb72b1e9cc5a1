// evidence: what cameras kept, brought from a device.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"
#include "cli/commands.h"
#include "cli/evidence.h"

namespace verge::cli {
namespace {

Status get_one(const Context& context, EvidenceRequest request) {
  VERGE_TRY(const auto hub, context.hub());
  if (request.file.empty()) {
    const auto digits = request.digest.substr(request.digest.find(':') + 1);  // All of it without a colon.
    request.file = digits.substr(0, 12) + ".evidence";
  }
  const bool is_terminal = isatty(STDERR_FILENO) == 1;
  VERGE_TRY(const auto bytes, fetch_evidence(hub, request, [&](std::uint64_t done, std::uint64_t all) {
              if (!is_terminal) return;
              fmt::print(stderr, "\r{} of {}   ", to_size(done), to_size(all));
              if (done == all) fmt::print(stderr, "\n");
            }));
  fmt::print("{}: {}, the digest is right\n", request.file.string(), to_size(bytes));
  return Done{};
}

Status list_all(const Context& context, const EvidenceRequest& request) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const Json kept, list_evidence(hub, request.device, request.module));
  if (context.form == OutputForm::json) {
    context.print(kept);
    return Done{};
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& file : kept.value("files", Json::array())) {
    rows.push_back({to_iso8601(file.value("captured_us", std::int64_t{0})), file.value("type", ""),
                    to_size(file.value("bytes", std::uint64_t{0})), file.value("blur", ""),
                    file.value("may_leave", false) ? "yes" : "no", file.value("digest", "")});
  }
  fmt::print("{}", to_table({"TIME", "TYPE", "SIZE", "BLUR", "MAY LEAVE", "DIGEST"}, rows));
  return Done{};
}

}  // namespace

void add_evidence_commands(CLI::App& app, Context& context) {
  const auto request = std::make_shared<EvidenceRequest>();
  auto* evidence =
      app.add_subcommand("evidence", "Pictures and clips that cameras kept")->group("Fleet")->require_subcommand(1);
  evidence->footer(
      "Examples:\n  verge evidence list press-3 vision\n"
      "  verge evidence get press-3 vision sha256:9f86… --out intrusion.jpg");
  auto* list = evidence->add_subcommand("list", "The newest 100 on a device");
  auto* get = evidence->add_subcommand("get", "Bring one file here and check it");
  for (auto* command : {list, get}) {
    command->add_option("device", request->device, "Device id")->required();
    command->add_option("module", request->module, "Module id")->required();
  }
  get->add_option("digest", request->digest, "As an event's \"evidence\" or the list shows it")->required();
  get->add_option("--out", request->file, "File; default: the digest's first digits");
  list->callback([&context, request] { context.status = list_all(context, *request); });
  get->callback([&context, request] { context.status = get_one(context, *request); });
}

}  // namespace verge::cli
