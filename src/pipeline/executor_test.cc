#include "pipeline/executor.h"

#include <atomic>
#include <deque>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <thread>

#include "pipeline/stillness.h"
#include "pipeline/test_parts.h"

namespace verge::pipeline {
namespace {

using testing::Basket;
using testing::BasketSink;
using testing::CountingSource;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kind_of;
using testing::LambdaStage;
using testing::row_packet;
using testing::value_of;

Packet event_packet(std::string label) {
  auto event = std::make_shared<contract::Event>();
  event->label = std::move(label);
  Packet packet;
  packet.payload = std::shared_ptr<const contract::Event>(std::move(event));
  return packet;
}

/// Answers from threads of its own, in a wrong order, and drops every tenth.
class ShufflingStage final : public SharedStage {
 public:
  ~ShufflingStage() override { close(); }
  void submit(Packet packet, Complete complete) override {
    threads_.emplace_back([packet = std::move(packet), complete = std::move(complete)]() mutable {
      const int value = static_cast<int>(value_of(packet));
      std::this_thread::sleep_for(std::chrono::microseconds(value % 3 * 300));
      complete(value % 10 == 9 ? std::nullopt : std::optional(std::move(packet)));
    });
  }
  std::size_t in_flight_max() const override { return 4; }
  void close() override {
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  std::vector<std::thread> threads_;
};

/// Keeps what was submitted until the test lets one go: the oldest first.
class Bench {
 public:
  explicit Bench(std::size_t in_flight = 1, std::size_t of_stream = 1)
      : in_flight_max(in_flight), of_stream_max(of_stream) {}
  void put(Packet packet, SharedStage::Complete complete) {
    const std::lock_guard lock(mutex_);
    seen_.push_back(packet);
    held_.emplace_back(std::move(packet), std::move(complete));
    changed_.notify_all();
  }
  /// False when so many do not come within a minute.
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return seen_.size() >= count; });
  }
  void let_one_go() {
    std::unique_lock lock(mutex_);
    ASSERT_FALSE(held_.empty());
    auto [packet, complete] = std::move(held_.front());
    held_.pop_front();
    lock.unlock();
    complete(std::optional(std::move(packet)));
  }
  /// Streams in the order in which they were served.
  std::vector<std::string> served() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const Packet& packet : seen_) names.push_back(*packet.stream);
    return names;
  }
  const std::size_t in_flight_max, of_stream_max;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Packet> seen_;
  std::deque<std::pair<Packet, SharedStage::Complete>> held_;
};

class BenchStage final : public SharedStage {
 public:
  explicit BenchStage(std::shared_ptr<Bench> bench) : bench_(std::move(bench)) {}
  void submit(Packet packet, Complete complete) override { bench_->put(std::move(packet), std::move(complete)); }
  std::size_t in_flight_max() const override { return bench_->in_flight_max; }
  std::size_t in_flight_of_stream_max() const override { return bench_->of_stream_max; }

 private:
  const std::shared_ptr<Bench> bench_;
};

Packet picture_packet(std::int64_t captured_us) {
  Packet packet;
  packet.captured_us = captured_us;
  packet.payload = std::shared_ptr<const Scene>(std::make_shared<Scene>());
  return packet;
}

/// Emits its packets at once and ends; live.
class ListSource final : public Source {
 public:
  explicit ListSource(std::vector<Packet> packets) : packets_(std::move(packets)) {}
  Status run(const Emit& emit, const std::function<bool()>&) override {
    for (const Packet& packet : packets_) emit(packet);
    return Done{};
  }

 private:
  const std::vector<Packet> packets_;
};

/// Moves only when told to, from any thread.
class SharedClock final : public Clock {
 public:
  std::int64_t now_us() const override { return us_; }
  std::int64_t monotonic_us() const override { return us_; }
  void advance_us(std::int64_t step_us) { us_ += step_us; }

 private:
  std::atomic<std::int64_t> us_{1'000'000};
};

class FailingSharedStage final : public SharedStage {
 public:
  void submit(Packet, Complete complete) override { complete(Error{ErrorCode::corrupt, "no such shape"}); }
};

class LeakySink final : public Sink {
 public:
  Status write(const Packet&) override { return Done{}; }
  Status close() override { return Error{ErrorCode::limit, "the disk is full"}; }
};

class BrokenFile final : public Source {
 public:
  Status run(const Emit&, const std::function<bool()>&) override { return Error{ErrorCode::corrupt, "it is cut off"}; }
  bool is_live() const override { return false; }
};

/// Fails `failures` times to open, then works once.
class ShakySource final : public Source {
 public:
  explicit ShakySource(int failures) : failures_(failures) {}
  Status open() override {
    if (failures_-- > 0) return Error{ErrorCode::unavailable, "the camera is off"};
    return Done{};
  }
  Status run(const Emit& emit, const std::function<bool()>&) override {
    emit(row_packet(7));
    return Done{};
  }

 private:
  int failures_;
};

class ExecutorTest : public ::testing::Test {
 protected:
  ExecutorTest() {
    for (const bool live : {false, true}) {
      catalog_.add(kind_of<Source>(live ? "live" : "file", {{"count", "integer", "", 100}},
                                   [live](const Json& options, const Context&) {
                                     return std::make_unique<CountingSource>(options["count"].get<int>(), live);
                                   }));
    }
    catalog_.add(
        kind_of<Source>("shaky", {}, [](const Json&, const Context&) { return std::make_unique<ShakySource>(1); }));
    add_stage("pass", [](const Packet& packet, const Emit& emit) -> Status {
      emit(packet);
      return Done{};
    });
    add_stage("odd_fails", [](const Packet& packet, const Emit& emit) -> Status {
      if (static_cast<int>(value_of(packet)) % 2 == 1) return Error{ErrorCode::internal, "odd"};
      emit(packet);
      return Done{};
    });
    add_stage("event_each_ten", [](const Packet& packet, const Emit& emit) -> Status {
      if (static_cast<int>(value_of(packet)) % 10 == 0) emit(event_packet("ten"));
      emit(packet);
      return Done{};
    });
    catalog_.add(kind_of<Stage>("last_words", {}, [](const Json&, const Context&) {
      return std::make_unique<LambdaStage>([](const Packet&, const Emit&) -> Status { return Done{}; },
                                           [](const Emit& emit) { emit(row_packet(1000)); });
    }));
    catalog_.add(kind_of<Stage>("offers", {}, [](const Json&, const Context& context) {
      context.add_method("hello", [stream = context.stream](const Json& parameters) {
        return MethodReply{200, {{"stream", stream}, {"heard", parameters}}};
      });
      return std::make_unique<LambdaStage>([](const Packet&, const Emit&) -> Status { return Done{}; });
    }));
    catalog_.add(
        kind_of<Source>("broken", {}, [](const Json&, const Context&) { return std::make_unique<BrokenFile>(); }));
    catalog_.add(kind_of<SharedStage>(
        "fails_shared", {}, [](const Json&, const Context&) { return std::make_unique<FailingSharedStage>(); }));
    catalog_.add(kind_of<SharedStage>(
        "bench", {}, [this](const Json&, const Context&) { return std::make_unique<BenchStage>(bench_); }));
    catalog_.add(kind_of<Source>("pictures", {{"count", "integer", "", 10}}, [](const Json& options, const Context&) {
      std::vector<Packet> packets;
      for (int i = 0; i < options["count"].get<int>(); ++i) packets.push_back(picture_packet(i));
      return std::make_unique<ListSource>(std::move(packets));
    }));
    catalog_.add(kind_of<Source>("mixed", {}, [](const Json&, const Context&) {
      return std::make_unique<ListSource>(
          std::vector{picture_packet(0), row_packet(1), event_packet("x"), picture_packet(2), picture_packet(3)});
    }));
    catalog_.add(kind_of<Source>("at", {{"us", "integer", "", 0}}, [](const Json& options, const Context&) {
      Packet packet = row_packet(0);
      packet.monotonic_us = options["us"].get<std::int64_t>();
      return std::make_unique<ListSource>(std::vector{packet});
    }));
    catalog_.add(kind_of<SharedStage>("shuffle", {},
                                      [](const Json&, const Context&) { return std::make_unique<ShufflingStage>(); }));
    catalog_.add(kind_of<Sink>("basket", {},
                               [this](const Json&, const Context&) { return std::make_unique<BasketSink>(basket_); }));
    catalog_.add(kind_of<Sink>("leaky", {}, [](const Json&, const Context&) { return std::make_unique<LeakySink>(); }));
    catalog_.add(kind_of<Sink>("second", {},
                               [this](const Json&, const Context&) { return std::make_unique<BasketSink>(second_); }));
  }

  void add_stage(const char* name, LambdaStage::Process process) {
    catalog_.add(kind_of<Stage>(
        name, {}, [process](const Json&, const Context&) { return std::make_unique<LambdaStage>(process); }));
  }

  std::unique_ptr<Executor> make(std::string_view text, ExecutorOptions options = {}) {
    auto spec = parse_pipeline(text, "p.yaml", catalog_);
    EXPECT_TRUE(spec) << spec.error().message;
    Context context;
    context.metrics = &metrics_;
    context.clock = clock_;
    auto made = Executor::make(*spec, catalog_, context, options);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : nullptr;
  }

  std::unique_ptr<Executor> run_to_end(std::string_view text, ExecutorOptions options = {}) {
    auto executor = make(text, options);
    executor->start();
    executor->wait();
    executor->stop();
    return executor;
  }

  /// All sources have ended: what they emitted waits, but for what the bench holds. Then it goes on one by one.
  std::vector<std::string> serve_all(std::string_view text, std::size_t count, ExecutorOptions options = {}) {
    auto executor = make(text, options);
    executor->start();
    executor->wait();
    for (std::size_t done = 0; done < count; ++done) {
      EXPECT_TRUE(bench_->wait_for(done + 1)) << "only " << done << " were served";
      bench_->let_one_go();
    }
    executor->stop();
    return bench_->served();
  }

  std::uint64_t counted(const std::string& stage, const std::string& stream, const std::string& result) {
    return metrics_.counter("verge_stage_packets_total", "", {{"stage", stage}, {"stream", stream}, {"result", result}})
        .value();
  }

  void expect_exact(const std::string& stage, const std::string& stream) {
    EXPECT_EQ(counted(stage, stream, "in"),
              counted(stage, stream, "out") + counted(stage, stream, "dropped") + counted(stage, stream, "failed"))
        << stage << " " << stream;
  }

  std::vector<float> values(const Basket& basket) const {
    std::vector<float> all;
    for (const Packet& packet : basket.packets()) {
      if (payload_as<SensorRow>(packet)) all.push_back(value_of(packet));
    }
    return all;
  }

  Catalog catalog_;
  Metrics metrics_;
  std::shared_ptr<Basket> basket_ = std::make_shared<Basket>();
  std::shared_ptr<Basket> second_ = std::make_shared<Basket>();
  std::shared_ptr<Bench> bench_ = std::make_shared<Bench>();
  const Clock* clock_ = nullptr;
};

TEST_F(ExecutorTest, AFileArrivesCompleteAndInOrder) {
  run_to_end("{sources: {a: {kind: file, count: 500}}, stages: [pass, {pass: {}}], sinks: [basket]}",
             {.workers = 4, .queue_packets_max = 2, .sink_packets_max = 3});
  const auto got = values(*basket_);
  ASSERT_EQ(got.size(), 500U);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<float>(i));
  for (const char* stage : {"pass", "pass2", "basket"}) {
    expect_exact(stage, "a");
    EXPECT_EQ(counted(stage, "a", "out"), 500U);
  }
  EXPECT_EQ(basket_->packets().back().sequence, 499U);
  EXPECT_EQ(*basket_->packets().back().stream, "a");
}

TEST_F(ExecutorTest, ALiveStreamDropsTheOldestAndCountsIt) {
  basket_ = std::make_shared<Basket>(false);
  auto executor =
      make("{sources: {a: {kind: live, count: 100}}, sinks: [basket]}", {.workers = 1, .sink_packets_max = 4});
  executor->start();
  executor->wait();
  basket_->wait_for_visitor();
  basket_->open();
  executor->stop();
  const auto got = values(*basket_);
  ASSERT_GE(got.size(), 4U);
  EXPECT_LT(got.size(), 100U);
  EXPECT_EQ(got.back(), 99.0F);  // the newest survives
  expect_exact("basket", "a");
  EXPECT_EQ(counted("basket", "a", "in"), 100U);
  EXPECT_EQ(counted("basket", "a", "dropped"), 100U - got.size());
  EXPECT_EQ(executor->streams()[0].dropped, 100U - got.size());
}

TEST_F(ExecutorTest, WhoWasServedLongestAgoGoesFirst) {
  const auto served = serve_all(
      "{sources: {a: {kind: live, count: 5}, b: {kind: live, count: 5}, rare: {kind: live, count: 1}}, stages: "
      "[bench]}",
      11);
  ASSERT_EQ(served.size(), 11U);
  // Whichever came first, the two others follow; five packets waiting are no reason to go before one.
  EXPECT_EQ(std::set<std::string>(served.begin(), served.begin() + 3), (std::set<std::string>{"a", "b", "rare"}));
  for (std::size_t i = 4; i < served.size(); ++i) EXPECT_NE(served[i], served[i - 1]) << i;
  for (const char* stream : {"a", "b", "rare"}) expect_exact("bench", stream);
}

TEST_F(ExecutorTest, OfThoseNeverServedTheOldestPacketGoesFirst) {
  auto served = serve_all(
      "{sources: {a: {kind: at, us: 400}, b: {kind: at, us: 300}, c: {kind: at, us: 200}, d: {kind: at, us: 100}},"
      " stages: [bench]}",
      4);
  ASSERT_EQ(served.size(), 4U);
  EXPECT_TRUE(std::is_sorted(served.begin() + 1, served.end(), std::greater<>())) << "a later name has an older packet";
}

TEST_F(ExecutorTest, OneStreamDoesNotFillASharedStage) {
  bench_ = std::make_shared<Bench>(4, 2);
  auto executor =
      make("{sources: {a: {kind: live, count: 8}, b: {kind: live, count: 1}}, stages: [bench]}", {.workers = 1});
  executor->start();
  executor->wait();
  ASSERT_TRUE(bench_->wait_for(3));
  auto served = bench_->served();
  EXPECT_EQ(std::ranges::count(served, "a"), 2);
  EXPECT_EQ(std::ranges::count(served, "b"), 1);
  for (std::size_t done = 0; done < 9; ++done) {
    ASSERT_TRUE(bench_->wait_for(done + 1));
    bench_->let_one_go();
  }
  executor->stop();
  EXPECT_EQ(counted("bench", "a", "out"), 8U);
}

TEST_F(ExecutorTest, FewPicturesOfALiveStreamWaitAndTheNewestSurvive) {
  basket_ = std::make_shared<Basket>(false);
  auto executor = make("{sources: {a: {kind: pictures, count: 30}}, sinks: [basket]}", {.workers = 1});
  executor->start();
  executor->wait();
  basket_->wait_for_visitor();
  basket_->open();
  executor->stop();
  const auto got = basket_->packets();
  ASSERT_GE(got.size(), 4U);
  EXPECT_LE(got.size(), 5U) << "four waited, one was with the sink";
  EXPECT_EQ(got.back().captured_us, 29);
  EXPECT_EQ(counted("basket", "a", "dropped"), 30U - got.size());
  expect_exact("basket", "a");
}

TEST_F(ExecutorTest, TooManyPicturesCostNoOtherPacket) {
  basket_ = std::make_shared<Basket>(false);
  auto executor =
      make("{sources: {z: {kind: at}, a: {kind: mixed}}, sinks: [basket]}", {.workers = 1, .pictures_max = 1});
  executor->start();
  executor->wait();
  basket_->wait_for_visitor();
  basket_->open();
  executor->stop();
  std::size_t rows = 0, events = 0;
  for (const Packet& packet : basket_->packets()) {
    rows += payload_as<SensorRow>(packet) && *packet.stream == "a" ? 1 : 0;
    events += payload_as<contract::Event>(packet) ? 1 : 0;
  }
  EXPECT_EQ(rows, 1U);
  EXPECT_EQ(events, 1U);
  EXPECT_EQ(basket_->packets().back().captured_us, 3);
  EXPECT_GE(counted("basket", "a", "dropped"), 1U);
  expect_exact("basket", "a");
}

TEST_F(ExecutorTest, PicturesThatWaitedTooLongAreDroppedAtTheDoor) {
  SharedClock clock;
  clock_ = &clock;
  auto executor = make("{sources: {a: {kind: pictures, count: 4}}, stages: [bench]}", {.workers = 1});
  executor->start();
  executor->wait();
  ASSERT_TRUE(bench_->wait_for(1));
  clock.advance_us(2'000'001);  // As if the one that the stage has had taken so long.
  bench_->let_one_go();
  executor->stop();
  EXPECT_EQ(counted("bench", "a", "in"), 4U);
  EXPECT_EQ(counted("bench", "a", "out"), 1U) << "what was worked on is not thrown away";
  EXPECT_EQ(counted("bench", "a", "dropped"), 3U);
}

TEST_F(ExecutorTest, FailuresAreCountedAndTheStreamGoesOn) {
  auto executor = run_to_end("{sources: {a: {kind: file, count: 10}}, stages: [odd_fails], sinks: [basket]}");
  EXPECT_THAT(values(*basket_), ElementsAre(0, 2, 4, 6, 8));
  EXPECT_EQ(counted("odd_fails", "a", "failed"), 5U);
  expect_exact("odd_fails", "a");
  EXPECT_EQ(executor->streams()[0].failed, 5U);
  EXPECT_EQ(executor->streams()[0].error, "odd_fails: odd");
  EXPECT_TRUE(executor->outcome()) << "some were of use";
}

TEST_F(ExecutorTest, AStageThatFailsWithEveryPacketIsTheOutcome) {
  auto executor = run_to_end("{sources: {a: {kind: file, count: 7}}, stages: [fails_shared], sinks: [basket]}");
  EXPECT_EQ(counted("fails_shared", "a", "failed"), 7U);
  expect_exact("fails_shared", "a");
  ASSERT_FALSE(executor->outcome());
  EXPECT_EQ(executor->outcome().error().message,
            "\"fails_shared\" failed with each of 7 packets of \"a\"; the last one: no such shape");
}

TEST_F(ExecutorTest, ASinkThatCannotCloseIsTheOutcome) {
  auto executor = run_to_end("{sources: {a: {kind: file, count: 2}}, sinks: [leaky]}");
  ASSERT_FALSE(executor->outcome());
  EXPECT_EQ(executor->outcome().error().message, "close \"leaky\": the disk is full");
}

TEST_F(ExecutorTest, AFileThatCannotBeReadEndsItsStream) {
  auto executor = run_to_end("{sources: {a: {kind: broken}}, sinks: [basket]}");
  ASSERT_FALSE(executor->outcome());
  EXPECT_EQ(executor->outcome().error().message, "source \"a\": it is cut off");
  EXPECT_EQ(executor->streams()[0].error, "it is cut off");
}

TEST_F(ExecutorTest, EventsGoToSinksOnceAndNotToTheNextStage) {
  run_to_end(
      "{sources: {a: {kind: file, count: 30}}, stages: [event_each_ten, event_each_ten, pass], sinks: [basket]}");
  std::size_t events = 0;
  for (const Packet& packet : basket_->packets()) events += payload_as<contract::Event>(packet) ? 1 : 0;
  EXPECT_EQ(events, 6U);
  EXPECT_EQ(values(*basket_).size(), 30U);
  EXPECT_EQ(counted("pass", "a", "in"), 30U);
}

TEST_F(ExecutorTest, ASinkMayNameItsInputs) {
  run_to_end(
      "{sources: {a: {kind: file, count: 20}}, stages: [{odd_fails: {}}, {pass: {inputs: [a]}}],"
      " sinks: [{kind: basket, inputs: [odd_fails]}, {kind: second, inputs: [pass, a]}]}");
  EXPECT_EQ(values(*basket_).size(), 10U);
  EXPECT_EQ(values(*second_).size(), 40U);
}

TEST_F(ExecutorTest, ASharedStageServesAllStreamsAndKeepsTheirOrder) {
  run_to_end(
      "{sources: {a: {kind: file, count: 100}, b: {kind: file, count: 50}}, stages: [shuffle], sinks: [basket]}");
  std::map<std::string, std::vector<float>> by_stream;
  for (const Packet& packet : basket_->packets()) by_stream[*packet.stream].push_back(value_of(packet));
  EXPECT_EQ(by_stream["a"].size(), 90U);
  EXPECT_EQ(by_stream["b"].size(), 45U);
  for (const auto& [name, got] : by_stream) {
    EXPECT_TRUE(std::is_sorted(got.begin(), got.end())) << name;
    expect_exact("shuffle", name);
  }
  EXPECT_EQ(counted("shuffle", "a", "dropped"), 10U);
}

TEST_F(ExecutorTest, WhatAStageEmitsAtCloseStillArrives) {
  run_to_end("{sources: {a: {kind: file, count: 3}}, stages: [last_words, pass], sinks: [basket]}");
  EXPECT_THAT(values(*basket_), ElementsAre(1000));
}

TEST_F(ExecutorTest, MethodsAreOfferedPerStream) {
  auto executor = make("{sources: {a: {kind: file, count: 1}, b: {kind: file, count: 1}}, stages: [offers]}");
  EXPECT_THAT(executor->method_names(), ElementsAre("hello", "hello.b"));
  EXPECT_EQ(executor->call_method("hello.b", 5).payload["stream"], "b");
  EXPECT_EQ(executor->call_method("hallo", {}).status, 404);
}

TEST_F(ExecutorTest, TheTapSeesTheLastPacketsAndTheEvents) {
  auto executor = make("{sources: {a: {kind: file, count: 20}}, stages: [event_each_ten, pass]}");
  std::atomic<int> rows{0}, events{0};
  executor->set_tap("a", "test", [&](const Packet& packet) { ++(payload_as<SensorRow>(packet) ? rows : events); });
  executor->set_tap("nobody", "test", [&](const Packet&) { ADD_FAILURE(); });
  executor->start();
  executor->wait();
  executor->stop();
  EXPECT_EQ(rows, 20);
  EXPECT_EQ(events, 2);
}

TEST_F(ExecutorTest, ALiveSourceThatIsOffIsTriedAgain) {
  auto executor = make("{sources: {a: {kind: shaky}}, sinks: [basket]}");
  EXPECT_EQ(executor->streams()[0].error, "the camera is off");
  executor->start();
  basket_->wait_for(1);
  executor->stop();
  EXPECT_EQ(executor->streams()[0].error, "");
  EXPECT_EQ(executor->streams()[0].family, "telemetry");
  EXPECT_EQ(executor->streams()[0].kind, "shaky");
}

TEST_F(ExecutorTest, OldPacketsAreDroppedAtTheDoor) {
  // The packets carry monotonic time 0, which is long ago.
  run_to_end("{sources: {a: {kind: live, count: 50}}, stages: [pass], sinks: [basket]}", {.deadline_us = 1});
  EXPECT_EQ(values(*basket_).size(), 0U);
  expect_exact("pass", "a");
  EXPECT_EQ(counted("pass", "a", "dropped"), 50U);
}

TEST_F(ExecutorTest, StopsInTheMiddleExactly) {
  auto executor = make("{sources: {a: {kind: file, count: 100000000}}, stages: [pass, odd_fails], sinks: [basket]}");
  executor->start();
  basket_->wait_for(100);
  executor->stop();
  executor->stop();  // twice is fine
  for (const char* stage : {"pass", "odd_fails", "basket"}) expect_exact(stage, "a");
  EXPECT_EQ(counted("pass", "a", "in"), executor->streams()[0].packets);
}

TEST_F(ExecutorTest, PartsSeeTheWholePipeline) {
  std::vector<std::string> seen;
  catalog_.add(kind_of<Sink>("nosy", {}, [&](const Json&, const Context& context) {
    for (const StageSpec& stage : context.pipeline->stages) seen.push_back(stage.name);
    return std::make_unique<LeakySink>();
  }));
  make("{sources: {a: {kind: file}}, stages: [pass, pass], sinks: [nosy]}");
  EXPECT_THAT(seen, ElementsAre("pass", "pass2"));
}

TEST_F(ExecutorTest, NothingRunsWhenAPartCannotBeMade) {
  catalog_.add({.name = "broken",
                .where = "",
                .summary = "",
                .options = {},
                .make = [](const Json&, const Context&) -> Result<std::unique_ptr<Stage>> {
                  return Error{ErrorCode::not_found, "load model door.onnx: no such file"};
                }});
  auto spec = parse_pipeline("{sources: {a: {kind: file}}, stages: [broken]}", "p.yaml", catalog_);
  ASSERT_TRUE(spec);
  auto made = Executor::make(*spec, catalog_, {}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::not_found);
  EXPECT_THAT(made.error().message, HasSubstr("stage \"broken\": load model door.onnx"));
}

/// Emits one row and waits to be told to end.
class OneRowSource final : public Source {
 public:
  explicit OneRowSource(std::atomic<int>* emitted) : emitted_(emitted) {}
  Status run(const Emit& emit, const std::function<bool()>& should_stop) override {
    emit(row_packet(1));
    ++*emitted_;
    while (!should_stop()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Done{};
  }

 private:
  std::atomic<int>* emitted_;
};

TEST(ExecutorStillness, ASourceHearsWhoTakesItsPackets) {
  const struct {
    const char *what, *stages, *sinks;
    bool is_still;
  } rows[] = {
      {"its only taker says so", "  - gate\n  - keep\n", "  - basket: {inputs: [keep]}\n", true},
      {"another stage takes all", "  - gate\n  - keep: {inputs: [cam]}\n", "  - basket: {inputs: [keep]}\n", false},
      {"a sink takes all", "  - gate\n  - keep\n", "  - basket: {inputs: [cam]}\n", false},
      {"another sink takes all, too", "  - gate\n", "  - basket: {inputs: [gate]}\n  - basket: {inputs: [cam]}\n",
       false},
      {"the gate stands elsewhere", "  - keep\n  - gate\n", "  - basket: {inputs: [gate]}\n", false},
      {"nobody takes anything", "  - gate: {inputs: [other]}\n", "  - basket: {inputs: [gate]}\n", false},
  };
  for (const auto& row : rows) {
    Context heard;
    Catalog catalog;
    auto basket = std::make_shared<Basket>();
    std::atomic<int> emitted = 0;
    catalog.add(kind_of<Source>("listening", {}, [&](const Json&, const Context& context) {
      if (context.stream == "cam") heard = context;
      return std::make_unique<OneRowSource>(&emitted);
    }));
    catalog.add(kind_of<Stage>("gate", {}, [](const Json&, const Context& context) {
      return std::make_unique<LambdaStage>(
          [tell = context.tell_still](const Packet& packet, const Emit& emit) -> Status {
            tell({true, packet.monotonic_us, 77});
            emit(packet);
            return Done{};
          });
    }));
    catalog.add(kind_of<Stage>("keep", {}, [](const Json&, const Context&) {
      return std::make_unique<LambdaStage>([](const Packet& packet, const Emit& emit) -> Status {
        emit(packet);
        return Done{};
      });
    }));
    catalog.add(
        kind_of<Sink>("basket", {}, [&](const Json&, const Context&) { return std::make_unique<BasketSink>(basket); }));
    const auto spec = parse_pipeline(
        std::string("purpose: A test.\nsources:\n  cam: {kind: listening}\n  other: {kind: listening}\n") +
            "stages:\n" + row.stages + "sinks:\n" + row.sinks,
        "test.yaml", catalog);
    ASSERT_TRUE(spec) << spec.error().message;
    auto executor = Executor::make(*spec, catalog, {}, {});
    ASSERT_TRUE(executor) << executor.error().message;
    ASSERT_TRUE(heard.stillness) << row.what;
    EXPECT_FALSE(heard.stillness->word().is_still) << row.what;
    EXPECT_TRUE(heard.has_room()) << row.what;
    (*executor)->start();
    while (emitted < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    (*executor)->stop();  // Whatever was emitted goes through first.
    EXPECT_EQ(heard.stillness->word().is_still, row.is_still) << row.what;
    if (row.is_still) {
      EXPECT_EQ(heard.stillness->word().needed_by_us, 77);
    }
  }
}

TEST(ExecutorStillness, TheFirstNeedOfAllCounts) {
  Stillness stillness;
  EXPECT_FALSE(stillness.word().is_still);
  stillness.set_takers({"left", "right"});
  stillness.say("left", {true, 10, 100});
  EXPECT_FALSE(stillness.word().is_still);
  stillness.say("right", {true, 20, 50});
  stillness.say("stranger", {false, 0, 0});
  EXPECT_TRUE(stillness.word().is_still);
  EXPECT_EQ(stillness.word().judged_us, 10);
  EXPECT_EQ(stillness.word().needed_by_us, 50);
}

}  // namespace
}  // namespace verge::pipeline
