#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

#include "base/bounded_queue.h"
#include "base/disk.h"
#include "base/json.h"
#include "connectors/live_sender.h"
#include "connectors/pipeline_host.h"
#include "pipeline/test_parts.h"

namespace verge::connectors {
namespace {

using namespace pipeline::testing;
using pipeline::Context;
using pipeline::Packet;
using ::testing::HasSubstr;

/// Emits what the test hands it, and counts what the pipeline is done with (stages and the live view included).
class HandSource final : public pipeline::Source {
 public:
  HandSource(std::shared_ptr<BoundedQueue<Packet>> queue, std::atomic<int>& done_count)
      : queue_(std::move(queue)), done_count_(done_count) {}
  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    while (!should_stop()) {
      auto packet = queue_->pop_within(std::chrono::milliseconds(20));
      if (!packet) continue;
      emit(std::move(*packet));
      ++done_count_;
    }
    return Done{};
  }

 private:
  std::shared_ptr<BoundedQueue<Packet>> queue_;
  std::atomic<int>& done_count_;
};

class PassStage final : public pipeline::Stage {
 public:
  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    emit(packet);
    return Done{};
  }
};

class HostTest : public ::testing::Test {
 protected:
  HostTest() : file_(std::filesystem::temp_directory_path() / ("verge_host_" + std::to_string(getpid()) + ".yaml")) {
    catalog_.add(kind_of<pipeline::Source>("hand", {{"number", "integer", "", 1}}, [this](const Json&, const Context&) {
      return std::make_unique<HandSource>(queue_, done_count_);
    }));
    pipeline::Kind<pipeline::Stage> broken;
    broken.name = "broken";
    broken.make = [](const Json&, const Context&) -> Result<std::unique_ptr<pipeline::Stage>> {
      return Error{ErrorCode::unavailable, "no such model"};
    };
    catalog_.add(std::move(broken));
    catalog_.add(kind_of<pipeline::Stage>(
        "pass", {{"when", "text", "", ""}, {"unset", "text", "", "x"}, {"most", "integer", "", 1}},
        [](const Json&, const Context&) { return std::make_unique<PassStage>(); }));
    auto picky = kind_of<pipeline::Stage>("picky", {},
                                          [](const Json&, const Context&) { return std::make_unique<PassStage>(); });
    picky.check = [](const Json&, const pipeline::Provided& before) -> Status {
      if (before.contains({"water", ""})) return Done{};
      return Error{ErrorCode::invalid_argument, "picky needs water before it"};
    };
    catalog_.add(std::move(picky));
    catalog_.add_live_renderer(
        [](const Packet& packet, const pipeline::LiveRequest&) -> std::optional<pipeline::LiveFrame> {
          if (!pipeline::payload_as<pipeline::SensorRow>(packet)) return std::nullopt;
          return pipeline::LiveFrame{{{"kind", "points"}}, std::string(value_of(packet) > 100 ? 300'000 : 3, 'x')};
        });
    write("{sources: {gate: {kind: hand}}}");
    context_.metrics = &metrics_;
  }
  ~HostTest() override { std::filesystem::remove(file_); }

  void write(std::string_view text) { EXPECT_TRUE(write_file(file_, text)); }
  PipelineHost make_host() {
    return {file_, catalog_, context_, {}, [this](std::shared_ptr<pipeline::Executor> executor) {
              changes_ += executor ? 1 : 0;
            }};
  }

  std::filesystem::path file_;
  std::atomic<int> done_count_{0};
  std::shared_ptr<BoundedQueue<Packet>> queue_ = std::make_shared<BoundedQueue<Packet>>(100, WhenFull::wait);
  pipeline::Catalog catalog_;
  Metrics metrics_;
  Context context_;
  int changes_ = 0;
};

TEST_F(HostTest, TheTwinChangesThePipelineAndMistakesDoNotStopIt) {
  auto host = make_host();
  ASSERT_TRUE(host.run_file());
  const Json first = host.report();
  EXPECT_EQ(first["streams"][0]["name"], "gate");
  EXPECT_EQ(first["pipeline"]["error"], "");

  ASSERT_TRUE(host.apply(nullptr));  // nothing new
  EXPECT_EQ(changes_, 1);
  ASSERT_TRUE(host.apply({{"sources", {{"gate", {{"number", 2}}}}}}));
  EXPECT_EQ(changes_, 2);
  const Json second = host.report();
  EXPECT_NE(second["pipeline"]["hash"], first["pipeline"]["hash"]);

  EXPECT_FALSE(host.apply({{"sources", {{"gate", {{"numbr", 2}}}}}}, 7));  // a typo
  EXPECT_EQ(changes_, 2);
  EXPECT_EQ(host.report()["pipeline"]["desired"], 7);
  EXPECT_THAT(host.report()["pipeline"]["error"].get<std::string>(), HasSubstr("twin: /sources/gate/numbr"));
  EXPECT_EQ(host.report()["pipeline"]["hash"], second["pipeline"]["hash"]);

  EXPECT_FALSE(host.apply({{"stages", {"picky"}}}));  // refused before the old one stops
  EXPECT_EQ(changes_, 2);
  EXPECT_THAT(host.report()["pipeline"]["error"].get<std::string>(), HasSubstr("picky needs water before it"));

  EXPECT_FALSE(host.apply({{"stages", {"broken"}}}));  // sound, but cannot be made: the old one starts again
  EXPECT_EQ(changes_, 3);
  EXPECT_TRUE(host.executor());
  EXPECT_EQ(host.report()["pipeline"]["hash"], second["pipeline"]["hash"]);

  ASSERT_TRUE(host.apply(nullptr));  // back to the file
  EXPECT_EQ(host.report()["pipeline"]["hash"], first["pipeline"]["hash"]);
  EXPECT_EQ(host.report()["pipeline"]["error"], "");
}

TEST_F(HostTest, TheTwinRemovesASourceAndGivesItBack) {
  write("{sources: {gate: {kind: hand}, yard: {kind: hand}}}");
  auto host = make_host();
  ASSERT_TRUE(host.run_file());
  const Json both = host.report();
  EXPECT_EQ(both["streams"].size(), 2U);
  ASSERT_TRUE(host.apply({{"sources", {{"yard", false}}}}));
  EXPECT_EQ(host.report()["streams"].size(), 1U);
  EXPECT_FALSE(host.apply({{"sources", {{"gate", false}, {"yard", false}}}}));
  EXPECT_THAT(host.report()["pipeline"]["error"].get<std::string>(), HasSubstr("needs at least one source"));
  EXPECT_EQ(host.report()["streams"].size(), 1U);
  ASSERT_TRUE(host.apply({{"sources", Json::object()}}));  // As it is once the key was set to null.
  EXPECT_EQ(host.report()["pipeline"]["hash"], both["pipeline"]["hash"]);
}

TEST_F(HostTest, TheReportSaysWhichStagesRun) {
  auto host = make_host();
  ASSERT_TRUE(host.run_file());
  EXPECT_EQ(host.report()["pipeline"]["stages"], Json::array());
  Json added = {{"kind", "pass"}, {"when", "level > 3"}, {"most", 2}};
  ASSERT_TRUE(host.apply({{"stages", {{"watch", added}}}}, 3));
  const Json expected = {{"name", "watch"}, {"kind", "pass"}, {"inputs", {"gate"}}, {"when", "level > 3"}};
  EXPECT_EQ(host.report()["pipeline"]["stages"], Json::array({expected}));
  EXPECT_EQ(host.report()["pipeline"]["desired"], 3);
  added["when"] = std::string(1001, 'x');  // too long to be worth a twin's room
  ASSERT_TRUE(host.apply({{"stages", {{"watch", added}}}}, 4));
  EXPECT_FALSE(host.report()["pipeline"]["stages"][0].contains("when"));
}

TEST_F(HostTest, AStreamKeepsItsFamilyWhenThePipelineChanges) {
  auto host = make_host();
  ASSERT_TRUE(host.run_file());
  const auto family = [&] { return host.report()["streams"][0]["family"].get<std::string>(); };
  EXPECT_EQ(family(), "");
  (void)queue_->push(row_packet(1));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (family().empty() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(family(), "telemetry");
  ASSERT_TRUE(host.apply({{"sources", {{"gate", {{"number", 2}}}}}}));  // no packet yet
  EXPECT_EQ(family(), "telemetry");
}

TEST_F(HostTest, ABadFileDoesNotRun) {
  write("{sources: {gate: {kind: hnd}}}");
  auto host = make_host();
  auto status = host.run_file();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("did you mean \"hand\"?"));
  EXPECT_FALSE(host.executor());
}

TEST_F(HostTest, RatesAreNotStructure) {
  const Json a = {{"streams", {{{"name", "x"}, {"rate_hz", 1}, {"dropped", 2}}}}};
  const Json b = {{"streams", {{{"name", "x"}, {"rate_hz", 3}, {"dropped", 4}}}}};
  EXPECT_EQ(PipelineHost::structure_of(a), PipelineHost::structure_of(b));
}

TEST_F(HostTest, LiveFramesComeWhileSomebodyWatches) {
  auto host = make_host();
  ASSERT_TRUE(host.run_file());
  ManualClock clock;
  BoundedQueue<std::string> sent(100, WhenFull::refuse);
  LiveSender live({.module = "m"}, catalog_, clock, [&](std::string topic, std::string payload) {
    EXPECT_EQ(topic, "verge/live/m/gate");
    sent.push(std::move(payload));
  });
  EXPECT_EQ(live.start({{"stream", "gate"}}).status, 503);
  live.set_executor(host.executor());
  EXPECT_EQ(live.start(nullptr).status, 400);
  EXPECT_EQ(live.start({{"stream", "gat"}}).status, 404);
  EXPECT_EQ(live.start({{"stream", "gate"}, {"seconds", 100'000}}).status, 400);
  ASSERT_EQ(live.start({{"stream", "gate"}, {"seconds", 2}}).status, 200);

  clock.advance_us(1'000);
  queue_->push(row_packet(1));
  const auto frame = sent.pop_within(std::chrono::seconds(60));
  ASSERT_TRUE(frame);
  const auto length =
      static_cast<std::size_t>(static_cast<unsigned char>((*frame)[2]) * 256 + static_cast<unsigned char>((*frame)[3]));
  const auto header = parse_json(std::string_view(*frame).substr(4, length));
  ASSERT_TRUE(header);
  EXPECT_EQ((*header)["module"], "m");
  EXPECT_EQ((*header)["stream"], "gate");
  EXPECT_EQ((*header)["kind"], "points");
  EXPECT_EQ((*header)["family"], "telemetry");
  EXPECT_EQ(frame->substr(4 + length), "xxx");

  const auto wait_until_done = [&](int count) {
    for (int i = 0; i < 60'000 && done_count_ < count; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_GE(done_count_, count);
  };
  queue_->push(row_packet(2));  // too soon
  wait_until_done(2);
  clock.advance_us(150'000);
  queue_->push(row_packet(200));  // too large
  wait_until_done(3);
  clock.advance_us(150'000);
  queue_->push(row_packet(4));
  const auto second = sent.pop_within(std::chrono::seconds(60));
  ASSERT_TRUE(second);
  EXPECT_THAT(*second, HasSubstr("\"dropped\":1"));

  clock.advance_us(3'000'000);
  live.tick();
  EXPECT_EQ(live.view_count(), 0U);
  EXPECT_EQ(live.stop({{"stream", "gate"}}).status, 200);
  EXPECT_EQ(live.stop(5).status, 400);
  live.set_executor(nullptr);
  EXPECT_EQ(sent.size(), 0U);
}

}  // namespace
}  // namespace verge::connectors
