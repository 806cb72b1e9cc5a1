// hub/history/history.h -- what the page and the CLI ask about the past: events, series, the ledger of sequence
// numbers.
//
// A consumer of the message log: reads on from its stored offset, off the acknowledge path, and writes rows and offset
// in one transaction, so that a crash neither loses nor repeats one. A power cut may take the newest rows back; they
// are read again, because the log is trimmed only after make_durable(). Everything here can be rebuilt: delete
// history.db. A message that is an event of ours becomes its row; any other becomes a row of type "message". Threads:
// start() makes one thread that follows the log; queries from any thread (they wait for the disk).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "storage/append_log.h"
#include "storage/database.h"

namespace verge::hub {

struct HistoryOptions {
  std::size_t batch_max = 1000;                     ///< Messages of one transaction.
  std::int64_t rows_max = 5'000'000;                ///< The oldest go beyond it.
  std::int64_t age_us_max = 30LL * 86'400'000'000;  ///< By the time the hub received them.
};

/// Empty texts and zeros do not filter.
struct EventFilter {
  std::string family{}, device{}, module{}, stream{}, type{}, severity{}, rule{};
  std::int64_t from_us = 0, to_us = 0;  ///< Captured; from inclusive, to exclusive.
  std::int64_t before = 0;              ///< EventPage::next of the page before.
  std::size_t limit = 100;              ///< 1..1000.
};

struct EventPage {
  std::vector<std::string> events;  ///< JSON texts, newest first.
  std::int64_t next = 0;            ///< 0: this was the last page.
};

struct SeriesFilter {
  std::string device{}, module{}, stream{};
  std::string type = "anomaly.score";
  std::int64_t from_us = 0, to_us = 0;
  std::size_t points_max = 1000;  ///< 2..10,000.
};

struct LedgerLine {
  std::string device, module, epoch;
  std::int64_t first = 0, last = 0, count = 0;
  std::int64_t out_of_order = 0;  ///< Rows that came after one with a higher number.
};

class History {
 public:
  static Result<std::unique_ptr<History>> open(const std::filesystem::path& path, storage::AppendLog& log,
                                               const Clock& clock, Metrics& metrics, HistoryOptions options = {});
  ~History();

  /// Begins to follow the log. stored: the events of one transaction as JSON texts, after it is committed.
  void start(std::function<void(const std::vector<std::string>& events)> stored);
  void stop();

  /// Errors: invalid_argument, unavailable.
  Result<EventPage> events(const EventFilter& filter) const;
  /// {captured_us, score}, oldest first; above points_max the smallest and largest of each stretch are kept.
  Result<std::vector<std::pair<std::int64_t, double>>> series(const SeriesFilter& filter) const;
  /// Empty device or module: all.
  Result<std::vector<LedgerLine>> ledger(const std::string& device, const std::string& module) const;

  struct Totals {
    std::int64_t total = 0, today = 0, alarms_today = 0;  ///< Days in UTC, by the time the hub received them.
  };
  Result<Totals> totals() const;
  /// Messages in the log that are not in history yet.
  std::uint64_t lag() const;
  /// Syncs what is in history by now and returns one past its last message, per partition: what may be trimmed from
  /// the log. Errors: unavailable.
  Result<std::vector<std::uint64_t>> make_durable();

 private:
  History(std::unique_ptr<storage::Database> database, storage::AppendLog& log, const Clock& clock, Metrics& metrics,
          HistoryOptions options);
  Status load_offsets();
  void follow();
  Result<std::size_t> take_batch(std::uint32_t partition);
  Status write_batch(std::uint32_t partition, const std::vector<storage::LogRecord>& records,
                     std::vector<std::string>& stored);
  void forget_old();

  std::unique_ptr<storage::Database> database_;
  storage::AppendLog& log_;
  const Clock& clock_;
  const HistoryOptions options_;
  Counter& rows_;
  Counter& unreadable_;
  std::vector<std::atomic<std::uint64_t>> offsets_;
  std::function<void(const std::vector<std::string>&)> stored_;
  storage::AppendLog::WatchId watch_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_news_ = false;  ///< Guarded by mutex_, as is_stopping_.
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace verge::hub
