// From folders of pictures to a model that runs: with a small network, pictures drawn here, nothing from outside.
#include "vision/teach/teach.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/temporary_folder.h"
#include "vision/recognition/classify.h"
#include "vision/teach/test_trunk.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;
using ::testing::HasSubstr;
using ::testing::Not;

/// A picture by its words: "stripes 7", "checks 3", "rings 1", "thing stripes 4" (a bright square with a pattern).
Result<std::shared_ptr<Frame>> draw(const std::string& words) {
  const auto number = std::strtoul(words.substr(words.find_last_of(' ') + 1).c_str(), nullptr, 10);
  testing::TestNumbers numbers(number + 100);
  const double turn = numbers.next() * 0.3, step = 9 + 2 * static_cast<double>(numbers.next());
  const int light = static_cast<int>(20 * numbers.next()), across = static_cast<int>(8 * numbers.next());
  const bool is_thing = words.starts_with("thing"), is_striped = words.find("stripes") != std::string::npos;
  const bool is_checked = words.find("checks") != std::string::npos;
  if (words.starts_with("broken")) return Error{ErrorCode::corrupt, "it is broken"};
  const auto pattern = [&](double x, double y) {
    const double u = x + turn * y, v = y - turn * x;
    if (is_striped) return std::fmod(u + 1000, step) < step / 2;
    if (is_checked) return (std::fmod(u + 1000, step) < step / 2) != (std::fmod(v + 1000, step) < step / 2);
    return std::fmod(std::hypot(x - 40, y - 40), step) < step / 2;
  };
  return testing::make_frame(PixelFormat::rgb24, 96, 96, [&](int, int x, int y) {
    const int column = x / 3, noise = static_cast<int>(6 * numbers.next());
    if (is_thing) {
      const bool is_inside = column >= 32 + across && column < 64 + across && y >= 24 && y < 72;
      if (!is_inside) return 60 + noise;
      return 210 + noise + (pattern(column, y) ? 30 : -30);
    }
    return 120 + light + noise + (pattern(column, y) ? 45 : -45);
  });
}

class TeachTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(root_.path() / "backbone");
    const auto network = testing::test_network(64, testing::TestHead::bright);
    auto card = testing::test_network_card(64);
    card.labels = {"thing"};
    card.head = {{"kind", "nanodet"}, {"strides", {8}}, {"bins", 11}};
    card.thresholds = {{"score", 0.5}, {"overlap", 0.1}};
    card.digest = sha256_digest(models::to_bytes(network));
    ASSERT_TRUE(models::save_model(network, root_.path() / "backbone" / "model.onnx"));
    ASSERT_TRUE(write_file(root_.path() / "backbone" / "card.json", to_pretty_text(models::to_json(card))));
    request_.backbone = root_.path() / "backbone";
    request_.folder = root_.path() / "pictures";
    request_.target = root_.path() / "model";
    request_.name = "taught";
    request_.side = 96;
    request_.read = [this](const std::filesystem::path& file) -> Result<std::shared_ptr<Frame>> {
      ++reads_;
      VERGE_TRY(const auto words, read_file(file));
      auto& drawn = drawn_[words];
      if (!drawn) {
        VERGE_TRY(drawn, draw(words));
      }
      return drawn;
    };
  }

  /// Files hold the words of which draw() makes the picture.
  void put(const std::string& label, const std::string& words) {
    std::filesystem::create_directories(request_.folder / label);
    ASSERT_TRUE(write_file(request_.folder / label / (words + ".jpg"), words));
  }
  void put_patterns(int each) {
    for (const std::string label : {"stripes", "checks", "rings"})
      for (int at = 0; at < each; ++at) put(label, label + " " + std::to_string(at));
  }
  std::string message_of(const Result<TeachOutcome>& outcome) const {
    return outcome ? std::string() : outcome.error().message;
  }
  std::string file(const std::string& name) const { return *read_file(request_.target / name); }

  TemporaryFolder root_;
  TeachRequest request_;
  int reads_ = 0;
  std::map<std::string, std::shared_ptr<Frame>> drawn_;
};

TEST_F(TeachTest, WhatWasTaughtRunsInTheStage) {
  put_patterns(7);
  const auto task = guess_task(request_.folder);
  ASSERT_TRUE(task);
  const auto outcome = teach(*task, request_);
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_TRUE(outcome->is_learned) << outcome->verdict;
  auto model = models::open_model(request_.target);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->card.labels, (std::vector<std::string>{"checks", "rings", "stripes"}));
  EXPECT_EQ(model->card.licence, "MIT");
  auto classifier = Classifier::make(*std::move(model), 0.0F);
  ASSERT_TRUE(classifier) << classifier.error().message;
  int right = 0;
  for (const std::string label : {"stripes", "checks", "rings"}) {
    for (int at = 100; at < 110; ++at) {
      const auto said = (*classifier)->classify(**draw(label + " " + std::to_string(at)));
      ASSERT_TRUE(said);
      right += *said && (*said)->name == label ? 1 : 0;
    }
  }
  EXPECT_GE(right, 22) << "of 30; guessing gets 10";
  const std::string report = file("report.html");
  EXPECT_THAT(report, HasSubstr("data:image/jpeg;base64,"));
  EXPECT_THAT(report, HasSubstr("What to photograph next"));
}

TEST_F(TeachTest, EqualPicturesGiveEqualFilesAndWorkIsKept) {
  put_patterns(4);
  request_.positive = "rings";
  request_.cost_miss = 4;
  ASSERT_TRUE(teach(TeachTask::classify, request_));
  const int reads_first = std::exchange(reads_, 0);
  const auto model = file("model.onnx"), card = file("card.json"), report = file("report.html");
  ASSERT_TRUE(teach(TeachTask::classify, request_));
  EXPECT_LT(reads_, reads_first / 2) << "features were kept";
  EXPECT_EQ(file("model.onnx"), model);
  request_.target = root_.path() / "elsewhere";
  ASSERT_TRUE(teach(TeachTask::classify, request_));
  EXPECT_EQ(file("model.onnx"), model);
  EXPECT_EQ(file("card.json"), card);
  EXPECT_EQ(file("report.html"), report);
  EXPECT_DOUBLE_EQ(models::load_card(request_.target / "card.json")->thresholds.at("rings"), 0.2);
  request_.seed = 2;
  ASSERT_TRUE(teach(TeachTask::classify, request_));
  EXPECT_NE(file("model.onnx"), model);
}

TEST_F(TeachTest, LabelsWithoutMeaningAreRefusedWithAReport) {
  for (int at = 0; at < 20; ++at) put(at * 7 % 20 < 10 ? "left" : "right", "checks " + std::to_string(at));
  const auto outcome = teach(TeachTask::classify, request_);
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_FALSE(outcome->is_learned);
  EXPECT_THAT(outcome->verdict, HasSubstr("I cannot learn this from these data"));
  EXPECT_THAT(file("report.html"), HasSubstr("I cannot learn this from these data"));
  EXPECT_FALSE(std::filesystem::exists(request_.target / "card.json"));
}

TEST_F(TeachTest, LearnsFromObjectsThatTheDetectorFinds) {
  for (int at = 0; at < 6; ++at) {
    put("striped", "thing stripes " + std::to_string(at));
    put("checked", "thing checks " + std::to_string(at));
  }
  put("striped", "rings 1");  // Nothing bright in it.
  request_.objects = "thing";
  request_.region = BoxPart::top;
  request_.side = 64;
  const auto outcome = teach(TeachTask::classify, request_);
  ASSERT_TRUE(outcome) << message_of(outcome);
  EXPECT_GE(outcome->summary.at("items").get<int>(), 12);
  EXPECT_THAT(outcome->notes, ::testing::Contains(HasSubstr("No thing was found in 1 picture: striped/rings 1.jpg")));
  if (outcome->is_learned) {
    const auto card = models::load_card(request_.target / "card.json");
    ASSERT_TRUE(card);
    EXPECT_EQ(card->head.at("region"), "top");
  }
  request_.objects = "unicorn";
  EXPECT_THAT(message_of(teach(TeachTask::classify, request_)), HasSubstr("unicorn"));
}

TEST_F(TeachTest, TellsWhatIsOddAboutThePictures) {
  put_patterns(3);
  put("stripes", "broken 1");
  put("rings", "rings 02");  // The same picture once more, from a file of its own.
  put("checks", "stripes 2");
  for (int at = 10; at < 25; ++at) put("stripes", "stripes " + std::to_string(at));
  const auto outcome = teach(TeachTask::classify, request_);
  ASSERT_TRUE(outcome) << message_of(outcome);
  using ::testing::Contains;
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("1 picture cannot be read, passed over: stripes/broken 1")));
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("folders of different labels")));
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("Both count alike")));
}

TEST_F(TeachTest, RefusesWhatItCannotUse) {
  std::filesystem::create_directories(request_.folder);
  std::filesystem::create_directory_symlink("itself", request_.folder / "itself");
  const auto learn = [&] { return message_of(teach(TeachTask::classify, request_)); };
  EXPECT_THAT(learn(), HasSubstr("has no folders with .jpg or .png pictures"));
  EXPECT_FALSE(guess_task(root_.path() / "nowhere"));
  put("stripes", "stripes 1");
  put("stripes", "stripes 2");
  std::filesystem::create_symlink("loop.png", request_.folder / "stripes" / "loop.png");
  EXPECT_THAT(learn(), HasSubstr("has only pictures of \"stripes\""));
  put("rings", "broken 1");
  put("rings", "broken 2");
  put("rings", "broken 3");
  EXPECT_THAT(learn(), HasSubstr("3 of 5 pictures cannot be read"));
  put("rings", "rings 4");
  put("rings", "rings 5");
  request_.cost_miss = 5;
  EXPECT_THAT(learn(), HasSubstr("--positive with one of: rings, stripes"));
  request_.positive = "ring";
  EXPECT_THAT(learn(), HasSubstr("no folder is called \"ring\""));
  request_.positive = "rings";
  request_.side = 100;
  EXPECT_THAT(learn(), HasSubstr("multiples of 16"));
  request_.side = 96;
  request_.minutes = 0;
  EXPECT_THAT(learn(), HasSubstr("0 minutes"));
  request_.minutes = 1;
  request_.backbone = root_.path() / "nothing";
  EXPECT_THAT(learn(), HasSubstr("nothing"));
  put("score", "rings 6");
  EXPECT_THAT(learn(), HasSubstr("cannot be called \"score\""));
}

}  // namespace
}  // namespace verge::vision
