#include "agent/router/module_twins.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "contract/twin.h"

namespace verge::agent {
namespace {

/// A hub that holds one module's twin.
struct FakeTwinHub {
  bool is_online = true;
  bool refuses = false;
  contract::Twin twin;
  std::vector<Json> patches;

  ModuleTwins::Upstream upstream() {
    return {[this](const std::string&) { return is_online; },
            [this](const std::string&, const std::function<void(Result<Json>)>& done) {
              if (!is_online) return done(Error{ErrorCode::unavailable, "away"});
              done(Json{{"desired", to_json(twin.desired, false)}, {"reported", to_json(twin.reported, false)}});
            },
            [this](const std::string&, const Json& patch, const std::function<void(Result<std::int64_t>)>& done) {
              if (!is_online) return done(Error{ErrorCode::unavailable, "away"});
              if (refuses) return done(Error{ErrorCode::invalid_argument, "no"});
              patches.push_back(patch);
              VERGE_ASSERT(contract::patch_properties(twin.reported, patch, 0, 32U << 10U, "x"));
              done(twin.reported.version);
            }};
  }
  void set_desired(const Json& patch) {
    VERGE_ASSERT(contract::patch_properties(twin.desired, patch, 0, 32U << 10U, "x"));
  }
};

class ModuleTwinsTest : public testing::Test {
 protected:
  ModuleTwinsTest() : folder_(std::filesystem::temp_directory_path() / ("verge-twins-" + new_uuid())) {
    std::filesystem::create_directories(folder_);
    hub_.set_desired({{"level", 1}});
    build();
  }
  ~ModuleTwinsTest() override {
    twins_.reset();
    workers_.reset();  // Waits for what is being written.
    std::filesystem::remove_all(folder_);
  }
  void build() {
    twins_ = std::make_unique<ModuleTwins>(
        loop_, *workers_, folder_, hub_.upstream(),
        [this](const std::string&, std::int64_t, const Json& patch) { heard_.push_back(patch); },
        ModuleTwinsOptions{first_read_wait_, 2});
  }
  Result<Json> get() {
    std::optional<Result<Json>> answer;
    twins_->get("m", [&](Result<Json> twin) { answer = std::move(twin); });
    for (int i = 0; i < 10'000 && !answer; ++i) loop_.run_for(std::chrono::milliseconds(2));
    return answer.value();
  }
  Result<std::int64_t> report(const Json& patch) {
    std::optional<Result<std::int64_t>> answer;
    twins_->report("m", patch, [&](Result<std::int64_t> version) { answer = std::move(version); });
    for (int i = 0; i < 10'000 && !answer; ++i) loop_.run_for(std::chrono::milliseconds(2));
    return answer.value();
  }

  std::filesystem::path folder_;
  Loop loop_;
  FakeTwinHub hub_;
  std::chrono::milliseconds first_read_wait_{20};
  std::vector<Json> heard_;
  std::unique_ptr<ModuleTwins> twins_;
  std::optional<Workers> workers_{std::in_place, 1U, 100U};
};

TEST_F(ModuleTwinsTest, PassesThroughWhileTheHubIsThere) {
  EXPECT_EQ(get().value()["desired"]["level"], 1);
  EXPECT_EQ(report({{"speed", 3}}).value(), 2);
  EXPECT_EQ(hub_.patches.size(), 1U);
  EXPECT_EQ(get().value()["reported"]["speed"], 3);
}

TEST_F(ModuleTwinsTest, AnUnknownTwinCannotBeReadOffline) {
  hub_.is_online = false;
  ASSERT_FALSE(get());
  EXPECT_EQ(get().error().code, ErrorCode::unavailable);
}

TEST_F(ModuleTwinsTest, AReadBeforeTheFirstConnectionWaitsForIt) {
  first_read_wait_ = std::chrono::minutes(10);
  build();
  hub_.is_online = false;
  std::vector<Result<Json>> answers;
  for (int i = 0; i < 3; ++i) twins_->get("m", [&](Result<Json> twin) { answers.push_back(std::move(twin)); });
  ASSERT_EQ(answers.size(), 1U) << "the third is more than may wait";
  EXPECT_FALSE(answers[0]);
  hub_.is_online = true;
  twins_->upstream_connected("m");
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[1].value()["desired"]["level"], 1);
  EXPECT_EQ(answers[2].value()["desired"]["level"], 1);
}

TEST_F(ModuleTwinsTest, ServesAndCollectsOfflineAlsoAfterARestart) {
  ASSERT_TRUE(get());
  hub_.is_online = false;
  EXPECT_EQ(report({{"speed", 4}, {"old", 1}}).value(), 2);
  EXPECT_EQ(report({{"old", nullptr}, {"nested", {{"a", 1}}}}).value(), 3);
  build();
  EXPECT_EQ(get().value()["reported"], Json({{"speed", 4}, {"nested", {{"a", 1}}}, {"$version", 3}}));
  hub_.is_online = true;
  twins_->upstream_connected("m");
  EXPECT_EQ(hub_.twin.reported.values, Json({{"speed", 4}, {"nested", {{"a", 1}}}}));
  EXPECT_FALSE(twins_->has_pending("m"));
}

TEST_F(ModuleTwinsTest, WhatChangedMeanwhileReachesTheModuleAsOnePatch) {
  hub_.set_desired({{"gone", true}});
  ASSERT_TRUE(get());
  hub_.set_desired({{"level", 2}});
  hub_.set_desired({{"gone", nullptr}});
  twins_->upstream_connected("m");
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_EQ(heard_.front(), Json({{"level", 2}, {"gone", nullptr}, {"$version", hub_.twin.desired.version}}));
}

TEST_F(ModuleTwinsTest, PatchesInOrderPassThroughAndAGapIsReadAgain) {
  ASSERT_TRUE(get());
  const auto version = hub_.twin.desired.version;
  hub_.set_desired({{"level", 5}});
  twins_->upstream_desired("m", version + 1, {{"level", 5}, {"$version", version + 1}});
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_EQ(heard_[0]["level"], 5);
  hub_.set_desired({{"level", 6}});
  hub_.set_desired({{"level", 7}});
  twins_->upstream_desired("m", version + 3, {{"level", 7}});
  ASSERT_EQ(heard_.size(), 2U);
  EXPECT_EQ(heard_[1]["level"], 7);
}

TEST_F(ModuleTwinsTest, SaysAtOnceWhatTheHubWouldRefuse) {
  ASSERT_TRUE(get());
  hub_.is_online = false;
  const auto answer = report({{"a.b", 1}});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::invalid_argument);
  hub_.is_online = hub_.refuses = true;
  EXPECT_FALSE(report({{"x", 1}}));
}

TEST_F(ModuleTwinsTest, DropsStoredReportsThatTheHubRefuses) {
  ASSERT_TRUE(get());
  hub_.is_online = false;
  ASSERT_TRUE(report({{"x", 1}}));
  hub_.is_online = hub_.refuses = true;
  twins_->upstream_connected("m");
  EXPECT_FALSE(twins_->has_pending("m"));
  EXPECT_FALSE(get().value()["reported"].contains("x"));
}

}  // namespace
}  // namespace verge::agent
