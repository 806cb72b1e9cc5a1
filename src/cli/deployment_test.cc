#include "cli/deployment.h"

#include <gmock/gmock.h>

#include "base/guarded.h"
#include "cli/fake_hub_for_tests.h"

namespace verge::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Json kManifest = {{"modulesContent",
                         {{"$edgeAgent",
                           {{"properties.desired",
                             {{"schemaVersion", "1.1"},
                              {"modules", {{"vision", {{"status", "running"}}}, {"old", {{"status", "stopped"}}}}}}}}},
                          {"vision", {{"properties.desired", {{"fps", 5}}}}}}}};

/// Twins as desired so far; applied manifests are kept.
struct Twins {
  std::map<std::string, Json> desired;
  std::vector<Json> applied;

  HttpResponse answer(const HttpRequest& request) {
    const auto segments = request.segments();
    if (request.method == "POST") {
      applied.push_back(*parse_json(request.body));
      return HttpResponse{.status = 204};
    }
    const auto twin = desired.find(segments.at(3));
    if (twin == desired.end()) return hub_error(404, "no such module");
    Json values = twin->second;
    values["$version"] = 3;
    return json_response({{"properties", {{"desired", values}}}});
  }
};

class DeploymentTest : public testing::Test {
 protected:
  Json desired_of(const char* module) const { return kManifest["modulesContent"][module]["properties.desired"]; }
  HubClient client() const { return hub_.client(); }

  Guarded<Twins> twins_;
  FakeHub hub_{
      [this](const HttpRequest& request) { return twins_.with([&](Twins& twins) { return twins.answer(request); }); }};
};

TEST_F(DeploymentTest, WithoutTwinsEverythingIsNew) {
  const auto changes = manifest_difference(client(), "edge", kManifest);
  ASSERT_TRUE(changes) << changes.error().message;
  EXPECT_EQ(changes->size(), 2U);
  EXPECT_EQ(changes->at("vision").at("fps"), 5);
}

TEST_F(DeploymentTest, OnlyDifferencesAreApplied) {
  twins_.with([&](Twins& twins) {
    twins.desired = {{"$edgeAgent", desired_of("$edgeAgent")}, {"vision", {{"fps", 2}, {"gone", true}}}};
  });
  const auto changes = apply_manifest(client(), "edge", {{"content", kManifest}});
  ASSERT_TRUE(changes) << changes.error().message;
  EXPECT_EQ(*changes, Json({{"vision", {{"fps", 5}, {"gone", nullptr}}}}));
  ASSERT_EQ(twins_.with([](Twins& twins) { return twins.applied.size(); }), 1U);
  EXPECT_TRUE(twins_.with([](Twins& twins) { return twins.applied[0].contains("modulesContent"); }))
      << "without the wrapping";
}

TEST_F(DeploymentTest, EqualIsNotAppliedAgain) {
  twins_.with([&](Twins& twins) {
    twins.desired = {{"$edgeAgent", desired_of("$edgeAgent")}, {"vision", desired_of("vision")}};
  });
  const auto changes = apply_manifest(client(), "edge", kManifest);
  ASSERT_TRUE(changes) << changes.error().message;
  EXPECT_TRUE(changes->empty());
  EXPECT_TRUE(twins_.with([](Twins& twins) { return twins.applied.empty(); }));
}

TEST_F(DeploymentTest, AManifestWithoutContentIsRefused) {
  EXPECT_EQ(apply_manifest(client(), "edge", {{"modules", 1}}).error().code, ErrorCode::invalid_argument);
}

TEST(ModulesOf, AreThoseThatShallRun) { EXPECT_THAT(*modules_of(kManifest), ElementsAre("vision")); }

Json device(bool is_connected, Json modules) {
  return Json::array({{{"id", "edge"}, {"connected", is_connected}, {"modules", std::move(modules)}}});
}

TEST(MissingResults, SayWhatIsNotThereYet) {
  const Json running = Json::array({{{"id", "vision"}, {"runtime_status", "running"}}});
  const Json live = Json::array({{{"device", "edge"}, {"module", "vision"}, {"stream", "gate"}, {"rate_hz", 9.8}}});
  struct Row {
    const char* what;
    Json devices, sources;
    std::set<std::string> heard;
    std::string missing;
  };
  const Row rows[] = {
      {"all there", device(true, running), live, {}, ""},
      {"not known", Json::array(), live, {}, "device edge is not connected yet"},
      {"away", device(false, running), live, {}, "device edge is not connected yet"},
      {"no container", device(true, Json::array()), live, {}, "vision: not created yet"},
      {"back-off",
       device(true, Json::array(
                        {{{"id", "vision"}, {"runtime_status", "backoff"}, {"status_description", "exited with 3"}}})),
       live,
       {},
       "vision: backoff: exited with 3"},
      {"bad pipeline",
       device(true, Json::array({{{"id", "vision"},
                                  {"runtime_status", "running"},
                                  {"pipeline", {{"error", "vision.yaml:3:1: …"}}}}})),
       live,
       {},
       "vision: pipeline: vision.yaml:3:1: …"},
      {"no source", device(true, running), Json::array(), {}, "vision: running, no source reported yet"},
      {"silent source",
       device(true, running),
       Json::array({{{"device", "edge"}, {"module", "vision"}, {"stream", "gate"}, {"rate_hz", 0}}}),
       {},
       "vision: source gate delivers nothing yet"},
      {"broken source",
       device(true, running),
       Json::array(
           {{{"device", "edge"}, {"module", "vision"}, {"stream", "gate"}, {"rate_hz", 9}, {"error", "no film"}}}),
       {},
       "vision: source gate: no film"},
      {"heard of", device(true, running), Json::array(), {"vision"}, ""},
  };
  for (const auto& row : rows) {
    const auto missing = missing_results(row.devices, row.sources, "edge", {"vision"}, row.heard);
    if (row.missing.empty()) {
      EXPECT_THAT(missing, IsEmpty()) << row.what;
    } else {
      ASSERT_EQ(missing.size(), 1U) << row.what;
      EXPECT_THAT(missing.front(), HasSubstr(row.missing)) << row.what;
    }
  }
}

TEST(MissingResults, TellWhatTheAgentRefused) {
  auto devices = device(true, Json::array());
  devices[0]["agent"] = {{"status", {{"code", 400}, {"description", "bad createOptions"}}}};
  const auto missing = missing_results(devices, Json::array(), "edge", {}, {});
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_EQ(missing.front(), "agent: bad createOptions (400)");
}

}  // namespace
}  // namespace verge::cli
