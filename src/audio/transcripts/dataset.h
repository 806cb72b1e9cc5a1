// audio/transcripts/dataset.h -- a dataset of transcripts: a folder of sound, labels and versions that survives a kill.
//
// dataset.yaml says what it is, media/ holds the sound, labels.jsonl one clip a line, versions/ the labels of every
// recorded version. A change is appended to labels.jsonl and synced before put() returns; of equal media the last line
// counts; reading drops a last line that a kill tore. docs/formats/dataset.md. Threads: one at a time.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "audio/transcripts/clip.h"
#include "base/disk.h"
#include "base/result.h"

namespace verge::audio {

/// dataset.yaml.
struct DatasetInfo {
  std::string name{};           ///< Default: the folder's.
  std::string language = "en";  ///< BCP 47.
  std::string licence{};        ///< Of the media; empty: not stated.
  std::string made_by{};        ///< The command that began it: its lineage.
  std::string from_version{};   ///< The version of another dataset that it began as; empty: none.
};

struct DatasetVersion {
  std::string version;  ///< "sha256:…" of the labels without revisions, which name their media by digest.
  std::string parent;   ///< The one recorded before; empty: none.
  std::int64_t recorded_us = 0;
  std::size_t clips = 0, reviewed = 0;
  std::string note;
};

enum class ClipChange : std::uint8_t { added, removed, changed };
struct ClipDifference {
  ClipChange change = ClipChange::changed;
  std::string media, before, after;  ///< The texts; other members may differ with equal texts.
};

class Dataset {
 public:
  static constexpr std::size_t kClipsMax = 200'000;
  static constexpr std::size_t kVersionsMax = 1000;
  enum class Access : std::uint8_t { read, change };

  /// Makes the folder. Errors: conflict when there is a dataset or anything else in it.
  static Result<std::unique_ptr<Dataset>> create(const std::filesystem::path& folder, DatasetInfo info);
  /// Access::change holds a lock until the object goes. Errors: not_found, invalid_argument with file and line,
  /// conflict when another program changes it.
  static Result<std::unique_ptr<Dataset>> open(const std::filesystem::path& folder, Access access);
  ~Dataset();

  const std::filesystem::path& folder() const { return folder_; }
  const DatasetInfo& info() const { return info_; }
  const std::vector<Clip>& clips() const { return clips_; }  ///< In the order in which they came.
  const Clip* find(std::string_view media) const;

  /// Adds the clip or replaces the one with its media; its revision becomes one more than that one's. On disk when it
  /// returns. Errors: conflict when clip.revision is not the stored one's (0 for a new one): read again.
  Status put(Clip clip);
  /// Replaces all clips at once, or none. Revisions are taken as they are.
  Status replace_all(std::vector<Clip> clips);
  /// Writes a file below media/ and returns its digest. Errors: invalid_argument for a name that leaves the folder.
  Result<std::string> add_media(const std::string& name, std::string_view bytes);
  std::filesystem::path path_of(const Clip& clip) const { return folder_ / clip.media; }

  /// The content hash of what is there now.
  std::string version() const;
  /// Keeps the labels under their version; recording an unchanged dataset again gives the version that is there.
  Result<DatasetVersion> record_version(const std::string& note, std::int64_t now_us);
  Result<std::vector<DatasetVersion>> versions() const;  ///< The oldest first.
  /// `from` and `to` by their first 4 or more hex digits; "now" is what is there. Errors: not_found, conflict when
  /// several begin so.
  Result<std::vector<ClipDifference>> differences(std::string_view from, std::string_view to) const;

 private:
  Dataset(std::filesystem::path folder, DatasetInfo info);
  Status lock();
  Status load_labels();
  Status write_labels();
  void keep(Clip clip);
  Result<std::vector<Clip>> clips_of_version(std::string_view prefix) const;

  const std::filesystem::path folder_;
  DatasetInfo info_;
  std::vector<Clip> clips_;
  std::map<std::string, std::size_t, std::less<>> place_of_;  ///< In clips_, by media.
  std::unique_ptr<DiskFile> labels_;                          ///< Open while changes are appended.
  std::uint64_t labels_bytes_ = 0;
  std::size_t lines_ = 0;  ///< Of labels.jsonl.
  int lock_file_ = -1;
};

/// The lines of a labels.jsonl; of equal media the last counts, at the place of the first. A last line without a line
/// break is what a kill left and is dropped when it cannot be read. Errors: invalid_argument "NAME:LINE: …", limit.
Result<std::vector<Clip>> parse_labels(std::string_view text, std::string_view name);
std::string to_labels(const std::vector<Clip>& clips);
std::string version_of(const std::vector<Clip>& clips);

}  // namespace verge::audio
