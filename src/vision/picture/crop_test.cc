#include "vision/picture/crop.h"

#include <gtest/gtest.h>
#include <limits>

#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using contract::Region;
using pipeline::PixelFormat;

struct CropRow {
  const char* name;
  PixelFormat format;
  Region box;
  double margin;
  int left, top, width, height;  ///< Pixels of 40 x 20.
};

TEST(Crop, ShowsTheBoxInWholePixels) {
  const CropRow rows[] = {
      {"a quarter", PixelFormat::gray8, {0.5, 0.5, 1, 1}, 0, 20, 10, 20, 10},
      {"edges go outwards", PixelFormat::gray8, {0.51, 0.51, 0.74, 0.74}, 0, 20, 10, 10, 5},
      {"yuv420 begins at even pixels", PixelFormat::yuv420, {0.525, 0.25, 0.75, 0.75}, 0, 20, 4, 10, 11},
      {"margin", PixelFormat::rgb24, {0.25, 0.25, 0.75, 0.75}, 0.1, 8, 4, 24, 12},
      {"ends at the picture", PixelFormat::gray8, {-0.5, 0.5, 0.5, 1.5}, 1, 0, 0, 40, 20},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const auto frame =
        testing::make_frame(row.format, 40, 20, [](int p, int x, int y) { return 64 * p + 3 * x + 5 * y; });
    const auto part = crop(*frame, row.box, row.margin);
    ASSERT_TRUE(part);
    EXPECT_EQ(part->frame.width, row.width);
    EXPECT_EQ(part->frame.height, row.height);
    EXPECT_DOUBLE_EQ(part->region.left, row.left / 40.0);
    EXPECT_DOUBLE_EQ(part->region.bottom, (row.top + row.height) / 20.0);
    EXPECT_DOUBLE_EQ(part->across(0.5), (row.left + row.width / 2.0) / 40);
    EXPECT_DOUBLE_EQ(part->down(1), part->region.bottom);
    const int step = row.format == PixelFormat::rgb24 ? 3 : 1;
    EXPECT_EQ(part->frame.planes[0], frame->planes[0] + row.top * frame->strides[0] + row.left * step);
    if (row.format == PixelFormat::yuv420) {
      EXPECT_EQ(part->frame.planes[2], frame->planes[2] + row.top / 2 * frame->strides[2] + row.left / 2);
    }
    EXPECT_EQ(part->frame.storage, frame->storage);
  }
}

TEST(Crop, TheSurestOfWhatIsWanted) {
  std::vector<pipeline::Object> objects(4);
  const std::pair<const char*, float> rows[] = {{"person", 0.5F}, {"dog", 0.9F}, {"person", 0.8F}, {"cat", 0.7F}};
  for (std::size_t i = 0; i < objects.size(); ++i) {
    objects[i].label = rows[i].first;
    objects[i].score = rows[i].second;
  }
  EXPECT_EQ(strongest(objects, {"person", "cat"}, 10), (std::vector<std::size_t>{2, 3, 0}));
  EXPECT_EQ(strongest(objects, {}, 2), (std::vector<std::size_t>{1, 2}));
  EXPECT_TRUE(strongest(objects, {"bird"}, 2).empty());
}

TEST(Crop, NothingIsLeftOfNothing) {
  const auto frame = testing::make_frame(PixelFormat::yuv420, 40, 20, [](int, int, int) { return 0; });
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Region& box : {Region{0.5, 0.5, 0.5, 0.5}, Region{0.7, 0.2, 0.3, 0.8}, Region{nan, 0, 1, 1},
                            Region{2, 2, 3, 3}, Region{0, 0, 1, 0.04}}) {
    EXPECT_FALSE(crop(*frame, box, 0.1));
  }
}

}  // namespace
}  // namespace verge::vision
