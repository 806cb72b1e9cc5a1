// cli/output.h -- what commands print: tables for people, JSON for programs.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"

namespace verge::cli {

enum class OutputForm : std::uint8_t { table, json };

/// Columns aligned with two blanks between them; numbers right, text left; width in UTF-8 characters.
std::string to_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);
/// "3 s ago", "2 min ago", "4 h ago", "5 d ago"; "never" for 0.
std::string to_age(std::int64_t then_us, std::int64_t now_us);
/// "1.2 MB"; decimal units.
std::string to_size(std::uint64_t bytes);
/// Member `member` of an object when it is a text, else "".
std::string text_in(const Json& object, std::string_view member);
/// A scalar as people write it: text without quotes; "" for null.
std::string to_cell(const Json& value);

}  // namespace verge::cli
