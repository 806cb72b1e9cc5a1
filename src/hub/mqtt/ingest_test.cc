#include "hub/mqtt/ingest.h"

#include <atomic>
#include <gmock/gmock.h>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "base/powered_disk.h"
#include "hub/message_record.h"

namespace verge::hub {
namespace {

using testing::ElementsAre;

/// A log that keeps what it got until the test decides how each append ends.
class DecidedLog final : public storage::AppendLog {
 public:
  void append(std::uint32_t, std::string bytes, OnDurable done) override {
    waiting_.push_back({std::move(bytes), std::move(done)});
  }
  Result<std::vector<storage::LogRecord>> read(std::uint32_t, std::uint64_t offset, std::size_t,
                                               std::size_t) const override {
    std::vector<storage::LogRecord> rest;
    for (std::size_t i = offset; i < records_.size(); ++i) rest.push_back({i, 0, records_[i]});
    return rest;
  }
  std::uint64_t first_offset(std::uint32_t) const override { return 0; }
  std::uint64_t end_offset(std::uint32_t) const override { return records_.size(); }
  std::uint32_t partition_count() const override { return 1; }
  Status trim_before(std::uint32_t, std::uint64_t) override { return Done{}; }
  Status trim_older_than(std::int64_t) override { return Done{}; }
  std::uint64_t disk_bytes() const override { return 0; }
  WatchId watch(std::function<void(std::uint32_t)>) override { return 0; }
  void unwatch(WatchId) override {}
  Figures figures() const override { return {}; }

  /// Ends the oldest append.
  void decide(bool is_good) {
    auto [bytes, done] = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    if (!is_good) return done(Error{ErrorCode::limit, "the disk is full"});
    records_.push_back(std::move(bytes));
    done(records_.size() - 1);
  }
  std::size_t waiting_count() const { return waiting_.size(); }
  std::vector<std::uint64_t> sequences() const {
    std::vector<std::uint64_t> list;
    for (const auto& bytes : records_) list.push_back(decode_record(bytes)->sequence);
    return list;
  }

 private:
  std::vector<std::pair<std::string, OnDurable>> waiting_;
  std::vector<std::string> records_;
};

class IngestTest : public testing::Test {
 protected:
  void open() {
    auto opened = Ingest::open(disk_, "/hub/received.json", log_, metrics_);
    ASSERT_TRUE(opened) << opened.error().message;
    ingest_ = *std::move(opened);
    sender_ = ingest_->sender({"d", "m"}, "1", "{}");
  }
  IngestTest() { open(); }

  /// Publishes and remembers how it was acknowledged: '+', '-', or nothing yet.
  Status publish(std::uint64_t sequence, const std::string& epoch = "e") {
    contract::PropertyBag properties;
    properties.set(kEpochProperty, epoch);
    properties.set(kSequenceProperty, std::to_string(sequence));
    return ingest_->publish(*sender_, properties, "x", false, [this](const Status& s) { answers_ += s ? '+' : '-'; });
  }

  FaultyDisk disk_;
  DecidedLog log_;
  Metrics metrics_;
  std::unique_ptr<Ingest> ingest_;
  Ingest::SenderPointer sender_;
  std::string answers_;
};

TEST_F(IngestTest, AcknowledgesOnlyWhatIsDurable) {
  ASSERT_TRUE(publish(1));
  EXPECT_EQ(answers_, "");
  log_.decide(true);
  EXPECT_EQ(answers_, "+");
}

TEST_F(IngestTest, ADuplicateWaitsForItsOriginal) {
  ASSERT_TRUE(publish(1));
  ASSERT_TRUE(publish(1));
  EXPECT_EQ(log_.waiting_count(), 1U) << "appended once";
  EXPECT_EQ(answers_, "");
  log_.decide(true);
  EXPECT_EQ(answers_, "++");
  ASSERT_TRUE(publish(1));
  EXPECT_EQ(answers_, "+++") << "at once, now that it is durable";
  EXPECT_EQ(log_.waiting_count(), 0U);
}

TEST_F(IngestTest, TakesARefusedMessageWhenItComesAgainEvenAfterALaterOne) {
  for (const std::uint64_t sequence : {1U, 2U, 3U}) ASSERT_TRUE(publish(sequence));
  log_.decide(true);
  log_.decide(false);
  log_.decide(true);
  EXPECT_EQ(answers_, "+-+");
  EXPECT_EQ(ingest_->trouble(), "") << "the last write was taken";
  for (const std::uint64_t sequence : {2U, 3U}) ASSERT_TRUE(publish(sequence));
  ASSERT_EQ(log_.waiting_count(), 1U) << "only the refused one";
  log_.decide(true);
  EXPECT_THAT(log_.sequences(), ElementsAre(1, 3, 2));
}

TEST_F(IngestTest, ReportsTroubleUntilAProbeIsTaken) {
  ASSERT_TRUE(publish(1));
  log_.decide(false);
  EXPECT_EQ(ingest_->trouble(), "the disk is full");
  ingest_->probe();
  ingest_->probe();
  EXPECT_EQ(log_.waiting_count(), 1U) << "one probe at a time";
  log_.decide(true);
  EXPECT_EQ(ingest_->trouble(), "");
  ingest_->probe();
  EXPECT_EQ(log_.waiting_count(), 0U) << "none without trouble";
}

TEST_F(IngestTest, RemembersOverARestart) {
  for (const std::uint64_t sequence : {1U, 2U}) {
    ASSERT_TRUE(publish(sequence));
    log_.decide(true);
  }
  ASSERT_TRUE(ingest_->store_snapshot());
  ASSERT_TRUE(publish(3));  // Only in the log, behind the snapshot.
  log_.decide(true);
  open();
  for (const std::uint64_t sequence : {1U, 2U, 3U}) ASSERT_TRUE(publish(sequence));
  EXPECT_EQ(log_.waiting_count(), 0U);
  ASSERT_TRUE(publish(4));
  ASSERT_TRUE(publish(1, "another epoch"));
  EXPECT_EQ(log_.waiting_count(), 2U);
}

TEST_F(IngestTest, RefusesWhatIsTooLargeOrNotANumber) {
  const auto send = [&](const contract::PropertyBag& properties, const std::string& body) {
    return static_cast<bool>(ingest_->publish(*sender_, properties, body, false, [](const Status&) {}));
  };
  EXPECT_TRUE(send({}, std::string(kMessageBytesMax, 'x')));
  EXPECT_FALSE(send({}, std::string(kMessageBytesMax + 1, 'x')));
  contract::PropertyBag bag;
  bag.set("ab", "c");
  EXPECT_FALSE(send(bag, std::string(kMessageBytesMax - 2, 'x')));
  EXPECT_TRUE(send(bag, std::string(kMessageBytesMax - 3, 'x')));
  for (const char* number : {"", "x", "-1", "1x", "99999999999999999999", "9223372036854775808"}) {
    contract::PropertyBag numbered;
    numbered.set(kEpochProperty, "e");
    numbered.set(kSequenceProperty, number);
    EXPECT_FALSE(send(numbered, "x")) << number;
  }
}

/// One life of a hub's message log on a disk that loses its power somewhere: the outbox sends what was not
/// acknowledged, in order, and goes on. Returns the highest number that was sent.
std::uint64_t take_until_power_is_lost(FaultyDisk& faulty, std::uint64_t seed, std::set<std::uint64_t>& acknowledged) {
  std::mt19937_64 random(seed);
  PoweredDisk disk(faulty);
  const ManualClock clock;
  Metrics metrics;
  std::mutex mutex;
  std::atomic<bool> is_failing{false};
  std::unique_ptr<Ingest> ingest;  // Outlives the log, whose last commits still call it.
  disk.cut_after(1 + random() % 150, seed);
  const auto log = storage::AppendLog::open(disk, clock, "/hub/messages", {.free_bytes_min = 0});
  if (!log) return 0;
  auto opened = Ingest::open(disk, "/hub/received.json", **log, metrics);
  if (!opened) return 0;
  ingest = *std::move(opened);
  const auto sender = ingest->sender({"d", "m"}, "1", "{}");
  std::uint64_t next = 1;
  {
    const std::lock_guard lock(mutex);
    while (acknowledged.count(next) != 0) ++next;
  }
  for (int i = 0; i < 200 && !is_failing; ++i, ++next) {
    contract::PropertyBag properties;
    properties.set(kEpochProperty, "e");
    properties.set(kSequenceProperty, std::to_string(next));
    const auto taken = ingest->publish(*sender, properties, std::string(random() % 300, 'x'), false,
                                       [&, number = next](const Status& status) {
                                         const std::lock_guard lock(mutex);
                                         if (!status) is_failing = true;
                                         if (status) acknowledged.insert(number);
                                       });
    EXPECT_TRUE(taken);
    if (random() % 20 == 0) (void)ingest->store_snapshot();
    if (random() % 4 == 0) std::this_thread::yield();
  }
  return next - 1;
}

TEST(IngestPower, LosesAndRepeatsNothingWhenUnsyncedBytesAreDropped) {
  std::size_t acknowledged_count = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    FaultyDisk faulty;
    std::set<std::uint64_t> acknowledged;
    std::uint64_t highest = 0;
    for (std::uint64_t life = 0; life < 4; ++life) {
      highest = std::max(highest, take_until_power_is_lost(faulty, seed * 10 + life, acknowledged));
      faulty.lose_power(seed);  // Again, in case that life ended before its cut.
      const ManualClock clock;
      const auto log = storage::AppendLog::open(faulty, clock, "/hub/messages", {.free_bytes_min = 0});
      ASSERT_TRUE(log) << log.error().message;
      const auto records = (*log)->read(0, 0, 10'000);
      ASSERT_TRUE(records);
      std::set<std::uint64_t> found;
      for (const auto& item : *records) {
        const auto record = decode_record(item.bytes);
        ASSERT_TRUE(record);
        EXPECT_TRUE(found.insert(record->sequence).second) << record->sequence << " is there twice";
      }
      for (const auto number : acknowledged) EXPECT_EQ(found.count(number), 1U) << number << " was acknowledged";
    }
    acknowledged_count += acknowledged.size();
    EXPECT_LE(acknowledged.size(), highest);
  }
  EXPECT_GT(acknowledged_count, 400U) << "the test must not be empty";
}

}  // namespace
}  // namespace verge::hub
