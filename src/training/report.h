// training/report.h -- a report that a person understands: one HTML file, no network, light and dark.
//
// Threads: one writer, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace verge::training {

struct ChartLine {
  std::string name;
  std::vector<float> values;  ///< Evenly spaced over the chart's width; NaN leaves a gap.
};

class Report {
 public:
  explicit Report(std::string title) : title_(std::move(title)) {}
  void heading(std::string_view text);
  void paragraph(std::string_view text);
  void list(const std::vector<std::string>& items);
  void table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);
  /// Lines over time, down-sampled so that peaks stay; `threshold` draws a dashed line (NaN: none).
  void chart(std::string_view caption, const std::vector<ChartLine>& lines, float threshold, std::string_view from,
             std::string_view to);
  std::string to_html() const;

 private:
  std::string title_, body_;
};

}  // namespace verge::training
