#include "connectors/camera/camera_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "connectors/camera/film.h"
#include "connectors/camera/pictures_for_tests.h"

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kEpoch = 1'700'000'000 * kSecond;

HeldPacket held(std::int64_t at_us, bool is_key, std::size_t bytes = 10) {
  return {nullptr, {kEpoch + at_us, at_us}, is_key, bytes};
}

std::vector<std::int64_t> times_of(const std::vector<HeldPacket>& packets) {
  std::vector<std::int64_t> times;
  for (const HeldPacket& packet : packets) times.push_back(packet.arrival.monotonic_us / kSecond);
  return times;
}

TEST(PacketRing, HoldsWholeGroupsOfThePastSeconds) {
  PacketRing ring(3, 1000);
  ring.put(held(0, false));
  EXPECT_EQ(ring.bytes(), 0U) << "before the first key picture nothing can be decoded";
  for (int second = 1; second <= 9; ++second) ring.put(held(second * kSecond, second % 2 == 1));
  EXPECT_THAT(times_of(ring.from(0)), ElementsAre(5, 6, 7, 8, 9)) << "three seconds and the rest of a group";
  EXPECT_THAT(times_of(ring.from(8 * kSecond)), ElementsAre(7, 8, 9));
  EXPECT_THAT(times_of(ring.from(99 * kSecond)), ElementsAre(9));
  ring.clear();
  EXPECT_TRUE(ring.from(0).empty());
}

TEST(PacketRing, IsBoundedByBytes) {
  PacketRing ring(100, 45);
  for (int second = 1; second <= 4; ++second) ring.put(held(second * kSecond, second % 2 == 1));
  EXPECT_EQ(ring.bytes(), 40U);
  ring.put(held(5 * kSecond, true));
  EXPECT_THAT(times_of(ring.from(0)), ElementsAre(3, 4, 5));
  ring.put(held(6 * kSecond, false, 500));
  EXPECT_EQ(ring.bytes(), 0U) << "a group that is too large alone is not held";
  ring.put(held(7 * kSecond, false));
  EXPECT_TRUE(ring.from(0).empty());
}

class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest() : ffmpeg_(**open_ffmpeg()) {
    context_.stream = "gate";
    context_.metrics = &metrics_;
    context_.clock = &clock_;
    renew();
  }

  void renew() {
    keeper_ = std::make_unique<evidence::Keeper>(
        evidence::KeeperOptions{
            .folder = folder_.path(), .days = 30, .bytes_max = 10'000'000, .ring_s = 2, .blur = "people"},
        system_disk(), clock_, metrics_);
    context_.evidence = keeper_.get();
  }

  /// JPEGs, ten a second.
  void film(CameraRecorder& recorder, double from_s, double until_s) {
    for (auto i = static_cast<std::int64_t>(from_s * 10); i < static_cast<std::int64_t>(until_s * 10); ++i) {
      // What follows a picture's end makes the files differ.
      recorder.put_whole(ffmpeg_, AV_CODEC_ID_MJPEG, jpeg_ + static_cast<char>(i), {kEpoch + i * 100'000, i * 100'000});
      recorder.note_size(16, 8);
    }
  }

  Result<std::string> order(double from_s, double until_s) {
    evidence::ClipOrder order;
    order.about.rule = "press";
    order.about.extension_json = R"({"of": "rule.fired"})";
    order.from_us = static_cast<std::int64_t>(from_s * 1e6);
    order.until_us = static_cast<std::int64_t>(until_s * 1e6);
    return keeper_->order_clip("gate", std::move(order));
  }

  int pictures_in_file(const std::string& digest) {
    const auto path = (*keeper_->store())->path_of(digest);
    EXPECT_TRUE(path);
    auto reader = FilmReader::open(*path);
    EXPECT_TRUE(reader) << reader.error().message;
    int count = 0;
    while (reader) {
      auto picture = (*reader)->next();
      EXPECT_TRUE(picture);
      if (!picture || !*picture) break;
      ++count;
    }
    return count;
  }

  const FfmpegLibrary& ffmpeg_;
  const std::string jpeg_ = white_jpeg();
  TemporaryFolder folder_;
  ManualClock clock_{kEpoch};
  Metrics metrics_;
  pipeline::Context context_;
  std::unique_ptr<evidence::Keeper> keeper_;
};

TEST_F(RecorderTest, AClipHoldsWhatWasBeforeAndAfter) {
  const auto recorder = CameraRecorder::make(context_, std::nullopt);
  ASSERT_TRUE(recorder);
  film(*recorder, 0, 3);
  const auto id = order(2, 3.5);
  ASSERT_TRUE(id) << id.error().message;
  film(*recorder, 3, 5);
  recorder->finish();
  const auto events = recorder->take_events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].type, "evidence.stored");
  EXPECT_EQ(events[0].rule, "press");
  EXPECT_EQ(events[0].duration_us, kSecond * 3 / 2);
  ASSERT_EQ(events[0].evidence.size(), 1U);
  const Json facts = *parse_json(events[0].extension_json);
  EXPECT_EQ(facts["clip"], *id);
  EXPECT_EQ(facts["of"], "rule.fired");
  EXPECT_EQ(facts["from_us"], kEpoch + 2 * kSecond);
  EXPECT_EQ(facts["blur"], "none");
  EXPECT_EQ(pictures_in_file(events[0].evidence[0]), 16);
  ASSERT_TRUE(keeper_->clip_state(*id));
  EXPECT_EQ(keeper_->clip_state(*id)->file->digest, events[0].evidence[0]);
  EXPECT_EQ(std::filesystem::status(folder_.path()).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(RecorderTest, ACameraThatGoesEndsItsClipsAndWhatCannotBeMadeIsTold) {
  const auto recorder = CameraRecorder::make(context_, std::nullopt);
  EXPECT_TRUE(order(0, 1));
  recorder->tick(2 * kSecond);
  recorder->finish();
  auto events = recorder->take_events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].type, "evidence.failed");
  EXPECT_THAT(events[0].explanation, HasSubstr("no pictures came"));
  film(*recorder, 3, 4);
  EXPECT_TRUE(order(3, 60));
  recorder->tick(60 * kSecond);
  recorder->finish();
  events = recorder->take_events();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].type, "evidence.stored");
  EXPECT_EQ(pictures_in_file(events[0].evidence[0]), 10);
  for (std::size_t i = 0; i < CameraRecorder::kClipsMax; ++i) EXPECT_TRUE(order(60, 90));
  EXPECT_EQ(order(60, 90).error().code, ErrorCode::limit);
}

TEST_F(RecorderTest, ARecordingIsCutIntoSegmentsWithRetention) {
  const auto recorder = CameraRecorder::make(context_, RecordWish{.days = 1, .megabytes = 10, .segment_s = 1});
  ASSERT_TRUE(recorder);
  film(*recorder, 0, 2.5);
  recorder->finish();
  auto files = (*keeper_->store())->newest(10);
  ASSERT_EQ(files.size(), 3U) << "the first picture only told its size";
  EXPECT_EQ(files[0].shelf, "record-gate");
  EXPECT_EQ(pictures_in_file(files[1].digest), 10);
  clock_.advance_us(2 * 86'400 * kSecond);
  (*keeper_->store())->expire();
  EXPECT_TRUE((*keeper_->store())->newest(10).empty());
}

TEST_F(RecorderTest, AMaskedCameraKeepsNothing) {
  context_.privacy.masks["gate"] = {{{0, 0}, {1, 0}, {1, 1}}};
  EXPECT_EQ(CameraRecorder::make(context_, RecordWish{}), nullptr);
  context_.privacy.masks.clear();
  context_.evidence = nullptr;
  EXPECT_EQ(CameraRecorder::make(context_, RecordWish{}), nullptr);
}

}  // namespace
}  // namespace verge::connectors
