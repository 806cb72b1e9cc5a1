#include "connectors/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "connectors/camera/camera.h"
#include "pipeline/test_parts.h"

namespace verge::connectors {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kMay_us = 1'746'057'600'000'000;

/// An event for every picture.
class Teller final : public pipeline::Stage {
 public:
  Status process(const pipeline::Packet& packet, const pipeline::Emit& emit) override {
    contract::Event event;
    event.type = "seen";
    event.family = "vision";
    event.device = event.module = "x";
    event.stream = *packet.stream;
    event.captured_us = packet.captured_us;
    pipeline::Packet out = packet;
    out.payload = std::make_shared<const contract::Event>(std::move(event));
    emit(std::move(out));
    emit(packet);
    return Done{};
  }
};

class ReplayTest : public ::testing::Test {
 protected:
  ReplayTest() {
    catalog_.add(camera_kind());
    catalog_.add(pipeline::testing::kind_of<pipeline::Source>(
        "machine", {}, [](const Json&, const pipeline::Context&) { return nullptr; }));
    catalog_.add(pipeline::testing::kind_of<pipeline::Stage>(
        "tell", {{"evidence", "text", "", "none"}},
        [](const Json&, const pipeline::Context&) { return std::make_unique<Teller>(); }));
    catalog_.add(pipeline::testing::kind_of<pipeline::Sink>(
        "absent", {}, [](const Json&, const pipeline::Context&) { return nullptr; }));
    std::string film = "YUV4MPEG2 W8 H4 F10:1 Ip A1:1 C420jpeg\n";
    for (int i = 0; i < 12; ++i) film += "FRAME\n" + std::string(48, static_cast<char>(16 + i));
    EXPECT_TRUE(write_file(folder_.path() / "clip.y4m", film));
  }

  Result<Json> run(const std::string& stream, std::size_t events_max = 100) {
    const auto spec = pipeline::parse_pipeline(
        "sources:\n  gate: {kind: camera, url: 'rtsp://nowhere/1', record: {days: 1}}\n"
        "  yard: {kind: camera, url: 'rtsp://nowhere/2'}\n  pump: {kind: machine}\n"
        "stages:\n  - tell: {evidence: clip}\n  - tell: {name: others, inputs: [yard]}\n"
        "sinks:\n  - absent\n",
        "p.yaml", catalog_);
    EXPECT_TRUE(spec) << spec.error().message;
    return replay(
        *spec, catalog_, context_,
        {.stream = stream, .file = folder_.path() / "clip.y4m", .captured_us = kMay_us, .events_max = events_max});
  }

  TemporaryFolder folder_;
  pipeline::Catalog catalog_;
  pipeline::Context context_;
};

TEST_F(ReplayTest, TheStagesSeeTheFileAtItsOwnTime) {
  const auto answer = run("gate");
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ((*answer)["events"].size(), 12U) << "the stage of the other stream is left out";
  EXPECT_EQ((*answer)["pictures"], 12);
  EXPECT_EQ((*answer)["is_whole"], true);
  EXPECT_EQ((*answer)["left_out"], 0);
  const auto first_us = (*answer)["events"][0]["captured_us"].get<std::int64_t>();
  EXPECT_GE(first_us, kMay_us);
  EXPECT_LT(first_us, kMay_us + 5'000'000);
  EXPECT_EQ((*answer)["events"][11]["captured_us"].get<std::int64_t>() - first_us, 1'100'000);
  EXPECT_EQ((*answer)["events"][0]["stream"], "gate");
}

TEST_F(ReplayTest, IsBoundedAndOnlyForCameras) {
  const auto few = run("gate", 5);
  ASSERT_TRUE(few);
  EXPECT_EQ((*few)["events"].size(), 5U);
  EXPECT_EQ((*few)["left_out"], 7);
  EXPECT_THAT(run("pump").error().message, HasSubstr("\"pump\" is a source of kind machine"));
  EXPECT_EQ(run("door").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::connectors
