#include "vision/access/door.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vision/access/test_people.h"

namespace verge::vision {
namespace {

using ::testing::ElementsAre;
using testing::face_of;
using ::testing::IsEmpty;
using testing::like;
using testing::person;

constexpr std::int64_t kDoorStep = 200'000;  // Five pictures a second.

/// A face straight on; with `lead` the nose stands aside and the ears go the other way, as in a turned head.
FacePoints points_of(double lead) {
  const double shift = lead * 100;
  return {{{100, 100},
           {200, 100},
           {150 + shift, 160},
           {150 + shift * 0.3, 205},
           {30 - shift * 1.5, 130},
           {270 - shift * 1.5, 130}}};
}

/// A door that is looked at picture by picture; what is news comes as short words.
class AccessDoor : public ::testing::Test {
 protected:
  void SetUp() override {
    for (auto [name, seed] : {std::pair{"Ada", 1U}, {"Grace", 2U}}) {
      people_.push_back(person(name, seed));
      people_.back().id = name;
    }
    options_.name = "gate";
  }
  Door& door() {
    if (!door_) door_.emplace(options_, [this] { return is_left_; });
    return *door_;
  }
  /// `count` pictures of a face.
  std::vector<std::string> see(const Embedding& face, int count, const std::string& track = "1", double lead = 0,
                               std::string_view problem = {}) {
    std::vector<std::string> words;
    for (int i = 0; i < count; ++i) {
      DoorLook look;
      look.track = track;
      look.face = &face;
      look.points = points_of(lead);
      if (!problem.empty()) look.quality.problems = {problem};
      time_us_ += kDoorStep;
      append(words, door().update({look}, people_, {wall_us_ + time_us_, time_us_}, closed_));
    }
    return words;
  }
  void nobody(double seconds) {
    time_us_ += static_cast<std::int64_t>(seconds * 1e6);
    door().update({}, people_, {wall_us_ + time_us_, time_us_}, closed_);
  }
  static void append(std::vector<std::string>& words, const std::vector<DoorNews>& news) {
    for (const DoorNews& each : news) {
      const bool is_denial = each.kind == DoorNews::Kind::denied;
      const std::string what = each.kind == DoorNews::Kind::granted ? "granted"
                               : is_denial                          ? std::string(each.reason)
                                                                    : "turn";
      const std::string side = each.kind != DoorNews::Kind::challenge ? ""
                               : each.side == Side::left              ? " left"
                                                                      : " right";
      words.push_back(what + side + (each.person.empty() ? "" : " " + each.person));
    }
  }

  DoorOptions options_;
  std::optional<Door> door_;
  std::vector<Person> people_;
  std::optional<Door::Closed> closed_;
  bool is_left_ = true;
  std::int64_t time_us_ = 0, wall_us_ = 1'790'000'000'000'000;
  const Embedding ada_ = like(face_of(1), 50), stranger_ = face_of(9);
};

TEST_F(AccessDoor, TellsOnceWhoCame) {
  EXPECT_THAT(see(ada_, 2), IsEmpty());
  EXPECT_THAT(see(ada_, 1), ElementsAre("granted Ada"));
  EXPECT_THAT(see(ada_, 100), IsEmpty());     // He stands there.
  EXPECT_THAT(see(ada_, 5, "2"), IsEmpty());  // The tracker lost him for a moment.
  nobody(15);
  EXPECT_THAT(see(ada_, 5, "3"), ElementsAre("granted Ada"));
}

TEST_F(AccessDoor, DeniesWithAReason) {
  EXPECT_THAT(see(stranger_, 5), ElementsAre("unknown"));
  EXPECT_THAT(see(stranger_, 40), IsEmpty());               // 8 s of the same.
  EXPECT_THAT(see(stranger_, 15), ElementsAre("unknown"));  // He may try again.
  people_.push_back(person("Twin", 1));
  EXPECT_THAT(see(ada_, 5, "2"), ElementsAre("unsure"));
  people_.pop_back();
  people_[0].when = "door = 'yard'";
  EXPECT_THAT(see(ada_, 5, "3"), ElementsAre("outside_hours Ada"));
  people_.clear();
  EXPECT_THAT(see(ada_, 5, "4"), ElementsAre("nobody_enrolled"));
  closed_ = Door::Closed{kOtherModel, "another model"};
  EXPECT_THAT(see(ada_, 5, "5"), ElementsAre("other_model"));
}

TEST_F(AccessDoor, PoorLooksAreNoAnswer) {
  EXPECT_THAT(see(ada_, 19, "1", 0, kBlurred), IsEmpty());
  EXPECT_THAT(see(ada_, 3, "1", 0, kBlurred), ElementsAre("too_poor"));
  EXPECT_THAT(see(ada_, 100, "2", 0, kTooSmall), IsEmpty());  // A passer-by.
  see(ada_, 10, "3", 0, kTooDark);
  EXPECT_THAT(see(ada_, 3, "3"), ElementsAre("granted Ada"));
}

TEST_F(AccessDoor, LooksMustBeOfOneFace) {
  // A track that jumps from one to another gives no middle of both.
  for (int i = 0; i < 6; ++i) {
    EXPECT_THAT(see(ada_, 2), IsEmpty());
    EXPECT_THAT(see(stranger_, 1), IsEmpty());
  }
}

TEST_F(AccessDoor, AStrangerHasOneComparisonAVisit) {
  const auto before = see(stranger_, 3);
  EXPECT_THAT(before, ElementsAre("unknown"));
  EXPECT_THAT(see(ada_, 3), IsEmpty());  // The same track, now alike: not within the hold-off.
}

TEST_F(AccessDoor, AsksToTurnTheHead) {
  options_.asks_turn = true;
  EXPECT_THAT(see(ada_, 3), ElementsAre("turn left Ada"));
  EXPECT_THAT(see(ada_, 4), IsEmpty());
  see(ada_, 1, "1", 0.12, kTurnedAway);
  EXPECT_THAT(see(ada_, 3, "1", 0.3, kTurnedAway), IsEmpty());
  EXPECT_THAT(see(ada_, 2), ElementsAre("granted Ada"));
}

TEST_F(AccessDoor, WhoDoesNotTurnStaysOutside) {
  options_.asks_turn = true;
  is_left_ = false;
  EXPECT_THAT(see(ada_, 3), ElementsAre("turn right Ada"));
  see(ada_, 4);
  see(ada_, 1, "1", 0.12, kTurnedAway);
  see(ada_, 5, "1", 0.3, kTurnedAway);  // The other side.
  EXPECT_THAT(see(ada_, 40), ElementsAre("not_live Ada"));
  EXPECT_THAT(see(ada_, 5, "2"), ElementsAre("turn right Ada"));
  EXPECT_THAT(see(stranger_, 5, "2"), ElementsAre("another_face Ada"));
}

TEST_F(AccessDoor, WhoIsRemovedMeanwhileStaysOutside) {
  options_.asks_turn = true;
  see(ada_, 3);
  people_.erase(people_.begin());
  EXPECT_THAT(see(ada_, 3), ElementsAre("unknown"));
}

TEST_F(AccessDoor, HasBounds) {
  options_.per_minute_max = 5;
  int told = 0;
  for (int i = 0; i < 20; ++i) told += static_cast<int>(see(stranger_, 3, "s" + std::to_string(i)).size());
  EXPECT_EQ(told, 5);
  EXPECT_EQ(door().left_out(), 15U);
}

}  // namespace
}  // namespace verge::vision
