#include "base/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/disk.h"
#include "base/temporary_folder.h"

namespace verge {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{60'000};  // Passes only on a failure; a machine may be slow.

ProcessOptions shell(const std::string& script) {
  ProcessOptions options;
  options.arguments = {"sh", "-c", script};
  return options;
}

int wait_for(pid_t pid) {
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

TEST(RunProcess, CollectsOutputAndExitCode) {
  auto options = shell("echo out; echo err >&2; echo $VERGE_X; pwd; exit 3");
  options.environment["VERGE_X"] = "from us";
  options.folder = "/";
  const auto result = run_process(options, kPatience);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\nerr\nfrom us\n/\n");
}

TEST(RunProcess, KilledBySignal) {
  EXPECT_EQ(run_process(shell("kill -TERM $$"), kPatience)->exit_code, 128 + SIGTERM);
}

TEST(RunProcess, TimeoutKillsTheChildAndItsChildren) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "pid";
  const auto result = run_process(shell("sleep 60 & echo $! > " + file.string() + "; wait"), milliseconds(2000));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::timeout);
  const pid_t grandchild = std::stoi(*read_file(file));
  for (int i = 0; i < 4000 && is_alive(grandchild); ++i) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_FALSE(is_alive(grandchild));
}

TEST(RunProcess, DoesNotWaitForAGrandchildThatHoldsTheOutput) {
  const auto result = run_process(shell("sleep 600 & echo $!"), kPatience);
  ASSERT_TRUE(result) << "it waited for the sleep";
  const pid_t grandchild = std::stoi(result->output);
  EXPECT_TRUE(is_alive(grandchild));
  ::kill(grandchild, SIGKILL);
}

TEST(RunProcess, OutputIsBounded) {
  const auto result = run_process(shell("head -c 3000000 /dev/zero; exit 4"), kPatience);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output.size(), 1U << 20U);
  EXPECT_EQ(result->exit_code, 4);
}

TEST(RunProcess, SaysWhatIsMissing) {
  ProcessOptions options;
  EXPECT_EQ(run_process(options, kPatience).error().code, ErrorCode::invalid_argument);
  options.arguments = {"no-such-program-anywhere"};
  const auto result = run_process(options, kPatience);
  EXPECT_EQ(result.error().code, ErrorCode::not_found);
  EXPECT_NE(result.error().message.find("no-such-program-anywhere"), std::string::npos);
  options.arguments = {"sh"};
  options.folder = "/no/such/folder";
  EXPECT_EQ(run_process(options, kPatience).error().code, ErrorCode::not_found);
}

TEST(StartProcess, AppendsToItsLogFile) {
  const TemporaryFolder folder;
  auto options = shell("echo hello; echo oops >&2");
  options.log_file = folder.path() / "logs" / "child.log";
  options.own_session = true;
  for (int i = 0; i < 2; ++i) wait_for(*start_process(options));
  EXPECT_EQ(*read_file(options.log_file), "hello\noops\nhello\noops\n");
}

TEST(Alive, KnowsZombiesAndStrangers) {
  const pid_t child = *start_process(shell("read line"));
  ::kill(child, 0);
  const auto ticks = process_start_ticks(child);
  EXPECT_GT(ticks, 0U);
  ::kill(child, SIGKILL);
  for (int i = 0; i < 20'000 && is_alive(child); ++i) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_FALSE(is_alive(child));  // a zombie now
  wait_for(child);
  EXPECT_FALSE(is_alive(child));
  EXPECT_EQ(process_start_ticks(child), 0U);
  EXPECT_TRUE(is_alive(::getpid()));
  EXPECT_TRUE(is_alive(::getpid(), process_start_ticks(::getpid())));
  EXPECT_FALSE(is_alive(::getpid(), process_start_ticks(::getpid()) + 1));
  EXPECT_FALSE(is_alive(0));
  EXPECT_FALSE(is_alive(-1));
}

TEST(Alive, NamesWithBlanksAndParentheses) {
  const auto ticks = process_start_ticks(::getpid());
  for (const char* name : {"a b", ") S 1 (", "x) Z 0", "((((", "))))"}) {
    ASSERT_EQ(::prctl(PR_SET_NAME, name), 0);
    EXPECT_EQ(process_start_ticks(::getpid()), ticks) << name;
    EXPECT_TRUE(is_alive(::getpid(), ticks)) << name;
  }
}

TEST(ProgramFolder, HoldsThisTest) { EXPECT_TRUE(std::filesystem::exists(program_folder() / "base_tests")); }

}  // namespace
}  // namespace verge
