// storage/append_log.h -- a durable, partitioned log: acknowledge only after the sync that made it so.
//
// A partition is a folder of segment files; each record carries its length and a CRC-32C, so that a torn tail is
// found and cut at open. One commit thread serves all partitions: a commit starts as soon as the previous sync
// ended and takes everything that arrived meanwhile (group commit, no timer). An error of write or sync retires the
// segment: its unacknowledged records fail, the next append begins a new segment; a sync is never retried
// (Source: Rebello et al. 2020, "Can Applications Recover from fsync Failures?"). A record whose append failed may
// still be there after a restart; one that was acknowledged always is. Bytes: docs/formats/append-log.md.
// Opening reads and checks everything once. The newest records stay in memory, so that a consumer that keeps up
// never reads the disk.
// Threads: all calls from any thread; call-backs come from the commit thread, refusals too, and must not block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"

namespace verge::storage {

struct AppendLogOptions {
  std::uint32_t partitions = 1;  ///< 1..1024, of a new log; an existing one keeps the number it was made with.
  std::uint64_t segment_bytes_max =
      64U << 20U;  ///< 4 KiB..2 GiB; with disk_bytes_max at most a quarter of a partition's share.
  std::int64_t segment_age_us_max = 86'400'000'000;  ///< A day; retention unlinks whole segments.
  std::uint32_t record_bytes_max = 1U << 20U;        ///< At most 64 MiB.
  std::size_t pending_bytes_max = 64U << 20U;        ///< Waiting for a commit; more are refused with limit.
  std::uint64_t disk_bytes_max = 0;  ///< Over all partitions; 0 for no bound. Beyond it appends fail with limit.
  std::uint64_t free_bytes_min = 16U << 20U;  ///< Left on the file system; below it appends fail with limit.
  std::size_t recent_bytes_max = 4U << 20U;   ///< Memory for the newest records, over all partitions.
  /// Older records leave memory with the next append: who keeps up is seconds behind, and a quiet log stays small.
  std::int64_t recent_age_us_max = 10'000'000;
  /// Zeros written behind the records, at most 64 MiB; 0 for none. A sync of bytes that replace zeros does not change
  /// the file's size or blocks, so the file system's journal is left alone: it takes about half as long.
  std::uint32_t ahead_bytes = 0;
};

struct LogRecord {
  std::uint64_t offset = 0;      ///< Counts from 0 in its partition, without holes in what is kept.
  std::int64_t received_us = 0;  ///< Wall clock at append.
  std::string bytes;
};

class AppendLog {
 public:
  /// Opens or creates; cuts a torn tail (logged with the number of bytes). Errors: corrupt when a record inside
  /// (not at the end) fails its check, invalid_argument for options out of range, unavailable.
  static Result<std::unique_ptr<AppendLog>> open(Disk& disk, const Clock& clock, std::filesystem::path folder,
                                                 AppendLogOptions options);
  /// Commits what waits, then ends.
  virtual ~AppendLog() = default;

  using OnDurable = std::function<void(Result<std::uint64_t> offset)>;
  /// Queues one record; `done` gets its offset once it is on stable storage. Records of one partition become durable
  /// in the order of the calls, and call-backs come in that order. Errors (through done): limit (pending or disk
  /// full), invalid_argument (too large), unavailable (disk failed).
  virtual void append(std::uint32_t partition, std::string bytes, OnDurable done) = 0;

  /// Durable records from `offset` on, at most count_max and about bytes_max (at least one). Empty at the end. An
  /// offset below first_offset starts there.
  virtual Result<std::vector<LogRecord>> read(std::uint32_t partition, std::uint64_t offset, std::size_t count_max,
                                              std::size_t bytes_max = 4U << 20U) const = 0;
  virtual std::uint64_t first_offset(std::uint32_t partition) const = 0;
  /// One past the last durable record.
  virtual std::uint64_t end_offset(std::uint32_t partition) const = 0;
  virtual std::uint32_t partition_count() const = 0;

  /// Unlinks segments that lie wholly before `offset`. The newest one goes a moment later, once the commit thread has
  /// begun another (it carries the offset to go on with).
  virtual Status trim_before(std::uint32_t partition, std::uint64_t offset) = 0;
  /// Unlinks segments whose newest record is older than `received_us`.
  virtual Status trim_older_than(std::int64_t received_us) = 0;
  virtual std::uint64_t disk_bytes() const = 0;

  using WatchId = std::uint64_t;
  /// Calls `changed(partition)` from the commit thread after each commit that made records durable.
  virtual WatchId watch(std::function<void(std::uint32_t partition)> changed) = 0;
  /// No call follows; waits for one that runs.
  virtual void unwatch(WatchId id) = 0;

  /// {syncs, records, bytes} since open, and the sync's duration quantiles, for metrics and benchmarks.
  struct Figures {
    std::uint64_t syncs = 0, records = 0, bytes = 0;
    double sync_s_p50 = 0, sync_s_p99 = 0;
  };
  virtual Figures figures() const = 0;
};

/// Partition of a device: CRC-32C of its id, modulo the count.
std::uint32_t partition_of(std::string_view device, std::uint32_t partitions);

/// A consumer's position, kept in one small file: written atomically (rename) and synced.
class OffsetFile {
 public:
  OffsetFile(Disk& disk, std::filesystem::path path);
  /// 0 when there is none. Errors: corrupt (the message says which file to remove).
  Result<std::uint64_t> load() const;
  Status store(std::uint64_t offset);

 private:
  Disk& disk_;
  std::filesystem::path path_;
};

}  // namespace verge::storage
