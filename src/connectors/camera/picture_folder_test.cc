#include "connectors/camera/picture_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "connectors/camera/pictures_for_tests.h"

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;

class PictureFolderTest : public ::testing::Test {
 protected:
  PictureFolderTest() {
    context_.metrics = &metrics_;
    context_.stream = "gate";
  }
  void write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(write_file(folder_.path() / name, bytes));
  }
  std::unique_ptr<pipeline::Source> make(PictureFolderOptions options) {
    options.path = folder_.path();
    return make_picture_folder(std::move(options), context_);
  }
  std::vector<SeenPicture> play(pipeline::Source& source, std::size_t at_most = 100) {
    std::vector<SeenPicture> seen;
    EXPECT_TRUE(source.open());
    const auto status = source.run([&](pipeline::Packet packet) { seen.push_back(seen_in(packet)); },
                                   [&] { return seen.size() >= at_most; });
    EXPECT_TRUE(status) << status.error().message;
    return seen;
  }

  TemporaryFolder folder_;
  Metrics metrics_;
  pipeline::Context context_;
};

TEST_F(PictureFolderTest, PlaysInTheOrderOfNames) {
  write("b.JPG", black_jpeg());
  write("a.jpeg", white_jpeg());
  write("c.png", red_png());
  write("notes.txt", "no picture");
  const auto source = make({.path = {}, .fps = 0});
  EXPECT_FALSE(source->is_live()) << "without a rate it waits for whom it feeds";
  const auto seen = play(*source);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].luma, 255);
  EXPECT_EQ(seen[1].width, 24);
  EXPECT_EQ(seen[2].luma, 76);
  EXPECT_EQ(seen[2].captured_us - seen[0].captured_us, 2'000'000);
}

TEST_F(PictureFolderTest, PassesOverBrokenOnes) {
  write("a.jpg", "broken");
  write("b.jpg", white_jpeg());
  write("c.jpg", "");
  EXPECT_EQ(play(*make({})).size(), 1U);
  EXPECT_EQ(CameraCounters(metrics_, "gate").broken.value(), 2U);
}

TEST_F(PictureFolderTest, KeepsAPaceAndBeginsAgain) {
  write("a.jpg", white_jpeg());
  write("b.jpg", black_jpeg());
  const auto source = make({.path = {}, .fps = 50, .loop = true});
  EXPECT_TRUE(source->is_live());
  const auto start = std::chrono::steady_clock::now();
  const auto seen = play(*source, 5);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(75));
  std::vector<std::uint32_t> takes;
  for (const auto& picture : seen) takes.push_back(picture.take);
  EXPECT_THAT(takes, ElementsAre(0, 0, 1, 1, 2));
}

TEST_F(PictureFolderTest, SaysWhatIsWrong) {
  const auto empty = make({})->open();
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::not_found);
  write("a.jpg", "broken");
  const auto source = make({.path = {}, .fps = 0, .loop = true});
  ASSERT_TRUE(source->open());
  const auto broken = source->run([](const pipeline::Packet&) {}, [] { return false; });
  ASSERT_FALSE(broken) << "else it would loop for ever";
  EXPECT_EQ(broken.error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace verge::connectors
