#include "training/report.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace verge::training {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

std::string chart_of(const std::vector<ChartLine>& lines, float threshold = kNone) {
  Report report("T");
  report.chart("Score", lines, threshold, "from", "to");
  return report.to_html();
}

/// The numbers of the first path: x and y in turn.
std::vector<double> first_path(const std::string& html) {
  const auto begin = html.find("d=\"") + 3;
  std::string path = html.substr(begin, html.find('"', begin) - begin);
  std::replace_if(
      path.begin(), path.end(), [](char letter) { return letter == 'M' || letter == 'L'; }, ' ');
  std::vector<double> numbers;
  const char* at = path.c_str();
  for (char* end = nullptr;; at = end) {
    const double number = std::strtod(at, &end);
    if (end == at) return numbers;
    numbers.push_back(number);
  }
}

TEST(Report, IsOneFileThatNeedsNoNetwork) {
  Report report("Pump 7");
  report.heading("What was seen");
  report.paragraph("Eight sensors.");
  report.list({"one", "two"});
  report.table({"Fault", "Found"}, {{"step", "24 of 24"}, {"drift", "23 of 24"}});
  report.chart("Score", {{"score", {1, 2, 3}}}, 2.5F, "10:00", "11:00");
  const auto html = report.to_html();
  EXPECT_EQ(html.rfind("<!doctype html>", 0), 0U);
  for (const char* part : {"<title>Pump 7</title>", "<h1>Pump 7</h1>", "<h2>What was seen</h2>",
                           "<p>Eight sensors.</p>", "<li>two</li>", "<th scope=\"col\">Found</th>", "<td>23 of 24</td>",
                           "10:00", "11:00", "prefers-color-scheme: dark", "lang=\"en\""})
    EXPECT_THAT(html, HasSubstr(part));
  for (const char* part : {"http:", "https:", "src=", "@import", "<script"}) EXPECT_THAT(html, Not(HasSubstr(part)));
  for (const char* tag : {"h2", "p", "ul", "li", "table", "tr", "td", "figure", "svg", "body", "html"})
    EXPECT_EQ(count_of(html, std::string("<") + tag + ">") + count_of(html, std::string("<") + tag + " "),
              count_of(html, std::string("</") + tag + ">"))
        << tag;
}

TEST(Report, TextCannotBecomeMarkup) {
  const std::string evil = "<script>alert(\"1\")</script>&amp;";
  Report report(evil);
  report.heading(evil);
  report.paragraph(evil);
  report.list({evil});
  report.table({evil}, {{evil}});
  report.chart(evil, {{evil, {1, 2}}}, kNone, evil, evil);
  const auto html = report.to_html();
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;"));
}

TEST(Report, AChartSpansItsWidthAndItsValues) {
  const auto path = first_path(chart_of({{"a", {0, 5, 10}}}));
  ASSERT_EQ(path.size(), 6U);
  EXPECT_EQ(path[0], 0);
  EXPECT_EQ(path[4], 900);
  EXPECT_GT(path[1], path[3]) << "y points down";
  EXPECT_EQ(path[5], 5);
}

TEST(Report, AThresholdIsADashedLineAndWithinTheChart) {
  EXPECT_THAT(chart_of({{"a", {0, 1}}}), Not(HasSubstr("stroke-dasharray")));
  const auto html = chart_of({{"a", {0, 1}}}, 4);
  EXPECT_THAT(html, HasSubstr("stroke-dasharray"));
  for (const double number : first_path(html)) EXPECT_GE(number, 0);
}

TEST(Report, ASinglePeakInAMillionValuesStaysVisible) {
  std::vector<float> values(1'000'000, 1.0F);
  values[777'777] = 100;
  const auto html = chart_of({{"a", values}});
  EXPECT_LT(html.size(), 60'000U) << "down-sampled";
  const auto path = first_path(html);
  double highest = 1e9;
  for (std::size_t at = 1; at < path.size(); at += 2) highest = std::min(highest, path[at]);
  EXPECT_EQ(highest, 5) << "the top of the chart";
}

TEST(Report, OddChartsAreDrawnWithoutNonsense) {
  const struct {
    const char* name;
    std::vector<ChartLine> lines;
    std::size_t pieces;  ///< Of the first line.
  } cases[] = {
      {"no lines", {}, 0},
      {"an empty line", {{"a", {}}}, 0},
      {"one value", {{"a", {3}}}, 1},
      {"constant", {{"a", {3, 3, 3}}}, 1},
      {"all missing", {{"a", {kNone, kNone}}}, 0},
      {"a gap", {{"a", {1, 2, kNone, 3, 4}}}, 2},
      {"infinite", {{"a", {1, std::numeric_limits<float>::infinity(), 2}}}, 2},
      {"more lines than colours", {{"a", {1, 2}}, {"b", {1, 2}}, {"c", {1, 2}}, {"d", {1, 2}}, {"e", {1, 2}}}, 5},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto html = chart_of(c.lines);
    const auto figure = html.substr(html.find("<figure>"));
    EXPECT_THAT(figure, Not(HasSubstr("nan")));
    EXPECT_THAT(figure, Not(HasSubstr("inf")));
    EXPECT_EQ(count_of(figure, "M"), c.pieces);
  }
}

TEST(Report, PicturesTablesAndDotsAreInTheOneFile) {
  Report report("T");
  report.verdict("98 % right <b>", true);
  report.heat_table({"is", "open", "shut"}, {"open", "shut"},
                    {{{"5", 1, true}, {"0", 0, false}}, {{"2", 7, false}, {"3", 0.6, true}}});
  report.gallery({{"jpeg", {"a & b", "is: open"}, true}, {"", {"none"}, false}});
  report.plot("Reliability", {{0.5, 0.25, 4}, {2, 1, 1}});
  const std::string html = report.to_html();
  EXPECT_THAT(html, HasSubstr("98&nbsp;% right &lt;b&gt;"));
  EXPECT_THAT(html, HasSubstr("class=\"bad\" style=\"--heat:1.00\">2<")) << "limited to 1";
  EXPECT_THAT(html, HasSubstr("src=\"data:image/jpeg;base64,anBlZw==\""));
  EXPECT_EQ(count_of(html, "<img"), 1U);
  EXPECT_THAT(html, HasSubstr("a &amp; b</b><br>is: open"));
  EXPECT_EQ(count_of(html, "<circle"), 2U);
  EXPECT_THAT(html, Not(HasSubstr("http://")));
}

}  // namespace
}  // namespace verge::training
