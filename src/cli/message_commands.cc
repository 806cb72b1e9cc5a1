// message: what devices sent, from the hub's history.
#include <CLI/CLI.hpp>
#include <csignal>
#include <fmt/format.h>
#include <memory>
#include <thread>

#include "base/bytes.h"
#include "base/json.h"
#include "base/time.h"
#include "cli/commands.h"

namespace verge::cli {
namespace {

struct Filter {
  std::string family, device, module, type, severity;
  int count = 20;
  int seconds = 0;
};

volatile std::sig_atomic_t interrupted = 0;

std::string query_of(const Filter& filter, int limit, std::int64_t from_us) {
  std::string query = "?limit=" + std::to_string(limit);
  for (const auto& [name, value] : {std::pair{"family", &filter.family},
                                    {"device", &filter.device},
                                    {"module", &filter.module},
                                    {"type", &filter.type},
                                    {"severity", &filter.severity}}) {
    if (!value->empty()) query += std::string("&") + name + "=" + percent_encode(*value);
  }
  if (from_us != 0) query += "&from_us=" + std::to_string(from_us);
  return query;
}

void print_event(const Context& context, const Json& event) {
  if (context.form == OutputForm::json) {
    fmt::print("{}\n", to_text(event));
    return;
  }
  fmt::print("{}  {:<9}  {:<20}  {:<16}  {}\n", to_iso8601(event.value("captured_us", std::int64_t{0})),
             event.value("family", ""), event.value("device", "") + "/" + event.value("module", ""),
             event.value("type", ""),
             event.value("label", "") + (event.contains("explanation") ? ": " + event.value("explanation", "") : ""));
}

/// Newest last, as people read.
Status print_events(const Context& context, const Json& answer) {
  const auto& events = answer.at("events");
  for (auto event = events.rbegin(); event != events.rend(); ++event) print_event(context, *event);
  std::fflush(stdout);
  return Done{};
}

Status list_messages(const Context& context, const Filter& filter) {
  VERGE_TRY(const auto hub, context.hub());
  VERGE_TRY(const auto answer, hub.get("/api/v1/events" + query_of(filter, filter.count, 0)));
  return print_events(context, answer);
}

/// Follows history by polling: an event is printed once, in the order the hub made it durable.
Status watch_messages(const Context& context, const Filter& filter) {
  VERGE_TRY(const auto hub, context.hub());
  std::signal(SIGINT, [](int) { interrupted = 1; });
  const auto& clock = system_clock();
  const std::int64_t end_us = filter.seconds > 0 ? clock.monotonic_us() + filter.seconds * 1'000'000LL : 0;
  std::int64_t printed_us = clock.now_us();
  while (interrupted == 0 && (end_us == 0 || clock.monotonic_us() < end_us)) {
    VERGE_TRY(auto answer, hub.get("/api/v1/events" + query_of(filter, 1000, 0)));
    Json fresh = Json::array();
    std::int64_t newest_us = printed_us;
    for (auto& event : answer.at("events")) {
      const auto received_us = event.value("received_us", std::int64_t{0});
      if (received_us <= printed_us) continue;
      newest_us = std::max(newest_us, received_us);
      fresh.push_back(std::move(event));
    }
    printed_us = newest_us;
    VERGE_CHECK(print_events(context, {{"events", fresh}}));
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  return Done{};
}

void add_filter_options(CLI::App& command, Filter& filter) {
  command.add_option("--family", filter.family, "vision, audio or telemetry")
      ->check(CLI::IsMember({"vision", "audio", "telemetry"}));
  command.add_option("--device", filter.device, "Device id");
  command.add_option("--module", filter.module, "Module id");
  command.add_option("--type", filter.type, "Event type, e.g. zone.entered");
  command.add_option("--severity", filter.severity, "info, warning or alarm")
      ->check(CLI::IsMember({"info", "warning", "alarm"}));
}

}  // namespace

void add_message_commands(CLI::App& app, Context& context) {
  const auto filter = std::make_shared<Filter>();
  auto* message = app.add_subcommand("message", "What devices sent")->group("Fleet")->require_subcommand(1);
  message->footer(
      "Examples:\n  verge message watch --severity alarm\n  verge message list --family audio -n 50 -o json");

  auto* list = message->add_subcommand("list", "The newest events");
  add_filter_options(*list, *filter);
  list->add_option("-n,--count", filter->count, "How many, 1..1000")->check(CLI::Range(1, 1000));
  list->callback([&context, filter] { context.status = list_messages(context, *filter); });

  auto* watch = message->add_subcommand("watch", "Events as they arrive, until Ctrl-C");
  add_filter_options(*watch, *filter);
  watch->add_option("--seconds", filter->seconds, "End by itself after this long")->check(CLI::PositiveNumber);
  watch->callback([&context, filter] { context.status = watch_messages(context, *filter); });
}

}  // namespace verge::cli
