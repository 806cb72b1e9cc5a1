#include "vision/pictures.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using ::testing::HasSubstr;
using Of = PicturesOptions::Of;

constexpr std::int64_t kNoon_us = 1'700'049'600'000'000;  // 2023-11-15T12:00:00Z

pipeline::Scene shelf_picture() {
  pipeline::Scene scene;
  scene.frame = testing::make_frame(pipeline::PixelFormat::yuv420, 64, 32, [](int, int x, int y) { return x + y; });
  scene.shapes = {{"shelf_1", true, {{0, 0}, {0.5, 0}, {0.5, 1}}, {}},
                  {"shelf_2", true, {{0.5, 0.5}, {1, 0.5}, {1, 1}}, {}}};
  scene.objects = {testing::standing_at(0.5, 0.9), testing::standing_at(0.2, 0.9)};
  scene.people.knows_persons = true;
  return scene;
}

class PicturesTest : public ::testing::Test {
 protected:
  PictureCollector collector(PicturesOptions options, pipeline::Blur blur = pipeline::Blur::none) {
    options.folder = folder_.path() / "pictures";
    return {std::move(options), blur};
  }
  static Moment at(double seconds) {
    const auto us = static_cast<std::int64_t>(seconds * 1e6);
    return {kNoon_us + us, us};
  }
  /// Paths below the folder, sorted.
  std::vector<std::string> files() const {
    std::vector<std::string> found;
    if (!std::filesystem::exists(folder_.path() / "pictures")) return found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path() / "pictures")) {
      if (entry.is_regular_file()) found.push_back(relative(entry.path(), folder_.path() / "pictures").string());
    }
    std::ranges::sort(found);
    return found;
  }
  std::string bytes_of(const std::string& file) const {
    const auto bytes = read_file(folder_.path() / "pictures" / file);
    return bytes ? *bytes : std::string();
  }

  const TemporaryFolder folder_;
};

TEST_F(PicturesTest, ComeByThemselvesNowAndThen) {
  auto pictures = collector({.every_s = 2, .label = "{stream}"});
  for (const double time : {0.0, 1.0, 2.0, 2.5, 4.25}) {
    ASSERT_TRUE(pictures.take("till 1", at(time), shelf_picture()));
  }
  ASSERT_TRUE(pictures.take("door", at(2.5), shelf_picture()));
  EXPECT_EQ(files(),
            (std::vector<std::string>{
                "door/20231115T120002.500000Z-door.jpg", "till%201/20231115T120000.000000Z-till%201.jpg",
                "till%201/20231115T120002.000000Z-till%201.jpg", "till%201/20231115T120004.250000Z-till%201.jpg"}));
  EXPECT_TRUE(bytes_of(files()[0]).starts_with("\xFF\xD8"));
}

TEST_F(PicturesTest, ShowPartsOfThePicture) {
  ASSERT_TRUE(collector({.of = Of::zones, .zones = {"shelf_2"}}).take("a", at(0), shelf_picture()));
  EXPECT_EQ(files(), std::vector<std::string>{"20231115T120000.000000Z-a-shelf_2.jpg"});
  // Start of frame: height and width of the picture.
  const std::string jpeg = bytes_of(files()[0]);
  const auto frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  EXPECT_EQ(jpeg[frame + 6], 16);
  EXPECT_EQ(jpeg[frame + 8], 32);
  ASSERT_TRUE(collector({.of = Of::objects, .labels = {"person"}}).take("a", at(1), shelf_picture()));
  EXPECT_EQ(files().size(), 3U) << "two objects of one label do not overwrite each other";
  EXPECT_EQ(files()[1], "20231115T120001.000000Z-a-person-2.jpg");
  const auto wrong = collector({.of = Of::zones, .zones = {"shelf_3"}}).take("a", at(2), shelf_picture());
  EXPECT_THAT(wrong.error().message, HasSubstr("no stage before it has a zone \"shelf_3\""));
}

TEST_F(PicturesTest, AreTakenWhenSomebodyAsks) {
  auto pictures = collector({.of = Of::zones, .every_s = 0});
  ASSERT_TRUE(pictures.take("a", at(0), shelf_picture()));
  EXPECT_TRUE(files().empty()) << "nobody asked";
  const auto asked = pictures.save({{"label", "empty"}, {"count", 3}, {"every_s", 1}, {"only", "shelf_1"}});
  EXPECT_EQ(asked.status, 200);
  EXPECT_EQ(asked.payload["left"], 3);
  for (const double time : {1.0, 1.5, 2.0, 3.0, 4.0}) ASSERT_TRUE(pictures.take("a", at(time), shelf_picture()));
  EXPECT_EQ(files(), (std::vector<std::string>{"empty/20231115T120001.000000Z-a-shelf_1.jpg",
                                               "empty/20231115T120002.000000Z-a-shelf_1.jpg",
                                               "empty/20231115T120003.000000Z-a-shelf_1.jpg"}));
  const Json told = pictures.save(Json::object()).payload;
  EXPECT_EQ(told["kept"], 3);
  EXPECT_EQ(told["left"], 0);
  EXPECT_EQ(told["pictures"], 3);
  EXPECT_EQ(pictures.save({{"describe", true}}).payload["parameters"][0]["name"], "label");
  pictures.save({{"label", "full"}, {"stream", "b"}});
  ASSERT_TRUE(pictures.take("a", at(9), shelf_picture()));
  EXPECT_EQ(files().size(), 3U) << "another stream was meant";
  for (const Json& wrong : {Json{{"label", "../etc"}}, Json{{"label", ".hidden"}}, Json{{"label", ""}},
                            Json{{"label", "a"}, {"count", 1001}}, Json{{"label", "a"}, {"every_s", -1}}}) {
    EXPECT_EQ(pictures.save(wrong).status, 400) << wrong.dump();
  }
}

TEST_F(PicturesTest, AreBoundedOverStarts) {
  {
    auto pictures = collector({.every_s = 1, .pictures_max = 3});
    ASSERT_TRUE(pictures.open());
    for (const double time : {0, 1}) ASSERT_TRUE(pictures.take("a", at(time), shelf_picture()));
  }
  auto again = collector({.every_s = 1, .pictures_max = 3});
  ASSERT_TRUE(again.open());
  for (const double time : {2, 3, 4}) ASSERT_TRUE(again.take("a", at(time), shelf_picture()));
  EXPECT_EQ(files().size(), 3U);
  EXPECT_TRUE(again.is_full());
  EXPECT_THAT(again.save({{"label", "more"}}).payload["message"].get<std::string>(), HasSubstr("pictures_max"));
  auto small = collector({.every_s = 1, .pictures_max = 100, .bytes_max = 1});
  ASSERT_TRUE(small.open());
  EXPECT_TRUE(small.is_full());
}

TEST_F(PicturesTest, ALinkThatLeadsToItselfIsNoPicture) {
  auto pictures = collector({.every_s = 1});
  ASSERT_TRUE(pictures.take("a", at(0), shelf_picture()));
  std::filesystem::create_symlink("loop.jpg", folder_.path() / "pictures" / "loop.jpg");
  auto again = collector({.every_s = 1});
  ASSERT_TRUE(again.open());
  EXPECT_EQ(again.save(Json::object()).payload["pictures"], 1);
}

TEST_F(PicturesTest, ComeOnlyWhileAConditionHolds) {
  PicturesOptions options{.every_s = 1};
  options.when = *expression::Condition::parse("count.person > 0");
  auto pictures = collector(options);
  auto nobody = shelf_picture();
  nobody.objects.clear();
  ASSERT_TRUE(pictures.take("a", at(0), nobody));
  EXPECT_TRUE(files().empty());
  ASSERT_TRUE(pictures.take("a", at(0.5), shelf_picture()));
  EXPECT_EQ(files().size(), 1U);
  options.when = *expression::Condition::parse("inside.door > 0");
  EXPECT_THAT(collector(options).take("a", at(1), nobody).error().message, HasSubstr("\"door\""));
}

TEST_F(PicturesTest, HidePeople) {
  auto scene = shelf_picture();
  ASSERT_TRUE(collector({}).take("open", at(0), scene));
  ASSERT_TRUE(collector({}, pipeline::Blur::people).take("same", at(0), scene));
  scene.people.persons = {{0, 0, 1, 1}};
  ASSERT_TRUE(collector({}, pipeline::Blur::people).take("hidden", at(0), scene));
  ASSERT_EQ(files().size(), 3U);
  EXPECT_EQ(bytes_of(files()[1]), bytes_of(files()[2])) << "nobody is there";
  EXPECT_NE(bytes_of(files()[0]), bytes_of(files()[1]));
  scene.people.knows_persons = false;
  EXPECT_THAT(collector({}, pipeline::Blur::people).take("a", at(1), scene).error().message,
              HasSubstr("privacy: {blur: none}"));
}

TEST_F(PicturesTest, TheSinkChecksItsOptions) {
  Metrics metrics;
  pipeline::Context context;
  context.folder = folder_.path();
  context.metrics = &metrics;
  std::string method;
  context.add_method = [&](const std::string& name, const pipeline::Method&) { method = name; };
  const auto make = [&](Json given) {
    for (const auto& option : pictures_kind().options) {
      if (!given.contains(option.name)) given[option.name] = option.fallback;
    }
    return pictures_kind().make(given, context);
  };
  EXPECT_TRUE(make({{"folder", "a"}}));
  EXPECT_EQ(method, "save");
  EXPECT_THAT(make({{"folder", "a"}, {"of", "zone"}}).error().message, HasSubstr("zones"));
  EXPECT_THAT(make({{"folder", "a"}, {"label", "a/b"}}).error().message, HasSubstr("label \"a/b\""));
  EXPECT_THAT(make({{"folder", "a"}, {"when", "label = 'x'"}}).error().message, HasSubstr("no scene has"));
  EXPECT_FALSE(make({{"folder", "a"}, {"pictures_max", 0}}));
}

}  // namespace
}  // namespace verge::vision
