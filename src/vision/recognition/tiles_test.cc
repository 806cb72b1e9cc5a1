#include "vision/recognition/tiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::vision {
namespace {

using contract::Region;
using ::testing::HasSubstr;

void expect_box(const Region& box, const Region& expected, const std::string& what) {
  EXPECT_NEAR(box.left, expected.left, 1e-9) << what;
  EXPECT_NEAR(box.top, expected.top, 1e-9) << what;
  EXPECT_NEAR(box.right, expected.right, 1e-9) << what;
  EXPECT_NEAR(box.bottom, expected.bottom, 1e-9) << what;
}

TEST(Tiles, AreReadAndRefused) {
  EXPECT_EQ(*read_tiles("3x2"), (TileGrid{3, 2}));
  for (const char* text : {"", "3", "x", "3x", "x2", "0x2", "9x1", "3x2 ", "-1x2", "3X2", "99999999999x1"}) {
    EXPECT_FALSE(read_tiles(text)) << text;
  }
}

TEST(Tiles, CoverThePictureAndOverlap) {
  for (const auto& [grid, overlap] : {std::pair{TileGrid{3, 2}, 0.25}, {{1, 4}, 0.0}, {{8, 8}, 0.5}}) {
    const auto tiles = tiles_of(grid, overlap);
    ASSERT_EQ(tiles.size(), static_cast<std::size_t>(grid.count()));
    expect_box({tiles.front().left, tiles.front().top, tiles.back().right, tiles.back().bottom}, {0, 0, 1, 1}, "all");
    if (grid.columns == 1) continue;
    const double width = tiles[0].right - tiles[0].left;
    EXPECT_NEAR(tiles[0].right - tiles[1].left, overlap * width, 1e-9);
    EXPECT_NEAR(tiles[1].right - tiles[1].left, width, 1e-9);
  }
}

TEST(Tiles, AreAsManyAsShowThePictureInFullSize) {
  const PixelSize input{416, 416};
  EXPECT_EQ(tiles_for({1536, 1152}, input, 0, 64), (TileGrid{4, 3}));
  EXPECT_EQ(tiles_for({1536, 1152}, input, 0.2, 64), (TileGrid{5, 4}));
  EXPECT_EQ(tiles_for({1920, 1080}, input, 0.2, 7), (TileGrid{3, 2})) << "bounded";
  EXPECT_EQ(tiles_for({400, 300}, input, 0.2, 64), (TileGrid{1, 1}));
  EXPECT_EQ(tiles_for({1920, 1080}, input, 0.2, 0), (TileGrid{1, 1}));
  EXPECT_EQ(tiles_for({100'000, 8}, input, 0.2, 64), (TileGrid{8, 1}));
}

TEST(Windows, AreAsLargeAsTheInputAndShared) {
  const PixelSize picture{1600, 1200}, input{400, 400};
  const auto one = windows_around({{0.5, 0.5, 0.52, 0.56}}, picture, input, 4, 0);
  ASSERT_EQ(one.size(), 1U);
  expect_box(one[0], {0.385, 0.53 - 1.0 / 6, 0.635, 0.53 + 1.0 / 6}, "in the middle of it");
  const auto corner = windows_around({{0.98, 0, 1, 0.02}}, picture, input, 4, 0);
  expect_box(corner[0], {0.75, 0, 1, 1.0 / 3}, "moved into the picture");
  EXPECT_EQ(windows_around({{0.5, 0.5, 0.52, 0.56}, {0.56, 0.5, 0.58, 0.56}}, picture, input, 4, 0).size(), 1U);
  EXPECT_EQ(windows_around({{0.1, 0.5, 0.12, 0.56}, {0.9, 0.5, 0.92, 0.56}}, picture, input, 4, 0).size(), 2U);
  const auto large = windows_around({{0.2, 0.2, 0.6, 0.6}}, picture, input, 4, 0);
  expect_box(large[0], {0.1, 0.1, 0.7, 0.7}, "with room around a large one");
  EXPECT_TRUE(windows_around({{0.1, 0.1, 0.9, 0.9}}, picture, input, 4, 0).empty()) << "that is the whole picture";
  EXPECT_TRUE(windows_around({{0.1, 0.1, 0.2, 0.2}}, {300, 300}, input, 4, 0).empty());
  EXPECT_TRUE(windows_around({}, picture, input, 4, 0).empty());
}

TEST(Windows, EachPlaceGetsItsTurn) {
  std::vector<Region> places;
  for (int i = 0; i < 4; ++i) places.push_back({0.25 * i + 0.1, 0.5, 0.25 * i + 0.11, 0.51});
  std::vector<double> seen;
  for (std::size_t turn = 0; turn < 4; ++turn) {
    const auto windows = windows_around(places, {4000, 4000}, {400, 400}, 1, turn);
    ASSERT_EQ(windows.size(), 1U);
    seen.push_back((windows[0].left + windows[0].right) / 2);
  }
  EXPECT_THAT(seen, ::testing::ElementsAre(::testing::DoubleNear(0.105, 1e-9), ::testing::DoubleNear(0.355, 1e-9),
                                           ::testing::DoubleNear(0.605, 1e-9), ::testing::DoubleNear(0.855, 1e-9)));
}

Seen seen(Region box, Region part, float score = 0.8F, const std::string& label = "person") {
  Seen made;
  made.object.label = label;
  made.object.score = score;
  made.object.box = box;
  made.part = part;
  return made;
}

TEST(Unite, OneObjectIsOneBox) {
  const Region whole{0, 0, 1, 1}, left{0, 0, 0.55, 1}, right{0.45, 0, 1, 1};
  const Region top_left{0, 0, 0.55, 0.55}, top_right{0.45, 0, 1, 0.55};
  const Region low_left{0, 0.45, 0.55, 1}, low_right{0.45, 0.45, 1, 1};
  const struct {
    const char* what;
    std::vector<Seen> seen;
    std::vector<Region> expected;
  } rows[] = {
      {"seen by two",
       {seen({0.46, 0.2, 0.5, 0.4}, left, 0.7F), seen({0.461, 0.2, 0.5, 0.41}, right)},
       {{0.461, 0.2, 0.5, 0.41}}},
      {"two beside each other",
       {seen({0.2, 0.2, 0.3, 0.4}, left), seen({0.31, 0.2, 0.41, 0.4}, left)},
       {{0.2, 0.2, 0.3, 0.4}, {0.31, 0.2, 0.41, 0.4}}},
      {"cut by one, whole in the other",
       {seen({0.5, 0.2, 0.55, 0.4}, left, 0.9F), seen({0.5, 0.2, 0.6, 0.4}, right, 0.6F)},
       {{0.5, 0.2, 0.6, 0.4}}},
      {"cut by both",
       {seen({0.3, 0.2, 0.55, 0.8}, left, 0.6F), seen({0.45, 0.21, 0.7, 0.8}, right, 0.7F)},
       {{0.3, 0.2, 0.7, 0.8}}},
      {"cut by both, whole from afar",
       {seen({0.3, 0.2, 0.55, 0.8}, left), seen({0.45, 0.2, 0.7, 0.8}, right),
        seen({0.31, 0.21, 0.7, 0.8}, whole, 0.5F)},
       {{0.31, 0.21, 0.7, 0.8}}},
      {"over four tiles",
       {seen({0.3, 0.3, 0.55, 0.55}, top_left), seen({0.45, 0.3, 0.7, 0.55}, top_right),
        seen({0.3, 0.45, 0.55, 0.7}, low_left), seen({0.45, 0.45, 0.7, 0.7}, low_right)},
       {{0.3, 0.3, 0.7, 0.7}}},
      {"cut and seen by nobody else", {seen({0.5, 0.2, 0.55, 0.4}, left)}, {{0.5, 0.2, 0.55, 0.4}}},
      {"at the picture's edge is not cut",
       {seen({0, 0.2, 0.1, 0.4}, left), seen({0, 0.1, 0.3, 0.5}, whole, 0.9F)},
       {{0, 0.1, 0.3, 0.5}, {0, 0.2, 0.1, 0.4}}},
      {"halves of two heights",
       {seen({0.5, 0.1, 0.55, 0.2}, left), seen({0.45, 0.1, 0.5, 0.9}, right, 0.7F)},
       {{0.5, 0.1, 0.55, 0.2}, {0.45, 0.1, 0.5, 0.9}}},
      {"another label",
       {seen({0.5, 0.2, 0.55, 0.4}, left), seen({0.5, 0.2, 0.6, 0.4}, right, 0.7F, "dog")},
       {{0.5, 0.2, 0.55, 0.4}, {0.5, 0.2, 0.6, 0.4}}},
      {"nothing", {}, {}},
  };
  for (const auto& row : rows) {
    const auto united = unite(row.seen, 0.5F);
    ASSERT_EQ(united.size(), row.expected.size()) << row.what;
    for (std::size_t i = 0; i < united.size(); ++i) expect_box(united[i].object.box, row.expected[i], row.what);
  }
}

TEST(Unite, IsBounded) {
  std::vector<Seen> many;
  for (int i = 0; i < 5000; ++i) {
    const double left = (i % 100) / 100.0, top = (i / 100) / 50.0;
    many.push_back(seen({left, top, left + 0.005, top + 0.005}, {0, 0, 1, 1}));
  }
  EXPECT_EQ(unite(many, 0.5F).size(), 300U);
}

}  // namespace
}  // namespace verge::vision
