#include "vision/recognition/template_defects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/test_boards.h"

namespace verge::vision {
namespace {

using testing::board;
using testing::BoardChange;
using testing::BoardPose;

struct InspectCase {
  const char* name;
  BoardPose pose;
  std::vector<BoardChange> changes;
};
TEST(TemplateInspector, FindsWhatIsMissingOrTooMuchAndNothingElse) {
  const InspectCase cases[] = {{"nothing", {0, 0, 0, 1}, {}},
                               {"nothing, moved and darker", {5, -4, 0.04, 0.75}, {}},
                               {"an open track", {0, 0, 0, 1}, {{80, 30, 6, 0}}},
                               {"a short", {3, -2, 0.03, 0.8}, {{80, 75, 5, 1}}},
                               {"two", {-4, 2, -0.03, 1.1}, {{100, 90, 5, 0}, {75, 45, 5, 1}}}};
  const auto inspector = TemplateInspector::make(std::vector<GreyPicture>{board()});
  ASSERT_TRUE(inspector) << inspector.error().message;
  for (const auto& row : cases) {
    const auto defects = inspector->inspect(board(row.pose, row.changes, 3));
    ASSERT_TRUE(defects) << defects.error().message;
    ASSERT_EQ(defects->size(), row.changes.size()) << row.name;
    for (const BoardChange& change : row.changes) {
      EXPECT_TRUE(std::ranges::any_of(*defects, [&](const Defect& defect) {
        return std::abs((defect.left + defect.right) / 2.0 - change.x) < 5 &&
               std::abs((defect.top + defect.bottom) / 2.0 - change.y) < 5;
      })) << row.name;
    }
  }
}

TEST(TemplateInspector, FurtherGoodPicturesWidenWhatIsTolerated) {
  const std::vector<BoardChange> label{{130, 110, 8, 0.7}};  // Some good parts have it, some have not.
  const auto strict = TemplateInspector::make(std::vector<GreyPicture>{board()});
  const auto tolerant = TemplateInspector::make(std::vector<GreyPicture>{board(), board({2, 1, 0, 1}, label, 4)});
  ASSERT_TRUE(strict && tolerant);
  const GreyPicture picture = board({-1, 2, 0, 1}, label, 5);
  EXPECT_THAT(*strict->inspect(picture), ::testing::SizeIs(1));
  EXPECT_THAT(*tolerant->inspect(picture), ::testing::IsEmpty());
}

TEST(TemplateInspector, SaysWhenThePartIsNotInThePicture) {
  const auto inspector = TemplateInspector::make(std::vector<GreyPicture>{board()});
  ASSERT_TRUE(inspector);
  GreyPicture noise{testing::kBoardWide, testing::kBoardHigh, {}};
  std::uint32_t state = 9;
  for (int i = 0; i < testing::kBoardWide * testing::kBoardHigh; ++i)
    noise.values.push_back(static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 24U));
  const auto found = inspector->inspect(noise);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::not_found);
  EXPECT_FALSE(inspector->inspect({4, 4, std::vector<std::uint8_t>(16)}));
  EXPECT_FALSE(TemplateInspector::make(std::vector<GreyPicture>{}));
  EXPECT_FALSE(TemplateInspector::make(std::vector<GreyPicture>{board()}, {.shift = 0}));
}

TEST(TemplateInspector, ABlankPartIsComparedWhereItIs) {
  const auto inspector =
      TemplateInspector::make(std::vector<GreyPicture>{{64, 64, std::vector<std::uint8_t>(4096, 200)}});
  ASSERT_TRUE(inspector);
  GreyPicture picture{64, 64, std::vector<std::uint8_t>(4096, 200)};
  EXPECT_THAT(*inspector->inspect(picture), ::testing::IsEmpty());
  for (std::size_t y = 20; y < 30; ++y)
    std::fill_n(picture.values.begin() + static_cast<std::ptrdiff_t>(y * 64 + 40), 9, std::uint8_t{60});
  const auto defects = inspector->inspect(picture);
  ASSERT_TRUE(defects);
  ASSERT_THAT(*defects, ::testing::SizeIs(1));
  EXPECT_NEAR(defects->front().left, 40, 3);
}

TEST(TemplateInspector, ExcessIsWhatIsTooMuchAndWhatLacks) {
  const auto inspector = TemplateInspector::make(std::vector<GreyPicture>{board()});
  ASSERT_TRUE(inspector);
  const GreyPicture picture = board({}, {{80, 75, 5, 1}, {100, 90, 9, 0}}, 3);
  const auto excess = inspector->excess_of(picture);
  const auto at = [&](std::size_t map, int x, int y) {
    return excess[(map * testing::kBoardHigh + static_cast<std::size_t>(y)) * testing::kBoardWide +
                  static_cast<std::size_t>(x)];
  };
  EXPECT_GT(at(0, 80, 75), 100) << "bright where nothing is bright";
  EXPECT_EQ(at(1, 80, 78), 0) << "the good part's dark ground is still found beside it";
  EXPECT_GT(at(1, 100, 90), 100) << "the good part's track is nowhere near";
  EXPECT_LT(at(0, 20, 20), 10);
}

}  // namespace
}  // namespace verge::vision
