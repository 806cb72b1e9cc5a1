#include "cli/transcript_report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>

#include "audio/transcripts/corrections.h"
#include "audio/transcripts/dataset.h"
#include "audio/transcripts/word_errors.h"
#include "base/disk.h"
#include "base/time.h"
#include "training/report.h"

namespace verge::cli {
namespace {

using audio::StudiedClip;
using audio::WordErrors;

constexpr std::size_t kWorstShown = 20;
constexpr std::size_t kPhrasesShown = 30;

double rounded_to(double value, double steps) { return std::round(value * steps) / steps; }

/// Before and after, of some clips.
struct ErrorPair {
  std::vector<WordErrors> before, after;

  void add(const StudiedClip& clip) {
    before.push_back({.words = clip.words, .replaced = clip.errors_before});
    after.push_back({.words = clip.words, .replaced = clip.errors_after});
  }
  static WordErrors sum(const std::vector<WordErrors>& clips) {
    WordErrors all;
    for (const auto& clip : clips) all += clip;
    return all;
  }
  Json json(std::uint64_t seed) const {
    const auto all_before = sum(before), all_after = sum(after);
    const auto difference = audio::difference_interval(before, after, seed);
    const auto part = [&](const WordErrors& all, const std::vector<WordErrors>& clips) -> Json {
      const auto interval = audio::rate_interval(clips, seed);
      return {{"errors", all.errors()},
              {"rate", rounded_to(all.rate(), 1e4)},
              {"low", rounded_to(interval.low, 1e4)},
              {"high", rounded_to(interval.high, 1e4)}};
    };
    return {{"clips", before.size()},
            {"words", all_before.words},
            {"before", part(all_before, before)},
            {"after", part(all_after, after)},
            {"difference", rounded_to(all_after.rate() - all_before.rate(), 1e4)},
            {"difference_low", rounded_to(difference.low, 1e4)},
            {"difference_high", rounded_to(difference.high, 1e4)}};
  }
};

Json by_label(const std::vector<StudiedClip>& clips, std::string audio::Clip::*label, std::uint64_t seed) {
  std::map<std::string, ErrorPair> pairs;
  for (const auto& clip : clips) pairs[clip.clip.*label].add(clip);
  Json list = Json::array();
  for (const auto& [name, pair] : pairs) {
    auto json = pair.json(seed);
    json["name"] = name.empty() ? "(not known)" : name;
    list.push_back(std::move(json));
  }
  return list;
}

/// The heard text with what was said in its place: "line [free → three] stop"; "[− now]" was left out, "[+ the]" added.
std::string marked(const std::string& said, const std::string& heard) {
  std::vector<std::string> words;
  for (const auto& word : audio::align_words(audio::counted_words(said), audio::counted_words(heard))) {
    switch (word.edit) {
      case audio::WordEdit::same:
        words.push_back(word.heard);
        break;
      case audio::WordEdit::replaced:
        words.push_back(fmt::format("[{} → {}]", word.heard, word.said));
        break;
      case audio::WordEdit::left_out:
        words.push_back(fmt::format("[− {}]", word.said));
        break;
      case audio::WordEdit::added:
        words.push_back(fmt::format("[+ {}]", word.heard));
        break;
    }
  }
  return fmt::format("{}", fmt::join(words, " "));
}

std::vector<const StudiedClip*> worst_of(const std::vector<StudiedClip>& clips) {
  std::vector<const StudiedClip*> worst;
  for (const auto& clip : clips) {
    if (clip.errors_before + clip.errors_after > 0) worst.push_back(&clip);
  }
  std::ranges::stable_sort(worst, [](const auto* a, const auto* b) {
    return std::pair(a->errors_after, a->errors_before) > std::pair(b->errors_after, b->errors_before);
  });
  worst.resize(std::min(worst.size(), kWorstShown));
  return worst;
}

Json json_of(const audio::Dataset& dataset, const audio::CorrectionStudy& study, const audio::Corrections& learned,
             std::uint64_t seed) {
  ErrorPair all;
  for (const auto& clip : study.held_out) all.add(clip);
  Json worst = Json::array();
  for (const auto* clip : worst_of(study.held_out)) {
    worst.push_back({{"media", clip->clip.media},
                     {"said", clip->clip.text},
                     {"before", marked(clip->clip.text, clip->clip.heard)},
                     {"after", marked(clip->clip.text, clip->after)},
                     {"errors_before", clip->errors_before},
                     {"errors_after", clip->errors_after}});
  }
  Json tried = Json::array();
  for (const auto& [weight, rate] : study.tried) tried.push_back({{"weight", weight}, {"rate", rounded_to(rate, 1e4)}});
  return {{"dataset", dataset.info().name},
          {"version", dataset.version()},
          {"train_clips", study.train_clips},
          {"train_corrected", study.train_corrected},
          {"weight", study.options.weight},
          {"weights_tried", std::move(tried)},
          {"vocabulary", learned.model().vocabulary()},
          {"phrases", learned.phrases()},
          {"held_out", all.json(seed)},
          {"speakers", by_label(study.held_out, &audio::Clip::speaker, seed)},
          {"devices", by_label(study.held_out, &audio::Clip::device, seed)},
          {"rooms", by_label(study.held_out, &audio::Clip::room, seed)},
          {"worst", std::move(worst)}};
}

// ---- the page ----

std::string percent(const Json& rate) { return fmt::format("{:.1f} %", 100 * rate.get<double>()); }
std::string percent_range(const Json& part) {
  return fmt::format("{} ({:.1f} to {:.1f})", percent(part["rate"]), 100 * part["low"].get<double>(),
                     100 * part["high"].get<double>());
}

void add_table(training::Report& report, const std::string& heading, const Json& groups) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& group : groups) {
    rows.push_back({group["name"].get<std::string>(), group["clips"].dump(), group["words"].dump(),
                    percent_range(group["before"]), percent_range(group["after"])});
  }
  report.table({heading, "Clips", "Words", "Word errors before", "After"}, rows);
}

std::string verdict_of(const Json& held_out) {
  const auto sure = held_out["difference_high"].get<double>() < 0
                        ? "That is better in 95 of 100 draws of the clips or more."
                        : "With so few held-out clips that may be chance: review more.";
  return fmt::format("Word errors on {} held-out clips: {} as heard, {} with the corrections. {}",
                     held_out["clips"].dump(), percent(held_out["before"]["rate"]), percent(held_out["after"]["rate"]),
                     sure);
}

std::string html_of(const Json& json) {
  const Json& held_out = json["held_out"];
  training::Report report(fmt::format("Transcripts: {}", json["dataset"].get<std::string>()));
  report.verdict(verdict_of(held_out), held_out["difference"].get<double>() <= 0);
  report.paragraph(
      fmt::format("Learned from {} reviewed clips of split train, {} of them corrected; measured on {} clips "
                  "({} words) of split test, of which nothing was learned. Dataset {}.",
                  json["train_clips"].dump(), json["train_corrected"].dump(), held_out["clips"].dump(),
                  held_out["words"].dump(), json["version"].get<std::string>()));
  report.heading("Word errors before and after");
  Json all = held_out;
  all["name"] = "all";
  add_table(report, "", Json::array({all}));
  report.paragraph(
      fmt::format("In brackets where the rate lies with 95 %, by drawing the clips anew 2,000 times. The "
                  "difference is {:+.1f} points ({:+.1f} to {:+.1f}), drawn in pairs.",
                  100 * held_out["difference"].get<double>(), 100 * held_out["difference_low"].get<double>(),
                  100 * held_out["difference_high"].get<double>()));
  report.heading("By speaker, microphone and room");
  add_table(report, "Speaker", json["speakers"]);
  add_table(report, "Microphone", json["devices"]);
  add_table(report, "Room", json["rooms"]);
  report.heading("The worst clips");
  std::vector<std::vector<std::string>> rows;
  for (const auto& clip : json["worst"]) {
    rows.push_back({clip["media"].get<std::string>().substr(6), clip["before"].get<std::string>(),
                    clip["after"].get<std::string>()});
  }
  if (rows.empty()) {
    report.paragraph("None: every held-out clip was heard as it was said.");
  } else {
    report.paragraph("[heard → said]; [− word] was left out, [+ word] was added.");
    report.table({"Clip", "As heard", "With the corrections"}, rows);
  }
  report.heading("What was learned");
  std::vector<std::string> phrases;
  for (const auto& phrase : json["phrases"]) {
    if (phrases.size() < kPhrasesShown) phrases.push_back(phrase.get<std::string>());
  }
  report.paragraph(fmt::format("A word model of {} words; words that were not heard, the most frequent first: {}.",
                               json["vocabulary"].dump(),
                               phrases.empty() ? "none" : fmt::format("{}", fmt::join(phrases, ", "))));
  std::vector<std::vector<std::string>> weights;
  for (const auto& tried : json["weights_tried"]) {
    weights.push_back({fmt::format("{:g}", tried["weight"].get<double>()), percent(tried["rate"])});
  }
  report.paragraph(
      fmt::format("The word model's weight is {:g}, chosen on the training part alone.", json["weight"].get<double>()));
  if (!weights.empty()) report.table({"Weight", "Word errors in folds of the training part"}, weights);
  return report.to_html();
}

}  // namespace

Result<Json> report_transcripts(const TranscriptReportRequest& request) {
  VERGE_TRY(const auto dataset, audio::Dataset::open(request.dataset, audio::Dataset::Access::read));
  VERGE_TRY(const auto study, audio::study_corrections(dataset->clips(), request.seed));
  std::vector<audio::Clip> train;
  for (const auto& clip : dataset->clips()) {
    if (clip.split == "train") train.push_back(clip);
  }
  VERGE_TRY(const auto learned, audio::Corrections::learn(train));
  const Json json = json_of(*dataset, study, learned, request.seed);
  std::error_code problem;
  std::filesystem::create_directories(request.target, problem);
  auto corrections = learned.to_json();
  corrections["weight"] = study.options.weight;
  std::string phrases;
  for (const auto& phrase : learned.phrases()) phrases += phrase + "\n";
  VERGE_CHECK(write_file(request.target / "words.arpa", learned.model().to_arpa()));
  VERGE_CHECK(write_file(request.target / "corrections.json", to_text(corrections) + "\n"));
  VERGE_CHECK(write_file(request.target / "phrases.txt", phrases));
  VERGE_CHECK(write_file(request.target / "report.json", to_pretty_text(json) + "\n"));
  VERGE_CHECK(write_file(request.target / "report.html", html_of(json)));
  return json;
}

}  // namespace verge::cli
