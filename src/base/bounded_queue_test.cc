#include "base/bounded_queue.h"

#include <gtest/gtest.h>
#include <thread>

namespace verge {
namespace {

TEST(BoundedQueue, RefuseSaysNoWhenFull) {
  BoundedQueue<int> queue(2, WhenFull::refuse);
  EXPECT_TRUE(queue.push(1));
  EXPECT_TRUE(queue.push(2));
  EXPECT_FALSE(queue.push(3));
  EXPECT_EQ(queue.dropped_count(), 1U);
  EXPECT_EQ(queue.try_pop(), 1);
}

TEST(BoundedQueue, DropOldestKeepsTheNewest) {
  BoundedQueue<int> queue(2, WhenFull::drop_oldest);
  for (int i = 1; i <= 5; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_EQ(queue.dropped_count(), 3U);
  EXPECT_EQ(queue.pop(), 4);
  EXPECT_EQ(queue.pop(), 5);
}

TEST(BoundedQueue, WaitHandsOverEverythingInOrder) {
  BoundedQueue<int> queue(3, WhenFull::wait);
  std::thread producer([&] {
    for (int i = 0; i < 1000; ++i) queue.push(i);
    queue.close();
  });
  int expected = 0;
  while (const auto item = queue.pop()) EXPECT_EQ(*item, expected++);
  producer.join();
  EXPECT_EQ(expected, 1000);
  EXPECT_EQ(queue.dropped_count(), 0U);
}

TEST(BoundedQueue, ClosedTakesNothingMoreAndGivesWhatItHas) {
  BoundedQueue<int> queue(2, WhenFull::wait);
  queue.push(1);
  queue.close();
  EXPECT_FALSE(queue.push(2));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.pop_within(std::chrono::milliseconds(1)), std::nullopt);
}

}  // namespace
}  // namespace verge
