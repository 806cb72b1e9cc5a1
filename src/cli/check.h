// cli/check.h -- the acceptance check: are the containers' results right, judged from outside through the hub's API?
//
// Vision, audio and telemetry are measured at the same time, each by the modules' own methods: the film and the
// recordings begin again (`restart`), the machine's time runs faster (`pace`) and its faults are switched (`fault`).
// Threads: run_check() starts one thread per family and joins them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "cli/check_rules.h"
#include "cli/hub_client.h"

namespace verge::cli {

struct CheckOptions {
  std::string device;
  std::string vision = "vision", audio = "audio", telemetry = "telemetry", machine = "machine";  ///< Module names.
  double pace = 60;              ///< Simulated seconds per second while faults are tried, 1..1000.
  double real_time_s = 15;       ///< Telemetry's latency is measured for so long before time runs faster.
  double clean_between_s = 600;  ///< Simulated seconds without a fault before each fault.
  double settle_s = 120;         ///< Simulated seconds for what was before to leave the machine and the window.
  double grace_s = 15;           ///< How long results may come after the end of a play.
  std::chrono::milliseconds poll{500};
};

struct CheckReport {
  std::vector<Finding> findings;
  std::vector<Latency> latencies;  ///< From phases in real time only.
  bool is_met() const;
  /// What is missing, for the last line: "audio: clips with text (7, none for a.wav)".
  std::string missing() const;
};
Json to_json(const CheckReport& report);
/// Two tables: findings with verdicts, latencies.
std::string to_tables(const CheckReport& report);

/// Takes about as long as the longest of film, recordings and simulated minutes / pace. What cannot be measured is a
/// finding that is not met, so the other families are still judged. `progress` is called from the families' threads.
CheckReport run_check(const HubClient& hub, const Truth& truth, const CheckOptions& options,
                      const std::function<void(const std::string& line)>& progress);

}  // namespace verge::cli
