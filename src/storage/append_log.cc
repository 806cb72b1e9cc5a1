#include "storage/append_log.h"

#include <algorithm>
#include <condition_variable>
#include <fmt/core.h>
#include <map>
#include <mutex>
#include <thread>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "storage/durable_file.h"
#include "storage/partition.h"

namespace verge::storage {
namespace {

constexpr std::uint32_t kPartitionsMax = 1024;
constexpr std::uint64_t kSegmentBytesMin = 4U << 10U;
constexpr std::uint64_t kSegmentBytesMax = 2ULL << 30U;  // Positions are stored in 32 bits.
constexpr std::uint32_t kRecordBytesMax = 64U << 20U;
constexpr std::uint32_t kAheadBytesMax = 64U << 20U;
constexpr std::size_t kEntryBytes = 128;          // What a waiting record costs beside its bytes, about.
constexpr std::size_t kRefusalsMax = 64U << 10U;  // Waiting call-backs; beyond it append() waits.
constexpr std::size_t kQueueKept = 4096;          // Entries whose memory is kept for the next commit.

struct Entry {
  PendingRecord record;
  AppendLog::OnDurable done;
  std::optional<Error> refusal;

  std::size_t cost() const { return refusal ? 0 : record.bytes.size() + kEntryBytes; }
};

class GroupCommitLog final : public AppendLog {
 public:
  GroupCommitLog(const Clock& clock, const AppendLogOptions& options)
      : clock_(clock), options_(options), lanes_(options.partitions) {}

  ~GroupCommitLog() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      work_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
  }

  Status start(Disk& disk, const std::filesystem::path& folder) {
    for (std::uint32_t number = 0; number < options_.partitions; ++number) {
      const auto path = folder / fmt::format("partition-{:04}", number);
      VERGE_TRY(auto partition, Partition::open(disk, clock_, path, number, options_, counters_));
      partitions_.push_back(std::move(partition));
    }
    thread_ = std::thread([this] { run(); });
    return Done{};
  }

  void append(std::uint32_t partition, std::string bytes, OnDurable done) override {
    Entry entry{{clock_.now_us(), std::move(bytes)}, std::move(done), std::nullopt};
    if (partition >= options_.partitions) {
      entry.refusal = Error{ErrorCode::invalid_argument,
                            fmt::format("append to partition {}: there are {}", partition, options_.partitions)};
    } else if (entry.record.bytes.size() > options_.record_bytes_max) {
      entry.refusal =
          Error{ErrorCode::invalid_argument, fmt::format("append {} bytes: a record has at most {}",
                                                         entry.record.bytes.size(), options_.record_bytes_max)};
    }
    queue(partition < options_.partitions ? partition : 0, std::move(entry));
  }

  Result<std::vector<LogRecord>> read(std::uint32_t partition, std::uint64_t offset, std::size_t count_max,
                                      std::size_t bytes_max) const override {
    return at(partition).read(std::max(offset, at(partition).first_offset()), count_max, bytes_max);
  }
  std::uint64_t first_offset(std::uint32_t partition) const override { return at(partition).first_offset(); }
  std::uint64_t end_offset(std::uint32_t partition) const override { return at(partition).end_offset(); }
  std::uint32_t partition_count() const override { return options_.partitions; }

  Status trim_before(std::uint32_t partition, std::uint64_t offset) override {
    VERGE_TRY(const bool wants_renewal, at(partition).trim_before(offset));
    if (wants_renewal) want_renewal(partition);
    return Done{};
  }

  Status trim_older_than(std::int64_t received_us) override {
    for (std::uint32_t partition = 0; partition < options_.partitions; ++partition) {
      VERGE_TRY(const bool wants_renewal, at(partition).trim_older_than(received_us));
      if (wants_renewal) want_renewal(partition);
    }
    return Done{};
  }

  std::uint64_t disk_bytes() const override { return counters_.disk_bytes; }

  WatchId watch(std::function<void(std::uint32_t)> changed) override {
    const std::lock_guard lock(watch_mutex_);
    watchers_.emplace(++last_watch_, std::move(changed));
    return last_watch_;
  }
  void unwatch(WatchId id) override {
    const std::lock_guard lock(watch_mutex_);
    watchers_.erase(id);
  }

  Figures figures() const override {
    return {counters_.syncs, counters_.records, counters_.bytes, counters_.sync_s.quantile_s(.5),
            counters_.sync_s.quantile_s(.99)};
  }

 private:
  /// What waits for one partition.
  struct Lane {
    std::vector<Entry> entries;
    bool wants_renewal = false;
  };

  Partition& at(std::uint32_t partition) const {
    VERGE_ASSERT(partition < partitions_.size());
    return *partitions_[partition];
  }

  // --- any thread ---

  void queue(std::uint32_t partition, Entry entry) {
    std::unique_lock lock(mutex_);
    if (is_stopping_) {
      lock.unlock();
      entry.done(Error{ErrorCode::unavailable, "append: the log is closing"});
      return;
    }
    if (!entry.refusal && pending_bytes_ + entry.cost() > options_.pending_bytes_max) {
      entry.refusal =
          Error{ErrorCode::limit,
                fmt::format("append: {} bytes wait for the disk already; send again later", pending_bytes_)};
    }
    if (entry.refusal) {
      entry.record.bytes = {};
      const bool is_own_thread = std::this_thread::get_id() == thread_.get_id();
      room_.wait(lock, [&] { return is_own_thread || refusals_waiting_ < kRefusalsMax; });
      ++refusals_waiting_;
    }
    pending_bytes_ += entry.cost();
    lanes_[partition].entries.push_back(std::move(entry));
    if (std::exchange(is_idle_, false)) work_.notify_one();
  }

  void want_renewal(std::uint32_t partition) {
    const std::lock_guard lock(mutex_);
    lanes_[partition].wants_renewal = true;
    if (std::exchange(is_idle_, false)) work_.notify_one();
  }

  // --- the commit thread ---

  void run() {
    while (wait_for_work()) {
      for (std::uint32_t partition = 0; partition < options_.partitions; ++partition) serve(partition);
    }
  }

  bool has_work() const {
    return std::any_of(lanes_.begin(), lanes_.end(),
                       [](const Lane& lane) { return !lane.entries.empty() || lane.wants_renewal; });
  }

  /// False when the log closes and nothing is left to do.
  bool wait_for_work() {
    std::unique_lock lock(mutex_);
    while (!has_work()) {
      if (is_stopping_) return false;
      is_idle_ = true;
      work_.wait(lock);
    }
    is_idle_ = false;
    return true;
  }

  void serve(std::uint32_t partition) {
    bool wants_renewal = false;
    {
      const std::lock_guard lock(mutex_);
      taken_.swap(lanes_[partition].entries);
      wants_renewal = std::exchange(lanes_[partition].wants_renewal, false);
    }
    for (std::size_t begin = 0; begin < taken_.size();) begin = commit_from(partition, begin);
    taken_.clear();
    if (taken_.capacity() > kQueueKept) std::vector<Entry>().swap(taken_);
    if (wants_renewal) {
      // A full disk may refuse the new segment; the next trim tries again.
      if (const auto renewed = at(partition).renew_segment(); !renewed) log_error("storage", renewed.error());
    }
  }

  /// Commits taken_[begin, …) as far as one segment takes; returns where to go on.
  std::size_t commit_from(std::uint32_t partition, std::size_t begin) {
    std::vector<PendingRecord>& records = records_;
    records.clear();
    std::uint64_t bytes = 0, bytes_max = 0;
    std::size_t end = begin;
    for (; end < taken_.size(); ++end) {
      Entry& entry = taken_[end];
      if (entry.refusal) continue;
      const std::uint64_t record_bytes = kRecordHeaderBytes + entry.record.bytes.size();
      if (records.empty()) bytes_max = at(partition).batch_bytes_max(record_bytes);
      if (!records.empty() && bytes + record_bytes > bytes_max) break;
      bytes += record_bytes;
      release(entry);
      records.push_back(std::move(entry.record));
    }
    const auto first = records.empty() ? Result<std::uint64_t>(0) : at(partition).commit(records);
    pay_back();
    answer(begin, end, first);
    if (first && !records.empty()) tell_watchers(partition);
    return end;
  }

  void release(const Entry& entry) { released_bytes_ += entry.cost(); }

  /// Waiting bytes count until their commit ended, one way or the other.
  void pay_back() {
    const std::lock_guard lock(mutex_);
    pending_bytes_ -= std::exchange(released_bytes_, 0);
  }

  void answer(std::size_t begin, std::size_t end, const Result<std::uint64_t>& first) {
    std::size_t refusals = 0;
    std::uint64_t offset = first ? *first : 0;
    for (std::size_t i = begin; i < end; ++i) {
      Entry& entry = taken_[i];
      if (entry.refusal) {
        ++refusals;
        entry.done(*std::move(entry.refusal));
      } else {
        entry.done(first ? Result<std::uint64_t>(offset++) : Result<std::uint64_t>(first.error()));
      }
      entry.done = nullptr;
    }
    if (refusals == 0) return;
    const std::lock_guard lock(mutex_);
    refusals_waiting_ -= refusals;
    room_.notify_all();
  }

  void tell_watchers(std::uint32_t partition) {
    const std::lock_guard lock(watch_mutex_);
    std::vector<WatchId> ids;
    for (const auto& [id, changed] : watchers_) ids.push_back(id);
    for (const WatchId id : ids) {
      // A watcher may remove itself or another one.
      const auto found = watchers_.find(id);
      if (found == watchers_.end()) continue;
      const auto changed = found->second;
      changed(partition);
    }
  }

  const Clock& clock_;
  const AppendLogOptions options_;
  LogCounters counters_;
  std::vector<std::unique_ptr<Partition>> partitions_;

  std::mutex mutex_;  ///< Guards the lanes and the numbers beside them.
  std::condition_variable work_, room_;
  std::vector<Lane> lanes_;
  std::size_t pending_bytes_ = 0, refusals_waiting_ = 0;
  bool is_idle_ = false, is_stopping_ = false;

  // Of the commit thread.
  std::vector<Entry> taken_;
  std::vector<PendingRecord> records_;
  std::size_t released_bytes_ = 0;

  std::recursive_mutex watch_mutex_;
  std::map<WatchId, std::function<void(std::uint32_t)>> watchers_;
  WatchId last_watch_ = 0;

  std::thread thread_;
};

// --- opening ---------------------------------------------------------------------------------

Status check_options(const AppendLogOptions& options) {
  const auto refused = [](std::string_view what, std::uint64_t value, std::string_view allowed) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("open an append log: {} is {}; allowed is {}", what, value, allowed)};
  };
  if (options.partitions < 1 || options.partitions > kPartitionsMax) {
    return refused("partitions", options.partitions, "1 to 1024");
  }
  if (options.segment_bytes_max < kSegmentBytesMin || options.segment_bytes_max > kSegmentBytesMax) {
    return refused("segment_bytes_max", options.segment_bytes_max, "4 KiB to 2 GiB");
  }
  if (options.record_bytes_max < 1 || options.record_bytes_max > kRecordBytesMax) {
    return refused("record_bytes_max", options.record_bytes_max, "1 byte to 64 MiB");
  }
  if (options.recent_age_us_max < 0) {
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("open an append log: recent_age_us_max is {}; allowed is 0 or more", options.recent_age_us_max)};
  }
  if (options.ahead_bytes > kAheadBytesMax) return refused("ahead_bytes", options.ahead_bytes, "0 to 64 MiB");
  return Done{};
}

/// Small enough that a full log has segments that can go while the newest one stays.
AppendLogOptions with_fitting_segments(AppendLogOptions options) {
  if (options.disk_bytes_max == 0) return options;
  const std::uint64_t quarter = options.disk_bytes_max / options.partitions / 4;
  options.segment_bytes_max = std::clamp(quarter, kSegmentBytesMin, options.segment_bytes_max);
  return options;
}

/// The number of partitions in log.json, which is made with `wanted` when the log is new: records of an existing one
/// would be looked for elsewhere with another number.
Result<std::uint32_t> kept_partitions(Disk& disk, const std::filesystem::path& folder, std::uint32_t wanted) {
  const auto path = folder / "log.json";
  const auto file = disk.open(path, false);
  if (!file && file.error().code != ErrorCode::not_found) return file.error();
  if (!file) {
    VERGE_CHECK(replace_file(disk, path, to_text(Json{{"version", 1}, {"partitions", wanted}}) + "\n"));
    VERGE_CHECK(disk.sync_folder(folder.parent_path()));
    return wanted;
  }
  VERGE_TRY(const std::string text, (*file)->read_at(0, 4096));
  const auto json = parse_json(text);
  const auto stored = json ? integer_member(*json, "partitions") : Result<std::int64_t>(0);
  if (!stored || *stored < 1 || *stored > kPartitionsMax) {
    return Error{ErrorCode::corrupt, fmt::format("read \"{}\": not the description of an append log; restore it from a "
                                                 "backup",
                                                 path.string())};
  }
  return static_cast<std::uint32_t>(*stored);
}

}  // namespace

Result<std::unique_ptr<AppendLog>> AppendLog::open(Disk& disk, const Clock& clock, std::filesystem::path folder,
                                                   AppendLogOptions options) {
  VERGE_CHECK(check_options(options));
  VERGE_TRY(options.partitions, kept_partitions(disk, folder, options.partitions));
  auto log = std::make_unique<GroupCommitLog>(clock, with_fitting_segments(options));
  VERGE_CHECK(log->start(disk, folder));
  return std::unique_ptr<AppendLog>(std::move(log));
}

std::uint32_t partition_of(std::string_view device, std::uint32_t partitions) { return crc32c(device) % partitions; }

}  // namespace verge::storage
