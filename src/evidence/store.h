// evidence/store.h -- files named by their time and content, durable, and removed when they are old or too many.
//
// Below the folder each shelf is a folder of its own (snapshots and clips are on "events", a camera's recording on
// "record-NAME") with its own days and bytes. A file's name says all that there is to know, so the folder needs no
// index on disk: 0001764601205123456-<64 hex digits>-people.jpg. Written beside, synced, renamed, folder synced: after
// a power cut a file is whole or not there. kFreeMin_bytes of the disk stay free for others.
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"

namespace verge::evidence {

inline constexpr std::uint64_t kFreeMin_bytes = 64U << 20U;
inline constexpr std::string_view kEventShelf = "events";

/// A place with its own retention.
struct Shelf {
  std::string name;             ///< A folder's name: letters, digits, "-", "_", "." and "%".
  double days = 30;             ///< Older files go; by the device's wall clock.
  std::uint64_t bytes_max = 0;  ///< The oldest go when there would be more.
};

/// What a file is, besides its bytes.
struct Label {
  std::int64_t captured_us = 0;  ///< When it begins, wall clock, microseconds since the Unix epoch.
  std::string ending;            ///< "jpg", "mp4"
  std::string blur = "none";     ///< What is made unrecognisable in it: "people", "faces", "none".
};

struct StoredFile {
  std::string digest;  ///< "sha256:…"
  std::string shelf;
  Label label;
  std::uint64_t bytes = 0;
};

class Store {
 public:
  Store(std::filesystem::path folder, Disk& disk, const Clock& clock, Metrics& metrics);

  /// Reads what earlier starts left on the shelf, removes what was not finished and what is too old. Errors: those of
  /// the disk; invalid_argument for a shelf's name that is no folder's name.
  Status add_shelf(const Shelf& shelf);

  /// A file that is being written. Gone without a trace unless finished.
  class Draft {
   public:
    Draft(Store& store, std::string shelf, Label label, std::filesystem::path path, std::unique_ptr<DiskFile> file);
    ~Draft();
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;
    /// Errors: limit when the disk is full; unavailable. Nothing can be done with it then.
    Status write_at(std::uint64_t offset, std::string_view bytes);
    /// Hashes, syncs and names it. Once it is back the file is on the disk.
    Result<StoredFile> finish();

   private:
    Store& store_;
    const std::string shelf_;
    const Label label_;
    const std::filesystem::path path_;
    std::unique_ptr<DiskFile> file_;
    std::uint64_t room_checked_bytes_ = 0;
  };
  /// Errors: not_found (no such shelf), limit (too little room on the disk), unavailable.
  Result<std::unique_ptr<Draft>> begin(std::string_view shelf, Label label);
  /// The same in one go. What is there already only gets the new time.
  Result<StoredFile> put(std::string_view shelf, Label label, std::string_view bytes);

  std::optional<StoredFile> find(const std::string& digest) const;
  /// At most `count` bytes; fewer only at the end. Errors: not_found (never there, or removed since), unavailable.
  Result<std::string> read(const std::string& digest, std::uint64_t offset, std::size_t count) const;
  /// Newest first.
  std::vector<StoredFile> newest(std::size_t count_max) const;
  /// Where the file lies. Errors: not_found.
  Result<std::filesystem::path> path_of(const std::string& digest) const;
  /// Removes what is too old. Happens with every new file, too.
  void expire();

 private:
  struct Kept {
    Shelf shelf;
    std::map<std::string, StoredFile> files;  ///< By name, so oldest first.
    std::uint64_t bytes = 0;
    Gauge* bytes_gauge = nullptr;
  };

  Kept* find_shelf(std::string_view name);
  Status check_room(std::uint64_t bytes) const;
  Result<StoredFile> name_draft(const std::filesystem::path& path, StoredFile file);
  void make_room(Kept& kept);
  void remove_oldest(Kept& kept, Counter& reason);
  std::filesystem::path folder_of(std::string_view shelf) const { return folder_ / shelf; }

  const std::filesystem::path folder_;
  Disk& disk_;
  const Clock& clock_;
  Metrics& metrics_;
  Counter& removed_old_;
  Counter& removed_room_;
  std::atomic<std::uint64_t> drafts_{0};
  mutable std::mutex mutex_;  ///< Of what follows.
  std::vector<std::unique_ptr<Kept>> shelves_;
  std::map<std::string, std::pair<Kept*, std::string>> by_digest_;  ///< To shelf and name.
};

}  // namespace verge::evidence
