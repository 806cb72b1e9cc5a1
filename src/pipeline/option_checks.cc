#include "pipeline/option_checks.h"

#include <algorithm>
#include <fmt/format.h>

#include "pipeline/nearest_word.h"

namespace verge::pipeline {

Status check_range(const Json& options, std::string_view name, double least, double most) {
  const double value = options[name].get<double>();
  if (value >= least && value <= most) return Done{};
  return Error{ErrorCode::invalid_argument, fmt::format("{} is {}; give {} to {}", name, value, least, most)};
}

Status check_word(const Json& options, std::string_view name, const std::vector<std::string>& allowed) {
  const std::string word = options[name].get<std::string>();
  if (std::ranges::find(allowed, word) != allowed.end()) return Done{};
  return Error{ErrorCode::invalid_argument, fmt::format("{} is \"{}\"{}", name, word, suggestion(word, allowed))};
}

}  // namespace verge::pipeline
