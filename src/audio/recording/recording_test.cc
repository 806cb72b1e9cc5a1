// Files as Debian's ffmpeg encodes them, through the recording source; and files that are none.
#include "audio/recording/recording.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numbers>

#include "audio/recording/recording_source.h"
#include "base/disk.h"
#include "base/process.h"
#include "base/temporary_folder.h"

namespace verge::audio {
namespace {

using ::testing::HasSubstr;

double amplitude_at(const std::vector<float>& samples, double hz) {
  double real = 0, imaginary = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double angle = 2 * std::numbers::pi * hz * static_cast<double>(i) / 16'000;
    real += samples[i] * std::cos(angle);
    imaginary += samples[i] * std::sin(angle);
  }
  return 2 * std::hypot(real, imaginary) / static_cast<double>(samples.size());
}

class RecordingFileTest : public ::testing::Test {
 protected:
  /// Two seconds of two channels: 440 Hz at half of full scale, the other one silent.
  bool encode(const std::string& name, int rate_hz, std::vector<std::string> options) {
    ProcessOptions ffmpeg;
    ffmpeg.arguments = {"ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"};
    ffmpeg.arguments.push_back("aevalsrc=0.5*sin(440*2*PI*t)|0:s=" + std::to_string(rate_hz) + ":d=2");
    for (auto& option : options) ffmpeg.arguments.push_back(std::move(option));
    ffmpeg.arguments.push_back((folder_.path() / name).string());
    const auto done = run_process(ffmpeg, std::chrono::seconds(30));
    return done && done->exit_code == 0;
  }
  std::vector<float> played(const std::string& name) {
    RecordingOptions options;
    options.files = {folder_.path() / name};
    options.pause_s = 0;
    options.loop = options.is_paced = false;
    pipeline::Context context;
    context.clock = &system_clock();
    context.metrics = &metrics_;
    context.add_method = [](const std::string&, pipeline::Method) {};
    auto source = make_recording_source(options, context);
    std::vector<float> all;
    EXPECT_TRUE(source) << (source ? "" : source.error().message);
    if (!source || !(*source)->open()) return all;
    EXPECT_TRUE((*source)->run(
        [&](const pipeline::Packet& packet) {
          const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
          EXPECT_EQ(block->samples.size(), 512U);
          all.insert(all.end(), block->samples.begin(), block->samples.end());
        },
        [] { return false; }));
    return all;
  }

  TemporaryFolder folder_;
  Metrics metrics_;
};

TEST_F(RecordingFileTest, PlaysWhatIsRecordedElsewhere) {
  const struct {
    const char* name;
    int rate_hz;
    std::vector<std::string> options;
  } rows[] = {
      {"a.wav", 48'000, {"-c:a", "pcm_s16le"}},
      {"b.wav", 96'000, {"-c:a", "pcm_s24le"}},
      {"c.wav", 8'000, {"-c:a", "pcm_f32le"}},
      {"d.wav", 8'000, {"-c:a", "pcm_mulaw"}},
      {"e.flac", 44'100, {"-c:a", "flac"}},
      {"f.mp3", 44'100, {"-c:a", "libmp3lame", "-b:a", "128k"}},
      {"g.opus", 48'000, {"-c:a", "libopus", "-b:a", "64k"}},
      {"h.ogg", 44'100, {"-c:a", "libvorbis"}},
  };
  ASSERT_TRUE(encode("probe.wav", 8'000, {})) << "there is no ffmpeg to encode with; ./test installs it";
  for (const auto& row : rows) {
    ASSERT_TRUE(encode(row.name, row.rate_hz, row.options)) << row.name;
    const auto samples = played(row.name);
    ASSERT_NEAR(static_cast<double>(samples.size()), 32'000, 2'000) << row.name;
    EXPECT_NEAR(amplitude_at({samples.begin() + 8'000, samples.begin() + 24'000}, 440), 0.25, 0.02)
        << row.name << ": the average of both channels (LAME takes 5 % off)";
  }
}

TEST_F(RecordingFileTest, SaysWhatIsWrong) {
  ASSERT_TRUE(encode("whole.flac", 44'100, {"-c:a", "flac"}))
      << "there is no ffmpeg to encode with; ./test installs it";
  const std::string whole = *read_file(folder_.path() / "whole.flac", 1U << 24U);
  const struct {
    const char* name;
    std::string bytes;
    const char* words;
  } rows[] = {{"empty.wav", "", "give WAV, FLAC, MP3"},
              {"text.wav", "RIFF and nothing else", "give WAV, FLAC, MP3"},
              {"head.flac", whole.substr(0, 60), "read the recording"}};
  for (const auto& row : rows) {
    ASSERT_TRUE(write_file(folder_.path() / row.name, row.bytes));
    const auto recording = read_recording(folder_.path() / row.name, 16'000);
    ASSERT_FALSE(recording) << row.name;
    EXPECT_THAT(recording.error().message, ::testing::AllOf(HasSubstr(row.name), HasSubstr(row.words)));
  }
  EXPECT_EQ(read_recording(folder_.path() / "none.wav", 16'000).error().code, ErrorCode::not_found);
  const auto longer = read_recording(folder_.path() / "whole.flac", 16'000, 1.5);
  ASSERT_FALSE(longer);
  EXPECT_THAT(longer.error().message, HasSubstr("longer than 1.5 s"));
  ASSERT_TRUE(write_file(folder_.path() / "cut.flac", whole.substr(0, whole.size() / 2)));
  const auto cut = read_recording(folder_.path() / "cut.flac", 16'000);
  ASSERT_TRUE(cut) << cut.error().message;
  EXPECT_LT(cut->samples.size(), 32'000U);
  EXPECT_GT(cut->samples.size(), 8'000U) << "what came before it broke off";
}

}  // namespace
}  // namespace verge::audio
