// ALSA through its own plug-ins, and the codes of a card that overruns and is unplugged, replayed.
#include "connectors/microphone/alsa_microphone.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "connectors/microphone/alsa_library.h"
#include "connectors/microphone/sounds_for_tests.h"

namespace verge::connectors {
namespace {

using pipeline::SampleFormat;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AlsaMicrophoneTest : public ::testing::Test {
 protected:
  std::unique_ptr<pipeline::Source> source(AlsaOptions options, std::unique_ptr<SoundCard> card = make_sound_card()) {
    pipeline::Context context;
    context.metrics = &metrics_;
    context.stream = "hall";
    LiveMicrophoneOptions live;
    live.shown = "alsa://" + options.name;
    live.silence_s = 0.5;
    return make_live_microphone(live, make_alsa_link(std::move(options), std::move(card)), context);
  }

  Metrics metrics_;
  MicrophoneCounters counters_{metrics_, "hall"};
};

/// ALSA's configuration for one test: PCMs that read files.
class AlsaPluginTest : public AlsaMicrophoneTest {
 protected:
  void SetUp() override { setenv("ALSA_CONFIG_PATH", (folder_.path() / "asoundrc").c_str(), 1); }
  void TearDown() override { unsetenv("ALSA_CONFIG_PATH"); }
  void define(const std::string& text) {
    text_ += text;
    ASSERT_TRUE(write_file(folder_.path() / "asoundrc", text_));
  }
  /// A PCM that reads the bytes as frames of whatever form it is opened with.
  void define_file(const std::string& name, const std::string& bytes) {
    const auto file = folder_.path() / (name + ".raw");
    ASSERT_TRUE(write_file(file, bytes));
    define(fmt::format("pcm.{} {{ type file slave.pcm null file /dev/null infile \"{}\" format raw }}\n", name,
                       file.string()));
  }

  TemporaryFolder folder_;
  std::string text_ = "pcm.null { type null }\nctl.null { type null }\n";
};

/// Frames of two channels: 440 Hz on the first, 1000 Hz on the second.
std::vector<float> two_tones(int rate_hz, double seconds) {
  const auto left = tone(440, rate_hz, seconds), right = tone(1000, rate_hz, seconds, 0.25);
  std::vector<float> both;
  for (std::size_t i = 0; i < left.size(); ++i) both.insert(both.end(), {left[i], right[i]});
  return both;
}

TEST_F(AlsaPluginTest, HearsEveryRateAndTheChosenChannel) {
  const double low[] = {0.25, 0.5, 0}, high[] = {0.125, 0, 0.25};
  for (const int rate_hz : {8'000, 16'000, 44'100, 48'000, 96'000}) {
    define_file(fmt::format("tones{}", rate_hz), as_bytes(two_tones(rate_hz, 3), SampleFormat::f32le));
    for (const int channel : {0, 1, 2}) {
      const auto heard = hear(*source({fmt::format("tones{}", rate_hz), {rate_hz, 2}, channel}),
                              [](const Heard& so_far) { return so_far.samples.size() >= 32'000; });
      ASSERT_GE(heard.samples.size(), 32'000U) << rate_hz << " " << testing::PrintToString(heard.errors);
      const std::vector<float> second(heard.samples.begin() + 8'000, heard.samples.begin() + 24'000);
      const auto at = static_cast<std::size_t>(channel);
      EXPECT_NEAR(amplitude_of(second, 440, 16'000), low[at], 0.01) << rate_hz << " channel " << channel;
      EXPECT_NEAR(amplitude_of(second, 1000, 16'000), high[at], 0.01) << rate_hz << " channel " << channel;
    }
  }
}

TEST_F(AlsaPluginTest, HearsEveryFormat) {
  for (const auto format :
       {SampleFormat::s16le, SampleFormat::s24le, SampleFormat::s24le_in4, SampleFormat::s32le, SampleFormat::f32le}) {
    const std::string name(pipeline::name_of(format));
    define_file(name, as_bytes(tone(440, 48'000, 2), format));
    const auto heard =
        hear(*source({name, {48'000, 1, format}}), [](const Heard& so_far) { return so_far.samples.size() >= 16'000; });
    ASSERT_GE(heard.samples.size(), 16'000U) << name << testing::PrintToString(heard.errors);
    EXPECT_NEAR(amplitude_of({heard.samples.begin() + 4'800, heard.samples.begin() + 14'400}, 440, 16'000), 0.5, 0.01)
        << name;
  }
}

TEST_F(AlsaPluginTest, HearsEightChannels) {
  std::vector<float> frames;
  for (const float sample : tone(440, 48'000, 2)) frames.insert(frames.end(), {0, 0, 0, 0, 0, sample, 0, 0});
  define_file("array", as_bytes(frames, SampleFormat::f32le));
  const auto heard =
      hear(*source({"array", {48'000, 8}, 6}), [](const Heard& so_far) { return so_far.samples.size() >= 16'000; });
  ASSERT_GE(heard.samples.size(), 16'000U) << testing::PrintToString(heard.errors);
  EXPECT_NEAR(amplitude_of({heard.samples.begin() + 4'800, heard.samples.begin() + 14'400}, 440, 16'000), 0.5, 0.01);
}

/// Several cards at once, each by a thread and an opened card of its own.
TEST_F(AlsaPluginTest, HearsSeveralAtOnce) {
  define_file("low", as_bytes(tone(440, 48'000, 2), SampleFormat::f32le));
  define_file("high", as_bytes(tone(1000, 48'000, 2), SampleFormat::f32le));
  std::vector<std::thread> threads;
  const double tones_hz[] = {440, 1000, 440, 1000};
  double found[4] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i, from = std::shared_ptr(source({i % 2 == 0 ? "low" : "high", {48'000, 1}}))] {
      const auto heard = hear(*from, [](const Heard& so_far) { return so_far.samples.size() >= 16'000; });
      if (heard.samples.size() < 16'000) return;
      found[i] = amplitude_of({heard.samples.begin() + 4'800, heard.samples.begin() + 14'400}, tones_hz[i], 16'000);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const double amplitude : found) EXPECT_NEAR(amplitude, 0.5, 0.01);
}

TEST_F(AlsaPluginTest, SaysWhatIsWrong) {
  define("");
  const auto absent = hear(*source({"hw:7,0"}), [](const Heard& so_far) { return !so_far.errors.empty(); });
  ASSERT_THAT(absent.errors, Contains(HasSubstr("microphone alsa://hw:7,0: open: ")));
  const auto few = hear(*source({"null", {48'000, 2}, 3}), [](const Heard& so_far) { return !so_far.errors.empty(); });
  EXPECT_THAT(few.errors, Contains(HasSubstr("channel 3 is not there: it has 2")));
}

TEST(AlsaLibrary, SaysWhatBringsIt) {
  const auto absent = load_alsa("libnone.so.2");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
  EXPECT_THAT(absent.error().message, AllOf(HasSubstr("libnone.so.2"), HasSubstr("install Debian's libasound2")));
  const auto other = load_alsa("libc.so.6");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("has no function snd_"));
}

/// What a card answers, in order; a period takes its time.
struct CardTape {
  std::vector<int> opens;  ///< 0 or a code; after the last: 0.
  std::vector<int> reads;  ///< Frames or codes; after the last one -ENODEV.
  std::vector<std::string> calls;
  std::size_t open_at = 0, read_at = 0;
};

class ReplayedCard final : public SoundCard {
 public:
  explicit ReplayedCard(CardTape& tape) : tape_(tape) {}
  int open(const std::string& name, const CardWish& wish, CardShape& shape) override {
    tape_.calls.push_back("open " + name);
    shape = {{pipeline::SampleFormat::s16le, wish.rate_hz, 1}, 480};
    return tape_.open_at < tape_.opens.size() ? tape_.opens[tape_.open_at++] : 0;
  }
  void close() override { tape_.calls.emplace_back("close"); }
  int wait(int) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return 1;
  }
  int read(void* bytes, int frames) override {
    const int answer = tape_.read_at < tape_.reads.size() ? tape_.reads[tape_.read_at++] : -ENODEV;
    if (answer > 0) std::memset(bytes, 16, static_cast<std::size_t>(frames) * 2);
    if (answer == -EPIPE) std::this_thread::sleep_for(std::chrono::milliseconds(100));  // So long nothing was captured.
    return answer;
  }
  int unread_frames() override { return 0; }
  int recover(int code) override {
    tape_.calls.push_back(fmt::format("recover {}", code));
    return 0;
  }
  std::string words_for(int code) const override { return std::strerror(-code); }

 private:
  CardTape& tape_;
};

TEST_F(AlsaMicrophoneTest, AnOverrunIsAHoleOfKnownLength) {
  CardTape tape;
  tape.reads.assign(120, 480);
  tape.reads[60] = -EPIPE;
  const auto heard = hear(*source({"hw:1,0"}, std::make_unique<ReplayedCard>(tape)),
                          [](const Heard& so_far) { return !so_far.errors.empty(); });
  EXPECT_THAT(tape.calls, ElementsAre("open hw:1,0", fmt::format("recover {}", -EPIPE), "close"));
  EXPECT_EQ(counters_.gaps.value(), 1U);
  // 110 ms at 48 kHz; sleeping takes longer than asked for.
  EXPECT_GT(counters_.missing.value(), 4'000U);
  EXPECT_LT(counters_.missing.value(), 24'000U);
  EXPECT_EQ(counters_.filled.value(), counters_.missing.value());
  EXPECT_EQ(counters_.received.value(), 119U * 480);
}

TEST_F(AlsaMicrophoneTest, AnUnpluggedCardComesBack) {
  CardTape tape;
  tape.opens = {0, -ENODEV, -ENODEV, 0};
  tape.reads.assign(40, 480);
  tape.reads[20] = -ENODEV;
  auto unplugged = source({"hw:1,0"}, std::make_unique<ReplayedCard>(tape));
  const auto heard = hear(*unplugged, [&](const Heard&) { return tape.read_at >= 40; });
  EXPECT_THAT(tape.calls, ElementsAre("open hw:1,0", "close", "open hw:1,0", "close", "open hw:1,0", "close",
                                      "open hw:1,0", "close"));
  ASSERT_GE(heard.errors.size(), 2U);
  EXPECT_EQ(heard.errors[0], "microphone alsa://hw:1,0: read: it is not there any more");
  EXPECT_EQ(heard.errors[1], "microphone alsa://hw:1,0: open: it is not there any more");
  EXPECT_GE(counters_.reconnects.value(), 3U);
  EXPECT_EQ(counters_.gaps.value(), 1U);
  EXPECT_GT(counters_.missing.value(), 48'000U / 2) << "back-off: 250 ms, 500 ms, 1 s";
  for (std::size_t i = 1; i < heard.captured_us.size(); ++i) EXPECT_GT(heard.captured_us[i], heard.captured_us[i - 1]);
}

TEST_F(AlsaMicrophoneTest, ACardThatIsSilentIsGivenUp) {
  CardTape tape;
  tape.reads.assign(1000, -EAGAIN);
  const auto heard = hear(*source({"hw:1,0"}, std::make_unique<ReplayedCard>(tape)),
                          [](const Heard& so_far) { return !so_far.errors.empty(); });
  EXPECT_THAT(heard.errors, ElementsAre(HasSubstr("nothing came for too long")));
}

}  // namespace
}  // namespace verge::connectors
