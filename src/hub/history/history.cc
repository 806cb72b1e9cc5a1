#include "hub/history/history.h"

#include <algorithm>
#include <chrono>
#include <fmt/core.h>
#include <sys/resource.h>

#include "base/log.h"
#include "hub/history/event_row.h"
#include "hub/message_record.h"

namespace verge::hub {
namespace {

constexpr std::size_t kLimitMax = 1000;
constexpr std::size_t kPointsMin = 2, kPointsMax = 10'000;
constexpr std::int64_t kDayUs = 86'400'000'000;
constexpr std::chrono::seconds kRetryDelay{1};
/// Under load, transactions begin this far apart, so that rows of many commits share the index pages that each
/// transaction writes. The first message after a silence does not wait.
constexpr std::chrono::milliseconds kGatherPeriod{20};
/// While messages keep coming, history works for a third of the time at most, until it is this far behind: whoever
/// waits for an acknowledgement has the processor first.
constexpr int kRestsPerWork = 2;
constexpr std::uint64_t kLagPatient = 100'000;
constexpr std::chrono::minutes kForgetPeriod{5};
constexpr std::int64_t kForgetRows = 20'000;  // Of one statement, so that queries do not wait long.
constexpr int kNiceness = 5;

std::vector<storage::Migration> migrations() {
  return {
      {"history.1",
       "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, module TEXT NOT NULL,"
       " epoch TEXT NOT NULL, sequence INTEGER NOT NULL, received_us INTEGER NOT NULL, captured_us INTEGER NOT NULL,"
       " family TEXT NOT NULL, type TEXT NOT NULL, stream TEXT NOT NULL, severity TEXT NOT NULL, rule TEXT NOT NULL,"
       " score REAL NOT NULL, json TEXT NOT NULL, UNIQUE (device, module, epoch, sequence))"},
      {"history.2", "CREATE INDEX events_series ON events (device, module, stream, type, captured_us, score)"},
      {"history.3", "CREATE INDEX events_type ON events (type, id)"},
      {"history.4", "CREATE INDEX events_severity ON events (severity, id) WHERE severity <> 'info'"},
      {"history.5", "CREATE TABLE offsets (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL)"},
      {"history.6", "CREATE TABLE days (day INTEGER PRIMARY KEY, events INTEGER NOT NULL, alarms INTEGER NOT NULL)"}};
}

struct DayCount {
  std::int64_t events = 0, alarms = 0;
};

/// SQL conditions with their parameters.
struct Conditions {
  std::string text = "1";
  std::vector<storage::Value> values;

  void equal(std::string_view column, const std::string& value) {
    if (value.empty()) return;
    text += fmt::format(" AND {} = ?", column);
    values.emplace_back(value);
  }
  void compare(std::string_view column, std::string_view sign, std::int64_t value) {
    if (value == 0) return;
    text += fmt::format(" AND {} {} ?", column, sign);
    values.emplace_back(value);
  }
};

/// Below the loop's and the log's threads: history may lag, acknowledgements may not.
void be_nice() { (void)setpriority(PRIO_PROCESS, 0, kNiceness); }

}  // namespace

History::History(std::unique_ptr<storage::Database> database, storage::AppendLog& log, const Clock& clock,
                 Metrics& metrics, HistoryOptions options)
    : database_(std::move(database)),
      log_(log),
      clock_(clock),
      options_(options),
      rows_(metrics.counter("verge_hub_history_rows_total", "Messages written to history.")),
      unreadable_(metrics.counter("verge_hub_history_unreadable_total", "Log records that could not be read.")),
      offsets_(log.partition_count()) {}

History::~History() { stop(); }

Result<std::unique_ptr<History>> History::open(const std::filesystem::path& path, storage::AppendLog& log,
                                               const Clock& clock, Metrics& metrics, HistoryOptions options) {
  VERGE_TRY(auto database, storage::Database::open(path, migrations()));
  std::unique_ptr<History> history(new History(std::move(database), log, clock, metrics, options));
  // Rows and offset go together, so what a power cut takes back is read from the log again: no sync per transaction,
  // which would slow down those that acknowledgements wait for.
  VERGE_CHECK(history->database_->execute("PRAGMA synchronous=NORMAL"));
  VERGE_CHECK(history->load_offsets());
  return history;
}

Status History::load_offsets() {
  VERGE_TRY(const auto rows, database_->query("SELECT partition, next FROM offsets"));
  for (const auto& row : rows) {
    const auto partition = static_cast<std::size_t>(row.integer(0));
    if (partition >= offsets_.size()) continue;
    // A log that was replaced by a shorter one starts again.
    const auto next = static_cast<std::uint64_t>(row.integer(1));
    offsets_[partition] = next <= log_.end_offset(static_cast<std::uint32_t>(partition)) ? next : 0;
  }
  return Done{};
}

void History::start(std::function<void(const std::vector<std::string>&)> stored) {
  stored_ = std::move(stored);
  watch_ = log_.watch([this](std::uint32_t) {
    const std::lock_guard lock(mutex_);
    has_news_ = true;
    changed_.notify_one();
  });
  thread_ = std::thread([this] { follow(); });
}

void History::stop() {
  if (!thread_.joinable()) return;
  log_.unwatch(watch_);
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

void History::follow() {
  be_nice();
  auto forget_at = std::chrono::steady_clock::now();
  bool has_failed = false;
  for (;;) {
    std::size_t taken = 0;
    const auto begun = std::chrono::steady_clock::now();
    for (std::uint32_t partition = 0; partition < offsets_.size(); ++partition) {
      const auto batch = take_batch(partition);
      if (batch) {
        taken += *batch;
        has_failed = false;
      } else {
        if (!has_failed) log_error("hub", batch.error().within("write history"), {{"partition", partition}});
        has_failed = true;
      }
    }
    const auto rest = std::max<std::chrono::steady_clock::duration>(
        kGatherPeriod, kRestsPerWork * (std::chrono::steady_clock::now() - begun));
    if (std::chrono::steady_clock::now() >= forget_at) {
      forget_old();
      forget_at = std::chrono::steady_clock::now() + kForgetPeriod;
    }
    const bool is_patient = lag() < kLagPatient;
    std::unique_lock lock(mutex_);
    if (taken == 0) {
      const auto delay = has_failed ? std::chrono::duration_cast<std::chrono::milliseconds>(kRetryDelay)
                                    : std::chrono::duration_cast<std::chrono::milliseconds>(kForgetPeriod);
      changed_.wait_for(lock, delay, [&] { return is_stopping_ || (has_news_ && !has_failed); });
    } else if (is_patient && (has_news_ || taken < options_.batch_max)) {
      changed_.wait_for(lock, rest, [&] { return is_stopping_; });
    }
    has_news_ = false;
    if (is_stopping_) return;
  }
}

Result<std::size_t> History::take_batch(std::uint32_t partition) {
  VERGE_TRY(const auto records, log_.read(partition, offsets_[partition], options_.batch_max));
  if (records.empty()) return std::size_t{0};
  std::vector<std::string> stored;
  const auto written = database_->transaction([&] { return write_batch(partition, records, stored); });
  if (!written) return written.error();
  offsets_[partition] = records.back().offset + 1;
  rows_.add(stored.size());
  if (stored_ && !stored.empty()) stored_(stored);
  return records.size();
}

Status History::write_batch(std::uint32_t partition, const std::vector<storage::LogRecord>& records,
                            std::vector<std::string>& stored) {
  std::vector<std::pair<std::int64_t, DayCount>> days;
  for (const auto& record : records) {
    if (is_probe(record.bytes)) continue;
    const auto message = decode_record(record.bytes);
    if (!message) {
      unreadable_.add();
      log_error("hub", message.error(), {{"partition", partition}, {"offset", record.offset}});
      continue;
    }
    EventRow row = event_row(*message, partition, record);
    VERGE_TRY(const auto changed,
              database_->execute(
                  "INSERT OR IGNORE INTO events (device, module, epoch, sequence, received_us, captured_us, family,"
                  " type, stream, severity, rule, score, json) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                  {row.device, row.module, row.epoch, row.sequence, row.received_us, row.captured_us, row.family,
                   row.type, row.stream, row.severity, row.rule, row.score, row.json}));
    if (changed == 0) continue;
    const std::int64_t day = row.received_us / kDayUs;
    if (days.empty() || days.back().first != day) days.push_back({day, {}});
    days.back().second.events += 1;
    days.back().second.alarms += row.severity == "alarm" ? 1 : 0;
    stored.push_back(std::move(row.json));
  }
  for (const auto& [day, count] : days) {
    VERGE_CHECK(
        database_->execute("INSERT INTO days (day, events, alarms) VALUES (?,?,?) ON CONFLICT (day)"
                           " DO UPDATE SET events = events + excluded.events, alarms = alarms + excluded.alarms",
                           {day, count.events, count.alarms}));
  }
  VERGE_CHECK(
      database_->execute("INSERT OR REPLACE INTO offsets (partition, next) VALUES (?,?)",
                         {static_cast<std::int64_t>(partition), static_cast<std::int64_t>(records.back().offset + 1)}));
  return Done{};
}

/// Ids grow with time, so the oldest rows are a range of ids.
void History::forget_old() {
  const auto forget = [&](std::string_view condition, std::int64_t value) {
    for (;;) {
      const auto gone = database_->execute(
          fmt::format("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE {} ORDER BY id LIMIT {})", condition,
                      kForgetRows),
          {value});
      if (!gone) return log_error("hub", gone.error().within("forget old history"));
      if (*gone < kForgetRows) return;
    }
  };
  // The newest row that is too old bounds a range; without it SQLite would look at every row.
  const auto oldest = database_->query_one("SELECT received_us FROM events ORDER BY id LIMIT 1");
  const std::int64_t keep_from_us = clock_.now_us() - options_.age_us_max;
  if (oldest && *oldest && (*oldest)->integer(0) < keep_from_us) forget("received_us < ?", keep_from_us);
  const auto newest = database_->query_one("SELECT max(id) FROM events");
  if (newest && *newest) forget("id <= ?", (*newest)->integer(0) - options_.rows_max);
}

Result<EventPage> History::events(const EventFilter& filter) const {
  if (filter.limit == 0 || filter.limit > kLimitMax) {
    return Error{ErrorCode::invalid_argument, fmt::format("limit is {}; use 1 to {}", filter.limit, kLimitMax)};
  }
  Conditions where;
  where.equal("family", filter.family);
  where.equal("device", filter.device);
  where.equal("module", filter.module);
  where.equal("stream", filter.stream);
  where.equal("type", filter.type);
  where.equal("severity", filter.severity);
  where.equal("rule", filter.rule);
  where.compare("captured_us", ">=", filter.from_us);
  where.compare("captured_us", "<", filter.to_us);
  where.compare("id", "<", filter.before);
  where.values.emplace_back(static_cast<std::int64_t>(filter.limit + 1));
  VERGE_TRY(const auto rows,
            database_->query(fmt::format("SELECT id, json FROM events WHERE {} ORDER BY id DESC LIMIT ?", where.text),
                             where.values));
  EventPage page;
  for (std::size_t i = 0; i < std::min(rows.size(), filter.limit); ++i) page.events.push_back(rows[i].text(1));
  if (rows.size() > filter.limit) page.next = rows[filter.limit - 1].integer(0);
  return page;
}

Result<std::vector<std::pair<std::int64_t, double>>> History::series(const SeriesFilter& filter) const {
  if (filter.points_max < kPointsMin || filter.points_max > kPointsMax) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("points_max is {}; use {} to {}", filter.points_max, kPointsMin, kPointsMax)};
  }
  Conditions where;
  where.equal("device", filter.device);
  where.equal("module", filter.module);
  where.equal("stream", filter.stream);
  where.equal("type", filter.type);
  where.compare("captured_us", ">=", filter.from_us);
  where.compare("captured_us", "<", filter.to_us);
  VERGE_TRY(const auto span,
            database_->query_one(
                fmt::format("SELECT count(*), min(captured_us), max(captured_us) FROM events WHERE {}", where.text),
                where.values));
  std::vector<std::pair<std::int64_t, double>> points;
  const auto add = [&](const std::vector<storage::Row>& rows) {
    for (const auto& row : rows) points.emplace_back(row.integer(0), row.real(1));
  };
  if (!span || span->integer(0) == 0) return points;
  if (static_cast<std::size_t>(span->integer(0)) <= filter.points_max) {
    VERGE_TRY(const auto rows,
              database_->query(
                  fmt::format("SELECT captured_us, score FROM events WHERE {} ORDER BY captured_us, id", where.text),
                  where.values));
    add(rows);
    return points;
  }
  // Half of the points for the smallest and half for the largest of each stretch.
  const auto stretches = static_cast<std::int64_t>(filter.points_max / 2);
  const std::int64_t from_us = span->integer(1);
  const std::int64_t stretch_us = (span->integer(2) - from_us) / stretches + 1;
  for (const std::string_view extreme : {"min", "max"}) {
    VERGE_TRY(const auto rows,
              database_->query(
                  fmt::format("SELECT captured_us, {}(score) FROM events WHERE {} GROUP BY (captured_us - {}) / {}",
                              extreme, where.text, from_us, stretch_us),
                  where.values));
    add(rows);
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

Result<std::vector<LedgerLine>> History::ledger(const std::string& device, const std::string& module) const {
  Conditions where;
  where.equal("device", device);
  where.equal("module", module);
  VERGE_TRY(
      const auto rows,
      database_->query(
          fmt::format("SELECT device, module, epoch, min(sequence), max(sequence), count(*), sum(late) FROM"
                      " (SELECT device, module, epoch, sequence, sequence < max(sequence) OVER (PARTITION BY device, "
                      "module, epoch"
                      " ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS late FROM events WHERE {})"
                      " GROUP BY device, module, epoch ORDER BY device, module, epoch",
                      where.text),
          where.values));
  std::vector<LedgerLine> lines;
  for (const auto& row : rows) {
    lines.push_back(
        {row.text(0), row.text(1), row.text(2), row.integer(3), row.integer(4), row.integer(5), row.integer(6)});
  }
  return lines;
}

Result<History::Totals> History::totals() const {
  const std::int64_t today = clock_.now_us() / kDayUs;
  VERGE_TRY(const auto row, database_->query_one("SELECT sum(events), sum(CASE WHEN day = ?1 THEN events ELSE 0 END), "
                                                 "sum(CASE WHEN day = ?1 THEN alarms ELSE 0 END) FROM days",
                                                 {today}));
  if (!row) return Totals{};
  return Totals{row->integer(0), row->integer(1), row->integer(2)};
}

std::uint64_t History::lag() const {
  std::uint64_t lag = 0;
  for (std::uint32_t partition = 0; partition < offsets_.size(); ++partition) {
    const std::uint64_t end = log_.end_offset(partition);
    const std::uint64_t next = offsets_[partition];
    lag += end > next ? end - next : 0;
  }
  return lag;
}

Result<std::vector<std::uint64_t>> History::make_durable() {
  std::vector<std::uint64_t> offsets(offsets_.begin(), offsets_.end());
  VERGE_TRY(const auto row, database_->query_one("PRAGMA wal_checkpoint(FULL)"));
  if (row && row->integer(0) == 0) return offsets;
  return Error{ErrorCode::unavailable, "make history durable: somebody else reads the file; try again later"};
}

}  // namespace verge::hub
