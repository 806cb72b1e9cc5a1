#include "connectors/ffmpeg_library.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "base/process.h"

namespace verge::connectors {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Ffmpeg, OpensOnceForAllThreads) {
  std::vector<const FfmpegLibrary*> seen(8);
  std::vector<std::thread> threads;
  for (auto& place : seen)
    threads.emplace_back([&place] {
      const auto ffmpeg = open_ffmpeg();
      if (ffmpeg) place = *ffmpeg;
    });
  for (auto& thread : threads) thread.join();
  ASSERT_NE(seen[0], nullptr);
  for (const auto* ffmpeg : seen) EXPECT_EQ(ffmpeg, seen[0]);
  auto* frame = seen[0]->av_frame_alloc();
  ASSERT_NE(frame, nullptr);
  seen[0]->av_frame_free(&frame);
  EXPECT_EQ(frame, nullptr);
}

TEST(Ffmpeg, NamesTheFileThatIsMissing) {
  for (auto member : {&FfmpegFiles::avutil, &FfmpegFiles::avcodec, &FfmpegFiles::avformat, &FfmpegFiles::swscale}) {
    auto files = ffmpeg_files();
    files.*member = "libnothing.so.1";
    const auto ffmpeg = load_ffmpeg(files);
    ASSERT_FALSE(ffmpeg);
    EXPECT_EQ(ffmpeg.error().code, ErrorCode::not_found) << "a live source would be opened again for ever";
    EXPECT_THAT(ffmpeg.error().message, HasSubstr("libnothing.so.1"));
    EXPECT_THAT(ffmpeg.error().message, HasSubstr("--layer media"));
  }
}

TEST(Ffmpeg, RefusesAnotherLibrary) {
  auto files = ffmpeg_files();
  files.avcodec = "libc.so.6";
  const auto ffmpeg = load_ffmpeg(files);
  ASSERT_FALSE(ffmpeg);
  EXPECT_THAT(ffmpeg.error().message, HasSubstr("libc.so.6 has no function av_packet_alloc"));
}

/// Else every image would need the media layer to start.
TEST(Ffmpeg, IsNotLinked) {
  const auto self = std::filesystem::canonical("/proc/self/exe");
  const auto dynamic =
      run_process({{"readelf", "-d", self.string()}, {{"LC_ALL", "C"}}, {}, {}, false}, std::chrono::seconds(60));
  ASSERT_TRUE(dynamic) << dynamic.error().message;
  ASSERT_THAT(dynamic->output, HasSubstr("(NEEDED)"));
  for (const auto* name : {"libav", "libsw"}) EXPECT_THAT(dynamic->output, Not(HasSubstr(name)));
}

}  // namespace
}  // namespace verge::connectors
