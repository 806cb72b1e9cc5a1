#include "agent/reconcile/reconciler.h"

#include <gtest/gtest.h>
#include <mutex>

#include "agent/engine/fake_engine.h"
#include "base/bytes.h"

namespace verge::agent {
namespace {

/// The images that lie in the fake engine; a fetch makes one appear.
class FakeImages final : public ImageSource {
 public:
  explicit FakeImages(FakeEngine& engine) : engine_(engine) {}
  std::optional<EngineImage> find(const std::string& reference) override { return engine_.find_image(reference); }
  Result<EngineImage> fetch(const contract::ModuleSpec& spec,
                            const std::map<std::string, contract::RegistryCredential>&) override {
    ++fetch_count;
    if (fails) return Error{ErrorCode::unavailable, "fetch image " + spec.image + ": the registry is away"};
    engine_.add_image(spec.image, {"sha256:" + spec.image, ""});
    return *engine_.find_image(spec.image);
  }
  std::string digest_of(const std::string& reference) override { return "digest of " + reference; }

  Status prune(const std::set<std::string>& wanted, bool is_good, const std::function<bool()>& is_current) override {
    const std::lock_guard lock(mutex_);
    if (is_current()) prunes_.push_back({wanted, is_good});
    return prune_fails ? Status(Error{ErrorCode::conflict, "an image is in use"}) : Status(Done{});
  }
  using Prunes = std::vector<std::pair<std::set<std::string>, bool>>;
  Prunes prunes() const {
    const std::lock_guard lock(mutex_);
    return prunes_;
  }

  std::atomic<int> fetch_count{0};
  std::atomic<bool> prune_fails{false};
  std::atomic<bool> fails{false};

 private:
  FakeEngine& engine_;
  mutable std::mutex mutex_;
  Prunes prunes_;
};

contract::ModuleSpec module(const std::string& name, const std::string& image = "i:1") {
  contract::ModuleSpec spec;
  spec.name = name;
  spec.image = image;
  spec.restart_policy = contract::RestartPolicy::always;
  return spec;
}

contract::AgentConfig config_of(const std::vector<contract::ModuleSpec>& modules) {
  contract::AgentConfig config;
  for (const auto& spec : modules) config.modules[spec.name] = spec;
  return config;
}

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() : home_(std::filesystem::temp_directory_path() / ("verge-reconciler-" + new_uuid())) {
    settings_.home = home_;
    settings_.device = "d";
    settings_.hub.host = "h";
    settings_.gateway_host = "g";
    std::filesystem::create_directories(settings_.state_folder());
    engine_.add_image("i:1", {"sha256:one", ""});
    build();
  }
  ~ReconcilerTest() override {
    reconciler_.reset();
    files_.reset();  // Waits for what is being written.
    std::filesystem::remove_all(home_);
  }

  void build() {
    ReconcileOptions options;
    options.period = std::chrono::milliseconds(20);
    options.gap = std::chrono::milliseconds(2);
    options.lost_after = std::chrono::milliseconds(20);
    reconciler_ = std::make_unique<Reconciler>(
        Reconciler::Surroundings{loop_, workers_, transfers_, *files_, engine_, images_, clock_, settings_,
                                 [this](std::int64_t pid) { return engine_.is_process_alive(pid); }},
        options, [this] { ++changes_; });
  }

  void begin(const std::vector<contract::ModuleSpec>& modules) {
    std::map<std::string, std::string> generations;
    for (const auto& spec : modules) generations[spec.name] = "1";
    reconciler_->set_generations(generations);
    reconciler_->set_desired(config_of(modules));
    reconciler_->start();
  }

  /// Runs rounds, with the clock ticking a little, until `is_reached`. The machine may be slow; the clock, by which
  /// modules cool off, goes no further than half the first rest.
  bool until(const std::function<bool()>& is_reached) {
    for (int i = 0; i < 4000; ++i) {
      if (is_reached()) return true;
      loop_.run_for(std::chrono::milliseconds(5));
      if (i < 500) clock_.advance_us(10'000);
    }
    return is_reached();
  }
  /// Whole rounds at one moment.
  bool run_rounds(std::uint64_t count) {
    const auto rounds = reconciler_->round_count();
    for (int i = 0; i < 4000 && reconciler_->round_count() <= rounds + count; ++i) {
      loop_.run_for(std::chrono::milliseconds(5));
    }
    return reconciler_->round_count() > rounds + count;
  }
  std::uint32_t failures(const std::string& name) const {
    const auto& history = reconciler_->state().history;
    const auto found = history.find(name);
    return found == history.end() ? 0 : found->second.failure_count;
  }

  bool runs(const std::string& name) const {
    for (const auto& container : engine_.all()) {
      const auto label = container.labels.find("verge.module");
      if (label->second == name && container.state == ContainerState::running &&
          engine_.is_process_alive(container.pid)) {
        return true;
      }
    }
    return false;
  }
  std::string name_prefix(const std::string& module) const { return "verge-" + settings_.home_tag() + "-" + module; }

  std::filesystem::path home_;
  ManualClock clock_;
  Settings settings_;
  FakeEngine engine_{clock_};
  FakeImages images_{engine_};
  Loop loop_;
  int changes_ = 0;
  std::unique_ptr<Reconciler> reconciler_;
  std::optional<Workers> files_{std::in_place, 1U, 100U};
  Workers transfers_{1, 100}, workers_{2, 100};
};

TEST_F(ReconcilerTest, FetchesCreatesAndStarts) {
  begin({module("a"), module("b", "i:2")});
  ASSERT_TRUE(until([&] { return runs("a") && runs("b"); }));
  EXPECT_EQ(images_.fetch_count, 1);
  const auto calls = engine_.calls();
  ASSERT_TRUE(run_rounds(3));
  EXPECT_EQ(engine_.calls(), calls) << "a settled set is left alone";
  EXPECT_GT(changes_, 0);
}

TEST_F(ReconcilerTest, WaitsForAnIdentity) {
  reconciler_->set_desired(config_of({module("a")}));
  reconciler_->start();
  ASSERT_TRUE(run_rounds(3));
  EXPECT_TRUE(engine_.all().empty());
  reconciler_->set_generations({{"a", "7"}});
  EXPECT_TRUE(until([&] { return runs("a"); }));
}

TEST_F(ReconcilerTest, RestartsWhatEndsAfterItsCoolOff) {
  begin({module("a")});
  ASSERT_TRUE(until([&] { return runs("a"); }));
  engine_.exit(name_prefix("a"), 1);
  ASSERT_TRUE(run_rounds(3));
  EXPECT_FALSE(runs("a"));
  clock_.advance_us(kCoolOffFirst_us);
  ASSERT_TRUE(until([&] { return runs("a"); }));
  EXPECT_TRUE(until([&] { return reconciler_->state().history.at("a").restart_count == 1; }));
}

TEST_F(ReconcilerTest, DoesNotBelieveALyingEngine) {
  begin({module("a")});
  ASSERT_TRUE(until([&] { return runs("a"); }));
  engine_.die_unnoticed(name_prefix("a"));
  ASSERT_TRUE(until([&] {
    const auto& actual = reconciler_->state().actual;
    return !actual.empty() && actual.front().is_lost;
  }));
  clock_.advance_us(kCoolOffFirst_us);
  EXPECT_TRUE(until([&] { return runs("a"); }));
  EXPECT_EQ(engine_.all().size(), 1U);
}

TEST_F(ReconcilerTest, AdoptsWhatAnEarlierAgentStarted) {
  begin({module("a")});
  ASSERT_TRUE(until([&] { return runs("a"); }));
  const auto calls = engine_.calls();
  reconciler_.reset();
  build();
  begin({module("a")});
  ASSERT_TRUE(run_rounds(4));
  EXPECT_EQ(engine_.calls(), calls);
}

TEST_F(ReconcilerTest, RemovesWhatIsDropped) {
  begin({module("a"), module("b")});
  ASSERT_TRUE(until([&] { return runs("a") && runs("b"); }));
  reconciler_->set_desired(config_of({module("b")}));
  EXPECT_TRUE(until([&] { return engine_.all().size() == 1; }));
  EXPECT_TRUE(runs("b"));
}

TEST_F(ReconcilerTest, ReplacesWhatChanges) {
  begin({module("a")});
  ASSERT_TRUE(until([&] { return runs("a"); }));
  const auto old_id = engine_.all().front().id;
  auto changed = module("a");
  changed.environment["LEVEL"] = "2";
  reconciler_->set_desired(config_of({changed}));
  ASSERT_TRUE(until([&] { return engine_.all().size() == 1 && engine_.all().front().id != old_id && runs("a"); }));
}

TEST_F(ReconcilerTest, KeepsTheOldOneWhenTheEngineRefusesTheNew) {
  begin({module("a")});
  ASSERT_TRUE(until([&] { return runs("a"); }));
  const auto old_id = engine_.all().front().id;
  engine_.add_image("i:bad", {"sha256:bad", ""});
  engine_.refuse_image("sha256:bad");
  reconciler_->set_desired(config_of({module("a", "i:bad")}));
  ASSERT_TRUE(until([&] { return failures("a") == 1; }));
  ASSERT_TRUE(run_rounds(3));
  EXPECT_EQ(engine_.refused_count(), 1) << "it cools off";
  ASSERT_EQ(engine_.all().size(), 1U);
  EXPECT_EQ(engine_.all().front().id, old_id);
  EXPECT_TRUE(runs("a"));
}

TEST_F(ReconcilerTest, ARefusedCreateCoolsOffLongerEachTimeAndStopsNobodyElse) {
  engine_.add_image("i:bad", {"sha256:bad", ""});
  engine_.refuse_image("sha256:bad");
  begin({module("a", "i:bad"), module("b")});
  ASSERT_TRUE(until([&] { return failures("a") == 1 && runs("b"); }));
  EXPECT_FALSE(reconciler_->state().history.at("a").last_failure.empty());
  for (int tries = 1; tries < 4; ++tries) {
    SCOPED_TRACE(tries);
    ASSERT_TRUE(run_rounds(3));
    EXPECT_EQ(engine_.refused_count(), tries);
    EXPECT_EQ(failures("a"), static_cast<std::uint32_t>(tries));
    // Just short of the end of its rest, then over it.
    const auto& history = reconciler_->state().history.at("a");
    const auto rest_us = cool_off_us(history.failure_count - 1) - (clock_.now_us() - history.last_failure_us);
    clock_.advance_us(rest_us - 1);
    ASSERT_TRUE(run_rounds(3));
    EXPECT_EQ(engine_.refused_count(), tries);
    clock_.advance_us(1);
    ASSERT_TRUE(until([&] { return engine_.refused_count() == tries + 1; }));
    ASSERT_TRUE(until([&] { return failures("a") == static_cast<std::uint32_t>(tries + 1); }));
  }
}

TEST_F(ReconcilerTest, GoesBackWhenTheNewOneDoesNotStart) {
  begin({module("a")});
  ASSERT_TRUE(until([&] { return runs("a"); }));
  const auto old_id = engine_.all().front().id;
  engine_.add_image("i:broken", {"sha256:broken", ""});
  engine_.refuse_start("sha256:broken");
  reconciler_->set_desired(config_of({module("a", "i:broken")}));
  ASSERT_TRUE(until([&] { return reconciler_->state().history.at("a").failure_count > 0; }));
  ASSERT_EQ(engine_.all().size(), 1U);
  EXPECT_EQ(engine_.all().front().id, old_id);
  EXPECT_TRUE(runs("a"));
}

TEST_F(ReconcilerTest, AFailedFetchDoesNotStopTheOthers) {
  images_.fails = true;
  begin({module("a", "i:9"), module("b")});
  EXPECT_TRUE(until([&] { return runs("b"); }));
  ASSERT_TRUE(until([&] { return reconciler_->state().history.at("a").failure_count == 1; }));
  const int fetches = images_.fetch_count;
  ASSERT_TRUE(run_rounds(3));
  EXPECT_EQ(images_.fetch_count, fetches) << "it cools off";
  images_.fails = false;
  clock_.advance_us(kCoolOffFirst_us);
  EXPECT_TRUE(until([&] { return runs("a"); }));
}

TEST_F(ReconcilerTest, LivesThroughAnEngineThatIsAway) {
  engine_.set_away(true);
  begin({module("a")});
  ASSERT_TRUE(run_rounds(2));
  EXPECT_FALSE(reconciler_->is_engine_reachable());
  engine_.set_away(false);
  EXPECT_TRUE(until([&] { return runs("a"); }));
  EXPECT_TRUE(reconciler_->is_engine_reachable());
}

TEST_F(ReconcilerTest, PrunesImagesOnceASetRuns) {
  reconciler_->start();
  ASSERT_TRUE(until([&] { return reconciler_->round_count() > 3; }));
  EXPECT_TRUE(images_.prunes().empty()) << "before it knows a manifest";
  reconciler_->set_generations({{"a", "1"}});
  reconciler_->set_desired(config_of({module("a", "i:2")}));
  const auto last = [&] {
    return images_.prunes().empty() ? std::pair{std::set<std::string>(), false} : images_.prunes().back();
  };
  ASSERT_TRUE(until([&] { return last() == std::pair(std::set<std::string>{"i:2"}, true); }));
  EXPECT_TRUE(runs("a"));
  const auto count = images_.prunes().size();
  const auto rounds = reconciler_->round_count();
  ASSERT_TRUE(until([&] { return reconciler_->round_count() > rounds + 5; }));
  EXPECT_EQ(images_.prunes().size(), count) << "once is enough";

  engine_.add_image("i:broken", {"sha256:broken", ""});
  engine_.refuse_start("sha256:broken");
  reconciler_->set_desired(config_of({module("a", "i:broken")}));
  ASSERT_TRUE(until([&] { return reconciler_->state().history.at("a").failure_count > 0; }));
  EXPECT_TRUE(until([&] { return last() == std::pair(std::set<std::string>{"i:broken"}, false); }))
      << "it never ran, so it is not good";
}

TEST_F(ReconcilerTest, PrunesAgainWhatWasInUse) {
  images_.prune_fails = true;
  begin({module("a")});
  ASSERT_TRUE(until([&] { return !images_.prunes().empty() && images_.prunes().back().second; }));
  const auto count = images_.prunes().size();
  images_.prune_fails = false;
  EXPECT_TRUE(until([&] { return images_.prunes().size() > count; }));
  const auto again = images_.prunes().size();
  const auto rounds = reconciler_->round_count();
  ASSERT_TRUE(until([&] { return reconciler_->round_count() > rounds + 70; }));
  EXPECT_EQ(images_.prunes().size(), again);
}

TEST_F(ReconcilerTest, RestartsOnRequest) {
  begin({module("a")});
  ASSERT_TRUE(until([&] { return runs("a"); }));
  std::optional<Status> answer;
  reconciler_->restart("a", [&](Status status) { answer = std::move(status); });
  ASSERT_TRUE(until([&] { return answer.has_value(); }));
  EXPECT_TRUE(*answer);
  EXPECT_TRUE(until([&] { return runs("a"); }));
  EXPECT_EQ(reconciler_->state().history.at("a").restart_count, 0U);
  reconciler_->restart("x", [&](Status status) { answer = std::move(status); });
  EXPECT_FALSE(*answer);
}

}  // namespace
}  // namespace verge::agent
