#include "audio/transcripts/transcript_formats.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>

#include "audio/transcripts/word_errors.h"
#include "base/bytes.h"
#include "base/websocket_frames.h"

namespace verge::audio {
namespace {

constexpr std::size_t kListLineBytesMax = 1U << 20U;
constexpr std::size_t kListLinesMax = 1'000'000;
constexpr double kTurnMax_s = 1e7;

/// Calls `take` for each line that is not blank; its error gets file and line.
Status each_line(std::string_view text, std::string_view name, const std::function<Status(std::string_view)>& take) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  for (std::size_t number = 1; !text.empty(); ++number) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto where = [&] { return fmt::format("{}:{}", name, number); };
    if (number > kListLinesMax || line.size() > kListLineBytesMax)
      return Error{ErrorCode::limit, where() + ": more than 1,000,000 lines, or a line of more than 1 MiB"};
    if (trimmed(line).empty()) continue;
    auto taken = take(line);
    if (!taken) return std::move(taken).error().within(where());
  }
  return Done{};
}

/// What each line adds, or the first error.
template <class Item>
Result<std::vector<Item>> read_lines(
    std::string_view text, std::string_view name,
    const std::function<Status(std::string_view line, std::vector<Item>& items)>& take) {
  std::vector<Item> items;
  VERGE_CHECK(each_line(text, name, [&](std::string_view line) { return take(line, items); }));
  return items;
}

Error line_error(std::string text) { return {ErrorCode::invalid_argument, std::move(text)}; }

std::vector<std::string_view> split_at(std::string_view line, char mark) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = line.find(mark);
    parts.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return parts;
    line.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> split_at_blanks(std::string_view line) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return parts;
    line.remove_prefix(begin);
    const auto end = std::min(line.size(), line.find_first_of(" \t"));
    parts.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

/// A file that a list names must stay below the list's folder.
Result<std::string> inner_file(std::string_view file) {
  if (file.empty()) return line_error("the name of the recording is empty");
  if (file.size() > 1000) return line_error("the name of the recording has more than 1000 bytes");
  const auto steps = split_at(file, '/');
  if (file.front() == '/' || std::ranges::find(steps, "..") != steps.end())
    return line_error(fmt::format("the recording \"{}\" lies outside of the list's folder; copy it there", file));
  if (file.find('\0') != std::string_view::npos) return line_error("the name of the recording has a NUL");
  return std::string(file);
}

/// Texts and labels through the same checks as those of a dataset.
Result<ForeignClip> checked(std::string_view file, Json members) {
  ForeignClip found;
  VERGE_TRY(found.file, inner_file(file));
  members["media"] = "media/x";
  for (const char* member : {"digest", "revision", "source", "begin_s"}) members.erase(member);
  VERGE_TRY(found.clip, clip_from_json(members));
  found.clip.media.clear();
  found.clip.duration_s = 0;
  return found;
}

/// A JSON line's parser checks it; the other formats pass through here.
Status check_utf8(std::string_view line) {
  if (is_utf8(line)) return Done{};
  return line_error("this is not UTF-8; convert the file, for example with iconv -t UTF-8");
}

Result<double> seconds_in(std::string_view text, std::string_view what) {
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= kTurnMax_s))
    return line_error(fmt::format("the {} \"{}\" is no number of seconds, 0 or more", what, text.substr(0, 40)));
  return value;
}

std::string one_word(std::string_view name) {
  std::string word(name.empty() ? "unknown" : name);
  std::ranges::replace_if(
      word, [](char letter) { return letter == ' ' || letter == '\t'; }, '_');
  return word;
}

}  // namespace

Result<std::vector<ForeignClip>> parse_json_lines(std::string_view text, std::string_view name) {
  return read_lines<ForeignClip>(text, name, [&](std::string_view line, auto& clips) -> Status {
    VERGE_TRY(auto json, parse_json(line));
    if (!json.is_object()) return line_error("a line must be a JSON object");
    std::string file;
    for (const char* member : {"media", "audio_filepath", "audio", "path"}) {
      if (!file.empty()) continue;
      VERGE_TRY(file, string_member(json, member));
    }
    if (file.empty())
      return line_error("no recording is named; give \"media\" (or audio_filepath, audio, path) with its file");
    if (!json.contains("text") && json.contains("sentence")) json["text"] = json["sentence"];
    VERGE_TRY(auto clip, checked(file, std::move(json)));
    clips.push_back(std::move(clip));
    return Done{};
  });
}

Result<std::vector<ForeignClip>> parse_librispeech(std::string_view text, std::string_view name) {
  return read_lines<ForeignClip>(text, name, [&](std::string_view line, auto& clips) -> Status {
    VERGE_CHECK(check_utf8(line));
    const auto blank = line.find(' ');
    const auto id = line.substr(0, blank);
    const auto parts = split_at(id, '-');
    if (blank == std::string_view::npos || parts.size() != 3 || parts[0].empty())
      return line_error("a line must be \"SPEAKER-CHAPTER-NUMBER WORDS\"");
    VERGE_TRY(auto clip, checked(id, {{"text", std::string(trimmed(line.substr(blank)))},
                                      {"speaker", std::string(parts[0])},
                                      {"reviewed", true}}));
    clips.push_back(std::move(clip));
    return Done{};
  });
}

Result<std::vector<ForeignClip>> parse_common_voice(std::string_view text, std::string_view name) {
  std::vector<std::string> columns;
  return read_lines<ForeignClip>(text, name, [&](std::string_view line, auto& clips) -> Status {
    VERGE_CHECK(check_utf8(line));
    const auto cells = split_at(line, '\t');
    if (columns.empty()) {
      columns.assign(cells.begin(), cells.end());
      for (const char* wanted : {"client_id", "path", "sentence"}) {
        if (std::ranges::find(columns, wanted) == columns.end())
          return line_error(
              fmt::format("the first line names no column \"{}\"; it must name client_id, path and "
                          "sentence, parted by tabs",
                          wanted));
      }
      return Done{};
    }
    if (cells.size() != columns.size())
      return line_error(fmt::format("{} cells, the first line names {} columns", cells.size(), columns.size()));
    const auto cell = [&](std::string_view column) {
      const auto found = std::ranges::find(columns, column);
      return found == columns.end() ? std::string()
                                    : std::string(cells[static_cast<std::size_t>(found - columns.begin())]);
    };
    // Lists without votes are of clips that were validated; in others nobody may have listened yet.
    const bool is_reviewed = cell("up_votes").empty() || cell("up_votes") != "0";
    VERGE_TRY(auto clip,
              checked("clips/" + cell("path"),
                      {{"text", cell("sentence")}, {"speaker", cell("client_id")}, {"reviewed", is_reviewed}}));
    clips.push_back(std::move(clip));
    return Done{};
  });
}

Result<std::vector<SpeakerTurn>> parse_rttm(std::string_view text, std::string_view name) {
  return read_lines<SpeakerTurn>(text, name, [&](std::string_view line, auto& turns) -> Status {
    VERGE_CHECK(check_utf8(line));
    const auto parts = split_at_blanks(line);
    if (parts.front() != "SPEAKER") return Done{};
    if (parts.size() < 8)
      return line_error(
          fmt::format("SPEAKER with {} fields; at least 8 belong there: SPEAKER FILE CHANNEL BEGIN "
                      "DURATION <NA> <NA> NAME",
                      parts.size()));
    if (parts[1].size() > Clip::kNameBytesMax || parts[7].size() > Clip::kNameBytesMax)
      return line_error(fmt::format("a name has more than {} bytes", Clip::kNameBytesMax));
    SpeakerTurn turn{std::string(parts[1]), 0, 0, std::string(parts[7])};
    VERGE_TRY(turn.begin_s, seconds_in(parts[3], "begin"));
    VERGE_TRY(turn.duration_s, seconds_in(parts[4], "duration"));
    turns.push_back(std::move(turn));
    return Done{};
  });
}

std::string to_librispeech_text(std::string_view text) {
  std::string upper = fmt::format("{}", fmt::join(counted_words(text), " "));
  for (char& letter : upper) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  return upper;
}

std::string common_voice_heading() { return "client_id\tpath\tsentence\tup_votes\tdown_votes\tlocale"; }

std::string to_common_voice(const Clip& clip, std::string_view file, std::string_view language) {
  return fmt::format("{}\t{}\t{}\t{}\t0\t{}", clip.speaker.empty() ? "unknown" : clip.speaker, file, clip.text,
                     clip.is_reviewed ? 2 : 0, language);
}

std::string to_rttm(const SpeakerTurn& turn) {
  return fmt::format("SPEAKER {} 1 {:.3f} {:.3f} <NA> <NA> {} <NA> <NA>", one_word(turn.file), turn.begin_s,
                     turn.duration_s, one_word(turn.speaker));
}

}  // namespace verge::audio
