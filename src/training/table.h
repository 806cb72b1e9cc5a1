// training/table.h -- numeric series in columns, with their times; reading and writing CSV.
//
// Threads: a plain value; pure functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::training {

struct Table {
  std::vector<std::string> names;           ///< Of the numeric columns.
  std::vector<std::int64_t> times_us;       ///< Microseconds since the Unix epoch, strictly rising.
  std::vector<std::vector<float>> columns;  ///< columns[c][row]; NaN: missing.
  std::vector<std::string> notes;           ///< What was noticed and done while reading, in sentences.

  std::size_t row_count() const { return times_us.size(); }
  std::size_t column_count() const { return names.size(); }
  /// Rows from..to (exclusive) as a table of their own.
  Table rows(std::size_t from, std::size_t to) const;
};

struct CsvLimits {
  std::size_t rows_max = 20'000'000;
  std::size_t columns_max = 1000;
};

/// Reads a text table: the delimiter (comma, semicolon, tab) and a decimal comma are recognised, the first line is the
/// header, one column is the time (ISO 8601, Unix seconds, milliseconds or microseconds, whichever fits). Rows out of
/// order are sorted, duplicates dropped, columns without numbers left out, all noted. Errors: not_found; limit;
/// invalid_argument with the line (no text, no time, two columns of one name, a row of another length).
Result<Table> read_csv(const std::filesystem::path& path, const CsvLimits& limits = {});
Result<Table> parse_csv(std::string_view text, std::string_view file_name, const CsvLimits& limits = {});
/// Comma-separated, header "time,…", times in ISO 8601, shortest numbers that read back equal.
std::string to_csv(const Table& table);

}  // namespace verge::training
