// training/report.h -- a report that a person understands: one HTML file, no network, light and dark.
//
// Threads: one writer, one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace verge::training {

struct ChartLine {
  std::string name;
  std::vector<float> values;  ///< Evenly spaced over the chart's width; NaN leaves a gap.
};

/// A picture with its caption.
struct ReportPicture {
  std::string jpeg;                ///< The file's bytes (PNG also), kept small by the caller; empty: a grey place.
  std::vector<std::string> lines;  ///< Below it; the first is its name.
  bool is_bad = false;             ///< Marked: a mistake, a defect.
  std::string wave = {};           ///< A WAV file's bytes, which can be played below it; empty: none.
};

/// A cell whose colour says how much it is.
struct HeatCell {
  std::string text;
  double heat = 0;      ///< 0 (no colour) .. 1
  bool is_good = true;  ///< Green instead of red.
};

struct PlotPoint {
  double x = 0, y = 0;  ///< 0..1
  double weight = 1;    ///< > 0; the area of the dot.
};

enum class GallerySize : std::uint8_t {
  small,
  wide,  ///< For pictures in which details count.
};

class Report {
 public:
  explicit Report(std::string title) : title_(std::move(title)) {}
  void heading(std::string_view text);
  void paragraph(std::string_view text);
  void list(const std::vector<std::string>& items);
  /// Headings that are all empty are left out.
  void table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);
  /// Lines over time, down-sampled so that peaks stay; `threshold` draws a dashed line (NaN: none).
  void chart(std::string_view caption, const std::vector<ChartLine>& lines, float threshold, std::string_view from,
             std::string_view to);
  /// The answer, first and large: good or not.
  void verdict(std::string_view text, bool is_good);
  /// Rows have a heading each, and as many cells as there are further headings; the first heading is above the rows'.
  void heat_table(const std::vector<std::string>& headings, const std::vector<std::string>& row_headings,
                  const std::vector<std::vector<HeatCell>>& rows);
  void gallery(const std::vector<ReportPicture>& pictures, GallerySize size = GallerySize::small);
  /// Dots in a square of 0..1 by 0..1, with a dashed diagonal.
  void plot(std::string_view caption, const std::vector<PlotPoint>& points);
  std::string to_html() const;

 private:
  std::string title_, body_;
};

}  // namespace verge::training
