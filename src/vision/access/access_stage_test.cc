#include "vision/access/access_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/json.h"
#include "base/temporary_folder.h"
#include "vision/access/galleries.h"
#include "vision/access/test_people.h"
#include "vision/test_frames.h"

namespace verge::vision {
namespace {

using ::testing::ElementsAre;
using testing::face_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::like;
using testing::person;

/// A stage `access` with its gallery in a folder of its own, a picture each 200 ms.
class AccessStageTest : public ::testing::Test {
 protected:
  void make(Json options = Json::object()) {
    const auto kind = access_kind();
    options["gallery"] = "people";
    for (const pipeline::OptionInfo& option : kind.options) {
      if (!options.contains(option.name) && !option.fallback.is_null()) options[option.name] = option.fallback;
    }
    pipeline::Context context;
    context.stream = "gate";
    context.folder = folder_.path();
    context.clock = &clock_;
    context.metrics = &metrics_;
    context.add_method = [this](const std::string& name, pipeline::Method method) {
      methods_[name] = std::move(method);
    };
    auto made = kind.make(options, context);
    ASSERT_TRUE(made) << made.error().message;
    stage_ = *std::move(made);
    ASSERT_TRUE(stage_->open());
  }
  std::shared_ptr<pipeline::Scene> scene_with(const Embedding& face, const std::string& track) {
    auto scene = std::make_shared<pipeline::Scene>();
    scene->frame = frame_;
    scene->embedder = std::make_shared<const std::string>(model_);
    pipeline::Object object;
    object.label = "face";
    object.track = track;
    object.box = {0.2, 0.1, 0.8, 0.9};
    for (auto [x, y] :
         {std::pair{0.35F, 0.35F}, {0.65F, 0.35F}, {0.5F, 0.55F}, {0.5F, 0.75F}, {0.2F, 0.4F}, {0.8F, 0.4F}}) {
      object.keypoints.push_back({x, y, 1});
    }
    object.embedding = std::make_shared<const Embedding>(face);
    scene->objects.push_back(std::move(object));
    return scene;
  }
  /// The events of `count` pictures.
  std::vector<contract::Event> see(const std::function<Embedding(int)>& face, int count,
                                   const std::string& track = "1") {
    std::vector<contract::Event> events;
    for (int i = 0; i < count; ++i) {
      clock_.advance_us(200'000);
      pipeline::Packet packet;
      packet.captured_us = clock_.now_us();
      packet.monotonic_us = clock_.monotonic_us();
      packet.payload = std::shared_ptr<const pipeline::Scene>(scene_with(face(i), track));
      int scenes = 0;
      EXPECT_TRUE(stage_->process(packet, [&](const pipeline::Packet& out) {
        if (auto event = pipeline::payload_as<contract::Event>(out)) events.push_back(*event);
        if (pipeline::payload_as<pipeline::Scene>(out)) ++scenes;
      }));
      EXPECT_EQ(scenes, 1);
    }
    return events;
  }
  std::vector<contract::Event> see(unsigned seed, int count, const std::string& track = "1") {
    return see([&](int i) { return like(face_of(seed), static_cast<unsigned>(i), 0.08F); }, count, track);
  }
  pipeline::MethodReply call(const std::string& name, const Json& parameters = Json::object()) {
    return methods_.at(name)(parameters);
  }

  TemporaryFolder folder_;
  ManualClock clock_{1'790'000'000'000'000};
  Metrics metrics_;
  std::map<std::string, pipeline::Method> methods_;
  std::unique_ptr<pipeline::Stage> stage_;
  std::string model_ = "sha256:model";
  std::shared_ptr<pipeline::Frame> frame_ =
      testing::make_frame(pipeline::PixelFormat::gray8, 160, 120, [](int, int x, int y) {
        return 60 + static_cast<int>((static_cast<unsigned>(x * 7919 + y * 104729) * 2654435761U) >> 25U);
      });
};

std::vector<std::string> types(const std::vector<contract::Event>& events) {
  std::vector<std::string> all;
  for (const contract::Event& event : events) all.push_back(event.type);
  return all;
}

TEST_F(AccessStageTest, EnrolsLetsInAndForgets) {
  make();
  auto events = see(1, 5);
  ASSERT_THAT(types(events), ElementsAre("access.denied"));
  EXPECT_EQ(events[0].explanation, "Not let in: nobody is enrolled.");
  EXPECT_EQ(call("access.enrol", {{"name", "Ada"}, {"seconds", 2}}).status, 202);
  EXPECT_EQ(call("access.enrol", {{"name", "Eve"}}).status, 409);  // One at a time.
  events = see(1, 12, "2");
  ASSERT_THAT(types(events), ::testing::Contains("access.enrolled"));
  EXPECT_EQ(events[0].explanation, "Ada is enrolled with 5 looks.");
  clock_.advance_us(5'000'000);
  events = see(1, 5, "3");
  ASSERT_THAT(types(events), ElementsAre("access.granted"));
  EXPECT_EQ(events[0].label, "Ada");
  EXPECT_EQ(events[0].track, "3");
  EXPECT_EQ(events[0].rule, "gate");
  EXPECT_GT(events[0].score, 0.9);
  events = see(9, 5, "4");
  ASSERT_THAT(types(events), ElementsAre("access.denied"));
  EXPECT_EQ(events[0].label, "face");
  EXPECT_EQ(call("access.list").payload["people"][0]["name"], "Ada");
  EXPECT_EQ(call("access.remove", {{"name", "Ada"}}).status, 200);
  EXPECT_EQ(call("access.remove", {{"name", "Ada"}}).status, 404);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path() / "people"));
  clock_.advance_us(20'000'000);
  events = see(1, 5, "5");
  ASSERT_THAT(types(events), ElementsAre("access.denied"));
  EXPECT_EQ(*find_member(*parse_json(events[0].extension_json), {"reason"}), "nobody_enrolled");
}

TEST_F(AccessStageTest, TellsWhyNobodyWasEnrolled) {
  make();
  EXPECT_EQ(call("access.enrol").status, 400);
  EXPECT_EQ(call("access.enrol", {{"name", "Ada"}, {"seconds", 0}}).status, 400);
  EXPECT_EQ(call("access.enrol", {{"name", "Ada"}, {"when", "hours > 3"}}).status, 400);
  ASSERT_EQ(call("access.enrol", {{"name", "Ada"}, {"seconds", 2}}).status, 202);
  const auto events = see([](int) { return face_of(1); }, 12);
  ASSERT_THAT(types(events), ElementsAre("access.enrolment_failed"));
  EXPECT_THAT(events[0].explanation, HasSubstr("1 different looks"));
  EXPECT_EQ(call("access.enrol", {{"name", "Ada"}, {"seconds", 2}}).status, 202);  // Once more.
}

TEST_F(AccessStageTest, OfAnotherModelNobodyIsLetIn) {
  { ASSERT_TRUE((*Galleries(system_disk()).open({folder_.path() / "people", {}}))->enrol(person("Ada", 1))); }
  make();
  model_ = "sha256:newer";
  const auto events = see(1, 5);
  ASSERT_THAT(types(events), ElementsAre("access.denied"));
  EXPECT_THAT(events[0].explanation, HasSubstr("described by model sha256:model, faces are now by sha256:newer"));
}

TEST_F(AccessStageTest, ATighterPromiseKeepsTheDoorShut) {
  {
    const auto gallery = *Galleries(system_disk()).open({folder_.path() / "people", {}});
    for (unsigned i = 1; i <= 10; ++i) ASSERT_TRUE(gallery->enrol(person("p" + std::to_string(i), i)));
  }
  make({{"false_accept", 0.01}});
  auto events = see(1, 5);
  ASSERT_THAT(types(events), ElementsAre("access.denied"));
  EXPECT_THAT(events[0].explanation, HasSubstr("enrol 598 people, or promise less"));
  EXPECT_THAT(call("access.check").payload["promise"], HasSubstr("cannot be promised"));
  stage_.reset();
  make({{"false_accept", 0.5}});
  events = see(1, 5);
  ASSERT_THAT(types(events), ElementsAre("access.granted"));
  const Json check = call("access.check").payload;
  EXPECT_EQ(check["independent_pairs"], 5);
  EXPECT_NEAR(check["false_accept_max"].get<double>(), 0.4507, 1e-3);
}

TEST_F(AccessStageTest, APromiseIsJudgedAnewBesideTheDoorWhenPeopleGo) {
  {
    const auto gallery = *Galleries(system_disk()).open({folder_.path() / "people", {}});
    for (unsigned i = 1; i <= 3; ++i) ASSERT_TRUE(gallery->enrol(person("p" + std::to_string(i), i)));
  }
  make({{"false_accept", 0.5}});  // 1 independent pair supports no less than 0.95.
  EXPECT_THAT(see(1, 5).at(0).explanation, HasSubstr("cannot be promised"));
  stage_.reset();
  {
    const auto gallery = *Galleries(system_disk()).open({folder_.path() / "people", {}});
    for (unsigned i = 4; i <= 10; ++i) ASSERT_TRUE(gallery->enrol(person("p" + std::to_string(i), i)));
  }
  make({{"false_accept", 0.5}});
  ASSERT_THAT(types(see(1, 5, "2")), ElementsAre("access.granted"));
  for (unsigned i = 2; i <= 10; ++i) {
    ASSERT_EQ(call("access.remove", {{"name", "p" + std::to_string(i)}}).status, 200);
  }
  // Until those who are left were counted the threshold of those before holds.
  std::string said;
  for (int visitor = 3; visitor < 2000 && said.find("cannot be promised") == std::string::npos; ++visitor) {
    clock_.advance_us(60'000'000);
    for (const contract::Event& event : see(1, 5, std::to_string(visitor))) said = event.explanation;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_THAT(said, HasSubstr("1 people give 0 independent pairs"));
}

TEST_F(AccessStageTest, AFaceIsEnrolledUnderOneName) {
  make();
  EXPECT_EQ(call("access.enrol", {{"name", "Ada"}, {"seconds", 2}}).status, 202);
  ASSERT_THAT(types(see(1, 12)), ::testing::Contains("access.enrolled"));
  EXPECT_EQ(call("access.enrol", {{"name", "Eve"}, {"also", "yes"}}).status, 400);
  ASSERT_EQ(call("access.enrol", {{"name", "Eve"}, {"seconds", 2}}).status, 202);
  auto events = see(1, 12, "2");
  ASSERT_THAT(types(events), ElementsAre("access.enrolment_failed"));
  EXPECT_THAT(events[0].explanation, HasSubstr("this face is enrolled already as \"Ada\": 0.9"));
  ASSERT_EQ(call("access.enrol", {{"name", "Eve"}, {"seconds", 2}, {"also", true}}).status, 202);
  EXPECT_THAT(types(see(1, 12, "3")), ::testing::Contains("access.enrolled"));
  clock_.advance_us(5'000'000);
  events = see(1, 5, "4");
  ASSERT_THAT(types(events), ElementsAre("access.denied"));
  EXPECT_EQ(*find_member(*parse_json(events[0].extension_json), {"reason"}), "unsure");
}

TEST_F(AccessStageTest, AGalleryHasOneProgram) {
  Galleries first(system_disk()), second(system_disk());
  const auto held = first.open({folder_.path() / "people", {}});
  ASSERT_TRUE(held);
  EXPECT_EQ(*first.open({folder_.path() / "people/", {}}), *held);
  const auto refused = second.open({folder_.path() / "people", {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_FALSE(first.open({folder_.path() / "people", folder_.path() / "other.keys"}));
}

}  // namespace
}  // namespace verge::vision
