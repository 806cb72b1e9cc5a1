#include "cli/exchange_transcripts.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>
#include <map>

#include "audio/recording/recording.h"
#include "audio/transcripts/dataset.h"
#include "audio/transcripts/flac.h"
#include "audio/transcripts/transcript_formats.h"
#include "base/crypto.h"
#include "base/disk.h"

namespace verge::cli {
namespace {

using std::filesystem::path;

constexpr int kRateHz = 16'000;
constexpr std::size_t kListBytesMax = 256U << 20U;
constexpr std::size_t kSoundBytesMax = 256U << 20U;
constexpr std::string_view kSoundEndings[] = {"", ".flac", ".wav", ".mp3", ".ogg", ".opus"};

Result<TranscriptFormat> find_format(const std::string& name, const path& source) {
  std::string known = name;
  if (name == "auto") {
    const auto ending = source.extension().string();
    known = std::filesystem::is_directory(source) ? "librispeech"
            : ending == ".tsv"                    ? "common-voice"
            : ending == ".rttm"                   ? "rttm"
            : ending == ".jsonl"                  ? "jsonl"
                                                  : ending;
  }
  const auto* const found = std::ranges::find(kTranscriptFormats, std::string_view(known));
  if (found == std::end(kTranscriptFormats)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("the format of \"{}\" is \"{}\"; give --format with one of: {}", source.string(), known,
                             fmt::join(kTranscriptFormats, ", "))};
  }
  return static_cast<TranscriptFormat>(found - kTranscriptFormats);
}

// ---- import ----

/// A list and the folder that its files are relative to.
struct ForeignList {
  path folder;
  std::vector<audio::ForeignClip> clips;
};

Result<std::vector<ForeignList>> read_librispeech(const path& folder) {
  std::vector<path> files;
  std::error_code problem;
  for (std::filesystem::recursive_directory_iterator at(folder, problem), end; !problem && at != end;
       at.increment(problem)) {
    if (at->path().string().ends_with(".trans.txt")) files.push_back(at->path());
  }
  if (files.empty()) {
    return Error{ErrorCode::not_found, fmt::format("import \"{}\": there is no file that ends in .trans.txt; give the "
                                                   "folder of a corpus in LibriSpeech's layout",
                                                   folder.string())};
  }
  std::ranges::sort(files);
  std::vector<ForeignList> lists;
  for (const auto& file : files) {
    VERGE_TRY(const auto text, read_file(file, kListBytesMax));
    VERGE_TRY(auto clips, audio::parse_librispeech(text, file.string()));
    lists.push_back({file.parent_path(), std::move(clips)});
  }
  return lists;
}

Result<std::vector<ForeignList>> read_lists(const ImportRequest& request, TranscriptFormat format) {
  if (format == TranscriptFormat::librispeech) return read_librispeech(request.source);
  VERGE_TRY(const auto text, read_file(request.source, kListBytesMax));
  const auto name = request.source.string();
  auto clips = format == TranscriptFormat::common_voice ? audio::parse_common_voice(text, name)
                                                        : audio::parse_json_lines(text, name);
  if (!clips) return std::move(clips).error();
  std::vector<ForeignList> lists;
  lists.push_back({request.source.parent_path(), *std::move(clips)});
  return lists;
}

Result<path> find_sound(const path& folder, const std::string& file) {
  for (const auto ending : kSoundEndings) {
    path found = folder / (file + std::string(ending));
    if (std::filesystem::is_regular_file(found)) return found;
  }
  return Error{ErrorCode::not_found,
               fmt::format("there is no recording \"{}\", nor with .flac, .wav, .mp3, .ogg or .opus behind it; copy it "
                           "there, or take its line out of the list",
                           (folder / file).string())};
}

std::string media_name_of(const std::string& file, const path& sound) {
  std::string name = path(file).replace_extension().string();
  if (name.starts_with("media/")) name.erase(0, 6);
  std::ranges::replace_if(
      name,
      [](char letter) {
        return !((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                 (letter >= '0' && letter <= '9') || letter == '-' || letter == '_');
      },
      '-');
  return "media/" + name.substr(name.size() > 120 ? name.size() - 120 : 0) + sound.extension().string();
}

Status bring(audio::Dataset& dataset, const ForeignList& list, const audio::ForeignClip& foreign,
             ImportOutcome& outcome) {
  VERGE_TRY(const auto sound, find_sound(list.folder, foreign.file));
  VERGE_TRY(const auto bytes, read_file(sound, kSoundBytesMax));
  audio::Clip clip = foreign.clip;
  clip.media = media_name_of(foreign.file, sound);
  clip.digest = sha256_digest(bytes);
  if (const auto* there = dataset.find(clip.media); there != nullptr) {
    if (there->digest == clip.digest) {
      ++outcome.known;
      return Done{};
    }
    // Two folders may have a file of the same name.
    clip.media = media_name_of(foreign.file + "-" + clip.digest.substr(7, 8) + ".x", sound);
    if (dataset.find(clip.media) != nullptr) {
      ++outcome.known;
      return Done{};
    }
  }
  VERGE_TRY(const auto recording, audio::read_recording(sound, kRateHz));
  clip.duration_s = static_cast<double>(recording.samples.size()) / kRateHz;
  VERGE_CHECK(dataset.add_media(clip.media, bytes));
  VERGE_CHECK(dataset.put(clip));
  ++outcome.clips;
  outcome.seconds += clip.duration_s;
  return Done{};
}

double overlap_s(const audio::SpeakerTurn& turn, const audio::Clip& clip) {
  return std::min(turn.begin_s + turn.duration_s, clip.begin_s + clip.duration_s) -
         std::max(turn.begin_s, clip.begin_s);
}

/// The name of the recording that a clip was cut from, else its own, without ending: "monday-gate" of monday/gate.wav.
std::string recording_name(const audio::Clip& clip) {
  std::string name = path(clip.source.empty() ? clip.media.substr(6) : clip.source).replace_extension().string();
  std::ranges::replace(name, '/', '-');
  return name;
}

/// Those who write RTTM know the file's name, not the folder that we add.
std::string plain_recording_name(const audio::Clip& clip) {
  return path(clip.source.empty() ? clip.media : clip.source).stem().string();
}

Status set_speakers(audio::Dataset& dataset, const ImportRequest& request, ImportOutcome& outcome) {
  VERGE_TRY(const auto text, read_file(request.source, kListBytesMax));
  VERGE_TRY(const auto turns, audio::parse_rttm(text, request.source.string()));
  std::multimap<std::string, const audio::SpeakerTurn*> by_file;
  for (const auto& turn : turns) by_file.emplace(turn.file, &turn);
  const auto clips = dataset.clips();
  for (auto clip : clips) {
    const audio::SpeakerTurn* best = nullptr;
    const auto name = by_file.contains(recording_name(clip)) ? recording_name(clip) : plain_recording_name(clip);
    const auto [from, to] = by_file.equal_range(name);
    for (auto at = from; at != to; ++at) {
      const double shared = overlap_s(*at->second, clip);
      if (shared > 0 && (best == nullptr || shared > overlap_s(*best, clip))) best = at->second;
    }
    if (best == nullptr) continue;
    outcome.seconds += clip.duration_s;
    if (clip.speaker == best->speaker) {
      ++outcome.known;
      continue;
    }
    clip.speaker = best->speaker;
    VERGE_CHECK(dataset.put(std::move(clip)));
    ++outcome.clips;
  }
  if (outcome.clips + outcome.known > 0) return Done{};
  return Error{ErrorCode::not_found,
               fmt::format("import \"{}\": none of its {} turns is of a recording that the dataset has clips of; the "
                           "second field must be the recording's name without ending",
                           request.source.string(), turns.size())};
}

// ---- export ----

Status copy_into(const path& target, const path& source) {
  VERGE_TRY(const auto bytes, read_file(source, kSoundBytesMax));
  std::error_code problem;
  std::filesystem::create_directories(target.parent_path(), problem);
  return write_file(target, bytes);
}

std::string media_file(const audio::Clip& clip) {
  std::string name = clip.media.substr(6);
  std::ranges::replace(name, '/', '-');
  return name;
}

Status export_json_lines(const audio::Dataset& dataset, const std::vector<audio::Clip>& clips, const path& target) {
  for (const auto& clip : clips) VERGE_CHECK(copy_into(target / clip.media, dataset.path_of(clip)));
  return write_file(target / "labels.jsonl", audio::to_labels(clips));
}

Status export_common_voice(const audio::Dataset& dataset, const std::vector<audio::Clip>& clips, const path& target) {
  std::map<std::string, std::string> lists;
  for (const auto& clip : clips) {
    VERGE_CHECK(copy_into(target / "clips" / media_file(clip), dataset.path_of(clip)));
    const auto row = audio::to_common_voice(clip, media_file(clip), dataset.info().language) + "\n";
    lists[clip.is_reviewed ? "validated" : "other"] += row;
    if (!clip.split.empty()) lists[clip.split] += row;
  }
  for (const auto& [name, rows] : lists)
    VERGE_CHECK(write_file(target / (name + ".tsv"), audio::common_voice_heading() + "\n" + rows));
  return Done{};
}

Status export_librispeech(const audio::Dataset& dataset, const std::vector<audio::Clip>& clips, const path& target) {
  std::map<std::string, int> speakers, chapters;
  std::map<path, std::string> lists;
  std::map<path, int> counts;
  const auto number_of = [](std::map<std::string, int>& numbers, const std::string& name) {
    return numbers.try_emplace(name, static_cast<int>(numbers.size()) + 1).first->second;
  };
  for (const auto& clip : clips) {
    const int speaker = number_of(speakers, clip.speaker);
    const int chapter = number_of(chapters, clip.source.empty() ? clip.room : clip.source);
    const path folder =
        target / (clip.split.empty() ? "all" : clip.split) / std::to_string(speaker) / std::to_string(chapter);
    const auto id = fmt::format("{}-{}-{:04}", speaker, chapter, counts[folder]++);
    VERGE_TRY(const auto recording, audio::read_recording(dataset.path_of(clip), kRateHz));
    VERGE_TRY(const auto flac, audio::to_flac(recording.samples, kRateHz));
    std::error_code problem;
    std::filesystem::create_directories(folder, problem);
    VERGE_CHECK(write_file(folder / (id + ".flac"), flac));
    lists[folder / fmt::format("{}-{}.trans.txt", speaker, chapter)] +=
        id + " " + audio::to_librispeech_text(clip.text) + "\n";
  }
  for (const auto& [file, lines] : lists) VERGE_CHECK(write_file(file, lines));
  std::string names = ";ID|NAME\n";
  for (const auto& [name, number] : speakers) names += fmt::format("{}|{}\n", number, name.empty() ? "unknown" : name);
  return write_file(target / "SPEAKERS.TXT", names);
}

Status export_rttm(const audio::Dataset& dataset, const std::vector<audio::Clip>& clips, const path& target) {
  std::string lines;
  for (const auto& clip : clips)
    lines += audio::to_rttm({recording_name(clip), clip.begin_s, clip.duration_s, clip.speaker}) + "\n";
  return write_file(target / (dataset.info().name + ".rttm"), lines);
}

Result<std::vector<audio::Clip>> chosen_clips(const audio::Dataset& dataset, const ExportRequest& request) {
  std::vector<audio::Clip> chosen;
  for (const auto& clip : dataset.clips()) {
    if (!request.split.empty() && clip.split != request.split) continue;
    if (request.only_reviewed && !clip.is_reviewed) continue;
    chosen.push_back(clip);
  }
  if (!chosen.empty()) return chosen;
  return Error{ErrorCode::not_found,
               fmt::format("export \"{}\": none of its {} clips fits; see verge data show for splits and reviews",
                           request.source.string(), dataset.clips().size())};
}

}  // namespace

Result<ImportOutcome> import_transcripts(const ImportRequest& request) {
  ImportOutcome outcome;
  if (!std::filesystem::exists(request.source))
    return Error{ErrorCode::not_found,
                 fmt::format("import \"{}\": there is no such file or folder", request.source.string())};
  VERGE_TRY(outcome.format, find_format(request.format, request.source));
  const bool exists = std::filesystem::exists(request.target / "dataset.yaml");
  if (outcome.format == TranscriptFormat::rttm) {
    VERGE_TRY(const auto dataset, audio::Dataset::open(request.target, audio::Dataset::Access::change));
    VERGE_CHECK(set_speakers(*dataset, request, outcome));
    return outcome;
  }
  // Before anything is made: a list with a mistake in it leaves nothing behind.
  VERGE_TRY(const auto lists, read_lists(request, outcome.format));
  auto dataset = exists ? audio::Dataset::open(request.target, audio::Dataset::Access::change)
                        : audio::Dataset::create(
                              request.target,
                              {.language = request.language,
                               .licence = request.licence,
                               .made_by = fmt::format("verge data import, format {}",
                                                      kTranscriptFormats[static_cast<std::size_t>(outcome.format)])});
  if (!dataset) return std::move(dataset).error();
  for (const auto& list : lists) {
    for (const auto& clip : list.clips) VERGE_CHECK(bring(**dataset, list, clip, outcome));
  }
  return outcome;
}

Result<std::size_t> export_transcripts(const ExportRequest& request) {
  VERGE_TRY(const auto format, find_format(request.format, request.target));
  VERGE_TRY(const auto dataset, audio::Dataset::open(request.source, audio::Dataset::Access::read));
  VERGE_TRY(const auto clips, chosen_clips(*dataset, request));
  std::error_code problem;
  if (std::filesystem::exists(request.target) && !std::filesystem::is_empty(request.target, problem))
    return Error{ErrorCode::conflict,
                 fmt::format("export to \"{}\": something is there; give a new folder", request.target.string())};
  std::filesystem::create_directories(request.target, problem);
  if (problem)
    return Error{ErrorCode::unavailable, fmt::format("make \"{}\": {}", request.target.string(), problem.message())};
  switch (format) {
    case TranscriptFormat::json_lines:
      VERGE_CHECK(export_json_lines(*dataset, clips, request.target));
      break;
    case TranscriptFormat::librispeech:
      VERGE_CHECK(export_librispeech(*dataset, clips, request.target));
      break;
    case TranscriptFormat::common_voice:
      VERGE_CHECK(export_common_voice(*dataset, clips, request.target));
      break;
    case TranscriptFormat::rttm:
      VERGE_CHECK(export_rttm(*dataset, clips, request.target));
      break;
  }
  return clips.size();
}

}  // namespace verge::cli
