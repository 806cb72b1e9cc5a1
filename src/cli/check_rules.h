// cli/check_rules.h -- what counts as right in `verge check`: truth files, counting, word errors, verdicts.
//
// The rules are those of the truth files' own "rule" members; nothing here talks to a hub.
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::cli {

struct PeopleTruth {
  std::string zone, line;  ///< Names, as in the events' `rule`.
  int zone_entries = 0, line_in = 0, line_out = 0;
  double frames = 0, fps = 0;
  double loop_s() const { return frames / fps; }
};
struct Clip {
  std::string file, text;
  double seconds = 0;
};
struct TranscriptTruth {
  std::vector<Clip> clips;  ///< In the order of play.
  double pause_s = 0;       ///< Silence after each clip.
  double play_s() const;    ///< All clips with their pauses.
  double begin_s(std::size_t clip) const;
};
struct FaultTruth {
  struct Fault {
    std::string kind;
    std::int64_t seed = 0;
    double amplitude = 0;
  };
  std::vector<Fault> faults;
  double within_s = 0, clean_minutes = 0;
  int raised_min = 0;
};
struct Truth {
  PeopleTruth people;
  TranscriptTruth transcripts;
  FaultTruth faults;
};
/// Reads people.json, transcripts.json and faults.json. Errors: not_found, invalid_argument naming file and member.
Result<Truth> load_truth(const std::filesystem::path& folder);

/// One line of the report.
struct Finding {
  std::string what, truth, found, limit;
  bool is_met = false;
  std::string note{};  ///< Why it could not be measured; printed below the table.
};
Json to_json(const Finding& finding);
/// A thing that could not even be measured.
Finding missing_finding(std::string what, std::string reason);

/// How far a count may be from the truth, as a part of it.
inline constexpr double kCountTolerance = 0.20;
inline constexpr double kWordErrorMax = 0.15;

/// Lower-case words without punctuation; an apostrophe inside a word vanishes ("Don't" -> "dont").
std::vector<std::string> words_of(std::string_view text);
/// (replaced + left out + added words) / words of the truth; 1 when the truth is empty and something was found.
double word_error_rate(const std::vector<std::string>& truth, const std::vector<std::string>& found);

/// events: those of the vision module within one loop. Zone entries, then line crossings (in and out together, told
/// apart in the text).
std::vector<Finding> judge_people(const PeopleTruth& truth, const Json& events);
/// events: "speech.final" of one play that began at begin_us, in any order. A text belongs to the clip in whose
/// interval the middle of its span lies. Word errors of all clips together, then clips with text.
std::vector<Finding> judge_transcripts(const TranscriptTruth& truth, const Json& events, std::int64_t begin_us);

struct FaultOutcome {
  FaultTruth::Fault fault;
  std::int64_t switched_us = 0;  ///< When the fault began, in the rows' time.
  Json alarms;                   ///< Alarm events since then.
};
/// Seconds from the switch to the first alarm that counts; negative when there is none within `within_s`.
double raised_after_s(const FaultOutcome& outcome, double within_s);
/// False alarms in the clean minutes, then faults raised (each one's delay in the text).
std::vector<Finding> judge_faults(const FaultTruth& truth, std::size_t clean_alarms,
                                  const std::vector<FaultOutcome>& outcomes);

/// Captured (the end of what an event is about) to durable in the hub.
struct Latency {
  std::string family;
  std::size_t count = 0;
  double p50_ms = 0, p99_ms = 0;  ///< Nearest rank.
  std::string note{};             ///< Why there are none.
};
Latency latency_of(std::string family, const Json& events);
Json to_json(const Latency& latency);

}  // namespace verge::cli
