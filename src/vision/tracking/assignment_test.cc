#include "vision/tracking/assignment.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <random>

namespace verge::vision {
namespace {

/// Tries everything: the price of a pairing, where staying alone costs half of cost_max for each side.
float best_price(const std::vector<float>& costs, int rows, int columns, float cost_max) {
  std::vector<int> order(static_cast<std::size_t>(rows + columns));
  std::iota(order.begin(), order.end(), 0);
  float best = 1e9F;
  do {
    float price = 0;
    int pairs = 0;
    for (int row = 0; row < rows; ++row) {
      const int column = order[static_cast<std::size_t>(row)];
      if (column >= columns) continue;
      const float cost = costs[static_cast<std::size_t>(row * columns + column)];
      price += cost < cost_max ? cost : 1e6F;
      ++pairs;
    }
    best = std::min(best, price + cost_max / 2 * static_cast<float>(rows + columns - 2 * pairs));
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(Assignment, IsTheBestOfAll) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const int rows = static_cast<int>(random() % 4);
    const int columns = static_cast<int>(random() % 4);
    std::vector<float> costs(static_cast<std::size_t>(rows * columns));
    for (float& cost : costs) cost = static_cast<float>(random() % 100) / 100;
    const auto columns_of = assign(costs, rows, columns, 0.8F);
    float price = 0.4F * static_cast<float>(rows + columns);
    std::vector<int> taken;
    for (int row = 0; row < rows; ++row) {
      const int column = columns_of[static_cast<std::size_t>(row)];
      if (column < 0) continue;
      EXPECT_EQ(std::count(taken.begin(), taken.end(), column), 0);
      taken.push_back(column);
      const float cost = costs[static_cast<std::size_t>(row * columns + column)];
      EXPECT_LT(cost, 0.8F);
      price += cost - 0.8F;
    }
    EXPECT_NEAR(price, best_price(costs, rows, columns, 0.8F), 1e-4);
  }
}

TEST(Assignment, LeavesAloneWhatIsTooExpensive) {
  const std::vector<float> costs{0.9F, 0.1F, 0.95F, 0.99F};
  EXPECT_EQ(assign(costs, 2, 2, 0.8F), (std::vector<int>{1, -1}));
  EXPECT_EQ(assign({}, 2, 0, 0.8F), (std::vector<int>{-1, -1}));
  EXPECT_TRUE(assign({}, 0, 3, 0.8F).empty());
}

}  // namespace
}  // namespace verge::vision
