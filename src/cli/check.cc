#include "cli/check.h"

#include <algorithm>
#include <fmt/format.h>
#include <future>
#include <thread>

#include "base/bytes.h"
#include "base/json.h"
#include "base/time.h"
#include "cli/output.h"

namespace verge::cli {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr int kPagesMax = 50;  // Of a thousand events each: far above what one check can make.
constexpr double kFirstScorePatience_s = 120;
constexpr std::int64_t kAheadUsMax =
    5'000'000;  // A simulated clock further ahead than this says nothing about latency.

std::int64_t to_us(double seconds) { return static_cast<std::int64_t>(seconds * 1e6); }

/// Sleeps in one piece; the caller bounds it.
void wait_s(double seconds) { std::this_thread::sleep_for(duration<double>(std::max(0.0, seconds))); }

struct Window {
  std::string module, type;             ///< An empty type means all.
  std::int64_t from_us = 0, to_us = 0;  ///< Captured, both inclusive.
};

/// One family's part of the check; works on its own thread with a client of its own.
class Examiner {
 public:
  Examiner(const HubClient& hub, const CheckOptions& options, const std::function<void(const std::string&)>& progress)
      : hub_(hub), options_(options), progress_(progress) {}

  Result<CheckReport> examine_vision(const PeopleTruth& truth) const {
    VERGE_TRY(const auto begin_us, call(options_.vision, "restart", Json::object()));
    progress_(fmt::format("vision: the film began again; one loop takes {:.0f} s", truth.loop_s()));
    const Window loop{options_.vision, "", begin_us, begin_us + to_us(truth.loop_s())};
    wait_s(truth.loop_s());
    // What happened in the last moments is still on its way.
    wait_s(std::min(options_.grace_s, 5.0));
    VERGE_TRY(const auto events, events_in(loop));
    if (events.empty()) return silence(options_.vision, "the whole loop");
    return CheckReport{judge_people(truth, events), {latency_of("vision", events)}};
  }

  Result<CheckReport> examine_audio(const TranscriptTruth& truth) const {
    VERGE_CHECK(call(options_.audio, "restart", Json::object()));
    // The play is begun a second time out of the first clip's pause, so that no sentence is cut and glued to the first
    // one.
    wait_s(truth.clips.front().seconds + truth.pause_s / 2);
    VERGE_TRY(const auto begin_us, call(options_.audio, "restart", Json::object()));
    progress_(fmt::format("audio: the recordings began again; all of them take {:.0f} s", truth.play_s()));
    const Window play{options_.audio, "speech.final", begin_us, begin_us + to_us(truth.play_s())};
    wait_s(truth.play_s());
    const auto end = steady_clock::now() + duration<double>(options_.grace_s);
    for (;;) {
      VERGE_TRY(const auto events, events_in(play));
      auto findings = judge_transcripts(truth, events, begin_us);
      if (findings.back().is_met || steady_clock::now() > end) {
        return CheckReport{std::move(findings), {latency_of("audio", events)}};
      }
      std::this_thread::sleep_for(options_.poll);
    }
  }

  Result<CheckReport> examine_telemetry(const FaultTruth& truth) const {
    VERGE_CHECK(set_pace(1));
    auto report = examine_faults(truth);
    // Whatever happened, the machine is left sound and in its own time.
    const auto mended = switch_fault({"none", 1, 1});
    const auto slowed = set_pace(1);
    if (!report) return report;
    if (!mended) return mended.error();
    if (!slowed) return slowed.error();
    return report;
  }

 private:
  static Error silence(const std::string& module, std::string_view duration_text) {
    return {ErrorCode::timeout, fmt::format("no event of module \"{}\" reached the hub in {}; see `verge logs {}`",
                                            module, duration_text, module)};
  }

  /// Calls a method that answers with a capture time; returns it.
  Result<std::int64_t> call(const std::string& module, std::string_view method, const Json& parameters) const {
    const auto doing = fmt::format("call {} of module \"{}\"", method, module);
    auto reply = hub_.call_method(options_.device, module, method, parameters);
    if (!reply) return std::move(reply).error().within(doing);
    const auto status = integer_member(*reply, "status");
    const Json* captured = find_member(*reply, {"payload", "captured_us"});
    if (!status || *status != 200 || captured == nullptr || !captured->is_number_integer()) {
      return Error{ErrorCode::unavailable, fmt::format("{}: it answered {}", doing, to_text(*reply).substr(0, 300))};
    }
    return captured->get<std::int64_t>();
  }

  Result<std::int64_t> set_pace(double factor) const { return call(options_.machine, "pace", {{"factor", factor}}); }
  Result<std::int64_t> switch_fault(const FaultTruth::Fault& fault) const {
    return call(options_.machine, "fault",
                {{"kind", fault.kind}, {"seed", fault.seed}, {"amplitude", fault.amplitude}});
  }

  std::string query_of(const Window& window, int limit) const {
    std::string query =
        fmt::format("/api/v1/events?device={}&module={}&from_us={}&to_us={}&limit={}", percent_encode(options_.device),
                    percent_encode(window.module), window.from_us, window.to_us, limit);
    if (!window.type.empty()) query += "&type=" + percent_encode(window.type);
    return query;
  }

  Result<Json> events_in(const Window& window) const {
    Json all = Json::array();
    std::string before;
    for (int page = 0; page < kPagesMax; ++page) {
      VERGE_TRY(auto answer, hub_.get(query_of(window, 1000) + before));
      const auto events = answer.find("events");
      if (events == answer.end() || !events->is_array()) {
        return Error{ErrorCode::corrupt, "read the hub's events: the answer has no list \"events\""};
      }
      for (auto& event : *events) all.push_back(std::move(event));
      VERGE_TRY(const auto next, string_member(answer, "next"));
      if (next.empty()) return all;
      before = "&before=" + percent_encode(next);
    }
    return Error{ErrorCode::limit, fmt::format("module \"{}\" sent more than {} events during the check", window.module,
                                               kPagesMax * 1000)};
  }

  /// How long simulated time may take at the fast pace, on a busy machine too.
  double patience_for(double simulated_s) const { return simulated_s / options_.pace * 4 + 3 * options_.grace_s; }

  /// Until scores for rows of this time are in history: then everything before has been judged too.
  Status wait_for_scores(std::int64_t captured_us, double patience_s) const {
    const auto end = steady_clock::now() + duration<double>(patience_s);
    const Window later{options_.telemetry, "anomaly.score", captured_us, INT64_MAX / 2};
    while (steady_clock::now() < end) {
      VERGE_TRY(const auto answer, hub_.get(query_of(later, 1)));
      const Json* events = find_member(answer, {"events"});
      if (events != nullptr && !events->empty()) return Done{};
      std::this_thread::sleep_for(options_.poll);
    }
    return Error{ErrorCode::timeout,
                 fmt::format("no score of module \"{}\" for simulated time {} within {:.0f} s; see `verge logs {}`",
                             options_.telemetry, to_iso8601(captured_us), patience_s, options_.telemetry)};
  }

  /// In the machine's own time; the first score comes once a window is full.
  Result<Latency> measure_latency(std::int64_t from_us) const {
    if (from_us > system_clock().now_us() + kAheadUsMax) {
      return Latency{"telemetry", 0, 0, 0,
                     "the machine's simulated time runs ahead of the clock since an earlier check"};
    }
    VERGE_CHECK(wait_for_scores(from_us, kFirstScorePatience_s));
    wait_s(options_.real_time_s);
    VERGE_TRY(const auto scores, events_in({options_.telemetry, "anomaly.score", from_us, INT64_MAX / 2}));
    return latency_of("telemetry", scores);
  }

  Result<std::size_t> count_clean_alarms(double minutes) const {
    VERGE_TRY(const auto fast_us, set_pace(options_.pace));
    const std::int64_t from_us = fast_us + to_us(options_.settle_s);
    const std::int64_t end_us = from_us + to_us(minutes * 60);
    VERGE_CHECK(wait_for_scores(end_us, patience_for(options_.settle_s + minutes * 60)));
    VERGE_TRY(const auto alarms, events_in({options_.telemetry, "anomaly.alarm", from_us, end_us}));
    return alarms.size();
  }

  Result<FaultOutcome> try_fault(const FaultTruth::Fault& fault, double within_s) const {
    VERGE_TRY(const auto clean_us, switch_fault({"none", 1, 1}));
    VERGE_CHECK(wait_for_scores(clean_us + to_us(options_.clean_between_s), patience_for(options_.clean_between_s)));
    FaultOutcome outcome{fault, 0, Json::array()};
    VERGE_TRY(outcome.switched_us, switch_fault(fault));
    const std::int64_t end_us = outcome.switched_us + to_us(within_s);
    VERGE_CHECK(wait_for_scores(end_us + 1'000'000, patience_for(within_s + 1)));
    VERGE_TRY(outcome.alarms, events_in({options_.telemetry, "anomaly.alarm", outcome.switched_us, end_us}));
    return outcome;
  }

  Result<CheckReport> examine_faults(const FaultTruth& truth) const {
    VERGE_TRY(const auto begin_us, switch_fault({"none", 1, 1}));
    VERGE_TRY(const auto latency, measure_latency(begin_us));
    progress_(fmt::format("telemetry: {:g} clean minutes at {:g} times the machine's pace", truth.clean_minutes,
                          options_.pace));
    VERGE_TRY(const auto clean_alarms, count_clean_alarms(truth.clean_minutes));
    std::vector<FaultOutcome> outcomes;
    for (const auto& fault : truth.faults) {
      progress_(
          fmt::format("telemetry: {:g} clean minutes, then fault \"{}\"", options_.clean_between_s / 60, fault.kind));
      VERGE_TRY(auto outcome, try_fault(fault, truth.within_s));
      outcomes.push_back(std::move(outcome));
    }
    return CheckReport{judge_faults(truth, clean_alarms, outcomes), {latency}};
  }

  const HubClient hub_;
  const CheckOptions options_;
  const std::function<void(const std::string&)> progress_;
};

void add(CheckReport& whole, std::string_view family, Result<CheckReport> part) {
  if (!part) {
    whole.findings.push_back(missing_finding(std::string(family), part.error().message));
    return;
  }
  for (auto& finding : part->findings) whole.findings.push_back(std::move(finding));
  for (auto& latency : part->latencies) whole.latencies.push_back(std::move(latency));
}

}  // namespace

bool CheckReport::is_met() const {
  return !findings.empty() &&
         std::all_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.is_met; });
}

std::string CheckReport::missing() const {
  std::string text;
  for (const auto& finding : findings) {
    if (finding.is_met) continue;
    text += fmt::format("{}{} ({}{}{})", text.empty() ? "" : "; ", finding.what, finding.found,
                        finding.note.empty() ? "" : ": ", finding.note);
  }
  return text;
}

Json to_json(const CheckReport& report) {
  Json findings = Json::array();
  for (const auto& finding : report.findings) findings.push_back(to_json(finding));
  Json latencies = Json::array();
  for (const auto& latency : report.latencies) latencies.push_back(to_json(latency));
  return {{"met", report.is_met()}, {"findings", findings}, {"latencies", latencies}};
}

std::string to_tables(const CheckReport& report) {
  std::vector<std::vector<std::string>> findings;
  for (const auto& finding : report.findings) {
    findings.push_back({finding.what, finding.truth, finding.found, finding.limit, finding.is_met ? "ok" : "NOT MET"});
  }
  std::vector<std::vector<std::string>> latencies;
  for (const auto& latency : report.latencies) {
    const bool is_known = latency.count > 0;
    latencies.push_back({latency.family, std::to_string(latency.count),
                         is_known ? fmt::format("{:.0f}", latency.p50_ms) : "-",
                         is_known ? fmt::format("{:.0f}", latency.p99_ms) : "-"});
  }
  std::string notes;
  for (const auto& finding : report.findings) {
    if (!finding.note.empty()) notes += fmt::format("{}: {}\n", finding.what, finding.note);
  }
  for (const auto& latency : report.latencies) {
    if (!latency.note.empty()) notes += fmt::format("{}: {}\n", latency.family, latency.note);
  }
  return to_table({"WHAT", "TRUTH", "FOUND", "LIMIT", "VERDICT"}, findings) + "\n" +
         to_table({"CAPTURED TO DURABLE IN THE HUB", "EVENTS", "P50 MS", "P99 MS"}, latencies) +
         (notes.empty() ? "" : "\n" + notes);
}

CheckReport run_check(const HubClient& hub, const Truth& truth, const CheckOptions& options,
                      const std::function<void(const std::string& line)>& progress) {
  const Examiner examiner(hub, options, progress);
  auto vision =
      std::async(std::launch::async, [&] { return Examiner(hub, options, progress).examine_vision(truth.people); });
  auto audio =
      std::async(std::launch::async, [&] { return Examiner(hub, options, progress).examine_audio(truth.transcripts); });
  auto telemetry = examiner.examine_telemetry(truth.faults);
  CheckReport report;
  add(report, "vision", vision.get());
  add(report, "audio", audio.get());
  add(report, "telemetry", std::move(telemetry));
  return report;
}

}  // namespace verge::cli
