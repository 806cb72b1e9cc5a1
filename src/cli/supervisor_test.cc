#include "cli/supervisor.h"

#include <csignal>
#include <functional>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/temporary_folder.h"

namespace verge::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

bool wait_until(const std::function<bool()>& condition, milliseconds timeout = seconds(60)) {
  const auto end = steady_clock::now() + timeout;
  while (!condition()) {
    if (steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return true;
}

ChildSpec sleeper(const std::string& name) {
  ChildSpec child;
  child.name = name;
  child.process.arguments = {"sleep", "60"};
  child.process.own_session = true;
  return child;
}

/// A supervisor in a process of its own, as in a running machine.
class SupervisorTest : public testing::Test {
 protected:
  ~SupervisorTest() override {
    stop_supervisor(SIGTERM);
    const auto state = load_supervisor_state(home_);
    if (!state) return;
    for (const auto& [name, mark] : state->children) end_process(mark, milliseconds(500));
  }

  void start_supervisor(const std::vector<ChildSpec>& children) {
    supervisor_ = fork();
    ASSERT_GE(supervisor_, 0);
    if (supervisor_ == 0) _exit(run_supervisor(home_, children) ? 0 : 9);
  }

  void stop_supervisor(int signal) {
    if (supervisor_ <= 0) return;
    kill(supervisor_, signal);
    waitpid(supervisor_, nullptr, 0);
    supervisor_ = 0;
  }

  ProcessMark child(const std::string& name) const {
    const auto state = load_supervisor_state(home_);
    if (!state) return {};
    const auto found = state->children.find(name);
    return found == state->children.end() ? ProcessMark{} : found->second;
  }
  bool runs(const std::string& name) const { return child(name).is_alive(); }

  TemporaryFolder folder_;
  Home home_{folder_.path()};
  pid_t supervisor_ = 0;
};

TEST_F(SupervisorTest, StartsAndRestartsItsChildren) {
  start_supervisor({sleeper("hub")});
  ASSERT_TRUE(wait_until([&] { return runs("hub"); }));
  const auto first = child("hub");
  kill(first.pid, SIGKILL);
  ASSERT_TRUE(wait_until([&] { return runs("hub") && child("hub").pid != first.pid; }));
  EXPECT_EQ(load_supervisor_state(home_)->restarts.at("hub"), 1U);
}

TEST_F(SupervisorTest, AChildWaitsForItsFile) {
  auto agent = sleeper("agent");
  agent.waits_for = folder_.path() / "agent.json";
  start_supervisor({sleeper("hub"), agent});
  ASSERT_TRUE(wait_until([&] { return runs("hub"); }));
  EXPECT_FALSE(runs("agent"));
  ASSERT_TRUE(write_file(agent.waits_for, "{}"));
  EXPECT_TRUE(wait_until([&] { return runs("agent"); }));
}

TEST_F(SupervisorTest, KilledItIsReplacedByOneThatAdoptsWhatRuns) {
  start_supervisor({sleeper("hub")});
  ASSERT_TRUE(wait_until([&] { return runs("hub"); }));
  const auto before = child("hub");
  stop_supervisor(SIGKILL);
  EXPECT_TRUE(before.is_alive());

  start_supervisor({sleeper("hub")});
  ASSERT_TRUE(wait_until([&] { return load_supervisor_state(home_)->supervisor.pid == supervisor_; }));
  kill(before.pid, SIGTERM);
  ASSERT_TRUE(wait_until([&] { return runs("hub") && child("hub").pid != before.pid; }))
      << "the adopted one is watched too";
}

TEST_F(SupervisorTest, EndsAndLeavesTheChildrenRunning) {
  start_supervisor({sleeper("hub")});
  ASSERT_TRUE(wait_until([&] { return runs("hub"); }));
  stop_supervisor(SIGTERM);
  EXPECT_TRUE(runs("hub"));
}

TEST_F(SupervisorTest, ThereIsOnlyOnePerHome) {
  start_supervisor({sleeper("hub")});
  ASSERT_TRUE(wait_until([&] { return runs("hub"); }));
  const auto second = run_supervisor(home_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::conflict);
}

TEST_F(SupervisorTest, AProgramThatCannotStartDoesNotHoldTheOthers) {
  ChildSpec broken;
  broken.name = "engine";
  broken.process.arguments = {"/nowhere/verge-nothing"};
  start_supervisor({broken, sleeper("hub")});
  EXPECT_TRUE(wait_until([&] { return runs("hub"); }));
}

TEST(RestartDelay, DoublesUpToTenSeconds) {
  EXPECT_EQ(restart_delay(0), milliseconds(200));
  EXPECT_EQ(restart_delay(1), milliseconds(400));
  EXPECT_EQ(restart_delay(5), milliseconds(6400));
  EXPECT_EQ(restart_delay(6), seconds(10));
  EXPECT_EQ(restart_delay(1'000'000), seconds(10));
}

TEST(EndProcess, AsksFirstAndKillsThen) {
  const auto obedient = start_process({.arguments = {"sleep", "60"}});
  ASSERT_TRUE(obedient);
  EXPECT_TRUE(end_process({*obedient, process_start_ticks(*obedient)}));

  const TemporaryFolder folder;
  const auto ready = folder.path() / "ready";
  const auto stubborn = start_process(
      {.arguments = {"sh", "-c", "trap '' TERM; touch " + ready.string() + "; while :; do sleep 0.05; done"}});
  ASSERT_TRUE(stubborn);
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(ready); }));
  const ProcessMark mark{*stubborn, process_start_ticks(*stubborn)};
  EXPECT_TRUE(end_process(mark, milliseconds(100)));
  EXPECT_FALSE(mark.is_alive());
}

TEST(EndProcess, LeavesAnotherProcessWithTheSamePidAlone) {
  const ProcessMark not_me{getpid(), process_start_ticks(getpid()) + 1};
  EXPECT_FALSE(end_process(not_me));
  EXPECT_FALSE(end_process({}));
}

TEST(SupervisorState, BrokenFileIsSaidSo) {
  const TemporaryFolder folder;
  const Home home{folder.path()};
  EXPECT_TRUE(load_supervisor_state(home)->children.empty());
  ASSERT_TRUE(write_file(home.supervisor_file(), "no json"));
  const auto state = load_supervisor_state(home);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace verge::cli
