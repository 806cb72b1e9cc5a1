#include "vision/recognition/faces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/test_frames.h"
#include "vision/test_models.h"

namespace verge::vision {
namespace {

using ::testing::HasSubstr;

/// Finds one face in whatever it sees: a quarter of it, from its middle.
std::unique_ptr<Detector> middle_face() {
  auto detector = Detector::make(testing::fake_model(
                                     {{"kind", "centernet"}}, {"face"}, 32, {1, 1, 6},
                                     [](const auto&) {
                                       return testing::one_tensor({1, 1, 6}, {16, 16, 24, 24, 0.9F, 0});
                                     },
                                     models::PictureFit::stretch),
                                 {});
  EXPECT_TRUE(detector);
  return std::move(*detector);
}

/// Three numbers; the last one is the brightness of the picture's middle.
std::unique_ptr<Embedder> brightness() {
  auto embedder =
      Embedder::make(testing::fake_model({{"kind", "embedding"}}, {}, 4, {1, 3}, [](const inference::Tensor& input) {
        const auto middle = static_cast<float>(input.values<std::uint8_t>()[5]);
        return testing::one_tensor({1, 3}, {middle > 0 ? 30.0F : 0, 0, middle});
      }));
  EXPECT_TRUE(embedder);
  return std::move(*embedder);
}

pipeline::Scene scene_of(int value) {
  pipeline::Scene scene;
  scene.frame = testing::make_frame(pipeline::PixelFormat::gray8, 80, 40, [=](int, int, int) { return value; });
  scene.objects = {testing::standing_at(0.5, 0.7, "1")};
  scene.objects[0].box = {0.25, 0.25, 0.5, 0.75};
  return scene;
}

TEST(Faces, AreAddedToTheScene) {
  auto scene = scene_of(40);
  ASSERT_TRUE(add_faces(*middle_face(), nullptr, {}, scene));
  ASSERT_EQ(scene.objects.size(), 2U);
  EXPECT_EQ(scene.objects[0].label, "person");
  EXPECT_EQ(scene.objects[1].label, "face");
  EXPECT_DOUBLE_EQ(scene.objects[1].box.left, 0.5);
  EXPECT_DOUBLE_EQ(scene.objects[1].box.bottom, 0.75);
  EXPECT_EQ(scene.objects[1].embedding, nullptr);
}

TEST(Faces, AreLookedForInPersons) {
  auto scene = scene_of(40);
  scene.objects.push_back(scene.objects[0]);  // the same person seen twice has one face
  ASSERT_TRUE(add_faces(*middle_face(), nullptr, {.within = {"person"}, .margin = 0}, scene));
  ASSERT_EQ(scene.objects.size(), 3U);
  EXPECT_DOUBLE_EQ(scene.objects[2].box.left, 0.375);
  EXPECT_DOUBLE_EQ(scene.objects[2].box.top, 0.5);
  EXPECT_DOUBLE_EQ(scene.objects[2].box.right, 0.4375);
  auto none = scene_of(40);
  ASSERT_TRUE(add_faces(*middle_face(), nullptr, {.within = {"dog"}}, none));
  EXPECT_EQ(none.objects.size(), 1U);
}

TEST(Faces, HaveEmbeddingsOfUnitLength) {
  const auto embedder = brightness();
  auto scene = scene_of(40);
  ASSERT_TRUE(add_faces(*middle_face(), embedder.get(), {}, scene));
  ASSERT_NE(scene.objects[1].embedding, nullptr);
  const auto& unit = *scene.objects[1].embedding;
  ASSERT_EQ(unit.size(), 3U);
  EXPECT_FLOAT_EQ(unit[0], 0.6F);  // (30, 0, 40) is 50 long
  EXPECT_FLOAT_EQ(unit[2], 0.8F);
  auto dark = scene_of(0);
  ASSERT_TRUE(add_faces(*middle_face(), embedder.get(), {}, dark));
  EXPECT_EQ(dark.objects[1].embedding, nullptr) << "zeros have no direction";
}

TEST(Embedder, RefusesAnotherCard) {
  EXPECT_THAT(Embedder::make(testing::fake_model({{"kind", "classes"}}, {}, 4, {1, 3}, nullptr)).error().message,
              HasSubstr("/head/kind must be \"embedding\""));
  EXPECT_THAT(Embedder::make(testing::fake_model({{"kind", "embedding"}}, {}, 4, {1, 3, 1}, nullptr)).error().message,
              HasSubstr("reads embedding from an output [1,?] float32"));
}

}  // namespace
}  // namespace verge::vision
