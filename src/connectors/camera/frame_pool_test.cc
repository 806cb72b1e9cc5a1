#include "connectors/camera/frame_pool.h"

#include <gtest/gtest.h>

namespace verge::connectors {
namespace {

TEST(FramePool, GivesWhatCameBackLast) {
  FramePool pool(1U << 20U);
  auto* first = pool.take(5000);
  auto* second = pool.take(5000);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_NE(first, second);
  first[4999] = second[4999] = 1;
  pool.give_back(first, 5000);
  pool.give_back(second, 5000);
  EXPECT_EQ(pool.free_bytes(), 10'000U);
  EXPECT_EQ(pool.take(5000), second);
  EXPECT_EQ(pool.take(5000), first);
  EXPECT_EQ(pool.free_bytes(), 0U);
  pool.give_back(first, 5000);
  pool.give_back(second, 5000);
}

TEST(FramePool, SizesAreToldApart) {
  FramePool pool(1U << 20U);
  auto* small = pool.take(5000);
  pool.give_back(small, 5000);
  auto* large = pool.take(9000);
  ASSERT_NE(large, nullptr);
  large[8999] = 1;
  EXPECT_EQ(pool.free_bytes(), 5000U);
  pool.give_back(large, 9000);
}

TEST(FramePool, WhatWasUnusedLongestGoesFirst) {
  FramePool pool(10'000);
  auto* old = pool.take(6000);
  auto* next = pool.take(4000);
  auto* last = pool.take(4000);
  pool.give_back(old, 6000);
  pool.give_back(next, 4000);
  EXPECT_EQ(pool.free_bytes(), 10'000U);
  pool.give_back(last, 4000);
  EXPECT_EQ(pool.free_bytes(), 8000U);
  EXPECT_EQ(pool.take(4000), last);
  EXPECT_EQ(pool.take(4000), next);
  pool.give_back(last, 4000);
  pool.give_back(next, 4000);
}

}  // namespace
}  // namespace verge::connectors
