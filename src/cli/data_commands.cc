// data: sound with its texts: from recordings to reviewed datasets, and to and from what others write.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <unistd.h>

#include "audio/transcripts/dataset.h"
#include "audio/transcripts/splits.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/time.h"
#include "cli/commands.h"
#include "cli/exchange_transcripts.h"
#include "cli/transcribe_files.h"
#include "cli/transcript_report.h"

namespace verge::cli {
namespace {

struct DataArguments {
  std::filesystem::path dataset;
  TranscribeRequest transcribe;
  ImportRequest import;
  ExportRequest export_to;
  audio::SplitOptions split;
  std::vector<std::string> split_keys{"speaker"};
  std::string note, from, to = "now";
  bool has_note = false;
  std::vector<PageFile> review_page;
  std::uint16_t port = 0;
  TranscriptReportRequest report;
};

// ---- transcribe ----

std::string to_duration(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

/// On a terminal a line that changes; else a line every ten seconds, for logs.
class ProgressLine {
 public:
  void tell(const TranscribeProgress& progress) {
    const auto now_us = system_clock().monotonic_us();
    if (now_us - last_us_ < (is_terminal_ ? 200'000 : 10'000'000)) return;
    last_us_ = now_us;
    const auto left = progress.left_s > 0 ? fmt::format(", {} left", to_duration(progress.left_s)) : std::string();
    fmt::print(stderr, "{}{} of {} recordings, {:.0f} %, {} new clips{}{}", is_terminal_ ? "\r" : "",
               progress.recordings_done, progress.recordings, 100 * progress.part, progress.clips, left,
               is_terminal_ ? "          " : "\n");
    std::fflush(stderr);
  }
  void end() const {
    if (is_terminal_ && last_us_ != 0) fmt::print(stderr, "\n");
  }

 private:
  const bool is_terminal_ = isatty(STDERR_FILENO) == 1;
  std::int64_t last_us_ = 0;
};

Status transcribe(const Context& context, const DataArguments& arguments) {
  ProgressLine line;
  auto outcome = transcribe_files(arguments.transcribe, [&](const auto& progress) { line.tell(progress); });
  line.end();
  if (!outcome) return std::move(outcome).error();
  if (context.form == OutputForm::json) {
    context.print({{"dataset", arguments.transcribe.target.string()},
                   {"recordings", outcome->recordings},
                   {"recordings_known", outcome->known},
                   {"clips", outcome->clips},
                   {"clips_new", outcome->new_clips},
                   {"sound_s", outcome->sound_s},
                   {"took_s", outcome->took_s},
                   {"problems", outcome->problems}});
  } else {
    fmt::print("{} recordings ({} known before), {} of sound in {}: {} new clips, {} in all\n", outcome->recordings,
               outcome->known, to_duration(outcome->sound_s), to_duration(outcome->took_s), outcome->new_clips,
               outcome->clips);
    for (const auto& problem : outcome->problems) fmt::print("- {}\n", problem);
    fmt::print("Next: verge data review {}\n", arguments.transcribe.target.string());
  }
  if (outcome->problems.empty()) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("{} of {} recordings could not be read; the first: {}", outcome->problems.size(),
                           outcome->recordings, outcome->problems.front())};
}

// ---- review ----

Status review(const Context& context, const DataArguments& arguments) {
  VERGE_TRY(const auto dataset, audio::Dataset::open(arguments.dataset, audio::Dataset::Access::change));
  Loop loop;
  VERGE_TRY(const auto server, ReviewServer::start(loop, *dataset, arguments.review_page, arguments.port));
  if (context.form == OutputForm::json) {
    context.print({{"address", server->address()}, {"dataset", arguments.dataset.string()}});
  } else {
    fmt::print("Open this once, in a browser on this machine; Ctrl+C ends the review:\n{}\n", server->address());
  }
  std::fflush(stdout);
  loop.on_signal([&](int) { loop.stop(); });
  loop.run();
  return Done{};
}

// ---- show, versions, split ----

struct ClipTotals {
  std::size_t clips = 0, reviewed = 0;
  double seconds = 0;
  void add(const audio::Clip& clip) {
    ++clips;
    if (clip.is_reviewed) ++reviewed;
    seconds += clip.duration_s;
  }
  Json json(const std::string& name) const {
    return {{"name", name.empty() ? "(not known)" : name},
            {"clips", clips},
            {"reviewed", reviewed},
            {"seconds", std::round(seconds * 10) / 10}};
  }
};

using TextMember = std::string audio::Clip::*;
constexpr std::pair<const char*, TextMember> kClipLabels[] = {{"split", &audio::Clip::split},
                                                              {"speaker", &audio::Clip::speaker},
                                                              {"room", &audio::Clip::room},
                                                              {"device", &audio::Clip::device}};

Json totals_by(const std::vector<audio::Clip>& clips, TextMember member) {
  std::map<std::string, ClipTotals> totals;
  for (const auto& clip : clips) totals[clip.*member].add(clip);
  Json list = Json::array();
  for (const auto& [name, total] : totals) list.push_back(total.json(name));
  return list;
}

Json summary_of(const audio::Dataset& dataset) {
  ClipTotals all;
  std::size_t words = 0, doubtful = 0;
  for (const auto& clip : dataset.clips()) {
    all.add(clip);
    words += clip.words.size();
    if (!clip.is_reviewed)
      doubtful += static_cast<std::size_t>(
          std::ranges::count_if(clip.words, [](const auto& word) { return word.confidence < audio::kDoubtfulBelow; }));
  }
  const auto& info = dataset.info();
  Json json = all.json(info.name);
  json["folder"] = dataset.folder().string();
  json["language"] = info.language;
  json["licence"] = info.licence;
  json["made_by"] = info.made_by;
  json["version"] = dataset.version();
  json["words_heard"] = words;
  json["words_doubtful"] = doubtful;
  for (const auto& [name, member] : kClipLabels) json[std::string(name) + "s"] = totals_by(dataset.clips(), member);
  return json;
}

void print_totals(const std::string& heading, const Json& totals) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& total : totals) {
    rows.push_back({to_cell(total["name"]), to_cell(total["clips"]), to_cell(total["reviewed"]),
                    to_duration(total["seconds"].get<double>())});
  }
  fmt::print("\n{}", to_table({heading, "CLIPS", "REVIEWED", "SOUND"}, rows));
}

Status show(const Context& context, const DataArguments& arguments) {
  VERGE_TRY(const auto dataset, audio::Dataset::open(arguments.dataset, audio::Dataset::Access::read));
  const Json json = summary_of(*dataset);
  if (context.form == OutputForm::json) {
    context.print(json);
    return Done{};
  }
  fmt::print("{}: {} clips, {} of sound, {} reviewed; {} words heard, {} of them doubtful and not reviewed\n{}\n",
             to_cell(json["name"]), to_cell(json["clips"]), to_duration(json["seconds"].get<double>()),
             to_cell(json["reviewed"]), to_cell(json["words_heard"]), to_cell(json["words_doubtful"]),
             to_cell(json["version"]));
  for (const auto& [name, member] : kClipLabels) {
    std::string heading = name;
    std::ranges::transform(heading, heading.begin(), [](char letter) { return static_cast<char>(letter - 'a' + 'A'); });
    print_totals(heading, json[std::string(name) + "s"]);
  }
  return Done{};
}

constexpr std::string_view kChanges[] = {"added", "removed", "changed"};

Status versions(const Context& context, const DataArguments& arguments) {
  if (arguments.has_note) {
    VERGE_TRY(const auto dataset, audio::Dataset::open(arguments.dataset, audio::Dataset::Access::change));
    VERGE_CHECK(dataset->record_version(arguments.note, system_clock().now_us()));
  }
  VERGE_TRY(const auto dataset, audio::Dataset::open(arguments.dataset, audio::Dataset::Access::read));
  if (!arguments.from.empty()) {
    VERGE_TRY(const auto differences, dataset->differences(arguments.from, arguments.to));
    Json list = Json::array();
    for (const auto& found : differences) {
      list.push_back({{"change", kChanges[static_cast<std::size_t>(found.change)]},
                      {"media", found.media},
                      {"before", found.before},
                      {"after", found.after}});
    }
    context.print_list(list, {{"CHANGE", "change"}, {"CLIP", "media"}, {"BEFORE", "before"}, {"AFTER", "after"}});
    return Done{};
  }
  VERGE_TRY(const auto known, dataset->versions());
  Json list = Json::array();
  for (const auto& version : known) {
    list.push_back({{"version", version.version},
                    {"parent", version.parent},
                    {"recorded", to_iso8601(version.recorded_us)},
                    {"clips", version.clips},
                    {"reviewed", version.reviewed},
                    {"note", version.note},
                    {"is_now", version.version == dataset->version()}});
  }
  context.print_list(list, {{"VERSION", "version"},
                            {"RECORDED", "recorded"},
                            {"CLIPS", "clips"},
                            {"REVIEWED", "reviewed"},
                            {"NOW", "is_now"},
                            {"NOTE", "note"}});
  return Done{};
}

Status split(const Context& context, const DataArguments& arguments) {
  const auto has = [&](std::string_view key) {
    return std::ranges::find(arguments.split_keys, key) != arguments.split_keys.end();
  };
  auto options = arguments.split;
  options.by_speaker = has("speaker");
  options.by_device = has("device");
  options.by_room = has("room");
  VERGE_TRY(const auto dataset, audio::Dataset::open(arguments.dataset, audio::Dataset::Access::change));
  auto clips = dataset->clips();
  VERGE_TRY(const auto parts, audio::split_clips(clips, options));
  for (auto& clip : clips) ++clip.revision;
  VERGE_CHECK(dataset->replace_all(std::move(clips)));
  Json list = Json::array();
  for (const auto& part : parts) {
    list.push_back({{"split", part.name},
                    {"clips", part.clips},
                    {"groups", part.groups},
                    {"seconds", std::round(part.seconds * 10) / 10}});
  }
  context.print_list(list, {{"SPLIT", "split"}, {"CLIPS", "clips"}, {"GROUPS", "groups"}, {"SECONDS", "seconds"}});
  return Done{};
}

// ---- report ----

Status report(const Context& context, const DataArguments& arguments) {
  VERGE_TRY(const auto json, report_transcripts(arguments.report));
  if (context.form == OutputForm::json) {
    context.print(json);
    return Done{};
  }
  const auto cell = [&](const char* part, const char* member) {
    return fmt::format("{:.1f} %", 100 * json["held_out"][part][member].get<double>());
  };
  fmt::print("{}",
             to_table({"HELD OUT", "WORD ERRORS", "LOW", "HIGH"},
                      {{"as heard", cell("before", "rate"), cell("before", "low"), cell("before", "high")},
                       {"with corrections", cell("after", "rate"), cell("after", "low"), cell("after", "high")}}));
  fmt::print("\n{} clips, {} words held out; learned from {} clips\nReport:  {}\n", to_cell(json["held_out"]["clips"]),
             to_cell(json["held_out"]["words"]), to_cell(json["train_clips"]),
             (arguments.report.target / "report.html").string());
  return Done{};
}

// ---- import, export ----

Status import(const Context& context, const DataArguments& arguments) {
  VERGE_TRY(const auto outcome, import_transcripts(arguments.import));
  const auto format = kTranscriptFormats[static_cast<std::size_t>(outcome.format)];
  if (context.form == OutputForm::json) {
    context.print({{"dataset", arguments.import.target.string()},
                   {"format", format},
                   {"clips_new", outcome.clips},
                   {"clips_known", outcome.known},
                   {"sound_s", outcome.seconds}});
  } else {
    fmt::print("{}: {} clips {}, {} were there before; {} of sound\n", format, outcome.clips,
               outcome.format == TranscriptFormat::rttm ? "got their speaker" : "brought", outcome.known,
               to_duration(outcome.seconds));
  }
  return Done{};
}

Status export_all(const Context& context, const DataArguments& arguments) {
  VERGE_TRY(const auto clips, export_transcripts(arguments.export_to));
  if (context.form == OutputForm::json) {
    context.print(
        {{"folder", arguments.export_to.target.string()}, {"format", arguments.export_to.format}, {"clips", clips}});
  } else {
    fmt::print("{} clips written: {}\n", clips, arguments.export_to.target.string());
  }
  return Done{};
}

// ---- the words of the command line ----

using Arguments = std::shared_ptr<DataArguments>;

void add_dataset(CLI::App& command, const Arguments& arguments) {
  command.add_option("dataset", arguments->dataset, "The dataset's folder")->required()->check(CLI::ExistingDirectory);
}

void add_transcribe(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("transcribe", "Recordings to clips with texts; goes on after an interruption");
  auto& request = arguments->transcribe;
  command->add_option("input", request.inputs, "Recordings, or folders of them")->required()->check(CLI::ExistingPath);
  command->add_option("--out", request.target, "The dataset's folder; one that is there is added to")->required();
  command->add_option("--model", request.model, "Recogniser: a name in the cache's models, or a folder")
      ->capture_default_str();
  command->add_option("--language", request.language, "Of a new dataset (BCP 47)")->capture_default_str();
  command->add_option("--threads", request.threads, "Recordings at a time, 1..64; each takes one thread")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--speaker", request.speaker, "Who speaks in all of them");
  command->add_option("--room", request.room, "Where all were recorded");
  command->add_option("--device", request.device, "The microphone of all");
  command->footer(
      "Examples:\n  verge data transcribe shift-notes/ --out datasets/notes --threads 2\n"
      "  verge data transcribe monday.wav --out datasets/notes --speaker anna --room hall");
  command->callback([&context, arguments] { context.status = transcribe(context, *arguments); });
}

void add_review(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("review", "A page to listen and correct by keyboard, on this machine only");
  add_dataset(*command, arguments);
  command->add_option("--port", arguments->port, "Of the page; 0 takes a free one")->capture_default_str();
  command->footer("Example:\n  verge data review datasets/notes");
  command->callback([&context, arguments] { context.status = review(context, *arguments); });
}

void add_show(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("show", "What a dataset has: clips, reviews, speakers, rooms, splits");
  add_dataset(*command, arguments);
  command->footer("Example:\n  verge data show datasets/notes -o json");
  command->callback([&context, arguments] { context.status = show(context, *arguments); });
}

void add_versions(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("versions", "Recorded versions, and what changed between two");
  add_dataset(*command, arguments);
  command->add_option_function<std::string>(
      "--record",
      [arguments](const std::string& note) {
        arguments->note = note;
        arguments->has_note = true;
      },
      "Records what is there now, with this note");
  command->add_option("--diff", arguments->from, "Shows what changed since this version: its first 4 or more digits");
  command->add_option("--to", arguments->to, "The later version of --diff")->capture_default_str();
  command->footer(
      "Examples:\n  verge data versions datasets/notes --record \"after the review\"\n"
      "  verge data versions datasets/notes --diff 3fa9c2");
  command->callback([&context, arguments] { context.status = versions(context, *arguments); });
}

void add_split(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("split", "Divide into train, dev and test; nobody is on both sides");
  add_dataset(*command, arguments);
  command
      ->add_option("--by", arguments->split_keys, "What must not be divided: speaker, device, room; several by commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"speaker", "device", "room"}))
      ->capture_default_str();
  command->add_option("--test", arguments->split.test_share, "Part of the sound for test, 0..0.9")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  command->add_option("--dev", arguments->split.dev_share, "Part of the sound for dev, 0..0.9")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  command->add_option("--seed", arguments->split.seed, "Equal seeds and clips give equal parts")->capture_default_str();
  command->footer(
      "Clips of one recording always stay together.\nExample:\n"
      "  verge data split datasets/notes --by speaker,room --test 0.2");
  command->callback([&context, arguments] { context.status = split(context, *arguments); });
}

void add_report(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("report", "What the corrections are worth: word errors before and after");
  command->add_option("dataset", arguments->report.dataset, "The dataset's folder: reviewed and split")
      ->required()
      ->check(CLI::ExistingDirectory);
  command
      ->add_option("--out", arguments->report.target,
                   "Folder for report.html, report.json, phrases.txt, words.arpa, corrections.json")
      ->required();
  command->add_option("--seed", arguments->report.seed, "Of the folds and the draws")->capture_default_str();
  command->footer(
      "Learns from the reviewed clips of split train and measures on those of test.\nExample:\n"
      "  verge data report datasets/notes --out reports/notes");
  command->callback([&context, arguments] { context.status = report(context, *arguments); });
}

void add_import(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("import", "Sound and texts that others wrote into a dataset");
  auto& request = arguments->import;
  command->add_option("source", request.source, "A list (.jsonl, .tsv, .rttm), or LibriSpeech's folder")
      ->required()
      ->check(CLI::ExistingPath);
  command->add_option("--out", request.target, "The dataset's folder; one that is there is added to")->required();
  command->add_option("--format", request.format, "auto, jsonl, librispeech, common-voice, rttm (speakers of clips)")
      ->check(CLI::IsMember({"auto", "jsonl", "librispeech", "common-voice", "rttm"}))
      ->capture_default_str();
  command->add_option("--language", request.language, "Of a new dataset (BCP 47)")->capture_default_str();
  command->add_option("--licence", request.licence, "Of the recordings");
  command->footer(
      "Examples:\n  verge data import corpus/LibriSpeech/dev-clean --out datasets/read\n"
      "  verge data import cv/en/validated.tsv --out datasets/read --licence CC0-1.0\n"
      "  verge data import meeting.rttm --out datasets/meeting");
  command->callback([&context, arguments] { context.status = import(context, *arguments); });
}

void add_export(CLI::App& data, Context& context, const Arguments& arguments) {
  auto* command = data.add_subcommand("export", "A dataset in a form that others read");
  auto& request = arguments->export_to;
  command->add_option("dataset", request.source, "The dataset's folder")->required()->check(CLI::ExistingDirectory);
  command->add_option("--out", request.target, "A new folder")->required();
  command->add_option("--format", request.format, "jsonl, librispeech, common-voice, rttm (who speaks when)")
      ->check(CLI::IsMember({"jsonl", "librispeech", "common-voice", "rttm"}))
      ->capture_default_str();
  command->add_option("--split", request.split, "Only these clips: train, dev, test");
  command->add_flag("--reviewed", request.only_reviewed, "Only clips that a person has accepted");
  command->footer("Example:\n  verge data export datasets/notes --format common-voice --out notes-cv --reviewed");
  command->callback([&context, arguments] { context.status = export_all(context, *arguments); });
}

}  // namespace

void add_data_commands(CLI::App& app, Context& context, std::vector<PageFile> review_page) {
  const auto arguments = std::make_shared<DataArguments>();
  arguments->review_page = std::move(review_page);
  auto* data = app.add_subcommand("data", "Sound with its texts: transcribe, review, exchange, measure")
                   ->group("Models")
                   ->require_subcommand(1);
  data->footer(
      "Examples:\n  verge data transcribe shift-notes/ --out datasets/notes\n"
      "  verge data review datasets/notes\n  verge data show datasets/notes");
  add_transcribe(*data, context, arguments);
  add_review(*data, context, arguments);
  add_import(*data, context, arguments);
  add_export(*data, context, arguments);
  add_split(*data, context, arguments);
  add_show(*data, context, arguments);
  add_versions(*data, context, arguments);
  add_report(*data, context, arguments);
}

}  // namespace verge::cli
