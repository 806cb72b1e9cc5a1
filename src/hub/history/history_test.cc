#include "hub/history/history.h"

#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "hub/message_record.h"

namespace verge::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string event_text(std::int64_t captured_us, double score, std::string_view severity = "info") {
  return to_text({{"v", 1},
                  {"id", "i"},
                  {"type", "anomaly.score"},
                  {"family", "telemetry"},
                  {"device", "liar"},
                  {"module", "liar"},
                  {"stream", "press"},
                  {"captured_us", captured_us},
                  {"sequence", 1},
                  {"score", score},
                  {"severity", std::string(severity)}});
}

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() { open_log(); }

  void open_log() {
    storage::AppendLogOptions options;
    options.partitions = 2;
    auto opened = storage::AppendLog::open(disk_, clock_, "/log", options);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = *std::move(opened);
  }
  void open_history(HistoryOptions options = {}) {
    auto opened = History::open(folder_ / "history.db", *log_, clock_, metrics_, options);
    ASSERT_TRUE(opened) << opened.error().message;
    history_ = *std::move(opened);
    history_->start([this](const auto& events) {
      const std::lock_guard lock(mutex_);
      seen_.insert(seen_.end(), events.begin(), events.end());
    });
  }
  void append(std::uint32_t partition, std::string bytes) {
    std::promise<void> durable;
    log_->append(partition, std::move(bytes), [&](auto offset) {
      EXPECT_TRUE(offset);
      durable.set_value();
    });
    durable.get_future().wait();
  }
  void send(std::uint64_t sequence, const std::string& body, std::string_view epoch = "e1") {
    append(0,
           encode_record(record_prefix({"d", "m"}, "1", "{}"), epoch, sequence, {{"$.ct", "application/json"}}, body));
  }
  void wait_until_caught_up() {
    for (int i = 0; i < 10'000 && history_->lag() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ASSERT_EQ(history_->lag(), 0U);
  }
  std::vector<Json> events(const EventFilter& filter = {}) {
    const auto page = history_->events(filter);
    EXPECT_TRUE(page) << (page ? "" : page.error().message);
    std::vector<Json> list;
    for (const auto& text : page->events) list.push_back(*parse_json(text));
    return list;
  }

  TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path();
  FaultyDisk disk_;
  ManualClock clock_;
  Metrics metrics_;
  std::unique_ptr<storage::AppendLog> log_;
  std::mutex mutex_;
  std::vector<std::string> seen_;
  std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, StoresAnEventUnderTheIdentityThatSentIt) {
  open_history();
  send(1, event_text(1000, 0.5, "alarm"));
  wait_until_caught_up();
  const auto list = events();
  ASSERT_THAT(list, SizeIs(1));
  EXPECT_EQ(list[0]["device"], "d");
  EXPECT_EQ(list[0]["module"], "m");
  EXPECT_EQ(list[0]["score"], 0.5);
  EXPECT_EQ(list[0]["received_us"], clock_.now_us());
  EXPECT_EQ(history_->totals()->total, 1);
  EXPECT_EQ(history_->totals()->alarms_today, 1);
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(seen_, SizeIs(1));
}

TEST_F(HistoryTest, KeepsOtherMessagesViewable) {
  struct Row {
    const char* name;
    std::string body;
    std::function<void(const Json&)> check;
  };
  const Row rows[] = {
      {"JSON", R"({"temperature": 21})", [](const Json& e) { EXPECT_EQ(e["body"]["temperature"], 21); }},
      {"an event with a wrong member", R"({"v": 1, "type": 7})",
       [](const Json& e) { EXPECT_EQ(e["body"]["type"], 7); }},
      {"text", "hello", [](const Json& e) { EXPECT_EQ(e["body"], "hello"); }},
      {"bytes", std::string("\0\1", 2), [](const Json& e) { EXPECT_EQ(e["body_base64"], "AAE="); }},
      {"nothing", "", [](const Json& e) { EXPECT_EQ(e["body"], ""); }},
  };
  open_history();
  std::uint64_t sequence = 0;
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    send(++sequence, row.body);
    wait_until_caught_up();
    const auto list = events({.type = "message", .limit = 1});
    ASSERT_THAT(list, SizeIs(1));
    EXPECT_EQ(list[0]["properties"]["$.ct"], "application/json");
    row.check(list[0]);
  }
}

TEST_F(HistoryTest, StoresADuplicateOnceAndCountsWhatCameLate) {
  open_history();
  for (const std::uint64_t sequence : {1U, 2U, 4U, 2U, 3U}) send(sequence, event_text(std::int64_t(sequence), 0));
  wait_until_caught_up();
  const auto ledger = history_->ledger("d", "m");
  ASSERT_TRUE(ledger) << ledger.error().message;
  ASSERT_THAT(*ledger, SizeIs(1));
  EXPECT_EQ(ledger->front().first, 1);
  EXPECT_EQ(ledger->front().last, 4);
  EXPECT_EQ(ledger->front().count, 4);
  EXPECT_EQ(ledger->front().out_of_order, 1);
}

TEST_F(HistoryTest, GivesPlainDevicesTheOffsetAsTheirNumber) {
  open_history();
  send(0, "a", "");
  send(0, "b", "");
  wait_until_caught_up();
  EXPECT_THAT(events(), SizeIs(2));
  EXPECT_EQ(history_->ledger("", "")->front().epoch, "log-0");
}

TEST_F(HistoryTest, PagesAndFilters) {
  open_history();
  for (std::uint64_t i = 1; i <= 25; ++i) send(i, event_text(std::int64_t(i) * 10, 0, i % 5 == 0 ? "alarm" : "info"));
  wait_until_caught_up();
  EventFilter filter{.limit = 10};
  std::vector<std::size_t> sizes;
  do {
    const auto page = history_->events(filter);
    ASSERT_TRUE(page);
    sizes.push_back(page->events.size());
    filter.before = page->next;
  } while (filter.before != 0);
  EXPECT_THAT(sizes, ElementsAre(10, 10, 5));
  EXPECT_THAT(events({.severity = "alarm"}), SizeIs(5));
  EXPECT_THAT(events({.from_us = 50, .to_us = 100}), SizeIs(5));
  EXPECT_THAT(events({.device = "other"}), IsEmpty());
  EXPECT_THAT(events({.device = "' OR 1 --"}), IsEmpty());
  EXPECT_FALSE(history_->events({.limit = 0}));
  EXPECT_FALSE(history_->events({.limit = 1001}));
}

TEST_F(HistoryTest, KeepsMinimaAndMaximaOfALongSeries) {
  open_history();
  for (std::uint64_t i = 1; i <= 500; ++i) {
    const double score = i == 250 ? 9 : i == 251 ? -9 : 1;
    append(0, encode_record(record_prefix({"d", "m"}, "1", "{}"), "e", i, {}, event_text(std::int64_t(i), score)));
  }
  wait_until_caught_up();
  const SeriesFilter all{.device = "d", .module = "m", .stream = "press", .points_max = 1000};
  EXPECT_THAT(*history_->series(all), SizeIs(500));
  SeriesFilter few = all;
  few.points_max = 20;
  const auto points = history_->series(few);
  ASSERT_TRUE(points) << points.error().message;
  EXPECT_LE(points->size(), 20U);
  EXPECT_THAT(*points, testing::Contains(testing::Pair(250, 9.0)));
  EXPECT_THAT(*points, testing::Contains(testing::Pair(251, -9.0)));
  EXPECT_TRUE(std::is_sorted(points->begin(), points->end()));
  few.points_max = 1;
  EXPECT_FALSE(history_->series(few));
}

TEST_F(HistoryTest, GoesOnWhereItStoppedAndCanBeRebuilt) {
  open_history();
  send(1, event_text(1, 0));
  wait_until_caught_up();
  history_.reset();
  send(2, event_text(2, 0));
  open_history();
  wait_until_caught_up();
  EXPECT_THAT(events(), SizeIs(2));
  history_.reset();
  for (const auto* suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(folder_ / (std::string("history.db") + suffix));
  open_history();
  wait_until_caught_up();
  EXPECT_THAT(events(), SizeIs(2));
  EXPECT_EQ(history_->totals()->total, 2);
}

TEST_F(HistoryTest, WhatAPowerCutTakesBackIsReadAgain) {
  open_history();
  for (std::uint64_t i = 1; i <= 50; ++i) send(i, event_text(1000, 0.5));
  wait_until_caught_up();
  const auto durable = history_->make_durable();
  ASSERT_TRUE(durable) << durable.error().message;
  EXPECT_THAT(*durable, ElementsAre(50, 0));
  for (std::uint64_t i = 51; i <= 60; ++i) send(i, event_text(1000, 0.5));
  wait_until_caught_up();

  // The worst that a power cut can do: the database's own file is left, its unsynced write-ahead log is not.
  TemporaryFolder after;
  std::filesystem::copy_file(folder_ / "history.db", after.path() / "history.db");
  const auto kept = storage::Database::open(after.path() / "kept.db", {});
  ASSERT_TRUE(kept);
  ASSERT_TRUE((*kept)->execute("ATTACH '" + (after.path() / "history.db").string() + "' AS history"));
  EXPECT_EQ((*(*kept)->query_one("SELECT count(*) FROM history.events"))->integer(0), 50);
  EXPECT_EQ((*(*kept)->query_one("SELECT next FROM history.offsets WHERE partition = 0"))->integer(0), 50);

  auto reopened = History::open(after.path() / "history.db", *log_, clock_, metrics_);
  ASSERT_TRUE(reopened) << reopened.error().message;
  history_ = *std::move(reopened);
  history_->start([](const auto&) {});
  wait_until_caught_up();
  EXPECT_EQ(history_->totals()->total, 60);
}

TEST_F(HistoryTest, SkipsProbesAndUnreadableRecords) {
  open_history();
  append(0, probe_record());
  append(1, "\x09garbage");
  send(1, event_text(1, 0));
  wait_until_caught_up();
  EXPECT_THAT(events(), SizeIs(1));
}

TEST_F(HistoryTest, ForgetsBeyondItsBounds) {
  send(1, event_text(1, 0));
  send(2, event_text(2, 0));
  send(3, event_text(3, 0));
  open_history();
  wait_until_caught_up();
  history_.reset();
  open_history({.rows_max = 2});
  for (int i = 0; i < 10'000 && events().size() > 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_THAT(events(), SizeIs(2));
  history_.reset();
  clock_.advance_us(1'000'000);
  open_history({.age_us_max = 500'000});
  for (int i = 0; i < 10'000 && !events().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_THAT(events(), IsEmpty());
}

}  // namespace
}  // namespace verge::hub
