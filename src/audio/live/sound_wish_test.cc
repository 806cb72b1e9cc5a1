// The sound of an event lies on the device before the event goes; what cannot be kept is told and stops nothing; and
// nothing is kept unless asked.
#include "audio/live/sound_wish.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audio/recording/recording.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "evidence/keeper.h"

namespace verge::audio {
namespace {

constexpr std::int64_t kBegin_us = 1'700'000'000'000'000;
constexpr std::int64_t kBlock_us = 32'000;

class SoundWishTest : public ::testing::Test {
 protected:
  SoundWishTest()
      : keeper_({.folder = folder_.path() / "kept", .days = 30, .bytes_max = 1 << 24, .ring_s = 0, .blur = "people"},
                system_disk(), clock_, metrics_) {}

  void make(Json options, bool has_keeper = true) {
    pipeline::Context context;
    context.stream = "hall";
    context.evidence = has_keeper ? &keeper_ : nullptr;
    options["evidence"] = options.value("evidence", "sound");
    auto made = SoundWish::read(options, context);
    ASSERT_TRUE(made) << made.error().message;
    wish_ = *std::move(made);
  }

  /// Blocks of a rising level, the n-th of n/1000, so that a piece tells where it was.
  void hear(int blocks) {
    for (int at = 0; at < blocks; ++at, ++heard_) {
      auto block = std::make_shared<pipeline::AudioBlock>();
      block->samples.assign(512, static_cast<float>(heard_) / 1000);
      pipeline::Packet packet;
      packet.captured_us = kBegin_us + heard_ * kBlock_us;
      packet.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(block));
      wish_.hold(packet);
    }
  }
  contract::Event tell(std::int64_t from_us, std::int64_t to_us) {
    contract::Event event;
    event.family = "audio";
    event.captured_us = kBegin_us + from_us;
    event.span = contract::Span{kBegin_us + from_us, kBegin_us + to_us};
    return wish_.with_sound(event);
  }
  std::vector<float> sound_of(const contract::Event& event) {
    const auto path = (*keeper_.store())->path_of(event.evidence.front());
    EXPECT_TRUE(path) << path.error().message;
    return read_recording(*path, 16'000)->samples;
  }

  TemporaryFolder folder_;
  Metrics metrics_;
  ManualClock clock_{kBegin_us};
  evidence::Keeper keeper_;
  SoundWish wish_;
  int heard_ = 0;
};

TEST_F(SoundWishTest, KeepsWhatTheEventIsAbout) {
  make({{"before_s", 0}});
  hear(100);
  const auto event = tell(50 * kBlock_us, 60 * kBlock_us);
  ASSERT_EQ(event.evidence.size(), 1U) << event.extension_json;
  const auto sound = sound_of(event);
  ASSERT_EQ(sound.size(), 10U * 512);
  EXPECT_NEAR(sound.front(), 0.050, 1e-4);
  EXPECT_NEAR(sound.back(), 0.059, 1e-4);
  const auto file = (*keeper_.store())->find(event.evidence.front());
  EXPECT_EQ(file->label.ending, "flac");
  EXPECT_FALSE(pipeline::may_leave(file->label.blur, pipeline::Blur::people)) << "it stays on the device";
  EXPECT_TRUE(pipeline::may_leave(file->label.blur, pipeline::Blur::none));
}

TEST_F(SoundWishTest, BeginsEarlierAndIsBounded) {
  make({{"before_s", 0.32}});
  hear(1300);
  EXPECT_NEAR(sound_of(tell(500 * kBlock_us, 510 * kBlock_us)).front(), 0.490, 1e-4);
  EXPECT_LE(sound_of(tell(100 * kBlock_us, 1290 * kBlock_us)).size(), (30U * 16'000 / 512 + 2) * 512);
}

TEST_F(SoundWishTest, SaysWhatItCouldNotKeepAndDropsWhatIsOld) {
  make(Json::object());
  hear(2000);  // 64 s
  EXPECT_THAT(tell(0, 10 * kBlock_us).extension_json, testing::HasSubstr("none of that time"));
  make(Json::object(), false);
  hear(20);
  EXPECT_THAT(tell(0, kBlock_us).extension_json, testing::HasSubstr("keeps no evidence"));
}

TEST_F(SoundWishTest, KeepsNothingUnlessItIsAsked) {
  make({{"evidence", "none"}});
  hear(20);
  const auto event = tell(0, 10 * kBlock_us);
  EXPECT_TRUE(event.evidence.empty());
  EXPECT_EQ(event.extension_json, "{}");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "kept"));
}

TEST_F(SoundWishTest, RefusesWrongOptions) {
  const pipeline::Context context;
  for (const Json& options : {Json{{"before_s", 11}}, Json{{"evidence", "clip"}}})
    EXPECT_FALSE(SoundWish::read(options, context)) << options.dump();
}

}  // namespace
}  // namespace verge::audio
