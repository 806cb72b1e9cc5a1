// From pictures of good boards, and boxes around what is wrong with others, to a model folder that runs.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "vision/recognition/compare.h"
#include "vision/teach/marked_folder.h"
#include "vision/teach/teach.h"
#include "vision/test_boards.h"

namespace verge::vision {
namespace {

using testing::board;
using testing::BoardChange;
using ::testing::Contains;
using ::testing::HasSubstr;

/// Files hold numbers: seed, across, down, then x, y, radius, tone of each change; "noise SEED" is no board.
Result<std::shared_ptr<pipeline::Frame>> draw_board(const std::string& words) {
  std::istringstream numbers(words);
  if (words.starts_with("broken")) return Error{ErrorCode::corrupt, "it is broken"};
  if (words.starts_with("noise")) {
    auto state = static_cast<std::uint32_t>(std::strtoul(words.c_str() + 6, nullptr, 10)) * 7919U + 13U;
    return testing::make_frame(
        pipeline::PixelFormat::gray8, testing::kBoardWide, testing::kBoardHigh,
        [&](int, int, int) { return static_cast<int>((state = state * 1664525U + 1013904223U) >> 24U); });
  }
  unsigned seed = 0;
  testing::BoardPose pose;
  numbers >> seed >> pose.across >> pose.down;
  std::vector<BoardChange> changes;
  for (BoardChange change; numbers >> change.x >> change.y >> change.radius >> change.tone;) changes.push_back(change);
  return testing::as_frame(board(pose, changes, seed));
}

class TeachTemplateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    request_.folder = root_.path() / "board";
    request_.target = root_.path() / "model";
    request_.read = [](const std::filesystem::path& file) -> Result<std::shared_ptr<pipeline::Frame>> {
      VERGE_TRY(const auto words, read_file(file));
      return draw_board(words);
    };
  }

  void put(const std::string& name, const std::string& words) {
    std::filesystem::create_directories((request_.folder / name).parent_path());
    ASSERT_TRUE(write_file(request_.folder / name, words));
  }
  void put_good(unsigned count) {
    for (unsigned i = 0; i < count; ++i)
      put(fmt::format("good/{:02}.jpg", i), fmt::format("{} {} {}", i + 1, i % 3, 1));
  }
  /// A gap in a track, which is a defect, and a spot, which is none.
  void put_defects(unsigned count) {
    std::string labels;
    for (unsigned i = 0; i < count; ++i) {
      const unsigned x = 40 + 6 * i, across = i % 4;
      put(fmt::format("defects/{:02}.jpg", i),
          fmt::format("{} {} 0 {} 90 5 0 {} 112 4 1", i + 50, across, x, 66 + 5 * i));
      labels +=
          fmt::format("{{\"media\": \"defects/{:02}.jpg\", \"boxes\": [[{}, 79, {}, 102]], \"split\": \"train\"}}\n", i,
                      x + across - 11, x + across + 12);
    }
    put("labels.jsonl", labels);
  }
  Result<TeachOutcome> learn() { return teach(TeachTask::by_template, request_); }
  std::string message_of(const Result<TeachOutcome>& outcome) const {
    return outcome ? std::string() : outcome.error().message;
  }
  std::string file(const std::string& name) const { return *read_file(request_.target / name); }
  std::string says(const std::string& words) {
    auto model = models::open_model(request_.target);
    EXPECT_TRUE(model) << model.error().message;
    const auto comparer = TemplateComparer::make(*std::move(model), {});
    EXPECT_TRUE(comparer) << comparer.error().message;
    const auto frame = draw_board(words);
    const auto seen = (*comparer)->look(**frame);
    return seen ? seen->attribute.name : seen.error().message;
  }

  TemporaryFolder root_;
  TeachRequest request_;
};

TEST_F(TeachTemplateTest, OneGoodPictureIsEnoughToBegin) {
  put("good/a.jpg", "1 0 0");
  const auto outcome = learn();
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_TRUE(outcome->is_learned) << outcome->verdict;
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("nobody drew boxes")));
  EXPECT_EQ(says("5 3 -2"), "good");
  EXPECT_EQ(says("5 3 -2 80 30 6 0"), "defect");
  EXPECT_EQ(says("noise 3"), "missing");
}

TEST_F(TeachTemplateTest, BoxesTeachWhichDifferencesCount) {
  put_good(4);
  put_defects(15);
  const auto task = guess_task(request_.folder);
  ASSERT_TRUE(task);
  EXPECT_EQ(*task, TeachTask::by_template);
  const auto outcome = learn();
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_TRUE(outcome->is_learned) << outcome->verdict;
  EXPECT_TRUE(outcome->summary.at("has_filter").get<bool>());
  const Json& metrics = outcome->summary.at("metrics");
  EXPECT_GE(metrics.at("f1").at("value").get<double>(), 0.85);
  EXPECT_LE(metrics.at("f1").at("low"), metrics.at("f1").at("value"));
  EXPECT_EQ(metrics.at("boxes"), 15);
  EXPECT_EQ(says("70 1 1 77 90 5 0"), "defect");
  EXPECT_EQ(says("70 1 1 77 112 4 1"), "good") << "nobody drew a box around spots";
  const std::string report = file("report.html");
  for (const char* part : {"data:image/jpeg;base64,", "What to photograph next", "The worst mistakes", "(chosen)"})
    EXPECT_THAT(report, HasSubstr(part));
  EXPECT_EQ(report.find("http://"), std::string::npos);
}

TEST_F(TeachTemplateTest, EqualPicturesGiveEqualFilesAndCostsMoveTheThreshold) {
  put_good(2);
  put_defects(15);
  ASSERT_TRUE(learn());
  const auto model = file("model.onnx"), card = file("card.json"), report = file("report.html");
  ASSERT_TRUE(learn()) << "what was kept is used";
  EXPECT_EQ(file("card.json"), card);
  request_.name = "model";
  request_.target = root_.path() / "elsewhere";
  ASSERT_TRUE(learn());
  EXPECT_EQ(file("model.onnx"), model);
  EXPECT_EQ(file("card.json"), card);
  EXPECT_EQ(file("report.html"), report);
  const double plain = models::load_card(request_.target / "card.json")->thresholds.at("score");
  request_.cost_miss = 1000;
  ASSERT_TRUE(learn());
  EXPECT_LE(models::load_card(request_.target / "card.json")->thresholds.at("score"), plain);
}

TEST_F(TeachTemplateTest, PicturesThatDoNotRegisterAreRefusedWithAReport) {
  for (int i = 0; i < 5; ++i) put(fmt::format("good/{}.jpg", i), fmt::format("noise {}", i));
  const auto outcome = learn();
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_FALSE(outcome->is_learned);
  EXPECT_THAT(outcome->verdict, HasSubstr("I cannot learn this from these data: the 5 good pictures do not lie over"));
  EXPECT_THAT(file("report.html"), HasSubstr("I cannot learn this"));
  EXPECT_FALSE(std::filesystem::exists(request_.target / "card.json"));
}

TEST_F(TeachTemplateTest, BoxesWhereNothingDiffersAreRefused) {
  put_good(4);
  std::string labels;
  for (int i = 0; i < 6; ++i) {
    put(fmt::format("defects/{}.jpg", i), fmt::format("{} 0 0", i + 30));
    labels += fmt::format("{{\"media\": \"defects/{}.jpg\", \"boxes\": [[10, 10, 30, 30]]}}\n", i);
  }
  put("labels.jsonl", labels);
  const auto outcome = learn();
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_THAT(outcome->verdict, HasSubstr("only 0 of 6 marked defects differ from the good part"));
}

TEST_F(TeachTemplateTest, LeavesOutWhatDoesNotFitAndSaysSo) {
  put_good(4);
  put("good/odd.jpg", "noise 4");
  put("good/broken.jpg", "broken");
  put("defects/plain.jpg", "60 0 0 80 30 6 0");
  put("defects/noise.jpg", "noise 5");
  put("defects/twin.jpg", "61 0 0 80 30 6 0");
  const auto outcome = learn();
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_TRUE(outcome->is_learned);
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("broken.jpg was passed over: it is broken")));
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("1 of the good pictures do not lie over 00.jpg")));
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("2 pictures of defects have no line in labels.jsonl")));
  EXPECT_EQ(outcome->summary.at("metrics").at("defective_marked").at("marked"), 2);
}

TEST_F(TeachTemplateTest, RefusesFoldersAndLabelsThatDoNotFit) {
  std::filesystem::create_directories(request_.folder / "good");
  EXPECT_THAT(message_of(learn()), HasSubstr("there is no picture of a good part"));
  put_good(2);
  put("defects/1.jpg", "60 0 0");
  const auto told_of = [&](const std::string& line) {
    put("labels.jsonl", "\n" + line + "\n");
    return message_of(learn());
  };
  EXPECT_THAT(told_of("{"), HasSubstr("labels.jsonl: line 2 "));
  EXPECT_THAT(told_of(R"({"boxes": []})"), HasSubstr("line 2 must have \"media\""));
  EXPECT_THAT(told_of(R"({"media": "defects/1.jpg"})"), HasSubstr("line 2 must have \"boxes\""));
  EXPECT_THAT(told_of(R"({"media": "defects/1.jpg", "boxes": [[5, 5, 2, 9]]})"), HasSubstr("[5,5,2,9]"));
  EXPECT_THAT(told_of(R"({"media": "defects/2.jpg", "boxes": []})"), HasSubstr("defects/2.jpg, which is not there"));
  EXPECT_THAT(told_of(R"({"media": ")" + std::string(300, 'x') + R"(", "boxes": []})"),
              HasSubstr("which is not there"));
  EXPECT_THAT(told_of(R"({"media": "good/00.jpg", "boxes": [[1, 1, 9, 9]]})"), HasSubstr("move it there"));
  put("labels.jsonl", R"({"media": "./defects/1.jpg", "boxes": []})");
  request_.objects = "person";
  EXPECT_THAT(message_of(learn()), HasSubstr("leave --objects out"));
}

}  // namespace
}  // namespace verge::vision
