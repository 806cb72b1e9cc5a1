#include "vision/tracking/assignment.h"

#include <limits>

#include "base/assert.h"

namespace verge::vision {

std::vector<int> assign(std::span<const float> costs, int rows, int columns, float cost_max) {
  VERGE_ASSERT(costs.size() == static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
  // A square problem, in which every row can also stay alone at the price cost_max.
  const int size = rows + columns;
  const auto cost = [&](int row, int column) -> double {
    if (row < rows && column < columns) {
      const float given =
          costs[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column)];
      return given < cost_max ? static_cast<double>(given) : 1e6;
    }
    if (row < rows || column < columns) return static_cast<double>(cost_max) / 2;
    return 0;
  };
  const auto at = [](int i) { return static_cast<std::size_t>(i); };
  // Rows and columns count from 1; column 0 holds the row that looks for a place.
  std::vector<double> row_price(at(size) + 1), column_price(at(size) + 1);
  std::vector<int> row_of(at(size) + 1), before(at(size) + 1);
  for (int row = 1; row <= size; ++row) {
    row_of[0] = row;
    int column = 0;
    std::vector<double> least(at(size) + 1, std::numeric_limits<double>::infinity());
    std::vector<bool> is_used(at(size) + 1);
    do {
      is_used[at(column)] = true;
      const int current = row_of[at(column)];
      double smallest = std::numeric_limits<double>::infinity();
      int next = 0;
      for (int j = 1; j <= size; ++j) {
        if (is_used[at(j)]) continue;
        const double reduced = cost(current - 1, j - 1) - row_price[at(current)] - column_price[at(j)];
        if (reduced < least[at(j)]) {
          least[at(j)] = reduced;
          before[at(j)] = column;
        }
        if (least[at(j)] < smallest) {
          smallest = least[at(j)];
          next = j;
        }
      }
      for (int j = 0; j <= size; ++j) {
        if (is_used[at(j)]) {
          row_price[at(row_of[at(j)])] += smallest;
          column_price[at(j)] -= smallest;
        } else {
          least[at(j)] -= smallest;
        }
      }
      column = next;
    } while (row_of[at(column)] != 0);
    while (column != 0) {
      row_of[at(column)] = row_of[at(before[at(column)])];
      column = before[at(column)];
    }
  }
  std::vector<int> column_of(at(rows), -1);
  for (int j = 1; j <= columns; ++j) {
    if (row_of[at(j)] <= rows) column_of[at(row_of[at(j)] - 1)] = j - 1;
  }
  return column_of;
}

}  // namespace verge::vision
