#include "vision/teach/views.h"

#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "vision/teach/feature_store.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using pipeline::PixelFormat;

std::shared_ptr<pipeline::Frame> view_picture(int shift, int bump = 0) {
  return testing::make_frame(PixelFormat::rgb24, 96, 96, [=](int, int x, int y) {
    const int value = ((x / 3 + shift) / 12 % 2) * 90 + (y / 16 % 3) * 40 + 20;
    return x / 3 < 12 && y < 12 ? std::min(255, value + bump) : value;
  });
}

TEST(Views, TheFirstIsAMirrorImage) {
  const auto picture = view_picture(5);
  const auto view = make_view(*picture, 1, 96, 96, 1);
  ASSERT_TRUE(view) << view.error().message;
  for (int y = 0; y < 96; y += 5)
    for (int x = 0; x < 96; ++x)
      ASSERT_EQ((*view)->planes[0][y * (*view)->strides[0] + x * 3],
                picture->planes[0][y * picture->strides[0] + (95 - x) * 3]);
}

TEST(Views, OthersFollowFromTheSeed) {
  const auto picture = view_picture(5);
  const auto bytes_of = [&](int view, std::uint64_t seed) {
    const auto made = make_view(*picture, view, 64, 48, seed);
    EXPECT_TRUE(made);
    return std::string(reinterpret_cast<const char*>((*made)->planes[0]), 64 * 48 * 3);
  };
  EXPECT_EQ(bytes_of(2, 7), bytes_of(2, 7));
  EXPECT_NE(bytes_of(2, 7), bytes_of(2, 8));
  EXPECT_NE(bytes_of(2, 7), bytes_of(3, 7));
  EXPECT_FALSE(make_view(*picture, 0, 64, 48, 1));
  EXPECT_FALSE(make_view(*picture, kViewsMax, 64, 48, 1));
  EXPECT_FALSE(make_view(pipeline::Frame{}, 1, 64, 48, 1));
}

TEST(Views, NearlyTheSamePicturesAreFound) {
  const auto look = [](const pipeline::Frame& frame) { return *glance(frame); };
  const auto original = view_picture(0);
  const auto noisy = testing::make_frame(PixelFormat::rgb24, 96, 96, [&](int, int x, int y) {
    return original->planes[0][y * original->strides[0] + x] + (x * 7 + y * 3) % 5 + 3;  // Noise, and a little lighter.
  });
  const auto fabric = [](int seed) {
    return testing::make_frame(PixelFormat::gray8, 256, 256,
                               [=](int, int x, int y) { return 100 + (x * 31 + y * 17 + x * y * seed) % 23; });
  };
  EXPECT_TRUE(is_nearly_the_same(look(*view_picture(0)), look(*noisy)));
  EXPECT_FALSE(is_nearly_the_same(look(*view_picture(0)), look(*view_picture(4)))) << "moved";
  EXPECT_FALSE(is_nearly_the_same(look(*view_picture(0)), look(*view_picture(0, 60)))) << "something small came";
  EXPECT_FALSE(is_nearly_the_same(look(*fabric(1)), look(*fabric(5)))) << "two pieces of one cloth";
  const std::vector<std::vector<float>> glances{look(*view_picture(0)), look(*view_picture(4)), look(*noisy),
                                                look(*view_picture(8))};
  EXPECT_EQ(group_glances(glances, {0, 1, 2, 3}), (std::vector<int>{0, 1, 0, 3}));
  EXPECT_EQ(group_glances(glances, {0, 1, 2, 1}), (std::vector<int>{0, 1, 0, 1})) << "given from outside";
}

TEST(FeatureStore, KeepsRowsAndDropsWhatIsHalfWritten) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "work" / "features.bin";
  {
    auto store = FeatureStore::open(file);
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE((*store)->add("a", {1, 2, 3}));
    ASSERT_TRUE((*store)->add("b", {}));
    EXPECT_EQ((*store)->find("c"), nullptr);
  }
  const auto whole = *read_file(file);
  ASSERT_TRUE(write_file(file, whole.substr(0, whole.size() - 1)));
  {
    auto store = FeatureStore::open(file);
    ASSERT_TRUE(store);
    EXPECT_EQ((*store)->count(), 1U);
    ASSERT_NE((*store)->find("a"), nullptr);
    EXPECT_EQ(*(*store)->find("a"), (std::vector<float>{1, 2, 3}));
    ASSERT_TRUE((*store)->add("c", {4}));
  }
  {
    auto store = FeatureStore::open(file);
    ASSERT_TRUE(store);
    EXPECT_EQ(*(*store)->find("c"), (std::vector<float>{4}));
    EXPECT_EQ((*store)->count(), 2U);
  }
  auto changed = *read_file(file);
  changed[50] ^= 1;
  ASSERT_TRUE(write_file(file, changed));
  auto store = FeatureStore::open(file);
  ASSERT_TRUE(store);
  EXPECT_EQ((*store)->count(), 0U) << "a changed record and all after it";
  ASSERT_TRUE(write_file(file, "something else"));
  EXPECT_EQ((*FeatureStore::open(file))->count(), 0U);
  EXPECT_FALSE(FeatureStore::open(std::filesystem::path("/proc/none") / "x"));
}

}  // namespace
}  // namespace verge::vision
