#include "cli/output.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

#include "base/json.h"

namespace verge::cli {
namespace {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }));
}

bool looks_like_number(std::string_view text) {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text.front())) != 0 || text.front() == '-') &&
         std::all_of(text.begin() + 1, text.end(), [](char letter) {
           return std::isdigit(static_cast<unsigned char>(letter)) != 0 || letter == '.' || letter == '%';
         });
}

}  // namespace

std::string to_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  std::vector<bool> is_number(headings.size(), !rows.empty());
  for (const auto& heading : headings) widths.push_back(width_of(heading));
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size() && column < widths.size(); ++column) {
      widths[column] = std::max(widths[column], width_of(row[column]));
      if (!row[column].empty() && row[column] != "-" && !looks_like_number(row[column])) is_number[column] = false;
    }
  }

  std::string text;
  const auto add_row = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t column = 0; column < widths.size(); ++column) {
      const std::string cell = column < row.size() ? row[column] : "";
      const std::string padding(widths[column] - std::min(widths[column], width_of(cell)), ' ');
      line += is_number[column] ? padding + cell : cell + padding;
      if (column + 1 < widths.size()) line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  };
  add_row(headings);
  for (const auto& row : rows) add_row(row);
  return text;
}

std::string to_age(std::int64_t then_us, std::int64_t now_us) {
  if (then_us == 0) return "never";
  const std::int64_t seconds = std::max<std::int64_t>(0, (now_us - then_us) / 1'000'000);
  if (seconds < 120) return fmt::format("{} s ago", seconds);
  if (seconds < 7200) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h ago", seconds / 3600);
  return fmt::format("{} d ago", seconds / 86'400);
}

std::string to_size(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1'000'000) return fmt::format("{:.1f} kB", value / 1e3);
  if (bytes < 1'000'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.1f} GB", value / 1e9);
}

std::string text_in(const Json& object, std::string_view member) {
  const auto text = string_member(object, member);
  return text ? *text : std::string();
}

std::string to_cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return to_text(value);
}

}  // namespace verge::cli
