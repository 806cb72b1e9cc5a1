// storage/partition.h -- one partition of the append log: its segments on disk and its newest records in memory;
// internal to this part.
//
// Threads: batch_bytes_max(), commit() and renew_segment() from the commit thread; everything else from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "storage/append_log.h"
#include "storage/segment.h"

namespace verge::storage {

/// A record on its way to disk.
struct PendingRecord {
  std::int64_t received_us = 0;
  std::string bytes;
};

/// What the partitions of one log count together.
struct LogCounters {
  std::atomic<std::uint64_t> disk_bytes{0}, syncs{0}, records{0}, bytes{0};
  Histogram sync_s;
};

class Partition {
 public:
  /// Reads and checks the folder's segments, cuts a torn tail, makes what is left durable.
  static Result<std::unique_ptr<Partition>> open(Disk& disk, const Clock& clock, std::filesystem::path folder,
                                                 std::uint32_t number, const AppendLogOptions& options,
                                                 LogCounters& counters);

  /// How many bytes of records (with their headers) the next commit may take when its first record has record_bytes:
  /// what fits into one segment. One record alone may be larger.
  std::uint64_t batch_bytes_max(std::uint64_t record_bytes) const;
  /// Writes and syncs all of them as one; returns the offset of the first. Errors, after which none of them counts:
  /// limit when there is no room, unavailable.
  Result<std::uint64_t> commit(std::vector<PendingRecord>& records);
  /// When a trim let all records go: begins an empty segment, so that the full one can be unlinked.
  Status renew_segment();

  Result<std::vector<LogRecord>> read(std::uint64_t offset, std::size_t count_max, std::size_t bytes_max) const;
  std::uint64_t first_offset() const;
  std::uint64_t end_offset() const;
  /// Each answers whether renew_segment() is wanted.
  Result<bool> trim_before(std::uint64_t offset);
  Result<bool> trim_older_than(std::int64_t received_us);

 private:
  struct Segment {
    SegmentHeader header;
    std::filesystem::path path;
    std::uint64_t end_offset = 0;    ///< Behind its last durable record.
    std::uint64_t end_position = 0;  ///< Behind its last durable byte.
    std::uint64_t file_bytes = 0;    ///< As counted in disk_bytes.
    std::int64_t newest_us = 0;
    std::vector<IndexNote> index;

    bool is_empty() const { return end_offset == header.base_offset; }
  };
  /// Where to read, taken under the lock and used without it.
  struct ReadPlan {
    SegmentHeader header;
    std::filesystem::path path;
    IndexNote start;
    std::uint64_t end_position = 0;
  };

  Partition(Disk& disk, const Clock& clock, std::filesystem::path folder, std::uint32_t number,
            const AppendLogOptions& options, LogCounters& counters);

  Status load();
  Status remove_leftovers(const std::vector<std::string>& names);
  Status load_segment(std::uint64_t base_offset, std::optional<std::uint64_t> next_base_offset);
  Status settle_last(std::unique_ptr<DiskFile> file, const SegmentScan& scan);
  Error corrupt(const std::filesystem::path& path, std::string_view why) const;
  std::filesystem::path path_of(std::uint64_t base_offset) const;

  bool needs_new_segment(std::uint64_t record_bytes) const;
  Status check_room(std::uint64_t bytes) const;
  std::uint64_t growth_of(std::uint64_t record_bytes, bool begins_segment) const;
  std::uint64_t ahead_bytes_for(std::uint64_t position, std::uint64_t commit_bytes) const;
  Status begin_segment();
  void give_back_ahead();
  Status write(const std::vector<PendingRecord>& records);
  Status sync_file();
  void retire();
  std::uint64_t publish(std::vector<PendingRecord>& records);
  void remember(LogRecord record);

  void read_recent(std::uint64_t offset, std::size_t count_max, std::size_t bytes_max,
                   std::vector<LogRecord>& records) const;
  std::optional<ReadPlan> plan_for(std::uint64_t offset) const;
  /// False when no further record may be taken.
  Result<bool> read_segment(const ReadPlan& plan, std::uint64_t offset, std::size_t count_max, std::size_t bytes_max,
                            std::vector<LogRecord>& records) const;
  Status unlink_before(std::uint64_t offset);

  Disk& disk_;
  const Clock& clock_;
  const std::filesystem::path folder_;
  const std::uint32_t number_;
  const AppendLogOptions options_;
  LogCounters& counters_;

  // Of the commit thread.
  std::unique_ptr<DiskFile> file_;  ///< The newest segment's; null when the next commit must begin one.
  std::string buffer_;
  std::uint64_t ahead_end_ = 0;  ///< So far the newest segment's file is written, with records or zeros.

  mutable std::mutex mutex_;  ///< Guards what follows; held for work in memory only.
  std::deque<Segment> segments_;
  std::uint64_t end_offset_ = 0;
  std::uint64_t trimmed_before_ = 0;
  std::deque<LogRecord> recent_;
  std::size_t recent_bytes_ = 0;

  std::mutex trim_mutex_;  ///< One trim at a time.
};

}  // namespace verge::storage
