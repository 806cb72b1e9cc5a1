#include "base/loop.h"

#include <atomic>
#include <gtest/gtest.h>
#include <signal.h>
#include <thread>
#include <vector>

#include "base/loop_for_tests.h"

namespace verge {
namespace {

using std::chrono::milliseconds;

TEST(Loop, PostedWorkRunsInOrderOnTheLoopThread) {
  Loop loop;
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) {
    loop.post([&, i] {
      EXPECT_TRUE(loop.is_loop_thread());
      order.push_back(i);
    });
  }
  EXPECT_FALSE(loop.is_loop_thread());
  loop.stop();
  loop.run();  // a stop() before run() counts
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_FALSE(loop.is_loop_thread());
}

TEST(Loop, TimersRunInOrderOfTheirTime) {
  Loop loop;
  std::vector<int> order;
  loop.after(milliseconds(20), [&] { order.push_back(2), loop.stop(); });
  loop.after(milliseconds(1), [&] { order.push_back(1); });
  const auto cancelled = loop.after(milliseconds(5), [&] { order.push_back(9); });
  loop.cancel(cancelled);
  loop.cancel(cancelled);
  loop.cancel(12345);
  loop.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(Loop, CancelledAfterExpiryDoesNotRun) {
  Loop loop;
  bool has_run = false;
  Loop::TimerId second = 0;
  loop.after(milliseconds(1), [&] {
    std::this_thread::sleep_for(milliseconds(5));  // the second one expires meanwhile
    loop.cancel(second);
  });
  second = loop.after(milliseconds(2), [&] { has_run = true; });
  loop.run_for(milliseconds(20));
  EXPECT_FALSE(has_run);
}

TEST(Loop, EveryRepeatsUntilItCancelsItself) {
  Loop loop;
  int count = 0;
  Loop::TimerId id = 0;
  id = loop.every(milliseconds(2), [&] {
    if (++count == 5) loop.cancel(id);
  });
  EXPECT_TRUE(run_until(loop, [&] { return count == 5; }));
  loop.run_for(milliseconds(10));
  EXPECT_EQ(count, 5);
}

TEST(Loop, ALateCallDoesNotMakeUpForMissedOnes) {
  Loop loop;
  int count = 0;
  loop.every(milliseconds(5), [&] {
    if (++count == 1) std::this_thread::sleep_for(milliseconds(40));
  });
  loop.run_for(milliseconds(52));
  EXPECT_LE(count, 4);
}

TEST(Loop, PostFromManyThreads) {
  Loop loop;
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) loop.post([&] { ++count; });
    });
  }
  EXPECT_TRUE(run_until(loop, [&] { return count == 4000; }));
  for (auto& thread : threads) thread.join();
}

TEST(Loop, DroppedWorkMayCallTheLoopFromItsDestructors) {
  struct Nosy {
    explicit Nosy(Loop& own_loop) : loop(own_loop) {}
    Nosy(const Nosy&) = delete;
    Nosy& operator=(const Nosy&) = delete;
    Loop& loop;
    ~Nosy() {
      loop.cancel(1);
      loop.post([] {});
    }
  };
  auto loop = std::make_unique<Loop>();
  loop->post([keep = std::make_shared<Nosy>(*loop)] {});
  loop->after(milliseconds(1000), [keep = std::make_shared<Nosy>(*loop)] {});
  loop.reset();
  SUCCEED();
}

TEST(Loop, SignalsArrive) {
  Loop loop;
  int got = 0;
  loop.on_signal([&](int signal) { got = signal, loop.stop(); });
  loop.post([] { ::raise(SIGHUP); });
  loop.run_for(milliseconds(60'000));  // Ends with the signal.
  EXPECT_EQ(got, SIGHUP);
}

TEST(Workers, RunJobsAndPostBack) {
  Loop loop;
  int done = 0;
  Workers workers(2, 100);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(workers.submit([&] { loop.post([&] { ++done; }); }));
  }
  EXPECT_TRUE(run_until(loop, [&] { return done == 50; }));
}

TEST(Workers, RefuseBeyondTheLimitAndDropWhatWaits) {
  std::atomic<bool> may_go = false;
  std::atomic<bool> has_begun = false;
  std::atomic<bool> is_ending = false;
  std::atomic<int> ran = 0;
  std::thread releaser;
  {
    Workers workers(1, 2);
    ASSERT_TRUE(workers.submit([&] {
      has_begun = true;
      while (!may_go) std::this_thread::yield();
    }));
    while (!has_begun) std::this_thread::yield();
    EXPECT_TRUE(workers.submit([&] { ++ran; }));
    EXPECT_TRUE(workers.submit([&] { ++ran; }));
    EXPECT_EQ(workers.submit([&] { ++ran; }).error().code, ErrorCode::limit);
    releaser = std::thread([&] {
      while (!is_ending) std::this_thread::yield();
      std::this_thread::sleep_for(milliseconds(300));  // The destructor has only its lock left to take.
      may_go = true;
    });
    is_ending = true;
  }
  releaser.join();
  EXPECT_EQ(ran, 0);
}

}  // namespace
}  // namespace verge
