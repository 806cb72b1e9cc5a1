#include "audio/transcripts/dataset.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "pipeline/yaml.h"

namespace verge::audio {
namespace {

using std::filesystem::path;

constexpr std::size_t kLabelsBytesMax = 256U << 20U;
constexpr std::size_t kLineBytesMax = 1U << 20U;
constexpr std::size_t kSpareLines = 1000;  ///< Replaced lines that may lie in labels.jsonl before it is written anew.
constexpr std::size_t kPrefixMin = 4;
constexpr std::string_view kDigestScheme = "sha256:";

std::string info_text(const DatasetInfo& info) {
  // A JSON text is a YAML scalar, whatever the value has in it.
  const auto line = [](std::string_view key, const std::string& value) {
    return value.empty() ? std::string() : fmt::format("{}: {}\n", key, to_text(Json(value)));
  };
  return "# A dataset of Verge; docs/formats/dataset.md.\nformat: 1\nkind: transcripts\n" + line("name", info.name) +
         line("language", info.language) + line("licence", info.licence) + line("made_by", info.made_by) +
         line("from_version", info.from_version);
}

Result<DatasetInfo> read_info(const path& folder) {
  const path file = folder / "dataset.yaml";
  auto text = read_file(file, 1U << 20U);
  if (!text) {
    if (text.error().code != ErrorCode::not_found) return std::move(text).error();
    return Error{ErrorCode::not_found,
                 fmt::format("open the dataset \"{}\": it has no dataset.yaml; make one with verge data transcribe or "
                             "verge data import",
                             folder.string())};
  }
  VERGE_TRY(const auto document, pipeline::read_yaml(*text, file.string()));
  VERGE_TRY(const auto format, integer_member(document.value, "format"));
  VERGE_TRY(const auto kind, string_member(document.value, "kind"));
  if (format != 1 || kind != "transcripts") {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("open the dataset \"{}\": dataset.yaml says format {} and kind \"{}\"; this program reads "
                             "format 1 of kind transcripts",
                             folder.string(), format, kind)};
  }
  DatasetInfo info;
  VERGE_TRY(info.name, string_member(document.value, "name"));
  VERGE_TRY(info.language, string_member(document.value, "language", "en"));
  VERGE_TRY(info.licence, string_member(document.value, "licence"));
  VERGE_TRY(info.made_by, string_member(document.value, "made_by"));
  VERGE_TRY(info.from_version, string_member(document.value, "from_version"));
  return info;
}

Json version_json(const DatasetVersion& version) {
  return {{"version", version.version}, {"parent", version.parent}, {"recorded_us", version.recorded_us},
          {"clips", version.clips},     {"note", version.note},     {"reviewed", version.reviewed}};
}

Result<DatasetVersion> version_from(const Json& json) {
  DatasetVersion version;
  VERGE_TRY(version.version, string_member(json, "version"));
  VERGE_TRY(version.parent, string_member(json, "parent"));
  VERGE_TRY(version.recorded_us, integer_member(json, "recorded_us"));
  VERGE_TRY(const auto clips, integer_member(json, "clips"));
  VERGE_TRY(const auto reviewed, integer_member(json, "reviewed"));
  VERGE_TRY(version.note, string_member(json, "note"));
  version.clips = static_cast<std::size_t>(std::max<std::int64_t>(0, clips));
  version.reviewed = static_cast<std::size_t>(std::max<std::int64_t>(0, reviewed));
  return version;
}

path labels_of_version(const path& folder, std::string_view version) {
  return folder / "versions" / (std::string(version.substr(kDigestScheme.size())) + ".jsonl");
}

std::size_t reviewed_in(const std::vector<Clip>& clips) {
  return static_cast<std::size_t>(std::ranges::count_if(clips, &Clip::is_reviewed));
}

std::map<std::string, const Clip*> by_media(const std::vector<Clip>& clips) {
  std::map<std::string, const Clip*> found;
  for (const auto& clip : clips) found[clip.media] = &clip;
  return found;
}

}  // namespace

Result<std::vector<Clip>> parse_labels(std::string_view text, std::string_view name) {
  std::vector<Clip> clips;
  std::map<std::string, std::size_t, std::less<>> places;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const auto end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    const bool is_whole = end != std::string_view::npos;
    text.remove_prefix(is_whole ? end + 1 : text.size());
    if (line.empty()) continue;
    if (line.size() > kLineBytesMax)
      return Error{ErrorCode::limit, fmt::format("{}:{}: the line has more than 1 MiB", name, number)};
    const auto json = parse_json(line);
    if (!json && !is_whole) break;
    auto clip = json ? clip_from_json(*json) : Result<Clip>(json.error());
    if (!clip) return std::move(clip).error().within(fmt::format("{}:{}", name, number));
    const auto [place, is_new] = places.try_emplace(clip->media, clips.size());
    if (is_new) {
      if (clips.size() == Dataset::kClipsMax)
        return Error{ErrorCode::limit,
                     fmt::format("{}:{}: more than {} clips; divide the dataset", name, number, Dataset::kClipsMax)};
      clips.push_back(*std::move(clip));
    } else {
      clips[place->second] = *std::move(clip);
    }
  }
  return clips;
}

std::string to_labels(const std::vector<Clip>& clips) {
  std::string text;
  for (const auto& clip : clips) text += to_text(to_json(clip)) + "\n";
  return text;
}

std::string version_of(const std::vector<Clip>& clips) {
  std::vector<std::string> lines;
  for (Clip clip : clips) {
    clip.revision = 0;
    lines.push_back(to_text(to_json(clip)));
  }
  std::ranges::sort(lines);
  Sha256 hash;
  for (const auto& line : lines) hash.add(line + "\n");
  return hash.digest();
}

Dataset::Dataset(path folder, DatasetInfo info) : folder_(std::move(folder)), info_(std::move(info)) {}

Dataset::~Dataset() {
  if (lock_file_ >= 0) ::close(lock_file_);
}

Result<std::unique_ptr<Dataset>> Dataset::create(const path& folder, DatasetInfo info) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) {
    return Error{ErrorCode::unavailable,
                 fmt::format("make the dataset \"{}\": {}", folder.string(), problem.message())};
  }
  if (!std::filesystem::is_empty(folder, problem) || problem) {
    return Error{ErrorCode::conflict,
                 fmt::format("make the dataset \"{}\": the folder is not empty; give a new one", folder.string())};
  }
  if (info.name.empty()) info.name = std::filesystem::weakly_canonical(folder).filename().string();
  auto dataset = std::unique_ptr<Dataset>(new Dataset(folder, std::move(info)));
  VERGE_CHECK(dataset->lock());
  std::filesystem::create_directories(folder / "media", problem);
  VERGE_CHECK(dataset->write_labels());
  // Last: a folder without it is not a dataset yet.
  VERGE_CHECK(write_file(folder / "dataset.yaml", info_text(dataset->info_)));
  return dataset;
}

Result<std::unique_ptr<Dataset>> Dataset::open(const path& folder, Access access) {
  VERGE_TRY(auto info, read_info(folder));
  auto dataset = std::unique_ptr<Dataset>(new Dataset(folder, std::move(info)));
  if (access == Access::change) VERGE_CHECK(dataset->lock());
  VERGE_CHECK(dataset->load_labels());
  if (access == Access::change) VERGE_CHECK(dataset->write_labels());
  return dataset;
}

Status Dataset::lock() {
  const path file = folder_ / ".lock";
  lock_file_ = ::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (lock_file_ < 0) {
    return Error{ErrorCode::unavailable, fmt::format("change the dataset \"{}\": {}; check that it may be written",
                                                     folder_.string(), std::strerror(errno))};
  }
  if (::flock(lock_file_, LOCK_EX | LOCK_NB) == 0) return Done{};
  return Error{ErrorCode::conflict,
               fmt::format("the dataset \"{}\" is being changed by another program (a review or a transcription); "
                           "end that first",
                           folder_.string())};
}

Status Dataset::load_labels() {
  const path file = folder_ / "labels.jsonl";
  VERGE_TRY(const auto text, read_file(file, kLabelsBytesMax));
  VERGE_TRY(auto clips, parse_labels(text, file.string()));
  clips_.clear();
  place_of_.clear();
  for (auto& clip : clips) keep(std::move(clip));
  return Done{};
}

/// Anew and whole, so that what a kill tore and what was replaced goes.
Status Dataset::write_labels() {
  const path file = folder_ / "labels.jsonl";
  const auto text = to_labels(clips_);
  labels_.reset();
  VERGE_CHECK(write_file(file, text));
  VERGE_TRY(labels_, system_disk().open(file, false));
  labels_bytes_ = text.size();
  lines_ = clips_.size();
  return Done{};
}

void Dataset::keep(Clip clip) {
  const auto [place, is_new] = place_of_.try_emplace(clip.media, clips_.size());
  if (is_new) {
    clips_.push_back(std::move(clip));
  } else {
    clips_[place->second] = std::move(clip);
  }
}

const Clip* Dataset::find(std::string_view media) const {
  const auto found = place_of_.find(media);
  return found == place_of_.end() ? nullptr : &clips_[found->second];
}

Status Dataset::put(Clip clip) {
  VERGE_ASSERT(labels_ != nullptr);
  const Clip* stored = find(clip.media);
  if (clip.revision != (stored == nullptr ? 0 : stored->revision)) {
    return Error{ErrorCode::conflict,
                 fmt::format("{} was changed meanwhile: your revision is {}, the stored one {}; read it again",
                             clip.media, clip.revision, stored == nullptr ? 0 : stored->revision)};
  }
  if (stored == nullptr && clips_.size() == kClipsMax)
    return Error{ErrorCode::limit, fmt::format("a dataset has at most {} clips; begin another", kClipsMax)};
  ++clip.revision;
  // What is stored must be readable again, whoever made the clip.
  VERGE_TRY(clip, clip_from_json(to_json(clip)));
  const std::string line = to_text(to_json(clip)) + "\n";
  auto written = labels_->write_at(labels_bytes_, line);
  if (written) written = labels_->sync();
  if (!written) {
    // Nobody knows what of the line is there: the next change would stand behind it. Written whole, or no change at
    // all.
    const Error problem = written.error();
    VERGE_CHECK(write_labels());
    return problem;
  }
  labels_bytes_ += line.size();
  ++lines_;
  keep(std::move(clip));
  return lines_ > 2 * clips_.size() + kSpareLines ? write_labels() : Status(Done{});
}

Status Dataset::replace_all(std::vector<Clip> clips) {
  VERGE_ASSERT(lock_file_ >= 0);
  VERGE_TRY(auto checked, parse_labels(to_labels(clips), "labels.jsonl"));
  auto before = std::exchange(clips_, {});
  auto places_before = std::exchange(place_of_, {});
  for (auto& clip : checked) keep(std::move(clip));
  auto written = write_labels();
  if (!written) {
    clips_ = std::move(before);
    place_of_ = std::move(places_before);
  }
  return written;
}

Result<std::string> Dataset::add_media(const std::string& name, std::string_view bytes) {
  if (!is_media_name(name))
    return Error{ErrorCode::invalid_argument,
                 fmt::format("keep sound as \"{}\": give a plain name below media/", name)};
  std::error_code problem;
  std::filesystem::create_directories((folder_ / name).parent_path(), problem);
  VERGE_CHECK(write_file(folder_ / name, bytes));
  return sha256_digest(bytes);
}

std::string Dataset::version() const { return version_of(clips_); }

Result<DatasetVersion> Dataset::record_version(const std::string& note, std::int64_t now_us) {
  VERGE_ASSERT(lock_file_ >= 0);
  VERGE_TRY(auto known, versions());
  const auto current = version();
  for (const auto& version : known) {
    if (version.version == current) return version;
  }
  if (known.size() == kVersionsMax)
    return Error{ErrorCode::limit, fmt::format("a dataset keeps at most {} versions; begin another", kVersionsMax)};
  const DatasetVersion added{
      current, known.empty() ? "" : known.back().version, now_us, clips_.size(), reviewed_in(clips_), note};
  std::error_code problem;
  std::filesystem::create_directories(folder_ / "versions", problem);
  VERGE_CHECK(write_file(labels_of_version(folder_, current), to_labels(clips_)));
  known.push_back(added);
  std::string lines;
  for (const auto& version : known) lines += to_text(version_json(version)) + "\n";
  VERGE_CHECK(write_file(folder_ / "versions.jsonl", lines));
  return added;
}

Result<std::vector<DatasetVersion>> Dataset::versions() const {
  const path file = folder_ / "versions.jsonl";
  std::vector<DatasetVersion> versions;
  if (!std::filesystem::exists(file)) return versions;
  VERGE_TRY(const auto text, read_file(file, 8U << 20U));
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    ++number;
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto json = parse_json(line);
    auto version = json ? version_from(*json) : Result<DatasetVersion>(json.error());
    if (!version) return std::move(version).error().within(fmt::format("{}:{}", file.string(), number));
    versions.push_back(*std::move(version));
  }
  return versions;
}

Result<std::vector<Clip>> Dataset::clips_of_version(std::string_view prefix) const {
  if (prefix == "now") return clips_;
  std::string_view digits = prefix;
  if (digits.starts_with(kDigestScheme)) digits.remove_prefix(kDigestScheme.size());
  VERGE_TRY(const auto known, versions());
  std::vector<std::string> found;
  for (const auto& version : known) {
    if (digits.size() >= kPrefixMin &&
        std::string_view(version.version).substr(kDigestScheme.size()).starts_with(digits))
      found.push_back(version.version);
  }
  if (found.size() != 1) {
    return Error{found.empty() ? ErrorCode::not_found : ErrorCode::conflict,
                 fmt::format("{} versions begin with \"{}\"; give at least {} digits of one that verge data versions "
                             "shows, or now",
                             found.empty() ? "no" : "several", prefix, kPrefixMin)};
  }
  const path file = labels_of_version(folder_, found.front());
  VERGE_TRY(const auto text, read_file(file, kLabelsBytesMax));
  return parse_labels(text, file.string());
}

Result<std::vector<ClipDifference>> Dataset::differences(std::string_view from, std::string_view to) const {
  VERGE_TRY(const auto old_clips, clips_of_version(from));
  VERGE_TRY(const auto new_clips, clips_of_version(to));
  const auto before = by_media(old_clips);
  const auto after = by_media(new_clips);
  std::vector<ClipDifference> found;
  for (const auto& [media, clip] : before) {
    const auto other = after.find(media);
    if (other == after.end()) {
      found.push_back({ClipChange::removed, media, clip->text, ""});
    } else if (version_of({*clip}) != version_of({*other->second})) {
      found.push_back({ClipChange::changed, media, clip->text, other->second->text});
    }
  }
  for (const auto& [media, clip] : after) {
    if (!before.contains(media)) found.push_back({ClipChange::added, media, "", clip->text});
  }
  return found;
}

}  // namespace verge::audio
