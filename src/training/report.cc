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
:root { color-scheme: light dark; --ground: #f6f7f9; --panel: #fff; --text: #1b1f24; --quiet: #5b6470; --line: #d9dde3; --a: #00757a; --b: #8a3ffc; --c: #b45309; --d: #0b66d8; --bad: #c2272d; --good: #1a7f4b; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1216; --panel: #171b21; --text: #e8ebef; --quiet: #9aa4b1; --line: #2a313b; --a: #4fd1d6; --b: #be95ff; --c: #f0b94a; --d: #6cb0ff; --bad: #ff7b7b; --good: #4cc38a; } }
body { margin: 0 auto; max-width: 960px; padding: 24px 20px 60px; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; } h2 { font-size: 19px; margin-top: 32px; }
table { border-collapse: collapse; width: 100%; background: var(--panel); font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 12px; border-bottom: 1px solid var(--line); }
figure { margin: 16px 0; background: var(--panel); padding: 12px; border: 1px solid var(--line); border-radius: 8px; }
figcaption { color: var(--quiet); } svg { width: 100%; height: auto; display: block; } svg text { fill: var(--quiet); font-size: 13px; }
.wide { overflow-x: auto; }
.verdict { font-size: 18px; padding: 14px 18px; background: var(--panel); border: 1px solid var(--line); border-left: 5px solid var(--bad); border-radius: 8px; }
.verdict.good { border-left-color: var(--good); }
.heat td, .heat th[scope=col] { text-align: center; min-width: 48px; } .heat th:first-child { text-align: left; } .heat td, .heat th { white-space: nowrap; } .heat th[scope=row] { font-weight: 500; }
.heat td.good { background: color-mix(in srgb, var(--good) calc(var(--heat) * 55%), transparent); }
.heat td.bad { background: color-mix(in srgb, var(--bad) calc(var(--heat) * 75%), transparent); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; margin: 16px 0; }
.gallery figure { margin: 0; padding: 8px; overflow: hidden; } .gallery figure.bad { border-color: var(--bad); }
.gallery img, .gallery .none { width: 100%; height: 130px; object-fit: contain; background: var(--ground); border-radius: 4px; display: block; }
.gallery audio { width: 100%; height: 36px; margin-top: 6px; }
.gallery figcaption { font-size: 13px; line-height: 1.4; margin-top: 6px; overflow-wrap: anywhere; } .gallery figcaption b { color: var(--text); font-weight: 500; }
.gallery.large { grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); } .gallery.large img { height: auto; max-height: 360px; }
.plot { max-width: 440px; }
)";

/// For HTML; a number stays with its percent sign.
std::string escape(std::string_view text) {
  std::string safe = escape_markup(text);
  for (std::size_t at = safe.find(" %"); at != std::string::npos; at = safe.find(" %", at))
    safe.replace(at, 1, "&nbsp;");
  return safe;
}

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

void Report::heading(std::string_view text) { body_ += "<h2>" + escape(text) + "</h2>\n"; }
void Report::paragraph(std::string_view text) { body_ += "<p>" + escape(text) + "</p>\n"; }

void Report::list(const std::vector<std::string>& items) {
  body_ += "<ul>\n";
  for (const auto& item : items) body_ += "<li>" + escape(item) + "</li>\n";
  body_ += "</ul>\n";
}

void Report::table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  body_ += "<div class=\"wide\"><table>";
  if (std::any_of(headings.begin(), headings.end(), [](const auto& one) { return !one.empty(); })) {
    body_ += "<tr>";
    for (const auto& heading : headings) body_ += "<th scope=\"col\">" + escape(heading) + "</th>";
    body_ += "</tr>\n";
  }
  for (const auto& row : rows) {
    body_ += "<tr>";
    for (const auto& cell : row) body_ += "<td>" + escape(cell) + "</td>";
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
                       escape(caption));
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
      kHeight + 12, escape(from), kWidth, escape(to), escape(caption));
  for (std::size_t at = 0; lines.size() > 1 && at < lines.size(); ++at) {
    body_ += fmt::format(" <span style=\"color: var(--{})\">&#9632; {}</span>", kColours[at % kColours.size()],
                         escape(lines[at].name));
  }
  body_ += "</figcaption></figure>\n";
}

void Report::verdict(std::string_view text, bool is_good) {
  body_ += fmt::format("<p class=\"verdict{}\">{}</p>\n", is_good ? " good" : "", escape(text));
}

void Report::heat_table(const std::vector<std::string>& headings, const std::vector<std::string>& row_headings,
                        const std::vector<std::vector<HeatCell>>& rows) {
  body_ += "<div class=\"wide\"><table class=\"heat\"><tr>";
  for (const auto& heading : headings) body_ += "<th scope=\"col\">" + escape(heading) + "</th>";
  body_ += "</tr>\n";
  for (std::size_t at = 0; at < rows.size(); ++at) {
    body_ += "<tr><th scope=\"row\">" + escape(row_headings[at]) + "</th>";
    for (const auto& cell : rows[at]) {
      body_ += fmt::format("<td class=\"{}\" style=\"--heat:{:.2f}\">{}</td>", cell.is_good ? "good" : "bad",
                           std::clamp(cell.heat, 0.0, 1.0), escape(cell.text));
    }
    body_ += "</tr>\n";
  }
  body_ += "</table></div>\n";
}

void Report::gallery(const std::vector<ReportPicture>& pictures, GallerySize size) {
  body_ += size == GallerySize::wide ? "<div class=\"gallery large\">\n" : "<div class=\"gallery\">\n";
  for (const auto& picture : pictures) {
    body_ += picture.is_bad ? "<figure class=\"bad\">" : "<figure>";
    const std::string name = picture.lines.empty() ? std::string() : escape(picture.lines.front());
    if (picture.jpeg.empty()) {
      body_ += "<div class=\"none\"></div>";
    } else {
      const std::string_view kind = picture.jpeg.starts_with("\x89PNG") ? "png" : "jpeg";
      body_ += fmt::format("<img alt=\"{}\" src=\"data:image/{};base64,{}\">", name, kind, to_base64(picture.jpeg));
    }
    if (!picture.wave.empty()) {
      body_ +=
          fmt::format("<audio controls preload=\"none\" aria-label=\"{}\" src=\"data:audio/wav;base64,{}\"></audio>",
                      name, to_base64(picture.wave));
    }
    body_ += "<figcaption><b>" + name + "</b>";
    for (std::size_t at = 1; at < picture.lines.size(); ++at) body_ += "<br>" + escape(picture.lines[at]);
    body_ += "</figcaption></figure>\n";
  }
  body_ += "</div>\n";
}

void Report::plot(std::string_view caption, const std::vector<PlotPoint>& points) {
  constexpr int kSide = 300, kLeft = 54, kTop = 10;
  constexpr double kRadiusMax = 13;
  double most = 0;
  for (const auto& point : points) most = std::max(most, point.weight);
  body_ += fmt::format("<figure class=\"plot\"><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
                       kSide + kLeft + 20, kSide + kTop + 30, escape(caption));
  for (const int tenth : {0, 5, 10}) {
    const int along = kSide * tenth / 10;
    body_ += fmt::format(
        "<path d=\"M{0} {1}H{2}M{3} {4}V{5}\" stroke=\"var(--line)\"/><text x=\"{6}\" y=\"{7}\" "
        "text-anchor=\"end\">{8} %</text><text x=\"{3}\" y=\"{9}\" text-anchor=\"middle\">{8} %</text>",
        kLeft, kTop + kSide - along, kLeft + kSide, kLeft + along, kTop, kTop + kSide, kLeft - 6,
        kTop + kSide - along + 4, tenth * 10, kTop + kSide + 20);
  }
  body_ += fmt::format("<path d=\"M{} {}L{} {}\" stroke=\"var(--quiet)\" stroke-dasharray=\"6 5\"/>", kLeft,
                       kTop + kSide, kLeft + kSide, kTop);
  for (const auto& point : points) {
    body_ +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\" fill=\"var(--a)\" fill-opacity=\"0.75\"/>",
                    kLeft + kSide * std::clamp(point.x, 0.0, 1.0), kTop + kSide * (1 - std::clamp(point.y, 0.0, 1.0)),
                    std::max(2.5, kRadiusMax * std::sqrt(point.weight / most)));
  }
  body_ += "</svg><figcaption>" + escape(caption) + "</figcaption></figure>\n";
}

std::string Report::to_html() const {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<title>{0}</title><style>{1}</style></head><body><h1>{0}</h1>\n{2}</body></html>\n",
      escape(title_), kStyle, body_);
}

}  // namespace verge::training
