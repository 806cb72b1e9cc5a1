#include "agent/outbox/outbox.h"

#include <gtest/gtest.h>

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
  OutboxTest() { disk_.set_capacity_bytes(1ULL << 30); }
  ~OutboxTest() override { outbox_.reset(); }

  void open() {
    outbox_.reset();
    OutboxOptions options = options_;
    options.folder = "/outbox";
    options.free_bytes_min = 4096;
    options.checkpoint_period = std::chrono::milliseconds(5);
    options.sweep_period = std::chrono::milliseconds(20);
    auto opened = Outbox::open(loop_, workers_, disk_, clock_, metrics_, options,
                               [this](const std::string& target) -> std::optional<Outbox::Sink> {
                                 const auto found = receivers_.find(target);
                                 if (found == receivers_.end()) return std::nullopt;
                                 return found->second.sink();
                               });
    ASSERT_TRUE(opened) << opened.error().message;
    outbox_ = std::move(*opened);
  }
  void append(const std::string& target, const std::string& payload, std::int64_t life_s = -1) {
    outbox_->append({{target, "m", "", payload, life_s}},
                    [this](const Status& status) { status ? ++acknowledged_ : ++refused_; });
  }
  bool until(const std::function<bool()>& is_reached) {
    for (int i = 0; i < 1000; ++i) {
      if (is_reached()) return true;
      loop_.run_for(std::chrono::milliseconds(2));
    }
    return is_reached();
  }
  void settle() { loop_.run_for(std::chrono::milliseconds(60)); }
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

TEST_F(OutboxTest, LosesNothingAcknowledgedWhenThePowerGoes) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    acknowledged_ = 0;
    receivers_.clear();
    open();
    const auto epoch = outbox_->epoch();
    const int count = 20 + static_cast<int>(seed);
    for (int i = 0; i < count; ++i) append("up:m", std::to_string(i));
    ASSERT_TRUE(until([&] { return acknowledged_ >= static_cast<int>(seed); }));
    const int promised = acknowledged_;
    crash(seed);
    receivers_["up:m"];
    open();
    EXPECT_EQ(outbox_->epoch(), epoch);
    outbox_->wake("up:m");
    ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() >= static_cast<std::size_t>(promised); }));
    auto& taken = receivers_["up:m"].taken;
    for (std::size_t i = 1; i < taken.size(); ++i) EXPECT_EQ(taken[i].sequence, taken[i - 1].sequence + 1);
    ASSERT_TRUE(until([&] { return !outbox_->has_pending("up:m"); }));
    settle();
  }
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
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() >= 3; }));
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
  receivers_["up:m"];
  open();
  append("up:m", "first");
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 1; }));
  settle();
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

TEST_F(OutboxTest, FreesTheDiskOnceEverythingArrived) {
  options_.segment_bytes_max = 64U << 10U;
  receivers_["up:m"];
  open();
  for (int i = 0; i < 100; ++i) append("up:m", std::string(10'000, 'x'));
  ASSERT_TRUE(until([&] { return receivers_["up:m"].taken.size() == 100; }));
  EXPECT_TRUE(until([&] { return outbox_->disk_bytes() < 200'000; })) << outbox_->disk_bytes();
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
