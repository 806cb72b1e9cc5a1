// pipeline/option_checks.h -- checks of option values beyond their type, with messages that name what is allowed.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::pipeline {

/// Errors: invalid_argument: `for_s is -1; give 0 to 86400`.
Status check_range(const Json& options, std::string_view name, double least, double most);
/// Errors: invalid_argument with the nearest allowed word.
Status check_word(const Json& options, std::string_view name, const std::vector<std::string>& allowed);

}  // namespace verge::pipeline
