#include "cli/check_rules.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fmt/format.h>
#include <map>

#include "base/disk.h"
#include "base/json.h"
#include "cli/edit_distance.h"
#include "cli/output.h"

namespace verge::cli {
namespace {

constexpr std::size_t kTruthBytesMax = 4U << 20U;

Result<Json> read_truth(const std::filesystem::path& file) {
  VERGE_TRY(const auto text, read_file(file, kTruthBytesMax));
  auto json = parse_json(text);
  if (!json) return std::move(json).error().within("read " + file.string());
  if (!json->is_object()) return Error{ErrorCode::invalid_argument, "read " + file.string() + ": it must be an object"};
  return json;
}

Error mistake(std::string_view file, std::string_view member, std::string_view wanted) {
  return {ErrorCode::invalid_argument, fmt::format("read {}: \"{}\" must be {}", file, member, wanted)};
}

Result<double> positive(const Json& json, std::string_view file, std::string_view member) {
  VERGE_TRY(const double value, number_member(json, member, -1));
  if (!(value > 0) || !std::isfinite(value)) return mistake(file, member, "a number above 0");
  return value;
}

Result<int> count_in(const Json& totals, std::string_view member) {
  VERGE_TRY(const auto value, integer_member(totals, member, -1));
  if (value < 0 || value > 1'000'000) return mistake("people.json", fmt::format("totals/{}", member), "a count");
  return static_cast<int>(value);
}

Result<PeopleTruth> people_from(const Json& json) {
  PeopleTruth truth;
  VERGE_TRY(truth.frames, positive(json, "people.json", "frames"));
  VERGE_TRY(truth.fps, positive(json, "people.json", "fps"));
  const Json* zone = find_member(json, {"zone", "name"});
  const Json* line = find_member(json, {"line", "name"});
  const Json* totals = find_member(json, {"totals"});
  if (zone == nullptr || !zone->is_string()) return mistake("people.json", "zone/name", "a text");
  if (line == nullptr || !line->is_string()) return mistake("people.json", "line/name", "a text");
  if (totals == nullptr || !totals->is_object()) return mistake("people.json", "totals", "an object");
  truth.zone = zone->get<std::string>();
  truth.line = line->get<std::string>();
  VERGE_TRY(truth.zone_entries, count_in(*totals, "zone_entries"));
  VERGE_TRY(truth.line_in, count_in(*totals, "line_in"));
  VERGE_TRY(truth.line_out, count_in(*totals, "line_out"));
  return truth;
}

Result<TranscriptTruth> transcripts_from(const Json& json) {
  TranscriptTruth truth;
  VERGE_TRY(truth.pause_s, number_member(json, "pause_s", 0));
  const Json* order = find_member(json, {"order"});
  if (order == nullptr || !order->is_array() || order->empty())
    return mistake("transcripts.json", "order", "a list of clips");
  for (const auto& entry : *order) {
    Clip clip;
    VERGE_TRY(clip.file, string_member(entry, "file"));
    VERGE_TRY(clip.text, string_member(entry, "text"));
    VERGE_TRY(clip.seconds, positive(entry, "transcripts.json", "seconds"));
    if (words_of(clip.text).empty()) return mistake("transcripts.json", "text", "one word or more");
    truth.clips.push_back(std::move(clip));
  }
  return truth;
}

Result<FaultTruth> faults_from(const Json& json) {
  FaultTruth truth;
  VERGE_TRY(truth.within_s, positive(json, "faults.json", "within_s"));
  VERGE_TRY(truth.clean_minutes, positive(json, "faults.json", "clean_minutes"));
  VERGE_TRY(const auto raised_min, integer_member(json, "raised_min", 0));
  const Json* faults = find_member(json, {"faults"});
  if (faults == nullptr || !faults->is_array() || faults->empty()) return mistake("faults.json", "faults", "a list");
  for (const auto& entry : *faults) {
    FaultTruth::Fault fault;
    VERGE_TRY(fault.kind, string_member(entry, "kind"));
    VERGE_TRY(fault.seed, integer_member(entry, "seed"));
    VERGE_TRY(fault.amplitude, positive(entry, "faults.json", "amplitude"));
    truth.faults.push_back(std::move(fault));
  }
  if (raised_min < 1 || raised_min > static_cast<std::int64_t>(truth.faults.size())) {
    return mistake("faults.json", "raised_min", fmt::format("1..{}", truth.faults.size()));
  }
  truth.raised_min = static_cast<int>(raised_min);
  return truth;
}

std::int64_t number_in(const Json& event, std::string_view member) {
  const auto number = integer_member(event, member);
  return number ? *number : 0;
}

Finding count_finding(std::string what, int truth, int found, std::string found_text) {
  const double slack = kCountTolerance * truth;
  const auto least = static_cast<int>(std::ceil(truth - slack - 1e-9));
  const auto most = static_cast<int>(std::floor(truth + slack + 1e-9));
  return {std::move(what), std::to_string(truth), std::move(found_text), fmt::format("{} to {}", least, most),
          found >= least && found <= most};
}

/// The clip that was playing at this moment of the play; the last one before the end takes its pause too.
std::size_t clip_at(const TranscriptTruth& truth, double at_s) {
  std::size_t clip = 0;
  while (clip + 1 < truth.clips.size() && at_s >= truth.begin_s(clip + 1)) ++clip;
  return clip;
}

/// Texts in the order of their capture, each with the clip it belongs to.
std::map<std::size_t, std::vector<std::string>> words_by_clip(const TranscriptTruth& truth, const Json& events,
                                                              std::int64_t begin_us) {
  std::vector<const Json*> ordered;
  for (const auto& event : events) {
    if (text_in(event, "type") == "speech.final") ordered.push_back(&event);
  }
  std::stable_sort(ordered.begin(), ordered.end(), [](const Json* a, const Json* b) {
    return number_in(*a, "captured_us") < number_in(*b, "captured_us");
  });
  std::map<std::size_t, std::vector<std::string>> words;
  for (const Json* event : ordered) {
    const auto middle_us = number_in(*event, "captured_us") + number_in(*event, "duration_us") / 2 - begin_us;
    const double middle_s = static_cast<double>(middle_us) / 1e6;
    if (middle_s < 0 || middle_s >= truth.play_s()) continue;
    auto& of_clip = words[clip_at(truth, middle_s)];
    for (auto& word : words_of(text_in(*event, "label"))) of_clip.push_back(std::move(word));
  }
  return words;
}

}  // namespace

double TranscriptTruth::play_s() const { return begin_s(clips.size()); }

double TranscriptTruth::begin_s(std::size_t clip) const {
  double at_s = 0;
  for (std::size_t before = 0; before < clip; ++before) at_s += clips[before].seconds + pause_s;
  return at_s;
}

Result<Truth> load_truth(const std::filesystem::path& folder) {
  Truth truth;
  VERGE_TRY(const auto people, read_truth(folder / "people.json"));
  VERGE_TRY(truth.people, people_from(people));
  VERGE_TRY(const auto transcripts, read_truth(folder / "transcripts.json"));
  VERGE_TRY(truth.transcripts, transcripts_from(transcripts));
  VERGE_TRY(const auto faults, read_truth(folder / "faults.json"));
  VERGE_TRY(truth.faults, faults_from(faults));
  return truth;
}

Json to_json(const Finding& finding) {
  Json json{{"what", finding.what},
            {"truth", finding.truth},
            {"found", finding.found},
            {"limit", finding.limit},
            {"met", finding.is_met}};
  if (!finding.note.empty()) json["note"] = finding.note;
  return json;
}

Finding missing_finding(std::string what, std::string reason) {
  return {std::move(what), "", "not measured", "", false, std::move(reason)};
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (std::isalnum(byte) != 0 || byte >= 0x80) {
      word += static_cast<char>(std::tolower(byte));
    } else if (letter != '\'') {
      finish();
    }
  }
  finish();
  return words;
}

double word_error_rate(const std::vector<std::string>& truth, const std::vector<std::string>& found) {
  if (truth.empty()) return found.empty() ? 0 : 1;
  return static_cast<double>(edit_distance(truth, found)) / static_cast<double>(truth.size());
}

std::vector<Finding> judge_people(const PeopleTruth& truth, const Json& events) {
  int entries = 0;
  int in = 0;
  int out = 0;
  for (const auto& event : events) {
    const auto type = text_in(event, "type");
    const auto rule = text_in(event, "rule");
    if (type == "zone.entered" && rule == truth.zone) ++entries;
    if (type != "line.crossed" || rule != truth.line) continue;
    const Json* direction = find_member(event, {"extension", "direction"});
    if (direction != nullptr) (*direction == "in" ? in : out) += 1;
  }
  const int truth_crossings = truth.line_in + truth.line_out;
  return {count_finding(fmt::format("vision: entries into zone {}", truth.zone), truth.zone_entries, entries,
                        std::to_string(entries)),
          count_finding(
              fmt::format("vision: crossings of line {} ({} in, {} out)", truth.line, truth.line_in, truth.line_out),
              truth_crossings, in + out, fmt::format("{} ({} in, {} out)", in + out, in, out))};
}

std::vector<Finding> judge_transcripts(const TranscriptTruth& truth, const Json& events, std::int64_t begin_us) {
  const auto by_clip = words_by_clip(truth, events, begin_us);
  std::vector<std::string> truth_words;
  std::vector<std::string> found_words;
  std::string silent;
  std::size_t with_text = 0;
  for (std::size_t clip = 0; clip < truth.clips.size(); ++clip) {
    for (auto& word : words_of(truth.clips[clip].text)) truth_words.push_back(std::move(word));
    const auto found = by_clip.find(clip);
    if (found == by_clip.end() || found->second.empty()) {
      silent += (silent.empty() ? "" : ", ") + truth.clips[clip].file;
      continue;
    }
    ++with_text;
    found_words.insert(found_words.end(), found->second.begin(), found->second.end());
  }
  const auto wrong = edit_distance(truth_words, found_words);
  const double rate = word_error_rate(truth_words, found_words);
  return {{"audio: word error rate", fmt::format("{} words", truth_words.size()),
           fmt::format("{:.3f} ({} wrong)", rate, wrong), fmt::format("at most {:.2f}", kWordErrorMax),
           rate <= kWordErrorMax},
          {"audio: clips with text", std::to_string(truth.clips.size()),
           silent.empty() ? std::to_string(with_text) : fmt::format("{}, none for {}", with_text, silent), "all",
           silent.empty()}};
}

double raised_after_s(const FaultOutcome& outcome, double within_s) {
  double first_s = -1;
  for (const auto& alarm : outcome.alarms) {
    const double after_s = static_cast<double>(number_in(alarm, "captured_us") - outcome.switched_us) / 1e6;
    if (after_s < 0 || after_s > within_s) continue;
    if (first_s < 0 || after_s < first_s) first_s = after_s;
  }
  return first_s;
}

std::vector<Finding> judge_faults(const FaultTruth& truth, std::size_t clean_alarms,
                                  const std::vector<FaultOutcome>& outcomes) {
  std::vector<Finding> findings;
  findings.push_back({fmt::format("telemetry: alarms in {:g} clean minutes", truth.clean_minutes), "0",
                      std::to_string(clean_alarms), "0", clean_alarms == 0});
  int raised = 0;
  std::string each;
  for (const auto& outcome : outcomes) {
    const double after_s = raised_after_s(outcome, truth.within_s);
    raised += after_s >= 0 ? 1 : 0;
    each += fmt::format("{}{} {}", each.empty() ? "" : ", ", outcome.fault.kind,
                        after_s >= 0 ? fmt::format("{:.1f} s", after_s) : "missed");
  }
  findings.push_back({fmt::format("telemetry: faults raised within {:g} s", truth.within_s),
                      std::to_string(truth.faults.size()), fmt::format("{} ({})", raised, each),
                      fmt::format("at least {}", truth.raised_min), raised >= truth.raised_min});
  return findings;
}

Latency latency_of(std::string family, const Json& events) {
  Latency latency{std::move(family), 0, 0, 0, {}};
  std::vector<double> values_ms;
  for (const auto& event : events) {
    const auto end_us = number_in(event, "captured_us") + number_in(event, "duration_us");
    const auto received_us = number_in(event, "received_us");
    if (received_us != 0) values_ms.push_back(static_cast<double>(received_us - end_us) / 1e3);
  }
  if (values_ms.empty()) return latency;
  std::sort(values_ms.begin(), values_ms.end());
  const auto rank = [&](double part) {
    const auto at = static_cast<std::size_t>(std::ceil(part * static_cast<double>(values_ms.size())));
    return values_ms[std::max<std::size_t>(at, 1) - 1];
  };
  latency.count = values_ms.size();
  latency.p50_ms = rank(0.50);
  latency.p99_ms = rank(0.99);
  return latency;
}

Json to_json(const Latency& latency) {
  Json json{{"family", latency.family}, {"events", latency.count}};
  if (latency.count > 0) json.update({{"p50_ms", latency.p50_ms}, {"p99_ms", latency.p99_ms}});
  if (!latency.note.empty()) json["note"] = latency.note;
  return json;
}

}  // namespace verge::cli
