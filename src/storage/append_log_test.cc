#include "storage/append_log.h"

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "base/bytes.h"
#include "base/powered_disk.h"
#include "storage/segment.h"

namespace verge::storage {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = "/data/log";
const fs::path kSegment0 = kFolder / "partition-0000" / "00000000000000000000.log";

std::unique_ptr<AppendLog> opened(Disk& disk, AppendLogOptions options = {}) {
  static const ManualClock clock;
  auto log = AppendLog::open(disk, clock, kFolder, options);
  EXPECT_TRUE(log) << log.error().message;
  return log ? *std::move(log) : nullptr;
}

/// Appends and waits for the answer.
Result<std::uint64_t> append(AppendLog& log, std::string bytes, std::uint32_t partition = 0) {
  std::promise<Result<std::uint64_t>> promise;
  auto answer = promise.get_future();
  log.append(partition, std::move(bytes), [&](Result<std::uint64_t> offset) { promise.set_value(std::move(offset)); });
  return answer.get();
}

std::vector<std::string> all(const AppendLog& log, std::uint32_t partition = 0, std::uint64_t from = 0) {
  std::vector<std::string> texts;
  std::uint64_t offset = std::max(from, log.first_offset(partition));
  for (;;) {
    auto records = log.read(partition, offset, 1000);
    EXPECT_TRUE(records) << records.error().message;
    if (!records || records->empty()) return texts;
    for (LogRecord& record : *records) {
      EXPECT_EQ(record.offset, offset++) << "a hole";
      texts.push_back(std::move(record.bytes));
    }
  }
}

std::string content(Disk& disk, const fs::path& path) {
  const auto file = disk.open(path, false);
  EXPECT_TRUE(file) << path;
  return *(*file)->read_at(0, 1U << 30U);
}

void overwrite(Disk& disk, const fs::path& path, std::string_view bytes) {
  const auto file = disk.open(path, true);
  ASSERT_TRUE((*file)->truncate(0));
  ASSERT_TRUE((*file)->write_at(0, bytes));
  ASSERT_TRUE((*file)->sync());
  ASSERT_TRUE(disk.sync_folder(path.parent_path()));
}

// --- the plain way ---------------------------------------------------------------------------

TEST(AppendLog, KeepsOrderOverAReopening) {
  FaultyDisk disk;
  {
    const auto log = opened(disk);
    EXPECT_EQ(log->end_offset(0), 0U);
    EXPECT_TRUE(all(*log).empty());
    EXPECT_EQ(append(*log, "a").value(), 0U);
    EXPECT_EQ(append(*log, "").value(), 1U);
    EXPECT_EQ(append(*log, std::string(100'000, 'c')).value(), 2U);
    EXPECT_EQ(log->end_offset(0), 3U);
  }
  const auto log = opened(disk);
  EXPECT_EQ(log->first_offset(0), 0U);
  EXPECT_EQ(log->end_offset(0), 3U);
  EXPECT_EQ(append(*log, "d").value(), 3U);
  EXPECT_EQ(all(*log), (std::vector<std::string>{"a", "", std::string(100'000, 'c'), "d"}));
  EXPECT_EQ(log->read(0, 0, 1)->front().received_us, 1'700'000'000'000'000);
  EXPECT_EQ(log->figures().records, 1U);
  EXPECT_GE(log->figures().syncs, 1U);
}

TEST(AppendLog, PartitionsAreApart) {
  FaultyDisk disk;
  {
    const auto log = opened(disk, {.partitions = 3});
    EXPECT_EQ(log->partition_count(), 3U);
    for (int i = 0; i < 30; ++i) {
      EXPECT_EQ(append(*log, std::to_string(i), static_cast<std::uint32_t>(i % 3)).value(),
                static_cast<std::uint64_t>(i / 3));
    }
  }
  const auto log = opened(disk, {.partitions = 3});
  for (std::uint32_t partition = 0; partition < 3; ++partition) {
    const auto texts = all(*log, partition);
    ASSERT_EQ(texts.size(), 10U);
    EXPECT_EQ(texts[4], std::to_string(12 + partition));
  }
  EXPECT_LT(partition_of("gate-7", 3), 3U);
  EXPECT_EQ(partition_of("gate-7", 3), partition_of("gate-7", 3));
  EXPECT_EQ(partition_of("123456789", 1U << 31U), 0xE3069283U & 0x7FFFFFFFU);  // CRC-32C's check value.
}

TEST(AppendLog, MisuseIsRefused) {
  FaultyDisk disk;
  const ManualClock clock;
  for (const AppendLogOptions& options :
       {AppendLogOptions{.partitions = 0}, AppendLogOptions{.partitions = 2000},
        AppendLogOptions{.segment_bytes_max = 1}, AppendLogOptions{.segment_bytes_max = 1ULL << 40U},
        AppendLogOptions{.record_bytes_max = 0}}) {
    const auto log = AppendLog::open(disk, clock, kFolder, options);
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().code, ErrorCode::invalid_argument);
  }
  {
    const auto log = opened(disk, {.partitions = 2, .record_bytes_max = 10});
    EXPECT_EQ(append(*log, "12345678901").error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(append(*log, "x", 2).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(append(*log, "1234567890").value(), 0U);
  }
  overwrite(disk, kFolder / "log.json", "{oops");
  const auto broken = AppendLog::open(disk, clock, kFolder, {.partitions = 2});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::corrupt);
}

TEST(AppendLog, KeepsTheNumberOfPartitionsItWasMadeWith) {
  FaultyDisk disk;
  {
    const auto log = opened(disk, {.partitions = 4});
    for (std::uint32_t partition = 0; partition < 4; ++partition) ASSERT_TRUE(append(*log, "old", partition));
  }
  const auto log = opened(disk, {.partitions = 1});
  ASSERT_EQ(log->partition_count(), 4U);
  for (std::uint32_t partition = 0; partition < 4; ++partition) {
    EXPECT_EQ(log->end_offset(partition), 1U);
    EXPECT_EQ(append(*log, "new", partition).value(), 1U);
  }
}

TEST(AppendLog, ReadsFromMemoryAndDiskAlike) {
  FaultyDisk disk;
  for (const std::size_t recent_bytes : {std::size_t{0}, std::size_t{5'000}, std::size_t{100'000'000}}) {
    const auto log = AppendLog::open(disk, system_clock(), "/data/" + std::to_string(recent_bytes),
                                     {.segment_bytes_max = 8192, .recent_bytes_max = recent_bytes});
    ASSERT_TRUE(log);
    std::vector<std::string> written;
    for (std::size_t i = 0; i < 300; ++i) {
      written.push_back(std::to_string(i) + std::string(i % 90, 'x'));
      ASSERT_EQ(append(**log, written.back()).value(), i);
    }
    EXPECT_EQ(all(**log), written);
    EXPECT_EQ(all(**log, 0, 137), std::vector<std::string>(written.begin() + 137, written.end()));
    EXPECT_EQ((*log)->read(0, 10, 7)->size(), 7U);
    EXPECT_EQ((*log)->read(0, 10, 0)->size(), 0U);
    EXPECT_EQ((*log)->read(0, 80, 100, 1)->size(), 1U) << "at least one";
    EXPECT_EQ((*log)->read(0, 80, 100, 2 * (2 + 80) + 1 + 80)->size(), 2U);
    EXPECT_TRUE((*log)->read(0, 300, 10)->empty());
    EXPECT_TRUE((*log)->read(0, 1'000'000, 10)->empty());
  }
}

TEST(AppendLog, OldRecordsLeaveMemoryAndComeFromDisk) {
  FaultyDisk disk;
  ManualClock clock;
  const auto log = AppendLog::open(disk, clock, kFolder, {.recent_age_us_max = 10'000'000});
  ASSERT_TRUE(log);
  for (const char* text : {"one", "two"}) ASSERT_TRUE(append(**log, text));
  clock.advance_us(9'000'000);
  ASSERT_TRUE(append(**log, "three"));
  const auto bytes = content(disk, kSegment0);
  // What is in memory is there without the file; what is not is missed.
  overwrite(disk, kSegment0, "");
  EXPECT_EQ(all(**log), (std::vector<std::string>{"one", "two", "three"}));
  overwrite(disk, kSegment0, bytes);
  clock.advance_us(2'000'000);
  ASSERT_TRUE(append(**log, "four"));
  const auto more_bytes = content(disk, kSegment0);
  overwrite(disk, kSegment0, "");
  EXPECT_EQ(all(**log, 0, 2), (std::vector<std::string>{"three", "four"}));
  const auto gone = (*log)->read(0, 0, 10);
  EXPECT_TRUE(!gone || gone->empty() || gone->front().offset != 0) << "the first two are no longer in memory";
  overwrite(disk, kSegment0, more_bytes);
  EXPECT_EQ(all(**log), (std::vector<std::string>{"one", "two", "three", "four"}));
}

TEST(AppendLog, ManyProducersKeepTheirOrder) {
  FaultyDisk disk;
  constexpr int kThreads = 8, kEach = 1500;
  {
    const auto log = opened(disk, {.partitions = 2, .segment_bytes_max = 64U << 10U});
    std::atomic<int> durable{0};
    std::vector<std::vector<std::uint64_t>> offsets(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          log->append(static_cast<std::uint32_t>(t % 2), std::to_string(t) + ":" + std::to_string(i),
                      [&, t](Result<std::uint64_t> offset) {
                        ASSERT_TRUE(offset);
                        offsets[static_cast<std::size_t>(t)].push_back(*offset);
                        ++durable;
                      });
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    while (durable < kThreads * kEach) std::this_thread::yield();
    for (const auto& own : offsets) EXPECT_TRUE(std::is_sorted(own.begin(), own.end()));
    EXPECT_LT(log->figures().syncs, static_cast<std::uint64_t>(kThreads * kEach)) << "commits are shared";
  }
  const auto log = opened(disk, {.partitions = 2, .segment_bytes_max = 64U << 10U});
  std::map<int, int> next;
  for (std::uint32_t partition = 0; partition < 2; ++partition) {
    for (const std::string& text : all(*log, partition)) {
      const int thread = text.front() - '0';
      EXPECT_EQ(text, std::to_string(thread) + ":" + std::to_string(next[thread]++));
    }
  }
  for (const auto& [thread, count] : next) EXPECT_EQ(count, kEach);
  EXPECT_EQ(next.size(), static_cast<std::size_t>(kThreads));
}

TEST(AppendLog, WatchersHearOfEveryCommit) {
  FaultyDisk disk;
  const auto log = opened(disk, {.partitions = 2});
  std::vector<std::uint32_t> heard;
  AppendLog::WatchId second = 0;
  const auto first = log->watch([&](std::uint32_t partition) {
    heard.push_back(partition);
    log->unwatch(second);  // A watcher may remove another one.
  });
  second = log->watch([&](std::uint32_t) { ADD_FAILURE() << "removed before its turn"; });
  // A call-back may append; the commit thread serves itself.
  std::promise<void> chained;
  log->append(1, "x", [&](const auto&) { log->append(0, "y", [&](const auto&) { chained.set_value(); }); });
  chained.get_future().get();
  log->unwatch(first);  // Waits for the call that follows the last answer, or makes it not happen.
  const std::size_t heard_count = heard.size();
  EXPECT_GE(heard_count, 1U);
  EXPECT_EQ(heard.front(), 1U);
  EXPECT_TRUE(append(*log, "z"));
  EXPECT_EQ(heard.size(), heard_count);
}

TEST(AppendLog, ClosingCommitsWhatWaits) {
  FaultyDisk disk;
  std::atomic<int> answered{0};
  {
    const auto log = opened(disk);
    for (int i = 0; i < 1000; ++i) {
      log->append(0, std::to_string(i), [&](const auto& offset) {
        EXPECT_TRUE(offset);
        ++answered;
      });
    }
  }
  EXPECT_EQ(answered, 1000);
  EXPECT_EQ(all(*opened(disk)).size(), 1000U);
}

// --- bounds ----------------------------------------------------------------------------------

TEST(AppendLog, TooMuchWaitingIsRefusedInOrder) {
  FaultyDisk faulty;
  PoweredDisk disk(faulty);
  const auto log = opened(disk, {.pending_bytes_max = 10'000});
  ASSERT_TRUE(append(*log, "first"));
  disk.hold_syncs(true);
  std::mutex mutex;
  std::vector<std::string> answers;
  for (int i = 0; i < 100; ++i) {
    log->append(0, std::string(1000, 'x'), [&](const Result<std::uint64_t>& offset) {
      const std::lock_guard lock(mutex);
      answers.push_back(offset ? "ok" : std::string(name_of(offset.error().code)));
    });
  }
  disk.hold_syncs(false);
  ASSERT_TRUE(append(*log, "last"));
  const std::lock_guard lock(mutex);
  ASSERT_EQ(answers.size(), 100U);
  const auto accepted = std::count(answers.begin(), answers.end(), "ok");
  EXPECT_GE(accepted, 8);
  EXPECT_LT(accepted, 100);
  EXPECT_EQ(std::count(answers.begin(), answers.end(), "limit"), 100 - accepted);
  EXPECT_EQ(log->end_offset(0), static_cast<std::uint64_t>(accepted) + 2);
}

TEST(AppendLog, AFullDiskRefusesAndRecovers) {
  FaultyDisk disk;
  std::vector<std::string> acknowledged;
  const AppendLogOptions options{.segment_bytes_max = 16U << 10U, .free_bytes_min = 0, .recent_bytes_max = 0};
  {
    const auto log = opened(disk, options);
    disk.set_capacity_bytes(50'000);
    int refused = 0;
    for (int i = 0; i < 200; ++i) {
      const std::string text = std::to_string(i) + std::string(700, 'x');
      const auto offset = append(*log, text);
      if (offset) {
        EXPECT_EQ(*offset, acknowledged.size()) << "offsets have no holes";
        acknowledged.push_back(text);
      } else {
        EXPECT_EQ(offset.error().code, ErrorCode::limit) << offset.error().message;
        ++refused;
      }
      if (i == 120) {
        EXPECT_GT(refused, 0);
        EXPECT_EQ(all(*log), acknowledged) << "what is there can be read meanwhile";
        disk.set_capacity_bytes(10'000'000);
      }
      if (i > 120) {
        EXPECT_TRUE(offset) << "room is back: " << offset.error().message;
      }
    }
    EXPECT_EQ(all(*log), acknowledged);
  }
  disk.lose_power(1);
  EXPECT_EQ(all(*opened(disk, options)), acknowledged);
}

TEST(AppendLog, AFullDiskInTheMiddleOfAWriteLosesNothing) {
  // Without the check of free space the write itself fails, at every possible byte of a record.
  for (std::uint64_t room = 0; room < 400; room += 7) {
    FaultyDisk disk;
    const AppendLogOptions options{.free_bytes_min = 0};
    {
      const auto log = opened(disk, options);
      ASSERT_TRUE(append(*log, "one"));
      disk.set_capacity_bytes(log->disk_bytes() + content(disk, kFolder / "log.json").size() + room);
      static_cast<void>(static_cast<bool>(append(*log, std::string(300, 'x'))));
      disk.set_capacity_bytes(1'000'000);
      ASSERT_TRUE(append(*log, "two"));
      const auto texts = all(*log);
      EXPECT_EQ(texts.front(), "one");
      EXPECT_EQ(texts.back(), "two");
    }
    const auto texts = all(*opened(disk, options));
    EXPECT_EQ(texts.front(), "one");
    EXPECT_EQ(texts.back(), "two");
  }
}

TEST(AppendLog, SpaceThatMustStayFreeStaysFree) {
  FaultyDisk disk;
  disk.set_capacity_bytes(2U << 20U);
  const auto log = opened(disk, {.free_bytes_min = 1U << 20U});
  while (append(*log, std::string(50'000, 'x'))) continue;
  EXPECT_GE(*disk.free_bytes(kFolder), 1U << 20U);
  EXPECT_LE(*disk.free_bytes(kFolder), (1U << 20U) + 60'000U);
}

TEST(AppendLog, AFullLogAcceptsAgainWhenTrimmed) {
  FaultyDisk disk;
  const auto log = opened(disk, {.disk_bytes_max = 100'000});
  std::uint64_t end = 0;
  for (int round = 0; round < 5; ++round) {
    Result<std::uint64_t> offset(0);
    while ((offset = append(*log, std::string(1000, 'x')))) {
      ASSERT_EQ(*offset, end++);
    }
    EXPECT_EQ(offset.error().code, ErrorCode::limit);
    EXPECT_LE(log->disk_bytes(), 100'000U);
    EXPECT_GE(log->disk_bytes(), 95'000U);
    ASSERT_TRUE(log->trim_before(0, end));
  }
  EXPECT_GT(end, 300U);
}

// --- trimming --------------------------------------------------------------------------------

TEST(AppendLog, TrimUnlinksWholeSegments) {
  FaultyDisk disk;
  const AppendLogOptions options{.segment_bytes_max = 4096};
  std::uint64_t first = 0;
  {
    const auto log = opened(disk, options);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(append(*log, std::string(300, 'x')));
    const auto full_bytes = log->disk_bytes();
    ASSERT_TRUE(log->trim_before(0, 50));
    first = log->first_offset(0);
    EXPECT_GT(first, 30U);
    EXPECT_LE(first, 50U);
    EXPECT_LT(log->disk_bytes(), full_bytes);
    EXPECT_EQ(log->read(0, 0, 1)->front().offset, first) << "an offset below the first starts there";
    EXPECT_EQ(all(*log).size(), 100 - first);
    ASSERT_TRUE(log->trim_before(0, 50)) << "again changes nothing";
    EXPECT_EQ(log->first_offset(0), first);
  }
  const auto log = opened(disk, options);
  EXPECT_EQ(log->first_offset(0), first);
  EXPECT_EQ(log->end_offset(0), 100U);
}

TEST(AppendLog, OffsetsGoOnAfterEverythingWasTrimmed) {
  FaultyDisk disk;
  const AppendLogOptions options{.segment_bytes_max = 4096};
  {
    const auto log = opened(disk, options);
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(append(*log, std::string(300, 'x')));
    ASSERT_TRUE(log->trim_before(0, 1'000'000));
    while (log->first_offset(0) < 30) std::this_thread::yield();  // The commit thread begins an empty segment.
    EXPECT_LE(log->disk_bytes(), kSegmentHeaderBytes);
  }
  disk.lose_power(3);
  const auto log = opened(disk, options);
  EXPECT_EQ(log->end_offset(0), 30U);
  EXPECT_EQ(append(*log, "next").value(), 30U);
  EXPECT_EQ(all(*log), std::vector<std::string>{"next"});
}

TEST(AppendLog, OldSegmentsGoByTime) {
  FaultyDisk disk;
  ManualClock clock;
  auto opened_log = AppendLog::open(disk, clock, kFolder, {.segment_age_us_max = 1'000'000});
  ASSERT_TRUE(opened_log);
  AppendLog& log = **opened_log;
  for (int second = 0; second < 10; ++second) {
    ASSERT_TRUE(append(log, std::to_string(second)));
    clock.advance_us(1'000'001);  // Each record begins a segment of its own.
  }
  ASSERT_TRUE(log.trim_older_than(1'700'000'000'000'000 + 4'500'000));
  EXPECT_EQ(log.first_offset(0), 5U);
  ASSERT_TRUE(log.trim_older_than(clock.now_us()));
  while (log.first_offset(0) < 10) std::this_thread::yield();
  EXPECT_EQ(append(log, "10").value(), 10U);
}

TEST(AppendLog, ReadersSurviveATrim) {
  FaultyDisk disk;
  const auto log = opened(disk, {.segment_bytes_max = 4096, .recent_bytes_max = 0});
  std::atomic<bool> is_done{false};
  std::thread reader([&] {
    while (!is_done) {
      const auto records = log->read(0, 0, 50);
      ASSERT_TRUE(records) << records.error().message;
      for (std::size_t i = 1; i < records->size(); ++i) {
        ASSERT_EQ((*records)[i].offset, (*records)[i - 1].offset + 1) << "a hole";
      }
    }
  });
  for (std::uint64_t i = 0; i < 1500; ++i) {
    ASSERT_TRUE(append(*log, std::string(300, 'x')));
    if (i % 10 == 0) {
      ASSERT_TRUE(log->trim_before(0, i));
    }
  }
  is_done = true;
  reader.join();
}

// --- faults ----------------------------------------------------------------------------------

TEST(AppendLog, AFailedSyncFailsItsRecordsOnly) {
  FaultyDisk disk;
  std::vector<std::string> acknowledged;
  {
    const auto log = opened(disk);
    std::mt19937_64 random(5);
    for (int i = 0; i < 300; ++i) {
      if (random() % 5 == 0) disk.fail_syncs(static_cast<int>(1 + random() % 3));
      const std::string text = std::to_string(i);
      const auto offset = append(*log, text);
      if (offset) {
        EXPECT_EQ(*offset, acknowledged.size());
        acknowledged.push_back(text);
      } else {
        EXPECT_EQ(offset.error().code, ErrorCode::unavailable);
      }
    }
    disk.fail_syncs(0);
    EXPECT_GT(acknowledged.size(), 100U);
    EXPECT_LT(acknowledged.size(), 300U);
    EXPECT_EQ(all(*log), acknowledged);
    EXPECT_TRUE(append(*log, "end"));
    acknowledged.push_back("end");
  }
  disk.lose_power(7);
  EXPECT_EQ(all(*opened(disk)), acknowledged);
}

TEST(AppendLog, ASegmentIsNeverWrittenAgainAfterAnError) {
  FaultyDisk disk;
  const auto log = opened(disk);
  ASSERT_TRUE(append(*log, "one"));
  const std::string before = content(disk, kSegment0);
  disk.fail_syncs(1);
  EXPECT_FALSE(append(*log, "two"));
  ASSERT_TRUE(append(*log, "three"));
  EXPECT_EQ(content(disk, kSegment0), before);
  EXPECT_EQ(disk.list(kFolder / "partition-0000").value(),
            (std::vector<std::string>{"00000000000000000000.log", "00000000000000000001.log"}));
  // Twice in a row without a record between: the empty segment is replaced.
  disk.fail_syncs(1);
  EXPECT_FALSE(append(*log, "four"));
  disk.fail_syncs(1);
  EXPECT_FALSE(append(*log, "five"));
  ASSERT_TRUE(append(*log, "six"));
  EXPECT_EQ(all(*log), (std::vector<std::string>{"one", "three", "six"}));
}

TEST(AppendLog, WhatOpeningFindsIsDurable) {
  // A program that was killed leaves its last writes in the page cache: whole, but not synced.
  std::string bytes = encode_header({});
  append_record(bytes, {}, {0, 0, "found"});
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    FaultyDisk disk;
    {
      const auto file = disk.open(kSegment0, true);
      ASSERT_TRUE((*file)->write_at(0, bytes));
    }
    EXPECT_EQ(opened(disk)->end_offset(0), 1U);
    disk.lose_power(seed);
    EXPECT_EQ(all(*opened(disk)), std::vector<std::string>{"found"});
  }
}

/// VERGE_SEEDS=1000 makes a long test of a short one.
std::uint64_t seed_count(std::uint64_t usual) {
  const char* wanted = std::getenv("VERGE_SEEDS");
  return wanted == nullptr ? usual : std::strtoull(wanted, nullptr, 10);
}

/// One life of a log until the power goes: what was tried, per partition in order, and how much was acknowledged.
struct Life {
  std::map<std::uint32_t, std::vector<std::string>> tried;
  std::map<std::uint32_t, std::size_t> acknowledged;  ///< So many of the tried ones, from the first.
};

Life live_until_power_is_lost(FaultyDisk& faulty, const AppendLogOptions& options, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  PoweredDisk disk(faulty);
  Life life;
  std::mutex mutex;
  disk.cut_after(1 + random() % 60, seed);
  const ManualClock clock;
  std::atomic<bool> is_failing{false};  // Before the log: appends that wait are answered when it closes.
  const auto log = AppendLog::open(disk, clock, kFolder, options);
  if (!log) return life;  // The power went while opening.
  for (int i = 0; i < 300 && !is_failing; ++i) {
    const auto partition = static_cast<std::uint32_t>(random() % options.partitions);
    std::string text = std::to_string(seed) + "-" + std::to_string(i) + std::string(random() % 600, 'x');
    life.tried[partition].push_back(text);
    (*log)->append(partition, std::move(text), [&, partition](const Result<std::uint64_t>& offset) {
      const std::lock_guard lock(mutex);
      if (offset) ++life.acknowledged[partition];
      if (!offset) is_failing = true;
    });
    if (random() % 4 == 0) std::this_thread::yield();
  }
  return life;
}

class AppendLogPowerLoss : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(AheadBytes, AppendLogPowerLoss, testing::Values(0, 16'000));

TEST_P(AppendLogPowerLoss, AtAnyOperationLosesNothingAcknowledged) {
  const AppendLogOptions options{
      .partitions = 2, .segment_bytes_max = 8192, .free_bytes_min = 0, .ahead_bytes = GetParam()};
  std::size_t acknowledged_count = 0, kept_count = 0;
  for (std::uint64_t seed = 1; seed <= seed_count(40); ++seed) {
    FaultyDisk faulty;
    std::map<std::uint32_t, std::vector<std::string>> expected;
    for (std::uint64_t round = 0; round < 3; ++round) {  // Each life begins with what the last one left.
      Life life = live_until_power_is_lost(faulty, options, seed * 10 + round);
      faulty.lose_power(seed);  // Again, in case that life ended before its cut.
      const auto log = opened(faulty, options);
      ASSERT_NE(log, nullptr) << "seed " << seed;
      for (std::uint32_t partition = 0; partition < options.partitions; ++partition) {
        auto& before = expected[partition];
        const auto& tried = life.tried[partition];
        const std::size_t acknowledged = life.acknowledged[partition];
        const auto found = all(*log, partition);
        // Everything acknowledged, then perhaps some that nobody was told of; all in the order of the calls.
        ASSERT_GE(found.size(), before.size() + acknowledged) << "seed " << seed << " round " << round;
        ASSERT_LE(found.size(), before.size() + tried.size()) << "seed " << seed << " round " << round;
        before.insert(before.end(), tried.begin(),
                      tried.begin() + static_cast<std::ptrdiff_t>(found.size() - before.size()));
        ASSERT_EQ(found, before) << "seed " << seed << " round " << round;
        acknowledged_count += acknowledged;
        kept_count += found.size();
      }
    }
  }
  EXPECT_GT(acknowledged_count, 10 * seed_count(40)) << "the test must not be empty";
  EXPECT_GE(kept_count, acknowledged_count);
}

TEST_P(AppendLogPowerLoss, WhileTrimmingLeavesNoHole) {
  const AppendLogOptions options{.segment_bytes_max = 4096, .free_bytes_min = 0, .ahead_bytes = GetParam()};
  for (std::uint64_t seed = 1; seed <= seed_count(20); ++seed) {
    FaultyDisk faulty;
    {
      const auto log = opened(faulty, options);
      for (int i = 0; i < 100; ++i) ASSERT_TRUE(append(*log, std::to_string(i) + std::string(300, 'x')));
    }
    {
      PoweredDisk disk(faulty);
      const auto log = opened(disk, options);
      disk.cut_after(seed % 25 + 1, seed);
      static_cast<void>(static_cast<bool>(log->trim_before(0, 90)));
    }
    const auto log = opened(faulty, options);
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->end_offset(0), 100U);
    const auto texts = all(*log);
    ASSERT_FALSE(texts.empty());
    EXPECT_TRUE(texts.back().starts_with("99x"));
    EXPECT_EQ(texts.size(), 100 - log->first_offset(0));
  }
}

TEST(AppendLog, ATornTailIsCutAndDamageIsNot) {
  FaultyDisk disk;
  {
    const auto log = opened(disk);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(append(*log, "record " + std::to_string(i)));  // Five commits.
  }
  const std::string good = content(disk, kSegment0);
  const std::size_t record_bytes = kRecordHeaderBytes + 8;
  struct Row {
    std::string behaviour, bytes;
    int records;  // -1: corrupt.
  };
  const auto flipped = [&](std::size_t at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    return bytes;
  };
  const std::size_t second = kSegmentHeaderBytes + record_bytes;
  const std::size_t last = kSegmentHeaderBytes + 4 * record_bytes;
  const Row rows[] = {
      {"untouched", good, 5},
      {"a record cut off", good.substr(0, good.size() - 1), 4},
      {"half a header", good.substr(0, last + 10), 4},
      {"cut between records", good.substr(0, last), 4},
      {"the header only", good.substr(0, kSegmentHeaderBytes), 0},
      {"garbage behind", good + "garbage that is no record at all", 5},
      {"zeros behind", good + std::string(5000, '\0'), 5},
      {"a mark and zeros behind", good + "VREC" + std::string(5000, '\0'), 5},
      {"half of the last record's content", flipped(last + kRecordHeaderBytes + 3), 4},
      {"a flipped bit inside", flipped(second + kRecordHeaderBytes), -1},
      {"a flipped length inside", flipped(second + 5), -1},
      {"a flipped mark inside", flipped(second), -1},
      {"a flipped check inside", flipped(second + 20), -1},
      {"a flipped header", flipped(9), -1},
      {"half a segment header", good.substr(0, 20), -1},
      {"nothing", "", -1},
      {"another file", std::string(1000, 'x'), -1},
  };
  for (const Row& row : rows) {
    overwrite(disk, kSegment0, row.bytes);
    const ManualClock clock;
    const auto log = AppendLog::open(disk, clock, kFolder, {});
    if (row.records < 0) {
      ASSERT_FALSE(log) << row.behaviour;
      EXPECT_EQ(log.error().code, ErrorCode::corrupt) << row.behaviour;
      EXPECT_NE(log.error().message.find("00000000000000000000.log"), std::string::npos) << log.error().message;
      continue;
    }
    ASSERT_TRUE(log) << row.behaviour << ": " << log.error().message;
    EXPECT_EQ((*log)->end_offset(0), static_cast<std::uint64_t>(row.records)) << row.behaviour;
    ASSERT_TRUE(append(**log, "more"));
    EXPECT_EQ(all(**log).size(), static_cast<std::size_t>(row.records) + 1) << row.behaviour;
  }
}

TEST(AppendLog, ZerosAheadAreReplacedCountedAndGivenBack) {
  FaultyDisk disk;
  const AppendLogOptions options{.segment_bytes_max = 64U << 10U, .free_bytes_min = 0, .ahead_bytes = 20'000};
  {
    const auto log = opened(disk, options);
    ASSERT_TRUE(append(*log, std::string(1000, 'a')));
    const std::size_t file_bytes = content(disk, kSegment0).size();
    EXPECT_EQ(file_bytes, kSegmentHeaderBytes + kRecordHeaderBytes + 1000 + 20'000);
    EXPECT_EQ(log->disk_bytes(), file_bytes);
    for (int i = 0; i < 9; ++i) ASSERT_TRUE(append(*log, std::string(1000, 'b')));
    EXPECT_EQ(content(disk, kSegment0).size(), file_bytes) << "nine records replace zeros";
    EXPECT_EQ(log->disk_bytes(), file_bytes);
  }
  {
    const auto log = opened(disk, options);
    EXPECT_EQ(all(*log).size(), 10U);
    EXPECT_EQ(log->disk_bytes(), kSegmentHeaderBytes + 10 * (kRecordHeaderBytes + 1000));
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(append(*log, std::string(1000, 'c')));  // Into a second segment.
    EXPECT_EQ(content(disk, kSegment0).size() % (kRecordHeaderBytes + 1000), kSegmentHeaderBytes) << "no zeros left";
    std::uint64_t file_bytes = 0;
    const auto names = disk.list(kFolder / "partition-0000").value();
    for (const auto& name : names) {
      const std::size_t bytes = content(disk, kFolder / "partition-0000" / name).size();
      EXPECT_LE(bytes, options.segment_bytes_max);
      file_bytes += bytes;
    }
    EXPECT_EQ(log->disk_bytes(), file_bytes);
  }
  EXPECT_EQ(all(*opened(disk, options)).size(), 70U);
}

TEST(AppendLog, ZerosAheadNeverTakeTheLastRoom) {
  FaultyDisk disk;
  const auto log = opened(disk, {.disk_bytes_max = 100'000, .free_bytes_min = 5'000, .ahead_bytes = 50'000});
  disk.set_capacity_bytes(40'000);
  std::size_t accepted = 0;
  while (append(*log, std::string(1000, 'x'))) ++accepted;
  EXPECT_GE(accepted, 30U) << "records go on where there is no room for zeros";
  EXPECT_GE(disk.free_bytes(kFolder).value(), 5'000U);
  EXPECT_EQ(all(*log).size(), accepted);
}

TEST(AppendLog, DamageInAnOlderSegmentIsFound) {
  FaultyDisk disk;
  const AppendLogOptions options{.segment_bytes_max = 4096};
  {
    const auto log = opened(disk, options);
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(append(*log, std::string(300, 'x')));
  }
  const std::string good = content(disk, kSegment0);
  const ManualClock clock;
  for (const std::string& bytes : {good.substr(0, good.size() - 1), good.substr(0, 1000), std::string("x")}) {
    overwrite(disk, kSegment0, bytes);
    const auto log = AppendLog::open(disk, clock, kFolder, options);
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().code, ErrorCode::corrupt);
  }
  overwrite(disk, kSegment0, good + "what a failed commit left behind");
  EXPECT_EQ(all(*opened(disk, options)).size(), 40U);

  // A segment that is missing in the middle.
  const auto names = *disk.list(kFolder / "partition-0000");
  ASSERT_GE(names.size(), 3U);
  ASSERT_TRUE(disk.remove(kFolder / "partition-0000" / names[1]));
  EXPECT_FALSE(AppendLog::open(disk, clock, kFolder, options));
}

TEST(AppendLog, APayloadCannotPretendToBeARecord) {
  // Somebody sends the bytes of a record, and the write that holds them is torn: a torn tail, not a damaged disk.
  FaultyDisk disk;
  {
    const auto log = opened(disk);
    std::string forged;
    append_record(forged, {0, 0, 0, 0}, {~std::uint32_t{0}, 0, "x"});
    ASSERT_TRUE(append(*log, "honest"));
    ASSERT_TRUE(append(*log, forged + forged));
  }
  std::string bytes = content(disk, kSegment0);
  bytes[kSegmentHeaderBytes + kRecordHeaderBytes + 6] = 'x';  // The forger's record loses its mark.
  overwrite(disk, kSegment0, bytes);
  EXPECT_EQ(all(*opened(disk)), std::vector<std::string>{"honest"});
}

// --- the real disk ---------------------------------------------------------------------------

class RealDisk : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("verge-append-log-" + to_hex(random_bytes(6)));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(RealDisk, KeepsRecordsAndReadsThemBack) {
  const AppendLogOptions options{.partitions = 2, .segment_bytes_max = 64U << 10U, .recent_bytes_max = 1000};
  std::vector<std::string> written;
  for (int life = 0; life < 3; ++life) {
    const auto log = AppendLog::open(system_disk(), system_clock(), folder_ / "log", options);
    ASSERT_TRUE(log) << log.error().message;
    EXPECT_EQ(all(**log, 1), written);
    std::atomic<int> durable{0};
    for (int i = 0; i < 1000; ++i) {
      written.push_back(std::to_string(life) + ":" + std::to_string(i) +
                        std::string(static_cast<std::size_t>(i) % 200, 'x'));
      (*log)->append(1, written.back(), [&](const auto& offset) {
        EXPECT_TRUE(offset);
        ++durable;
      });
    }
    while (durable < 1000) std::this_thread::yield();
    EXPECT_EQ(all(**log, 1), written);
    EXPECT_GT((*log)->figures().sync_s_p50, 0);
  }
  std::uint64_t file_bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "log")) {
    if (entry.path().extension() == ".log") file_bytes += entry.file_size();
  }
  const auto log = AppendLog::open(system_disk(), system_clock(), folder_ / "log", options);
  ASSERT_TRUE(log);
  EXPECT_EQ((*log)->disk_bytes(), file_bytes);
}

TEST_F(RealDisk, AFolderThatCannotBeWrittenIsSaid) {
  const auto log = AppendLog::open(system_disk(), system_clock(), "/proc/verge-log", {});
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().message.find("/proc/verge-log"), std::string::npos);
}

// --- the position of a reader ----------------------------------------------------------------

TEST(OffsetFile, KeepsANumber) {
  FaultyDisk disk;
  OffsetFile file(disk, "/data/reader.offset");
  EXPECT_EQ(file.load().value(), 0U);
  for (const std::uint64_t offset : {std::uint64_t{7}, std::uint64_t{0}, ~std::uint64_t{0}}) {
    ASSERT_TRUE(file.store(offset));
    disk.lose_power(offset);
    EXPECT_EQ(file.load().value(), offset);
  }
  EXPECT_EQ(content(disk, "/data/reader.offset").substr(0, 36), "verge-offset 1 18446744073709551615 ");
}

TEST(OffsetFile, IsOldOrNewAfterAFault) {
  for (std::uint64_t operations = 1; operations < 9; ++operations) {
    FaultyDisk faulty;
    ASSERT_TRUE(OffsetFile(faulty, "/data/o").store(41));
    PoweredDisk disk(faulty);
    disk.cut_after(operations, operations);
    const auto stored = OffsetFile(disk, "/data/o").store(42);
    if (stored) faulty.lose_power(operations);  // All its operations were done: it must be there.
    const auto loaded = OffsetFile(faulty, "/data/o").load();
    ASSERT_TRUE(loaded) << operations;
    EXPECT_TRUE(*loaded == 42 || (!stored && *loaded == 41)) << operations;
  }
  FaultyDisk disk;
  OffsetFile file(disk, "/data/o");
  ASSERT_TRUE(file.store(1));
  disk.fail_syncs(1);
  EXPECT_EQ(file.store(2).error().code, ErrorCode::unavailable);
  EXPECT_EQ(file.load().value(), 1U);
  ASSERT_TRUE(file.store(3));
  EXPECT_EQ(file.load().value(), 3U);
}

TEST(OffsetFile, DamageIsSaid) {
  FaultyDisk disk;
  ASSERT_TRUE(OffsetFile(disk, "/data/o").store(1234));
  const std::string good = content(disk, "/data/o");
  std::string other_number = good;
  other_number[16] = '9';
  for (const std::string& bytes : {std::string(), std::string("x"), good.substr(0, 20), good + "x", other_number}) {
    overwrite(disk, "/data/o", bytes);
    const auto loaded = OffsetFile(disk, "/data/o").load();
    ASSERT_FALSE(loaded) << bytes;
    EXPECT_EQ(loaded.error().code, ErrorCode::corrupt);
    EXPECT_NE(loaded.error().message.find("/data/o"), std::string::npos);
  }
}

}  // namespace
}  // namespace verge::storage
