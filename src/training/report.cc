#include "training/report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "base/bytes.h"

namespace verge::training {
namespace {

constexpr int kWidth = 900;
constexpr int kHeight = 220;
constexpr std::size_t kPointsMax = 900;

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ground: #f6f7f9; --panel: #fff; --text: #1b1f24; --quiet: #5b6470; --line: #d9dde3; --a: #00757a; --b: #8a3ffc; --c: #b45309; --d: #0b66d8; --bad: #c2272d; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1216; --panel: #171b21; --text: #e8ebef; --quiet: #9aa4b1; --line: #2a313b; --a: #4fd1d6; --b: #be95ff; --c: #f0b94a; --d: #6cb0ff; --bad: #ff7b7b; } }
body { margin: 0 auto; max-width: 960px; padding: 24px 20px 60px; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; } h2 { font-size: 19px; margin-top: 32px; }
table { border-collapse: collapse; width: 100%; background: var(--panel); font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 12px; border-bottom: 1px solid var(--line); }
figure { margin: 16px 0; background: var(--panel); padding: 12px; border: 1px solid var(--line); border-radius: 8px; }
figcaption { color: var(--quiet); } svg { width: 100%; height: auto; display: block; } svg text { fill: var(--quiet); font-size: 13px; }
.wide { overflow-x: auto; }
)";

struct Range {
  float low = std::numeric_limits<float>::max();
  float high = std::numeric_limits<float>::lowest();
  void add(float value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// One path; per horizontal step the lowest and the highest value, so that a single spike stays visible.
std::string path_of(const std::vector<float>& values, const Range& range) {
  const std::size_t steps = std::min(kPointsMax, values.size());
  const float height = range.high > range.low ? range.high - range.low : 1.0F;
  const auto y_of = [&](float value) {
    return static_cast<float>(kHeight - 20) * (1 - (value - range.low) / height) + 5;
  };
  std::string path;
  bool is_open = false;
  for (std::size_t step = 0; step < steps; ++step) {
    Range here;
    for (std::size_t at = step * values.size() / steps; at < (step + 1) * values.size() / steps; ++at)
      here.add(values[at]);
    if (here.low > here.high) {
      is_open = false;
      continue;
    }
    const double x = static_cast<double>(step) * kWidth / static_cast<double>(std::max<std::size_t>(1, steps - 1));
    path += fmt::format("{}{:.1f} {:.1f}", is_open ? "L" : "M", x, y_of(here.low));
    if (here.high != here.low) path += fmt::format("L{:.1f} {:.1f}", x, y_of(here.high));
    is_open = true;
  }
  return path;
}

}  // namespace

void Report::heading(std::string_view text) { body_ += "<h2>" + escape_markup(text) + "</h2>\n"; }
void Report::paragraph(std::string_view text) { body_ += "<p>" + escape_markup(text) + "</p>\n"; }

void Report::list(const std::vector<std::string>& items) {
  body_ += "<ul>\n";
  for (const auto& item : items) body_ += "<li>" + escape_markup(item) + "</li>\n";
  body_ += "</ul>\n";
}

void Report::table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  body_ += "<div class=\"wide\"><table><tr>";
  for (const auto& heading : headings) body_ += "<th scope=\"col\">" + escape_markup(heading) + "</th>";
  body_ += "</tr>\n";
  for (const auto& row : rows) {
    body_ += "<tr>";
    for (const auto& cell : row) body_ += "<td>" + escape_markup(cell) + "</td>";
    body_ += "</tr>\n";
  }
  body_ += "</table></div>\n";
}

void Report::chart(std::string_view caption, const std::vector<ChartLine>& lines, float threshold,
                   std::string_view from, std::string_view to) {
  Range range;
  for (const auto& line : lines) {
    for (const float value : line.values) range.add(value);
  }
  range.add(threshold);
  body_ += fmt::format("<figure><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", kWidth, kHeight + 20,
                       escape_markup(caption));
  constexpr std::string_view kColours = "abcd";
  for (std::size_t at = 0; at < lines.size(); ++at) {
    body_ += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"var(--{})\" stroke-width=\"1.2\"/>",
                         path_of(lines[at].values, range), kColours[at % kColours.size()]);
  }
  if (std::isfinite(threshold)) {
    body_ += fmt::format(
        "<path d=\"{}\" fill=\"none\" stroke=\"var(--bad)\" stroke-width=\"1.5\" stroke-dasharray=\"7 5\"/>",
        path_of({threshold, threshold}, range));
  }
  body_ += fmt::format(
      "<text x=\"0\" y=\"{0}\">{1}</text><text x=\"{2}\" y=\"{0}\" text-anchor=\"end\">{3}</text></svg><figcaption>{4}",
      kHeight + 12, escape_markup(from), kWidth, escape_markup(to), escape_markup(caption));
  body_ += "</figcaption></figure>\n";
}

std::string Report::to_html() const {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<title>{0}</title><style>{1}</style></head><body><h1>{0}</h1>\n{2}</body></html>\n",
      escape_markup(title_), kStyle, body_);
}

}  // namespace verge::training
