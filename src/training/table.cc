#include "training/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <optional>
#include <set>

#include "base/disk.h"
#include "base/time.h"

namespace verge::training {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr double kYear2000Seconds = 946'684'800;
constexpr double kYear2100Seconds = 4'102'444'800;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '"')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '"' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view line, char delimiter) {
  std::vector<std::string_view> cells;
  bool is_quoted = false;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '"') is_quoted = !is_quoted;
    if (line[at] == delimiter && !is_quoted) {
      cells.push_back(trim(line.substr(begin, at - begin)));
      begin = at + 1;
    }
  }
  cells.push_back(trim(line.substr(begin)));
  return cells;
}

/// The delimiter that the header has most of; a comma loses against the others, which never stand inside numbers.
char delimiter_of(std::string_view header) {
  for (const char candidate : {'\t', ';'}) {
    if (header.find(candidate) != std::string_view::npos) return candidate;
  }
  return ',';
}

std::optional<double> number_of(std::string_view cell, bool has_decimal_comma) {
  std::string plain;
  if (has_decimal_comma && cell.find(',') != std::string_view::npos) {
    plain = cell;
    std::replace(plain.begin(), plain.end(), ',', '.');
    cell = plain;
  }
  if (!cell.empty() && cell.front() == '+') cell.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size()) return std::nullopt;
  return value;
}

bool is_missing(std::string_view cell) {
  return cell.empty() || cell == "NaN" || cell == "nan" || cell == "NA" || cell == "null" || cell == "-";
}

std::optional<std::int64_t> time_of(std::string_view cell, bool has_decimal_comma) {
  if (auto date = from_iso8601(cell)) return *date;
  if (cell.size() > 10 && cell[10] == ' ') {
    std::string with_t(cell);
    with_t[10] = 'T';
    for (const char* zone : {"", "Z"}) {
      if (auto date = from_iso8601(with_t + zone)) return *date;
    }
  }
  const auto number = number_of(cell, has_decimal_comma);
  if (!number) return std::nullopt;
  for (const double per_second : {1.0, 1e3, 1e6}) {
    const double seconds = *number / per_second;
    if (seconds > kYear2000Seconds && seconds < kYear2100Seconds)
      return static_cast<std::int64_t>(std::llround(seconds * 1e6));
  }
  return std::nullopt;
}

/// A spreadsheet, a picture or UTF-16 text is better called so than read as a strange table.
Status check_is_text(std::string_view text, std::string_view file_name) {
  constexpr std::size_t kLookedAt = 4096;
  const auto begin = text.substr(0, kLookedAt);
  const auto bad = std::find_if(begin.begin(), begin.end(), [](char letter) {
    const auto byte = static_cast<unsigned char>(letter);
    return byte < 0x20 && letter != '\t' && letter != '\n' && letter != '\r';
  });
  if (bad == begin.end()) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("{} is not a text table (byte {} is 0x{:02x}); save it as CSV in UTF-8", file_name,
                           bad - begin.begin() + 1, static_cast<unsigned char>(*bad))};
}

/// Columns are known by their names from here on, so each needs one of its own.
Status check_names(const std::vector<std::string>& header, std::string_view file_name) {
  std::set<std::string_view> seen;
  for (const auto& name : header) {
    if (seen.insert(name).second) continue;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{}:1: two columns are called \"{}\"; rename one", file_name, name)};
  }
  return Done{};
}

struct Layout {
  char delimiter = ',';
  bool has_decimal_comma = false;
  std::vector<std::string> header;
  std::size_t time_column = 0;
};

/// Line by line over the text, with line numbers from 1.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> next() {
    while (!rest_.empty()) {
      const auto end = rest_.find('\n');
      std::string_view line = rest_.substr(0, end);
      rest_ = end == std::string_view::npos ? std::string_view{} : rest_.substr(end + 1);
      ++number_;
      if (!trim(line).empty()) return line;
    }
    return std::nullopt;
  }
  std::size_t number() const { return number_; }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

Result<Layout> find_layout(std::string_view header, std::string_view first_row, std::string_view file_name,
                           const CsvLimits& limits) {
  Layout layout;
  layout.delimiter = delimiter_of(header);
  layout.has_decimal_comma = layout.delimiter != ',' && first_row.find(',') != std::string_view::npos;
  for (const auto name : split(header, layout.delimiter)) {
    layout.header.push_back(name.empty() ? fmt::format("column {}", layout.header.size() + 1) : std::string(name));
  }
  if (layout.header.size() > limits.columns_max) {
    return Error{ErrorCode::limit, fmt::format("{}: {} columns, at most {} are read", file_name, layout.header.size(),
                                               limits.columns_max)};
  }
  VERGE_CHECK(check_names(layout.header, file_name));
  const auto cells = split(first_row, layout.delimiter);
  for (std::size_t column = 0; column < cells.size(); ++column) {
    if (time_of(cells[column], layout.has_decimal_comma)) {
      layout.time_column = column;
      return layout;
    }
  }
  return Error{ErrorCode::invalid_argument,
               fmt::format("{}:2: no column holds a time; give one as 2026-01-31T08:00:00Z or as Unix seconds, "
                           "milliseconds or microseconds",
                           file_name)};
}

void sort_by_time(Table& table) {
  std::vector<std::size_t> order(table.row_count());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto earlier = [&](std::size_t a, std::size_t b) { return table.times_us[a] < table.times_us[b]; };
  if (!std::is_sorted(order.begin(), order.end(), earlier)) {
    table.notes.emplace_back("Rows were out of order; they were sorted by time.");
    std::stable_sort(order.begin(), order.end(), earlier);
  }
  std::vector<std::size_t> kept;
  for (const std::size_t row : order) {
    if (kept.empty() || table.times_us[kept.back()] != table.times_us[row]) kept.push_back(row);
  }
  if (kept.size() != order.size()) {
    table.notes.push_back(
        fmt::format("{} rows had the time of another; the first of each was kept.", order.size() - kept.size()));
  }
  const auto pick = [&](auto& values) {
    std::remove_reference_t<decltype(values)> picked;
    picked.reserve(kept.size());
    for (const std::size_t row : kept) picked.push_back(values[row]);
    values = std::move(picked);
  };
  pick(table.times_us);
  for (auto& column : table.columns) pick(column);
}

void drop_empty_columns(Table& table) {
  for (std::size_t column = table.column_count(); column-- > 0;) {
    const auto& values = table.columns[column];
    if (std::any_of(values.begin(), values.end(), [](float value) { return !std::isnan(value); })) continue;
    table.notes.push_back(fmt::format("Column \"{}\" holds no numbers; it was left out.", table.names[column]));
    table.names.erase(table.names.begin() + static_cast<std::ptrdiff_t>(column));
    table.columns.erase(table.columns.begin() + static_cast<std::ptrdiff_t>(column));
  }
}

}  // namespace

Table Table::rows(std::size_t from, std::size_t to) const {
  Table part;
  part.names = names;
  part.times_us.assign(times_us.begin() + static_cast<std::ptrdiff_t>(from),
                       times_us.begin() + static_cast<std::ptrdiff_t>(to));
  for (const auto& column : columns) {
    part.columns.emplace_back(column.begin() + static_cast<std::ptrdiff_t>(from),
                              column.begin() + static_cast<std::ptrdiff_t>(to));
  }
  return part;
}

Result<Table> parse_csv(std::string_view text, std::string_view file_name, const CsvLimits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  VERGE_CHECK(check_is_text(text, file_name));
  Lines lines(text);
  const auto header = lines.next();
  Lines peek = lines;
  const auto first_row = peek.next();
  if (!header || !first_row) {
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("{}: there are no rows; give a header line and rows of numbers with a time column", file_name)};
  }
  VERGE_TRY(const auto layout, find_layout(*header, *first_row, file_name, limits));

  Table table;
  for (std::size_t column = 0; column < layout.header.size(); ++column) {
    if (column != layout.time_column) table.names.push_back(layout.header[column]);
  }
  table.columns.resize(table.names.size());
  std::size_t too_large_count = 0;
  while (const auto line = lines.next()) {
    const auto cells = split(*line, layout.delimiter);
    if (cells.size() != layout.header.size()) {
      return Error{ErrorCode::invalid_argument, fmt::format("{}:{}: {} cells, but the header has {} columns", file_name,
                                                            lines.number(), cells.size(), layout.header.size())};
    }
    const auto time_us = time_of(cells[layout.time_column], layout.has_decimal_comma);
    if (!time_us) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("{}:{}: \"{}\" in column \"{}\" is not a time", file_name, lines.number(),
                               cells[layout.time_column], layout.header[layout.time_column])};
    }
    if (table.row_count() >= limits.rows_max)
      return Error{ErrorCode::limit, fmt::format("{}: more than {} rows; cut the file", file_name, limits.rows_max)};
    table.times_us.push_back(*time_us);
    for (std::size_t column = 0, target = 0; column < cells.size(); ++column) {
      if (column == layout.time_column) continue;
      auto value = is_missing(cells[column]) ? std::nullopt : number_of(cells[column], layout.has_decimal_comma);
      if (value && !(std::abs(*value) <= static_cast<double>(std::numeric_limits<float>::max()))) {
        value.reset();
        ++too_large_count;
      }
      table.columns[target++].push_back(value ? static_cast<float>(*value) : kMissing);
    }
  }
  if (too_large_count > 0)
    table.notes.push_back(fmt::format("{} readings are beyond 3.4e38; they count as missing.", too_large_count));
  sort_by_time(table);
  drop_empty_columns(table);
  return table;
}

Result<Table> read_csv(const std::filesystem::path& path, const CsvLimits& limits) {
  VERGE_TRY(const auto text, read_file(path, std::size_t{4} << 30U));
  return parse_csv(text, path.filename().string(), limits);
}

std::string to_csv(const Table& table) {
  std::string text = "time";
  for (const auto& name : table.names) text += "," + name;
  text += '\n';
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    text += to_iso8601(table.times_us[row]);
    for (const auto& column : table.columns) {
      text += ',';
      if (!std::isnan(column[row])) text += fmt::format("{}", column[row]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace verge::training
