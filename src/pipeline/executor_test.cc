#include "pipeline/executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

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

}  // namespace
}  // namespace verge::pipeline
