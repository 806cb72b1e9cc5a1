#include "vision/teach/template_defects.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/test_frames.h"

namespace verge::vision {
namespace {

constexpr int kWide = 160, kHigh = 128;

/// Soft-edged tracks and pads; 0 dark, 1 bright.
double board_at(double x, double y) {
  const auto bar = [](double distance, double half) { return 1 / (1 + std::exp((std::abs(distance) - half) * 2.0)); };
  double value = std::max(bar(y - 30, 4), bar(x - 50, 4) * (y > 30 ? 1 : 0));
  value = std::max(value, bar(y - 90, 6) * (x > 20 && x < 140 ? 1 : 0));
  value = std::max(value, bar(std::hypot(x - 110, y - 60), 9));
  return std::max(value, bar(x - 20 - y * 0.2, 3));
}

struct Change {
  double x = -100, y = -100, radius = 0, tone = 0;
};
/// The board moved, turned by radians, under a light of this gain; tone 0..1 within the changes.
GreyPicture board(double across = 0, double down = 0, double radians = 0, double gain = 1,
                  const std::vector<Change>& changes = {}, unsigned seed = 1) {
  GreyPicture picture{kWide, kHigh, {}};
  std::uint32_t state = seed * 747796405U + 1;
  for (int y = 0; y < kHigh; ++y) {
    for (int x = 0; x < kWide; ++x) {
      const double u = x - (kWide - 1) / 2.0 - across, v = y - (kHigh - 1) / 2.0 - down;
      const double at_x = std::cos(radians) * u + std::sin(radians) * v + (kWide - 1) / 2.0;
      const double at_y = -std::sin(radians) * u + std::cos(radians) * v + (kHigh - 1) / 2.0;
      double tone = board_at(at_x, at_y);
      for (const Change& change : changes) {
        if (std::hypot(at_x - change.x, at_y - change.y) < change.radius) tone = change.tone;
      }
      state = state * 1664525U + 1013904223U;
      const double noise = (static_cast<double>(state >> 8U) / 16777216.0 - 0.5) * 8;
      picture.values.push_back(static_cast<std::uint8_t>(std::clamp(gain * (40 + 160 * tone) + noise, 0.0, 255.0)));
    }
  }
  return picture;
}

struct AlignCase {
  const char* name;
  double across, down, radians, gain;
};
TEST(Align, FindsShiftTurnAndLightToPartsOfAPixel) {
  const AlignCase cases[] = {{"the same", 0, 0, 0, 1},         {"parts of a pixel", 0.4, -0.3, 0, 1},
                             {"some pixels", 7, -5, 0, 1},     {"turned", 2, 1, 0.05, 1},
                             {"turned back", -6, 4, -0.08, 1}, {"darker", 3, 3, 0.02, 0.7},
                             {"brighter", -3, -2, -0.01, 1.2}};
  const GreyPicture good = board();
  for (const auto& row : cases) {
    const Alignment found = align(good, board(row.across, row.down, row.radians, row.gain, {}, 2));
    EXPECT_NEAR(found.across, row.across, 0.15) << row.name;
    EXPECT_NEAR(found.down, row.down, 0.15) << row.name;
    EXPECT_NEAR(found.turn, std::sin(row.radians), 0.003) << row.name;
    EXPECT_NEAR(found.gain * row.gain, 1, 0.06) << row.name;
    EXPECT_GT(found.correlation, 0.95) << row.name;
  }
}

struct InspectCase {
  const char* name;
  double across, down, radians, gain;
  std::vector<Change> changes;
};
TEST(TemplateInspector, FindsWhatIsMissingOrTooMuchAndNothingElse) {
  const InspectCase cases[] = {{"nothing", 0, 0, 0, 1, {}},
                               {"nothing, moved and darker", 5, -4, 0.04, 0.75, {}},
                               {"an open track", 0, 0, 0, 1, {{80, 30, 6, 0}}},
                               {"a short", 3, -2, 0.03, 0.8, {{80, 75, 5, 1}}},
                               {"two", -4, 2, -0.03, 1.1, {{100, 90, 5, 0}, {75, 45, 5, 1}}}};
  const auto inspector = TemplateInspector::make(std::vector<GreyPicture>{board()});
  ASSERT_TRUE(inspector) << inspector.error().message;
  for (const auto& row : cases) {
    const auto defects = inspector->inspect(board(row.across, row.down, row.radians, row.gain, row.changes, 3));
    ASSERT_TRUE(defects) << defects.error().message;
    ASSERT_EQ(defects->size(), row.changes.size()) << row.name;
    for (const Change& change : row.changes) {
      EXPECT_TRUE(std::ranges::any_of(*defects, [&](const Defect& defect) {
        return std::abs((defect.left + defect.right) / 2.0 - change.x) < 5 &&
               std::abs((defect.top + defect.bottom) / 2.0 - change.y) < 5;
      })) << row.name;
    }
  }
}

TEST(TemplateInspector, FurtherGoodPicturesWidenWhatIsTolerated) {
  const std::vector<Change> label{{130, 110, 8, 0.7}};  // Some good parts have it, some have not.
  const auto strict = TemplateInspector::make(std::vector<GreyPicture>{board()});
  const auto tolerant = TemplateInspector::make(std::vector<GreyPicture>{board(), board(2, 1, 0, 1, label, 4)});
  ASSERT_TRUE(strict && tolerant);
  const GreyPicture picture = board(-1, 2, 0, 1, label, 5);
  EXPECT_THAT(*strict->inspect(picture), ::testing::SizeIs(1));
  EXPECT_THAT(*tolerant->inspect(picture), ::testing::IsEmpty());
}

TEST(TemplateInspector, SaysWhenThePartIsNotInThePicture) {
  const auto inspector = TemplateInspector::make(std::vector<GreyPicture>{board()});
  ASSERT_TRUE(inspector);
  GreyPicture noise{kWide, kHigh, {}};
  std::uint32_t state = 9;
  for (int i = 0; i < kWide * kHigh; ++i)
    noise.values.push_back(static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 24U));
  const auto found = inspector->inspect(noise);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::not_found);
  EXPECT_FALSE(inspector->inspect({4, 4, std::vector<std::uint8_t>(16)}));
  EXPECT_FALSE(TemplateInspector::make({}));
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

TEST(DefectFilter, LearnsWhichDifferencesCountAndHowLargeLabelsAre) {
  const auto inspector = TemplateInspector::make(std::vector<GreyPicture>{board()});
  ASSERT_TRUE(inspector);
  // Missing copper is a defect, surplus copper is not; labels lie 6 pixels around.
  std::vector<TemplateExample> examples;
  for (unsigned i = 0; i < 14; ++i) {
    const Change lacking{60.0 + 5 * i, 90, 5, 0}, surplus{60.0 + 4 * i, 112, 4, 1};
    auto candidates = inspector->inspect(board(0, 0, 0, 1, {lacking, surplus}, i + 10));
    ASSERT_TRUE(candidates);
    const int x = static_cast<int>(lacking.x);
    examples.push_back({*std::move(candidates), {{x - 11, 79, x + 12, 102, 1, {}}}});
  }
  const auto filter = learn_defect_filter(examples);
  ASSERT_TRUE(filter) << filter.error().message;
  EXPECT_NEAR(filter->margin, 8, 3);
  const auto lacking = inspector->inspect(board(1, 0, 0, 1, {{77, 90, 5, 0}}, 40), &*filter);
  const auto surplus = inspector->inspect(board(1, 0, 0, 1, {{77, 112, 4, 1}}, 41), &*filter);
  ASSERT_TRUE(lacking && surplus);
  EXPECT_THAT(*lacking, ::testing::SizeIs(1));
  EXPECT_THAT(*surplus, ::testing::IsEmpty());
  EXPECT_FALSE(learn_defect_filter(std::span(examples).first(3)));
}

TEST(AsGrey, KeepsGreyPicturesAsTheyAre) {
  const auto frame =
      testing::make_frame(pipeline::PixelFormat::gray8, 20, 10, [](int, int x, int y) { return x * 5 + y; });
  const auto grey = as_grey(*frame);
  ASSERT_TRUE(grey) << grey.error().message;
  EXPECT_EQ(grey->values[0], 0);
  EXPECT_EQ(grey->values[3 * 20 + 7], 38);
}

}  // namespace
}  // namespace verge::vision
