// cli/edit_distance.h -- how many items must be replaced, left out or added to turn one sequence into another.
//
// Source: Levenshtein 1966, with two rows of the table. Threads: pure function.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <vector>

namespace verge::cli {

/// Works on letters (std::string) and on words (std::vector<std::string>). Cost: O(|a| * |b|).
template <class Sequence>
std::size_t edit_distance(const Sequence& a, const Sequence& b) {
  std::vector<std::size_t> row(std::size(b) + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < std::size(a); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < std::size(b); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace verge::cli
