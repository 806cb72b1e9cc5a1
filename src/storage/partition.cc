#include "storage/partition.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fmt/core.h>
#include <limits>

#include "base/bytes.h"
#include "base/log.h"

namespace verge::storage {
namespace {

constexpr std::string_view kSegmentEnding = ".log";
constexpr std::size_t kNameDigits = 20;
constexpr std::uint64_t kCommitBytesMax = 4U << 20U;  // Bounds the buffer and how long one commit takes.
constexpr std::size_t kBufferKeptBytes = 1U << 20U;
constexpr std::size_t kReadPieceBytesMin = 64U << 10U;
constexpr std::size_t kRecentOverheadBytes = 64;
constexpr std::uint64_t kSmallCommits = 16;  // Parts of ahead_bytes; above it writing twice costs more than it saves.
constexpr std::uint64_t kWorthRenewing = 8;  // An eighth of a segment; below it the old one stays.

std::optional<std::uint64_t> base_offset_of(std::string_view name) {
  if (name.size() != kNameDigits + kSegmentEnding.size() || !name.ends_with(kSegmentEnding)) return std::nullopt;
  std::uint64_t offset = 0;
  const char* const end = name.data() + kNameDigits;
  const auto [read_end, error] = std::from_chars(name.data(), end, offset);
  if (error != std::errc{} || read_end != end) return std::nullopt;
  return offset;
}

std::uint32_t random_salt() {
  std::uint32_t salt = 0;
  for (const char c : random_bytes(sizeof(salt))) salt = salt << 8U | static_cast<unsigned char>(c);
  return salt;
}

std::uint64_t bytes_of(const std::vector<PendingRecord>& records) {
  std::uint64_t bytes = 0;
  for (const PendingRecord& record : records) bytes += kRecordHeaderBytes + record.bytes.size();
  return bytes;
}

Result<bool> holds_zeros(const DiskFile& file, std::uint64_t position) {
  VERGE_TRY(const std::uint64_t file_bytes, file.size_bytes());
  PieceReader reader(file, position, file_bytes);
  while (reader.position() < file_bytes) {
    VERGE_TRY(const std::string_view bytes, reader.peek(1));
    if (bytes.find_first_not_of('\0') != std::string_view::npos) return false;
    reader.skip(bytes.size());
  }
  return true;
}

void ignore(const Status& status) { static_cast<void>(static_cast<bool>(status)); }

}  // namespace

// --- opening ---------------------------------------------------------------------------------

Partition::Partition(Disk& disk, const Clock& clock, std::filesystem::path folder, std::uint32_t number,
                     const AppendLogOptions& options, LogCounters& counters)
    : disk_(disk), clock_(clock), folder_(std::move(folder)), number_(number), options_(options), counters_(counters) {}

Result<std::unique_ptr<Partition>> Partition::open(Disk& disk, const Clock& clock, std::filesystem::path folder,
                                                   std::uint32_t number, const AppendLogOptions& options,
                                                   LogCounters& counters) {
  std::unique_ptr<Partition> partition(new Partition(disk, clock, std::move(folder), number, options, counters));
  VERGE_CHECK(partition->load());
  return partition;
}

Error Partition::corrupt(const std::filesystem::path& path, std::string_view why) const {
  return Error{ErrorCode::corrupt, fmt::format("open segment \"{}\": {}; restore it from a backup, or move the "
                                               "folder of its log away to begin an empty one",
                                               path.string(), why)};
}

std::filesystem::path Partition::path_of(std::uint64_t base_offset) const {
  return folder_ / fmt::format("{:020}{}", base_offset, kSegmentEnding);
}

Status Partition::load() {
  VERGE_TRY(const auto names, disk_.list(folder_));
  VERGE_CHECK(remove_leftovers(names));
  std::vector<std::uint64_t> bases;
  for (const std::string& name : names) {
    if (const auto base = base_offset_of(name)) bases.push_back(*base);
  }
  for (std::size_t i = 0; i < bases.size(); ++i) {
    VERGE_CHECK(load_segment(bases[i], i + 1 < bases.size() ? std::optional(bases[i + 1]) : std::nullopt));
  }
  // What a crashed program left in the page cache is not durable yet, neither is its folder.
  if (!segments_.empty()) VERGE_CHECK(disk_.sync_folder(folder_));
  return Done{};
}

/// Segments get their names when their header is durable; an unfinished one ends in .new.
Status Partition::remove_leftovers(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.ends_with(".new")) VERGE_CHECK(disk_.remove(folder_ / name));
  }
  return Done{};
}

Status Partition::load_segment(std::uint64_t base_offset, std::optional<std::uint64_t> next_base_offset) {
  Segment segment;
  segment.path = path_of(base_offset);
  VERGE_TRY(auto file, disk_.open(segment.path, false));
  VERGE_TRY(const std::string header, file->read_at(0, kSegmentHeaderBytes));
  const auto decoded = decode_header(header);
  if (!decoded) return corrupt(segment.path, decoded.error().message);
  segment.header = *decoded;
  if (segment.header.partition != number_ || segment.header.base_offset != base_offset) {
    return corrupt(segment.path, "it belongs to another place");
  }
  const std::uint64_t count_max =
      next_base_offset ? *next_base_offset - base_offset : std::numeric_limits<std::uint64_t>::max();
  VERGE_TRY(const auto scan, scan_segment(*file, segment.header, count_max));
  // A segment that another one follows may hold more than counts: records of a commit that failed.
  if (next_base_offset && scan.count != count_max) {
    return corrupt(segment.path,
                   fmt::format("record {} of {} fails its check at byte {}", scan.count, count_max, scan.end_position));
  }
  segment.end_offset = base_offset + scan.count;
  segment.end_position = scan.end_position;
  segment.newest_us = scan.newest_us;
  segment.index = scan.index;
  VERGE_TRY(segment.file_bytes, file->size_bytes());
  end_offset_ = segment.end_offset;
  counters_.disk_bytes += segment.file_bytes;
  segments_.push_back(std::move(segment));
  return next_base_offset ? Status(Done{}) : settle_last(std::move(file), scan);
}

/// Cuts what no commit finished and syncs the rest; appending goes on there.
Status Partition::settle_last(std::unique_ptr<DiskFile> file, const SegmentScan& scan) {
  Segment& segment = segments_.back();
  if (scan.is_damaged) {
    VERGE_TRY(const bool is_loss, was_durable(*file, segment.header, scan.end_position));
    if (is_loss) {
      return corrupt(segment.path, fmt::format("record {} fails its check at byte {}, and later ones were stored after "
                                               "it",
                                               scan.count, scan.end_position));
    }
    const std::uint64_t cut_bytes = segment.file_bytes - scan.end_position;
    VERGE_TRY(const bool is_blank, holds_zeros(*file, scan.end_position));
    if (!is_blank) {
      log_warning("storage", "cut a torn tail", {{"segment", segment.path.string()}, {"bytes", cut_bytes}});
    }
    VERGE_CHECK(file->truncate(scan.end_position));
    counters_.disk_bytes -= cut_bytes;
    segment.file_bytes = scan.end_position;
  }
  VERGE_CHECK(file->sync());
  file_ = std::move(file);
  ahead_end_ = segment.file_bytes;
  return Done{};
}

// --- committing ------------------------------------------------------------------------------

bool Partition::needs_new_segment(std::uint64_t record_bytes) const {
  const std::lock_guard lock(mutex_);
  if (file_ == nullptr) return true;
  const Segment& segment = segments_.back();
  if (segment.is_empty()) return false;
  const bool is_full = segment.end_position + record_bytes > options_.segment_bytes_max;
  return is_full || clock_.now_us() - segment.header.created_us > options_.segment_age_us_max;
}

std::uint64_t Partition::batch_bytes_max(std::uint64_t record_bytes) const {
  std::uint64_t used = kSegmentHeaderBytes;
  if (!needs_new_segment(record_bytes)) {
    const std::lock_guard lock(mutex_);
    used = segments_.back().end_position;
  }
  const std::uint64_t room = options_.segment_bytes_max > used ? options_.segment_bytes_max - used : 0;
  return std::min(room, kCommitBytesMax);
}

Status Partition::check_room(std::uint64_t bytes) const {
  if (options_.disk_bytes_max > 0 && counters_.disk_bytes + bytes > options_.disk_bytes_max) {
    return Error{ErrorCode::limit, fmt::format("append to \"{}\": the log may take {} bytes and has {}; wait until its "
                                               "readers caught up",
                                               folder_.string(), options_.disk_bytes_max, counters_.disk_bytes.load())};
  }
  const auto free_bytes = disk_.free_bytes(folder_);
  if (free_bytes && *free_bytes < options_.free_bytes_min + bytes) {
    return Error{ErrorCode::limit, fmt::format("append to \"{}\": {} bytes are free on the disk and {} must stay; free "
                                               "some space",
                                               folder_.string(), *free_bytes, options_.free_bytes_min)};
  }
  return Done{};
}

/// By how much the file grows for so many bytes of records; those that replace zeros need no room.
std::uint64_t Partition::growth_of(std::uint64_t record_bytes, bool begins_segment) const {
  const std::uint64_t wanted = record_bytes + kSegmentHeaderBytes;
  if (begins_segment) return wanted;
  const std::lock_guard lock(mutex_);
  const std::uint64_t room = segments_.back().file_bytes - segments_.back().end_position;
  return wanted > room ? wanted - room : 0;
}

/// How many zeros to write behind a commit. None while the last ones suffice, or when the disk has better use for the
/// room, or when the commit is so large that its own bytes are what the sync takes its time for.
std::uint64_t Partition::ahead_bytes_for(std::uint64_t position, std::uint64_t commit_bytes) const {
  const std::uint64_t end_position = position + commit_bytes;
  if (end_position <= ahead_end_ || end_position >= options_.segment_bytes_max) return 0;
  if (commit_bytes > options_.ahead_bytes / kSmallCommits) return 0;
  const std::uint64_t bytes = std::min<std::uint64_t>(options_.ahead_bytes, options_.segment_bytes_max - end_position);
  return bytes > 0 && check_room(end_position - ahead_end_ + bytes) ? bytes : 0;
}

/// The zeros behind a segment that is written no more. What cannot be cut stays; it does no harm.
void Partition::give_back_ahead() {
  std::uint64_t end_position = 0;
  {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr || segments_.empty()) return;
    end_position = segments_.back().end_position;
  }
  if (ahead_end_ <= end_position || !file_->truncate(end_position)) return;
  const std::lock_guard lock(mutex_);
  Segment& segment = segments_.back();
  counters_.disk_bytes -= segment.file_bytes - end_position;
  segment.file_bytes = end_position;
}

/// The header is durable before the file gets its name, so a segment that can be seen can be read. A retired segment
/// without records has the same name and is replaced.
Status Partition::begin_segment() {
  give_back_ahead();
  file_.reset();
  const std::uint64_t base_offset = end_offset();
  Segment segment;
  segment.header = {number_, base_offset, clock_.now_us(), random_salt()};
  segment.path = path_of(base_offset);
  segment.end_offset = base_offset;
  segment.end_position = segment.file_bytes = kSegmentHeaderBytes;
  segment.newest_us = std::numeric_limits<std::int64_t>::min();

  const std::filesystem::path unfinished = segment.path.string() + ".new";
  VERGE_TRY(auto file, disk_.open(unfinished, true));
  const auto fill = [&]() -> Status {
    VERGE_CHECK(file->truncate(0));
    VERGE_CHECK(file->write_at(0, encode_header(segment.header)));
    VERGE_CHECK(file->sync());
    return disk_.rename(unfinished, segment.path);
  };
  if (auto filled = fill(); !filled) {
    ignore(disk_.remove(unfinished));
    return filled;
  }
  VERGE_CHECK(disk_.sync_folder(folder_));
  if (base_offset == 0) VERGE_CHECK(disk_.sync_folder(folder_.parent_path()));  // The folder itself may be new.

  const std::lock_guard lock(mutex_);
  if (!segments_.empty() && segments_.back().header.base_offset == base_offset) {
    counters_.disk_bytes -= segments_.back().file_bytes;
    segments_.pop_back();
  }
  counters_.disk_bytes += segment.file_bytes;
  ahead_end_ = segment.file_bytes;
  segments_.push_back(std::move(segment));
  file_ = std::move(file);
  return Done{};
}

Result<std::uint64_t> Partition::commit(std::vector<PendingRecord>& records) {
  const std::uint64_t bytes = bytes_of(records);
  const bool begins_segment = needs_new_segment(kRecordHeaderBytes + records.front().bytes.size());
  if (const std::uint64_t growth = growth_of(bytes, begins_segment); growth > 0) VERGE_CHECK(check_room(growth));
  if (begins_segment) VERGE_CHECK(begin_segment());
  auto written = write(records);
  if (written) written = sync_file();
  if (!written) {
    retire();
    return std::move(written).error();
  }
  counters_.records += records.size();
  counters_.bytes += bytes;
  return publish(records);
}

Status Partition::write(const std::vector<PendingRecord>& records) {
  SegmentHeader header;
  std::uint64_t position = 0;
  {
    const std::lock_guard lock(mutex_);
    header = segments_.back().header;
    position = segments_.back().end_position;
  }
  buffer_.clear();
  for (const PendingRecord& record : records) {
    append_record(buffer_, header, {static_cast<std::uint32_t>(position), record.received_us, record.bytes});
  }
  const std::uint64_t ahead = ahead_bytes_for(position, buffer_.size());
  buffer_.append(ahead, '\0');
  auto written = file_->write_at(position, buffer_);
  ahead_end_ = std::max(ahead_end_, position + buffer_.size());
  if (buffer_.capacity() > kBufferKeptBytes) std::string().swap(buffer_);
  return written;
}

Status Partition::sync_file() {
  const auto start = std::chrono::steady_clock::now();
  auto synced = file_->sync();
  counters_.sync_s.observe_s(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  ++counters_.syncs;
  return synced;
}

/// After an error nobody knows what the file holds behind its durable end; it is never written again.
void Partition::retire() {
  std::uint64_t end_position = 0;
  {
    const std::lock_guard lock(mutex_);
    end_position = segments_.back().end_position;
  }
  ignore(file_->truncate(end_position));  // Gives the room back, where that works.
  const auto size = file_->size_bytes();
  file_.reset();

  const std::lock_guard lock(mutex_);
  Segment& segment = segments_.back();
  const std::uint64_t file_bytes = size ? *size : end_position;
  counters_.disk_bytes += file_bytes - segment.file_bytes;
  segment.file_bytes = file_bytes;
  log_warning("storage", "retired a segment after a disk error", {{"segment", segment.path.string()}});
}

std::uint64_t Partition::publish(std::vector<PendingRecord>& records) {
  const std::lock_guard lock(mutex_);
  Segment& segment = segments_.back();
  const std::uint64_t first = end_offset_;
  for (PendingRecord& record : records) {
    note_position(segment.index, end_offset_, segment.end_position);
    segment.end_position += kRecordHeaderBytes + record.bytes.size();
    segment.newest_us = std::max(segment.newest_us, record.received_us);
    remember({end_offset_++, record.received_us, std::move(record.bytes)});
  }
  segment.end_offset = end_offset_;
  counters_.disk_bytes += ahead_end_ - segment.file_bytes;
  segment.file_bytes = ahead_end_;
  return first;
}

void Partition::remember(LogRecord record) {
  const std::size_t share = options_.recent_bytes_max / options_.partitions;
  const std::int64_t oldest_us = record.received_us - options_.recent_age_us_max;
  recent_bytes_ += record.bytes.size() + kRecentOverheadBytes;
  recent_.push_back(std::move(record));
  while (!recent_.empty() && (recent_bytes_ > share || recent_.front().received_us < oldest_us)) {
    recent_bytes_ -= recent_.front().bytes.size() + kRecentOverheadBytes;
    recent_.pop_front();
  }
}

// --- reading ---------------------------------------------------------------------------------

std::uint64_t Partition::first_offset() const {
  const std::lock_guard lock(mutex_);
  return segments_.empty() ? 0 : segments_.front().header.base_offset;
}

std::uint64_t Partition::end_offset() const {
  const std::lock_guard lock(mutex_);
  return end_offset_;
}

namespace {

/// At least one record, then as long as both bounds hold.
class Budget {
 public:
  Budget(const std::vector<LogRecord>& taken, std::size_t count_max, std::size_t bytes_max)
      : count_left_(count_max - std::min(count_max, taken.size())), bytes_max_(bytes_max), is_first_(taken.empty()) {
    for (const LogRecord& record : taken) bytes_ += record.bytes.size();
  }
  bool takes(std::size_t bytes) {
    if (count_left_ == 0 || (!is_first_ && bytes_ + bytes > bytes_max_)) return false;
    --count_left_;
    bytes_ += bytes;
    is_first_ = false;
    return true;
  }

 private:
  std::size_t count_left_, bytes_max_, bytes_ = 0;
  bool is_first_;
};

}  // namespace

Result<std::vector<LogRecord>> Partition::read(std::uint64_t offset, std::size_t count_max,
                                               std::size_t bytes_max) const {
  std::vector<LogRecord> records;
  while (records.size() < count_max) {
    const std::size_t count_before = records.size();
    const auto plan = plan_for(offset);
    if (!plan) {
      read_recent(offset, count_max, bytes_max, records);
      return records;
    }
    if (!records.empty() && plan->header.base_offset > offset) break;  // Trimmed meanwhile: one answer has no hole.
    const auto goes_on = read_segment(*plan, offset, count_max, bytes_max, records);
    if (!goes_on && goes_on.error().code == ErrorCode::not_found && first_offset() > offset) {
      // The segment was trimmed between plan and reading; what is left begins further on.
      if (!records.empty()) break;
      offset = first_offset();
      continue;
    }
    if (!goes_on) return goes_on.error();
    if (!*goes_on || records.size() == count_before) break;
    offset = records.back().offset + 1;
  }
  return records;
}

void Partition::read_recent(std::uint64_t offset, std::size_t count_max, std::size_t bytes_max,
                            std::vector<LogRecord>& records) const {
  const std::lock_guard lock(mutex_);
  if (recent_.empty()) return;
  Budget budget(records, count_max, bytes_max);
  const std::uint64_t first = recent_.front().offset;
  if (offset < first) return;
  for (std::size_t i = offset - first; i < recent_.size() && budget.takes(recent_[i].bytes.size()); ++i) {
    records.push_back(recent_[i]);
  }
}

/// Nothing when memory has it (or there is nothing at all).
std::optional<Partition::ReadPlan> Partition::plan_for(std::uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty()) return std::nullopt;
  offset = std::max(offset, segments_.front().header.base_offset);
  if (offset >= end_offset_ || (!recent_.empty() && offset >= recent_.front().offset)) return std::nullopt;
  const auto behind = std::upper_bound(
      segments_.begin(), segments_.end(), offset,
      [](std::uint64_t wanted, const Segment& segment) { return wanted < segment.header.base_offset; });
  const Segment& segment = *(behind - 1);
  const auto note = std::upper_bound(segment.index.begin(), segment.index.end(), offset,
                                     [](std::uint64_t wanted, const IndexNote& at) { return wanted < at.offset; });
  return ReadPlan{segment.header, segment.path, *(note - 1), segment.end_position};
}

Result<bool> Partition::read_segment(const ReadPlan& plan, std::uint64_t offset, std::size_t count_max,
                                     std::size_t bytes_max, std::vector<LogRecord>& records) const {
  VERGE_TRY(const auto file, disk_.open(plan.path, false));
  const std::size_t piece_bytes = std::clamp<std::size_t>(bytes_max, kReadPieceBytesMin, 1U << 20U);
  PieceReader reader(*file, plan.start.position, plan.end_position, piece_bytes);
  Budget budget(records, count_max, bytes_max);
  for (std::uint64_t at = plan.start.offset; reader.position() < plan.end_position; ++at) {
    VERGE_TRY(const auto record, next_record(reader, plan.header));
    if (!record) {
      return Error{ErrorCode::corrupt, fmt::format("read record {} of \"{}\": it fails its check at byte {}; restore "
                                                   "the file from a backup",
                                                   at, plan.path.string(), reader.position())};
    }
    if (at >= offset) {
      if (!budget.takes(record->bytes.size())) return false;
      records.push_back({at, record->received_us, std::string(record->bytes)});
    }
    reader.skip(record->total_bytes());
  }
  return true;
}

// --- trimming --------------------------------------------------------------------------------

Result<bool> Partition::trim_before(std::uint64_t offset) {
  VERGE_CHECK(unlink_before(offset));
  const std::lock_guard lock(mutex_);
  trimmed_before_ = std::max(trimmed_before_, std::min(offset, end_offset_));
  if (segments_.empty() || offset < end_offset_) return false;
  return segments_.back().end_position > options_.segment_bytes_max / kWorthRenewing;
}

Result<bool> Partition::trim_older_than(std::int64_t received_us) {
  std::uint64_t offset = 0;
  bool is_all = false;
  {
    const std::lock_guard lock(mutex_);
    const auto kept = std::find_if(segments_.begin(), segments_.end(),
                                   [&](const Segment& segment) { return segment.newest_us >= received_us; });
    if (kept != segments_.begin()) offset = (kept - 1)->end_offset;
    is_all = kept == segments_.end() && !segments_.empty() && !segments_.back().is_empty();
    if (is_all) trimmed_before_ = std::max(trimmed_before_, offset);
  }
  VERGE_CHECK(unlink_before(offset));
  return is_all;
}

/// Oldest first, each made durable before the next: a power cut leaves no hole.
Status Partition::unlink_before(std::uint64_t offset) {
  const std::lock_guard one_trim(trim_mutex_);
  for (;;) {
    Segment segment;
    {
      const std::lock_guard lock(mutex_);
      if (segments_.size() < 2 || segments_.front().end_offset > offset) return Done{};
      segment = std::move(segments_.front());
      segments_.pop_front();
    }
    counters_.disk_bytes -= segment.file_bytes;
    VERGE_CHECK(disk_.remove(segment.path));
    VERGE_CHECK(disk_.sync_folder(folder_));
  }
}

Status Partition::renew_segment() {
  std::uint64_t offset = 0;
  {
    const std::lock_guard lock(mutex_);
    offset = trimmed_before_;
    if (segments_.empty() || segments_.back().is_empty() || offset < end_offset_) return Done{};
  }
  VERGE_CHECK(begin_segment());
  return unlink_before(offset);
}

}  // namespace verge::storage
