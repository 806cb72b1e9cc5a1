#include "agent/reconcile/process_watch.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bounded_queue.h"

namespace verge::agent {
namespace {

pid_t sleeping_child() {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  return child;
}

TEST(ProcessWatch, TellsWhichProcessEnded) {
  BoundedQueue<std::int64_t> ended(10, WhenFull::refuse);
  ProcessWatch watch([&](std::int64_t pid) { ended.push(pid); });
  const pid_t first = sleeping_child();
  const pid_t second = sleeping_child();
  watch.set({first, second});
  kill(second, SIGKILL);
  EXPECT_EQ(ended.pop_within(std::chrono::seconds(60)), second);
  watch.set({});
  kill(first, SIGKILL);
  waitpid(first, nullptr, 0);
  waitpid(second, nullptr, 0);
  EXPECT_EQ(ended.size(), 0U);
}

TEST(ProcessWatch, AProcessThatIsGoneCountsAsEnded) {
  BoundedQueue<std::int64_t> ended(10, WhenFull::refuse);
  ProcessWatch watch([&](std::int64_t pid) { ended.push(pid); });
  const pid_t child = sleeping_child();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  watch.set({child});
  EXPECT_EQ(ended.pop_within(std::chrono::seconds(60)), child);
}

}  // namespace
}  // namespace verge::agent
