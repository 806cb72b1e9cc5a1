#include "connectors/home/object_diary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;

constexpr std::int64_t kBegin_us = 1'700'000'000'000'000;

/// Pictures of 1000 × 500 pixels, five a second.
class Film {
 public:
  std::vector<std::string> show(ObjectDiary& diary, std::vector<pipeline::Object> objects,
                                std::vector<std::string> zones_shown = {"bay 1"}) {
    auto frame = std::make_shared<pipeline::Frame>();
    frame->width = 1000;
    frame->height = 500;
    pipeline::Scene scene;
    scene.frame = frame;
    scene.objects = std::move(objects);
    for (const std::string& zone : zones_shown) scene.shapes.push_back({zone, true, {}, {}});
    std::vector<std::string> types;
    for (const auto& entry : diary.see(scene, kBegin_us + now_us_, now_us_ + 1)) {
      types.emplace_back(entry.type);
      last_ = entry;
    }
    now_us_ += 200'000;
    return types;
  }
  const ObjectDiary::Entry& last() const { return last_; }

 private:
  std::int64_t now_us_ = 0;
  ObjectDiary::Entry last_;
};

pipeline::Object person(double x, std::vector<std::string> zones = {}, float score = 0.5F, std::string track = "7") {
  pipeline::Object object;
  object.label = "person";
  object.score = score;
  object.box = {x - 0.05, 0.2, x + 0.05, 0.6};
  object.track = std::move(track);
  object.zones = std::move(zones);
  return object;
}

TEST(ObjectDiary, TellsALife) {
  ObjectDiary diary("gate");
  Film film;
  EXPECT_THAT(film.show(diary, {person(0.2)}), ElementsAre("new"));
  const Json born = film.last().after;
  EXPECT_EQ(born["id"], "1700000000.000000-gate.7");
  EXPECT_EQ(born["camera"], "gate");
  EXPECT_EQ(born["label"], "person");
  EXPECT_EQ(born["box"], Json::array({150, 100, 250, 300}));
  EXPECT_EQ(born["area"], 100 * 200);
  EXPECT_EQ(born["ratio"], 0.5);
  EXPECT_EQ(born["region"], Json::array({0, 0, 1000, 500}));
  EXPECT_EQ(born["start_time"], 1.7e9);
  EXPECT_EQ(born["end_time"], nullptr);
  EXPECT_EQ(born["has_snapshot"], false);
  EXPECT_EQ(film.last().before, born);

  EXPECT_THAT(film.show(diary, {person(0.21)}), ElementsAre());
  EXPECT_THAT(film.show(diary, {person(0.3, {"bay 1"})}), ElementsAre("update"));
  EXPECT_EQ(film.last().before, born);
  EXPECT_EQ(film.last().after["current_zones"], Json::array({"bay_1"}));
  EXPECT_THAT(film.show(diary, {person(0.4)}), ElementsAre("update"));
  EXPECT_EQ(film.last().after["current_zones"], Json::array());
  EXPECT_EQ(film.last().after["entered_zones"], Json::array({"bay_1"}));

  std::vector<std::string> types;
  for (int i = 0; i < 20; ++i) {
    for (auto& type : film.show(diary, {})) types.push_back(type);
  }
  EXPECT_THAT(types, ElementsAre("end"));
  EXPECT_NEAR(film.last().after["end_time"].get<double>(), 1.7e9 + 0.6, 1e-5);
  EXPECT_TRUE(diary.counts().empty());
}

TEST(ObjectDiary, ABetterSightIsToldOnceASecond) {
  ObjectDiary diary("gate");
  Film film;
  std::size_t told = 0;
  for (int i = 0; i < 10; ++i) told += film.show(diary, {person(0.2, {}, 0.5F + 0.05F * static_cast<float>(i))}).size();
  EXPECT_EQ(told, 2U);  // new, and after one second
  EXPECT_NEAR(film.last().after["top_score"].get<double>(), 0.75, 0.01);
  EXPECT_EQ(film.show(diary, {person(0.2, {}, 0.1F)}).size(), 1U);  // The best of meanwhile, though it is worse now.
  EXPECT_NEAR(film.last().after["top_score"].get<double>(), 0.95, 0.01);
  EXPECT_NEAR(film.last().after["score"].get<double>(), 0.1, 0.01);
}

TEST(ObjectDiary, WhoComesToRestAndMovesOn) {
  ObjectDiary diary("gate");
  Film film;
  std::vector<std::string> types;
  for (int i = 0; i < 52; ++i) {
    for (auto& type : film.show(diary, {person(0.2)})) types.push_back(type);
  }
  EXPECT_THAT(types, ElementsAre("new", "update"));
  EXPECT_EQ(film.last().after["stationary"], true);
  EXPECT_EQ(film.last().after["active"], false);
  EXPECT_THAT(film.show(diary, {person(0.4)}), ElementsAre("update"));
  EXPECT_EQ(film.last().after["stationary"], false);
  EXPECT_EQ(film.last().after["position_changes"], 1);
}

TEST(ObjectDiary, AZoneThatAPictureDoesNotShowKeepsWhomItHad) {
  ObjectDiary diary("gate");
  Film film;
  film.show(diary, {person(0.2, {"bay 1"})});
  EXPECT_THAT(film.show(diary, {person(0.2, {"hall"})}, {"hall"}), ElementsAre("update"));
  EXPECT_EQ(film.last().after["current_zones"], Json::array({"bay_1", "hall"}));
  EXPECT_EQ(diary.counts_in("bay_1"), (ObjectDiary::Counts{{"person", 1}}));
}

TEST(ObjectDiary, CountsThoseWithoutTracksToo) {
  ObjectDiary diary("gate", {.objects_max = 1});
  Film film;
  EXPECT_EQ(film.show(diary, {person(0.2), person(0.4, {}, 0.5F, "8"), person(0.6, {}, 0.5F, "")}).size(), 1U);
  EXPECT_EQ(diary.counts(), (ObjectDiary::Counts{{"person", 3}}));
  film.show(diary, {person(0.2)});
  EXPECT_EQ(diary.counts(), (ObjectDiary::Counts{{"person", 1}}));
  EXPECT_EQ(diary.end_all().size(), 1U);
  EXPECT_TRUE(diary.counts().empty());
}

TEST(ObjectDiary, EvidenceIsToldOnce) {
  ObjectDiary diary("gate");
  Film film;
  film.show(diary, {person(0.2)});
  const auto entry = diary.note_evidence("7", true, false);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->before["has_snapshot"], false);
  EXPECT_EQ(entry->after["has_snapshot"], true);
  EXPECT_FALSE(diary.note_evidence("7", true, false));
  EXPECT_TRUE(diary.note_evidence("7", false, true));
  EXPECT_FALSE(diary.note_evidence("9", true, true));
}

}  // namespace
}  // namespace verge::connectors
