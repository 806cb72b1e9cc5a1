#include "pipeline/nearest_word.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace verge::pipeline {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> rows((a.size() + 1) * width);
  for (std::size_t j = 0; j < width; ++j) rows[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    rows[i * width] = i;
    for (std::size_t j = 1; j < width; ++j) {
      const std::size_t replaced = rows[(i - 1) * width + j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      std::size_t best = std::min({rows[(i - 1) * width + j] + 1, rows[i * width + j - 1] + 1, replaced});
      const bool is_swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (is_swapped) best = std::min(best, rows[(i - 2) * width + j - 2] + 1);
      rows[i * width + j] = best;
    }
  }
  return rows.back();
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& allowed) {
  constexpr std::size_t kWordMax = 64;  // Nobody mistypes a longer one; it bounds the work.
  if (word.empty() || word.size() > kWordMax) return {};
  std::string nearest;
  std::size_t fewest = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : allowed) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < fewest) {
      fewest = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& allowed) {
  const std::string nearest = nearest_word(word, allowed);
  const std::string list = allowed.empty() ? "nothing" : fmt::format("{}", fmt::join(allowed, ", "));
  if (nearest.empty()) return fmt::format(". Allowed: {}", list);
  return fmt::format("; did you mean \"{}\"? Allowed: {}", nearest, list);
}

}  // namespace verge::pipeline
