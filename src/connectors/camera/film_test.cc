#include "connectors/camera/film.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/json.h"
#include "connectors/camera/camera.h"

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;

class FilmTest : public ::testing::Test {
 protected:
  FilmTest() : folder_(std::filesystem::temp_directory_path() / ("verge_film_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
    context_.folder = folder_;
    context_.metrics = &metrics_;
    context_.stream = "gate";
  }
  ~FilmTest() override { std::filesystem::remove_all(folder_); }

  /// A YUV4MPEG2 film; picture i has luma 16 + i everywhere.
  void write_film(int pictures, int fps, const char* layout = "C420jpeg", std::size_t chroma_bytes = 8) {
    std::string film = "YUV4MPEG2 W8 H4 F" + std::to_string(fps) + ":1 Ip A1:1 " + layout + "\n";
    for (int i = 0; i < pictures; ++i) {
      film += "FRAME\n" + std::string(32, static_cast<char>(16 + i)) + std::string(2 * chroma_bytes, '\x80');
    }
    ASSERT_TRUE(write_file(folder_ / "film.y4m", film));
  }

  std::unique_ptr<pipeline::Source> make(Json options) {
    const Json defaults = {{"url", "film.y4m"},       {"fps", 0},           {"loop", false}, {"pace", false},
                           {"keyframes_only", false}, {"transport", "tcp"}, {"silence_s", 3}};
    for (const auto& [key, value] : defaults.items()) {
      if (!options.contains(key)) options[key] = value;
    }
    auto made = camera_kind().make(options, context_);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : nullptr;
  }

  struct Seen {
    int luma;
    std::uint32_t take;
    std::int64_t captured_us;
  };
  std::vector<Seen> play(pipeline::Source& source, std::size_t at_most = 1000) {
    std::vector<Seen> seen;
    EXPECT_TRUE(source.open());
    auto status = source.run(
        [&](pipeline::Packet packet) {
          const auto scene = pipeline::payload_as<pipeline::Scene>(packet);
          const auto& frame = *scene->frame;
          EXPECT_EQ(frame.width, 8);
          EXPECT_EQ(frame.height, 4);
          seen.push_back({frame.planes[0][0], frame.take, packet.captured_us});
        },
        [&] { return seen.size() >= at_most; });
    EXPECT_TRUE(status) << status.error().message;
    return seen;
  }

  std::filesystem::path folder_;
  Metrics metrics_;
  pipeline::Context context_;
};

TEST_F(FilmTest, PlaysEveryPictureWithItsTime) {
  write_film(5, 10);
  const auto seen = play(*make({}));
  ASSERT_EQ(seen.size(), 5U);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].luma, 16 + static_cast<int>(i));
    EXPECT_EQ(seen[i].captured_us - seen[0].captured_us, static_cast<std::int64_t>(i) * 100'000);
  }
}

TEST_F(FilmTest, TakesFewerPicturesEvenly) {
  write_film(20, 10);
  std::vector<int> lumas;
  for (const auto& seen : play(*make({{"fps", 5}}))) lumas.push_back(seen.luma - 16);
  EXPECT_THAT(lumas, ElementsAre(0, 2, 4, 6, 8, 10, 12, 14, 16, 18));
  CameraCounters counters(metrics_, "gate");
  EXPECT_EQ(counters.received.value(), 20U);
  EXPECT_EQ(counters.decoded.value(), 10U) << "nobody needs the others";
  EXPECT_EQ(counters.skipped.value(), 10U);
  EXPECT_EQ(counters.broken.value(), 0U);
}

TEST_F(FilmTest, LoopsAndCountsTheRounds) {
  write_film(3, 10);
  const auto seen = play(*make({{"loop", true}}), 7);
  ASSERT_EQ(seen.size(), 7U);
  EXPECT_EQ(seen[2].take, 0U);
  EXPECT_EQ(seen[3].take, 1U);
  EXPECT_EQ(seen[3].luma, 16);
  EXPECT_EQ(seen[6].take, 2U);
  for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_GT(seen[i].captured_us, seen[i - 1].captured_us);
}

TEST_F(FilmTest, KeepsItsPace) {
  write_film(6, 50);
  auto source = make({{"pace", true}});
  EXPECT_TRUE(source->is_live());
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(play(*source).size(), 6U);
  const auto lasted = std::chrono::steady_clock::now() - start;
  EXPECT_GE(lasted, std::chrono::milliseconds(95));
}

TEST_F(FilmTest, ARoundLastsAsLongAsTheFilm) {
  write_film(10, 50);
  const auto start = std::chrono::steady_clock::now();
  const auto seen = play(*make({{"pace", true}, {"loop", true}, {"fps", 1}}), 3);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(395))
      << "not only to its last picture taken";
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_GE(seen[1].captured_us - seen[0].captured_us, 199'000);
}

TEST_F(FilmTest, BeginsAgainWhenTold) {
  write_film(200, 100);
  pipeline::Method restart;
  context_.add_method = [&](const std::string& name, pipeline::Method method) {
    if (name == "restart") restart = std::move(method);
  };
  const auto source = make({{"loop", true}, {"pace", true}});
  ASSERT_TRUE(restart);
  ASSERT_TRUE(source->open());
  std::int64_t promised_us = 0;
  std::vector<Seen> again;
  const auto status = source->run(
      [&](pipeline::Packet packet) {
        const auto frame = pipeline::payload_as<pipeline::Scene>(packet)->frame;
        if (promised_us == 0) promised_us = restart(Json::object()).payload["captured_us"].get<std::int64_t>();
        if (frame->take == 1) again.push_back({frame->planes[0][0], frame->take, packet.captured_us});
      },
      [&] { return again.size() >= 2; });
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(again.front().luma, 16) << "the first picture";
  EXPECT_GE(again.front().captured_us, promised_us);
  EXPECT_LT(again.front().captured_us, promised_us + 1'000'000) << "long before its end";
}

TEST_F(FilmTest, ConvertsOtherPixelFormats) {
  write_film(2, 10, "C444", 32);
  const auto seen = play(*make({}));
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[1].luma, 17);
}

TEST_F(FilmTest, SaysWhatIsWrong) {
  auto missing = make({{"url", "nothing.avi"}})->open();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  ASSERT_TRUE(write_file(folder_ / "text.avi", "this is no film"));
  EXPECT_FALSE(make({{"url", "text.avi"}})->open());
}

}  // namespace
}  // namespace verge::connectors
