#include "connectors/evidence_methods.h"

#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "connectors/camera/camera_counters.h"
#include "pipeline/test_parts.h"

namespace verge::connectors {
namespace {

using namespace pipeline::testing;
using ::testing::HasSubstr;

/// A camera that shows the same picture for ever.
class StillCamera final : public pipeline::Source {
 public:
  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    while (!should_stop()) {
      auto scene = std::make_shared<pipeline::Scene>();
      scene->frame = std::make_shared<pipeline::Frame>();
      pipeline::Packet packet;
      packet.captured_us = 1'700'000'000'000'000;
      packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(scene));
      emit(std::move(packet));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return Done{};
  }
};

class EvidenceMethodsTest : public ::testing::Test {
 protected:
  EvidenceMethodsTest()
      : keeper_(std::make_shared<evidence::Keeper>(
            evidence::KeeperOptions{.folder = "/kept", .days = 30, .bytes_max = 1 << 20, .ring_s = 0, .blur = "people"},
            disk_, clock_, metrics_)),
        methods_(catalog_, clock_) {
    catalog_.add(kind_of<pipeline::Source>(
        "still", {}, [](const Json&, const pipeline::Context&) { return std::make_unique<StillCamera>(); }));
    // A "picture" whose size grows with its width; 1280 and 960 do not fit into an answer.
    catalog_.add_live_renderer([](const pipeline::Packet& packet, const pipeline::LiveRequest& request) {
      if (!pipeline::payload_as<pipeline::Scene>(packet)) return std::optional<pipeline::LiveFrame>();
      Json header = {{"privacy", {{"blur", pipeline::name_of(request.blur)}}}};
      return std::optional(
          pipeline::LiveFrame{header, std::string(static_cast<std::size_t>(request.width_max) * 80, 'j')});
    });
    catalog_.add(kind_of<pipeline::Source>(
        "camera", {}, [](const Json&, const pipeline::Context&) { return std::make_unique<StillCamera>(); }));
    start("people");
  }

  void start(const std::string& blur, const std::string& kind = "still") {
    const auto spec = pipeline::parse_pipeline("{sources: {gate: {kind: " + kind + "}}, privacy: {blur: " + blur + "}}",
                                               "p.yaml", catalog_);
    ASSERT_TRUE(spec) << spec.error().message;
    pipeline::Context context;
    context.metrics = &metrics_;
    auto made = pipeline::Executor::make(*spec, catalog_, context, {});
    ASSERT_TRUE(made);
    executor_ = *std::move(made);
    executor_->start();
  }

  pipeline::MethodReply call(const std::string& name, const Json& parameters) {
    std::promise<pipeline::MethodReply> reply;
    EvidenceMethods::Running running{executor_, keeper_};
    running.context.metrics = &metrics_;
    methods_.call(name, parameters, running, [&](auto answer) { reply.set_value(std::move(answer)); });
    return reply.get_future().get();
  }

  FaultyDisk disk_;
  ManualClock clock_;
  Metrics metrics_;
  pipeline::Catalog catalog_;
  std::shared_ptr<evidence::Keeper> keeper_;
  std::shared_ptr<pipeline::Executor> executor_;
  EvidenceMethods methods_;
};

TEST_F(EvidenceMethodsTest, ASnapshotIsStoredAndAnsweredAsLargeAsFits) {
  const auto reply = call("snapshot", {{"stream", "gate"}});
  ASSERT_EQ(reply.status, 200) << verge::to_text(reply.payload);
  EXPECT_EQ(from_base64(reply.payload["jpeg"].get<std::string>())->size(), 640U * 80);
  EXPECT_EQ(reply.payload["privacy"]["blur"], "people");
  EXPECT_LT(verge::to_text(reply.payload).size(), EvidenceMethods::kAnswerBytesMax);
  const auto digest = reply.payload["digest"].get<std::string>();
  EXPECT_EQ(digest, sha256_digest(std::string(std::size_t{1920} * 80, 'j')));
  std::string whole;
  for (;;) {
    const auto piece = call("evidence", {{"digest", digest}, {"offset", whole.size()}});
    ASSERT_EQ(piece.status, 200);
    const auto bytes = *from_base64(piece.payload["data"].get<std::string>());
    if (bytes.empty()) break;
    whole += bytes;
    EXPECT_EQ(piece.payload["bytes"], 1920 * 80);
  }
  EXPECT_EQ(sha256_digest(whole), digest);
  EXPECT_EQ(call("evidence", {}).payload["files"].size(), 1U);
  EXPECT_EQ(from_base64(call("snapshot", {{"width", 400}}).payload["jpeg"].get<std::string>())->size(), 320U * 80)
      << "the only stream needs no name";
}

TEST_F(EvidenceMethodsTest, WhatShowsPeopleStays) {
  const auto raw = keeper_->keep(evidence::kEventShelf, {clock_.now_us(), "mp4", "none"}, "a clip");
  ASSERT_TRUE(raw);
  const auto refused = call("evidence", {{"digest", raw->digest}});
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.payload["message"].get<std::string>(), HasSubstr("stays on the device, in folder \"/kept\""));
  EXPECT_EQ(call("evidence", {}).payload["files"][0]["may_leave"], false);
  executor_.reset();
  start("none");
  EXPECT_EQ(call("evidence", {{"digest", raw->digest}}).status, 200);
}

TEST_F(EvidenceMethodsTest, MistakesAreAnswered) {
  const struct {
    const char *name, *parameters, *message;
    int status;
  } cases[] = {
      {"snapshot", R"({"stream": "yard"})", "there is no stream \"yard\"; it has gate", 404},
      {"snapshot", R"({"stream": 5})", "stream", 400},
      {"evidence", R"({"digest": "sha256:0"})", "is not here", 404},
      {"evidence", R"({"digest": 4})", "digest", 400},
      {"clip", R"({"stream": "gate", "before_s": 500})", "before_s is 500; give 0 to 120", 400},
      {"clip", R"({"stream": "gate"})", "no compressed pictures", 404},
      {"replay", R"({"digest": "sha256:0"})", "evidence \"sha256:0\" is not here", 404},
      {"replay", R"({"digest": "x", "limit_s": 0})", "limit_s is 0; give 1 to 250", 400},
      {"clip", R"({"clip": "7"})", "there is no clip \"7\"", 404},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.message);
    const auto reply = call(c.name, *parse_json(c.parameters));
    EXPECT_EQ(reply.status, c.status);
    EXPECT_THAT(reply.payload["message"].get<std::string>(), HasSubstr(c.message));
  }
  executor_.reset();
  EXPECT_EQ(call("stats", {}).status, 503);
}

TEST_F(EvidenceMethodsTest, StatisticsNameStreamsAndStages) {
  const auto reply = call("stats", {});
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.payload["streams"][0]["name"], "gate");
  EXPECT_FALSE(reply.payload["streams"][0].contains("pictures"));
  EXPECT_TRUE(reply.payload["stages"].empty());
  EXPECT_EQ(reply.payload["privacy"]["blur"], "people");
}

TEST_F(EvidenceMethodsTest, StatisticsSayWhatBecameOfACamerasPictures) {
  start("people", "camera");
  const CameraCounters counters(metrics_, "gate");
  counters.received.add(30);
  counters.still.add(27);
  counters.decoded.add(3);
  const auto pictures = call("stats", {}).payload["streams"][0]["pictures"];
  EXPECT_EQ(pictures, (Json{{"received", 30}, {"decoded", 3}, {"skipped", 0}, {"still", 27}, {"broken", 0}}));
}

TEST_F(EvidenceMethodsTest, AFullDiskStillShowsThePicture) {
  disk_.set_capacity_bytes(5);
  const auto reply = call("snapshot", {});
  EXPECT_EQ(reply.status, 200);
  EXPECT_FALSE(reply.payload.contains("digest"));
  EXPECT_TRUE(reply.payload.contains("evidence_error"));
  EXPECT_TRUE(reply.payload.contains("jpeg"));
}

}  // namespace
}  // namespace verge::connectors
