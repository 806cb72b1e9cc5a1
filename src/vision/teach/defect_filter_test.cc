#include "vision/teach/defect_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/test_boards.h"

namespace verge::vision {
namespace {

using testing::board;
using testing::BoardChange;

TEST(DefectFilter, LearnsWhichDifferencesCountAndHowLargeLabelsAre) {
  const auto inspector = TemplateInspector::make(std::vector<GreyPicture>{board()});
  ASSERT_TRUE(inspector);
  // Missing copper is a defect, surplus copper is not; labels lie 6 pixels around.
  std::vector<TemplateExample> examples;
  for (unsigned i = 0; i < 14; ++i) {
    const BoardChange lacking{60.0 + 5 * i, 90, 5, 0}, surplus{60.0 + 4 * i, 112, 4, 1};
    auto candidates = inspector->inspect(board({}, {lacking, surplus}, i + 10));
    ASSERT_TRUE(candidates);
    const int x = static_cast<int>(lacking.x);
    examples.push_back({*std::move(candidates), {{x - 11, 79, x + 12, 102, 1, {}}}});
  }
  const auto filter = learn_defect_filter(examples);
  ASSERT_TRUE(filter) << filter.error().message;
  EXPECT_NEAR(filter->margin, 8, 3);
  const auto lacking = inspector->inspect(board({1, 0, 0, 1}, {{77, 90, 5, 0}}, 40), &*filter);
  const auto surplus = inspector->inspect(board({1, 0, 0, 1}, {{77, 112, 4, 1}}, 41), &*filter);
  ASSERT_TRUE(lacking && surplus);
  EXPECT_THAT(*lacking, ::testing::SizeIs(1));
  EXPECT_THAT(*surplus, ::testing::IsEmpty());
  EXPECT_FALSE(learn_defect_filter(std::span(examples).first(3)));
}

}  // namespace
}  // namespace verge::vision
