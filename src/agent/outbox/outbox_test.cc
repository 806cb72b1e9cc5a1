#include "agent/outbox/outbox.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <set>

#include "base/powered_disk.h"

namespace verge::agent {
namespace {

/// Takes records while it is ready; acknowledges at once, or when told to.
struct FakeReceiver {
  bool is_ready = true;
  bool acknowledges = true;
  std::vector<OutboxRecord> taken;
  std::vector<std::function<void(Status)>> open;

  Outbox::Sink sink() {
    return {[this] { return is_ready; },
            [this](const OutboxRecord& record, std::function<void(Status)> done) -> Status {
              taken.push_back(record);
              if (acknowledges) {
                done(Done{});
              } else {
                open.push_back(std::move(done));
              }
              return Done{};
            }};
  }
  void acknowledge_all() {
    auto waiting = std::move(open);
    open.clear();
    for (auto& done : waiting) done(Done{});
  }
  void vanish() {
    is_ready = false;
    auto waiting = std::move(open);
    open.clear();
    for (auto& done : waiting) done(Error{ErrorCode::unavailable, "gone"});
  }
  std::vector<std::string> payloads() const {
    std::vector<std::string> result;
    for (const auto& record : taken) result.push_back(record.payload);
    return result;
  }
};

class OutboxTest : public testing::Test {
 protected:
  OutboxTest() {
    disk_.set_capacity_bytes(1ULL << 30);
    options_.checkpoint_period = std::chrono::milliseconds(5);
  }
  ~OutboxTest() override { outbox_.reset(); }

  void open() { ASSERT_TRUE(try_open(disk_)); }
  bool try_open(Disk& disk) {
    outbox_.reset();
    OutboxOptions options = options_;
    options.folder = "/outbox";
    options.free_bytes_min = 4096;
    options.sweep_period = std::chrono::milliseconds(20);
    auto opened = Outbox::open(loop_, workers_, disk, clock_, metrics_, options,
                               [this](const std::string& target) -> std::optional<Outbox::Sink> {
                                 const auto found = receivers_.find(target);
                                 if (found == receivers_.end()) return std::nullopt;
                                 return found->second.sink();
                               });
    if (opened) outbox_ = std::move(*opened);
    return static_cast<bool>(opened);
  }
  void append(const std::string& target, const std::string& payload, std::int64_t life_s = -1) {
    outbox_->append({{target, "m", "", payload, life_s}},
                    [this](const Status& status) { status ? ++acknowledged_ : ++refused_; });
  }
  bool until(const std::function<bool()>& is_reached) {
    for (int i = 0; i < 10'000; ++i) {
      if (is_reached()) return true;
      loop_.run_for(std::chrono::milliseconds(2));
    }
    return is_reached();
  }
  /// What is due soon is done, and written.
  void settle() {
    loop_.run_for(std::chrono::milliseconds(60));
    bool is_written = false;
    ASSERT_TRUE(workers_.submit([&] { loop_.post([&] { is_written = true; }); }));
    ASSERT_TRUE(until([&] { return is_written; }));
  }
  /// What a crash does: everything unsynced is gone.
  void crash(std::uint64_t seed) {
    outbox_.reset();
    disk_.lose_power(seed);
  }

  Loop loop_;
  ManualClock clock_;
  FaultyDisk disk_;
  Metrics metrics_;
  OutboxOptions options_;
  std::map<std::string, FakeReceiver> receivers_;
  int acknowledged_ = 0, refused_ = 0;
  std::unique_ptr<Outbox> outbox_;
  Workers workers_{1, 100};
};

TEST_F(OutboxTest, HandsOverInOrderWithEpochAndSequence) {
  receivers_["up:m"];
  open();
  for (int i = 0; i < 100; ++i) append("up:m", std::to_string(i));
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 100; }));
  EXPECT_EQ(acknowledged_, 100);
  for (std::uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(receivers_["up:m"].taken[i].sequence, i + 1);
    EXPECT_EQ(receivers_["up:m"].taken[i].payload, std::to_string(i));
  }
  EXPECT_FALSE(outbox_->epoch().empty());
  EXPECT_FALSE(outbox_->has_pending("up:m"));
}

TEST_F(OutboxTest, KeepsTheWindowAndDrainsABacklog) {
  options_.window = 8;
  auto& receiver = receivers_["up:m"];
  receiver.acknowledges = false;
  open();
  for (int i = 0; i < 200; ++i) append("up:m", std::to_string(i));
  ASSERT_TRUE(until([&] { return acknowledged_ == 200; }));
  settle();
  EXPECT_EQ(receiver.taken.size(), 8U);
  ASSERT_TRUE(until([&] {
    receiver.acknowledge_all();
    return !outbox_->has_pending("up:m");
  }));
  ASSERT_EQ(receiver.taken.size(), 200U);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(receiver.taken[i].payload, std::to_string(i));
}

TEST_F(OutboxTest, OneAbsentReceiverDoesNotHoldUpAnother) {
  receivers_["up:m"];
  open();
  for (int i = 0; i < 50; ++i) {
    append("in:away/i", "x");
    append("up:m", std::to_string(i));
  }
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 50; }));
  EXPECT_TRUE(outbox_->has_pending("in:away/i"));
  receivers_["in:away/i"];
  outbox_->wake("in:away/i");
  EXPECT_TRUE(until([&] { return receivers_["in:away/i"].taken.size() == 50; }));
}

TEST_F(OutboxTest, SendsAgainInOrderWhatAReceiverDidNotAcknowledge) {
  auto& receiver = receivers_["up:m"];
  receiver.acknowledges = false;
  open();
  for (int i = 0; i < 10; ++i) append("up:m", std::to_string(i));
  ASSERT_TRUE(until([&] { return receiver.taken.size() == 10; }));
  receiver.open.front()(Done{});  // "0" arrived.
  receiver.open.erase(receiver.open.begin());
  receiver.vanish();
  receiver.taken.clear();
  receiver.is_ready = receiver.acknowledges = true;
  outbox_->wake("up:m");
  ASSERT_TRUE(until([&] { return receiver.taken.size() == 9; }));
  EXPECT_EQ(receiver.payloads().front(), "1");
  EXPECT_EQ(receiver.payloads().back(), "9");
}

/// The power goes at a random operation of the disk while modules publish and the hub takes; what was not synced by
/// then is dropped. Four lives on one disk.
TEST_F(OutboxTest, LosesNothingAcknowledgedWhenThePowerGoes) {
  std::size_t acknowledged_count = 0;
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    FaultyDisk faulty;
    std::set<std::string> promised;  // Acknowledged to the module.
    std::map<std::pair<std::string, std::uint64_t>, std::string>
        at_hub;                      // By epoch and sequence, as the hub knows them.
    std::vector<std::string> order;  // As they came to the hub, each once.
    int next = 0;
    for (int life = 0; life < 4; ++life) {
      PoweredDisk disk(faulty);
      const bool is_last = life == 3;
      if (!is_last) disk.cut_after(10 + random() % 120, seed);
      FakeReceiver& receiver = receivers_["up:m"] = FakeReceiver{};
      if (try_open(disk)) {
        const auto hear = [&] {
          for (const auto& record : receiver.taken) {
            const auto [entry, is_new] = at_hub.try_emplace({outbox_->epoch(), record.sequence}, record.payload);
            EXPECT_EQ(entry->second, record.payload) << "two messages have one number: the hub drops the second";
            if (is_new) order.push_back(record.payload);
          }
          receiver.taken.clear();
        };
        for (int i = 0; i < 60 && disk.has_power(); ++i) {
          const std::string payload = std::to_string(next++);
          outbox_->append({{"up:m", "m", "", payload, -1}}, [&, payload](const Status& status) {
            if (status) promised.insert(payload);
          });
          receiver.is_ready = random() % 3 != 0;
          if (random() % 2 == 0) loop_.run_for(std::chrono::milliseconds(random() % 3));
          outbox_->wake("up:m");
          hear();
        }
        if (is_last) {
          receiver.is_ready = true;
          outbox_->wake("up:m");
          ASSERT_TRUE(until([&] {
            hear();
            return !outbox_->has_pending("up:m") && promised.count(std::to_string(next - 1)) != 0;
          }));
          hear();
        }
      }
      outbox_.reset();
      loop_.run_for(std::chrono::milliseconds(1));
      if (!is_last) faulty.lose_power(seed);  // Again, in case that life ended before its cut.
    }
    const std::set<std::string> arrived(order.begin(), order.end());
    EXPECT_EQ(arrived.size(), order.size()) << "none twice";
    for (const auto& payload : promised) EXPECT_EQ(arrived.count(payload), 1U) << payload << " was acknowledged";
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return std::pair(a.size(), a) < std::pair(b.size(), b);
    })) << "in the order of their sender";
    acknowledged_count += promised.size();
  }
  EXPECT_GT(acknowledged_count, 15 * 60U) << "the test must not be empty";
}

TEST_F(OutboxTest, StoresOnceWhatAModuleSendsAgainAfterACrash) {
  open();
  const auto publish = [this](const std::string& id, bool is_repeated) {
    outbox_->append({{"up:m", "m", "%24.mid=" + id, id, -1}},
                    [this](const Status& status) { status ? ++acknowledged_ : ++refused_; }, {id, is_repeated});
  };
  for (int i = 0; i < 40; ++i) publish(std::to_string(i), false);
  ASSERT_TRUE(until([&] { return acknowledged_ == 40; }));
  receivers_["up:m"];
  outbox_->wake("up:m");
  ASSERT_TRUE(until([&] { return !outbox_->has_pending("up:m"); }));
  settle();
  crash(5);
  open();
  receivers_["up:m"].taken.clear();
  acknowledged_ = 0;
  for (int i = 30; i < 50; ++i) publish(std::to_string(i), i < 45);
  publish("7", false);  // The sender says that this is another one.
  ASSERT_TRUE(until([&] { return acknowledged_ == 21; }));
  ASSERT_TRUE(until([&] { return !outbox_->has_pending("up:m"); }));
  std::vector<std::string> fresh;
  for (const auto& record : receivers_["up:m"].taken) {
    if (record.sequence > 40) fresh.push_back(record.payload);
  }
  EXPECT_EQ(fresh, (std::vector<std::string>{"40", "41", "42", "43", "44", "45", "46", "47", "48", "49", "7"}));
}

TEST_F(OutboxTest, ARepeatedPublishWaitsForItsOriginal) {
  PoweredDisk disk(disk_);
  ASSERT_TRUE(try_open(disk));
  receivers_["up:m"];
  disk.hold_syncs(true);
  for (const bool is_repeated : {false, true}) {
    outbox_->append({{"up:m", "m", "%24.mid=1", "x", -1}},
                    [this](const Status& status) { status ? ++acknowledged_ : ++refused_; }, {"1", is_repeated});
  }
  loop_.run_for(std::chrono::milliseconds(60));
  EXPECT_EQ(acknowledged_, 0) << "nothing is durable yet";
  disk.hold_syncs(false);
  ASSERT_TRUE(until([&] { return acknowledged_ == 2; }));
  ASSERT_TRUE(until([&] { return !outbox_->has_pending("up:m"); }));
  EXPECT_EQ(receivers_["up:m"].taken.size(), 1U);
  outbox_.reset();
}

TEST_F(OutboxTest, GoesOnCountingAfterARestart) {
  receivers_["up:m"];
  open();
  append("up:m", "a");
  append("up:m", "b");
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 2; }));
  settle();
  crash(3);
  open();
  append("up:m", "c");
  ASSERT_TRUE(until([&] { return receivers_["up:m"].payloads().back() == "c"; }));
  EXPECT_EQ(receivers_["up:m"].taken.back().sequence, 3U);
}

TEST_F(OutboxTest, RefusesOnAFullDiskAndRecoversWithoutAHole) {
  receivers_["up:m"];
  open();
  append("up:m", "first");
  ASSERT_TRUE(until([&] { return acknowledged_ == 1; }));
  settle();
  disk_.set_capacity_bytes(100);
  append("up:m", std::string(200'000, 'x'));
  ASSERT_TRUE(until([&] { return refused_ == 1; }));
  disk_.set_capacity_bytes(1ULL << 30);
  append("up:m", "second");
  ASSERT_TRUE(until([&] { return acknowledged_ == 2; }));
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 2; }));
  EXPECT_EQ(receivers_["up:m"].taken.back().sequence, 2U);
}

TEST_F(OutboxTest, AFailedSyncIsNotAcknowledged) {
  options_.checkpoint_period = std::chrono::hours(1);  // The sync that fails is to be the log's.
  receivers_["up:m"];
  open();
  append("up:m", "first");
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 1; }));
  disk_.fail_syncs(1);
  append("up:m", "lost");
  ASSERT_TRUE(until([&] { return refused_ == 1; }));
  append("up:m", "kept");
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 2; }));
  EXPECT_EQ(receivers_["up:m"].taken.back().payload, "kept");
}

TEST_F(OutboxTest, ForgetsWhatIsTooOld) {
  open();
  append("up:m", "short", 5);
  append("up:m", "long", 5000);
  append("in:away/i", "short", 5);
  ASSERT_TRUE(until([&] { return acknowledged_ == 3; }));
  clock_.advance_us(6'000'000);
  EXPECT_TRUE(until([&] { return !outbox_->has_pending("in:away/i"); })) << "freed although the receiver is away";
  receivers_["up:m"];
  outbox_->wake("up:m");
  ASSERT_TRUE(until([&] { return !outbox_->has_pending("up:m"); }));
  EXPECT_EQ(receivers_["up:m"].payloads(), std::vector<std::string>{"long"});
}

TEST_F(OutboxTest, DropsTheOldestAtTheDiskCapAndCounts) {
  options_.disk_bytes_max = 1U << 20U;
  options_.segment_bytes_max = 64U << 10U;
  open();
  const std::string big(10'000, 'x');
  for (int i = 0; i < 300; ++i) {
    append("up:m", std::to_string(i) + " " + big);
    if (i % 10 != 9) continue;
    ASSERT_TRUE(until([&] { return acknowledged_ + refused_ == i + 1; }));
  }
  EXPECT_EQ(acknowledged_, 300);
  EXPECT_LE(outbox_->disk_bytes(), options_.disk_bytes_max + 3 * options_.segment_bytes_max);
  receivers_["up:m"];
  outbox_->wake("up:m");
  ASSERT_TRUE(until([&] { return !outbox_->has_pending("up:m"); }));
  const auto& taken = receivers_["up:m"].taken;
  EXPECT_LT(taken.size(), 120U);
  EXPECT_EQ(taken.back().sequence, 300U);
  for (std::size_t i = 1; i < taken.size(); ++i) EXPECT_EQ(taken[i].sequence, taken[i - 1].sequence + 1);
  EXPECT_NE(metrics_.to_text().find("reason=\"disk_cap\""), std::string::npos);
}

TEST_F(OutboxTest, SparesAlarmsAndPrioritiesAtTheDiskCap) {
  options_.disk_bytes_max = 1U << 20U;
  options_.segment_bytes_max = 64U << 10U;
  options_.spared_bytes_max = 60'000;
  open();
  const std::string big(10'000, 'x');
  const std::uint8_t route_rank = kRouteRankFirst + 3;
  std::vector<std::string> alarms;
  for (int i = 0; i < 300; ++i) {
    // Every tenth ranks as priority 3 and is large; every twentieth, at another place, is a small alarm.
    const bool is_alarm = i % 20 == 5;
    const std::string payload = is_alarm ? "alarm " + std::to_string(i) : std::to_string(i) + " " + big;
    if (is_alarm) alarms.push_back(payload);
    const std::uint8_t rank = is_alarm ? kAlarmRank : i % 10 == 0 ? route_rank : kOrdinaryRank;
    outbox_->append({{"up:m", "m", "", payload, -1, rank}},
                    [this](const Status& status) { status ? ++acknowledged_ : ++refused_; });
    if (i % 10 != 9) continue;
    ASSERT_TRUE(until([&] { return acknowledged_ + refused_ == i + 1; }));
  }
  EXPECT_EQ(acknowledged_, 300);
  settle();
  crash(2);
  open();
  receivers_["up:m"].is_ready = true;
  outbox_->wake("up:m");
  ASSERT_TRUE(until([&] { return !outbox_->has_pending("up:m"); }));
  const auto& taken = receivers_["up:m"].taken;
  std::vector<std::string> heard;
  std::size_t spared_count = 0;
  bool is_spared = true;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const std::uint64_t before = i == 0 ? 0 : taken[i - 1].sequence;
    EXPECT_GT(taken[i].sequence, before) << "what was spared comes first, in order";
    if (taken[i].rank == kAlarmRank) heard.push_back(taken[i].payload);
    is_spared = is_spared && taken[i].rank != kOrdinaryRank;
    if (is_spared && taken[i].rank == route_rank) ++spared_count;
  }
  EXPECT_EQ(heard, alarms) << "every alarm, oldest first";
  EXPECT_GT(spared_count, 1U) << "there was room for some of the others that rank";
  EXPECT_LT(spared_count, 8U) << "within the bound";
  EXPECT_LT(taken.size(), 140U);
  settle();
  open();
  EXPECT_FALSE(outbox_->has_pending("up:m")) << "none is spared twice";
}

TEST_F(OutboxTest, FreesTheDiskOnceEverythingArrived) {
  options_.segment_bytes_max = 64U << 10U;
  options_.kept_bytes_max = 50'000;
  receivers_["up:m"];
  open();
  for (int i = 0; i < 100; ++i) append("up:m", std::string(10'000, 'x'));
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 100; }));
  EXPECT_TRUE(until([&] { return outbox_->disk_bytes() < 300'000; })) << outbox_->disk_bytes();
}

TEST_F(OutboxTest, AcknowledgesAPublishWithSeveralTargetsOnce) {
  receivers_["up:m"];
  receivers_["in:n/i"];
  open();
  outbox_->append({{"up:m", "m", "", "x", -1}, {"in:n/i", "m", "", "x", -1}},
                  [this](const Status&) { ++acknowledged_; });
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 1 && receivers_["in:n/i"].taken.size() == 1; }));
  EXPECT_EQ(acknowledged_, 1);
}

}  // namespace
}  // namespace verge::agent
