// vision/teach/template_defects.h -- defects of a part by comparing it with pictures of good ones (boards, labels,
// prints).
//
// The picture is laid over the template (shift, turn and scale to parts of a pixel, gain and offset of the light), then
// each pixel must lie between the lowest and highest value that the template has within a few pixels, and the other way
// round, so that ragged edges are no defects. What remains is grouped. With labelled examples a filter learns which
// groups are false; without them, all that are large and strong enough count.
// Source: Lucas and Kanade 1981, Baker and Matthews 2004 (image alignment by Gauss-Newton); Otsu 1979 (two tones);
// local minima and maxima as grey-scale morphology, Haralick et al. 1987.
// Threads: an inspector never changes; inspect() may be called from several threads at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/packet.h"
#include "training/logistic.h"

namespace verge::vision {

struct GreyPicture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> values;  ///< [height, width]
};
/// At its own size. Errors: invalid_argument (no pixels, a side above 4,096).
Result<GreyPicture> as_grey(const pipeline::Frame& frame);

/// Where a pixel of the template is in the picture, both from their middles: right x - turn y + across, turn x + right
/// y
/// + down; and template = gain * picture + offset.
struct Alignment {
  double right = 1, turn = 0, across = 0, down = 0;
  double gain = 1, offset = 0;
  double correlation = 0;  ///< Of template and picture, -1..1.
};
/// Finds shifts to a seventh of the side, turns to about 8 degrees, scales to about 5 %. The answer may be poor: see
/// its correlation. Both sides at least 16 pixels.
Alignment align(const GreyPicture& good, const GreyPicture& picture);

struct TemplateOptions {
  int shift = 2;                 ///< Pixels that edges may lie elsewhere, 1..8.
  double change_min = 0;         ///< Grey values outside of what is tolerated, 1..255; 0: by the template's two tones.
  int join = 4;                  ///< Pixels by which what changed is widened before it is grouped, 0..32.
  int pixels_min = 3;            ///< Of a group, 1..10,000.
  int margin = 8;                ///< Pixels shown around a group, 0..64.
  double correlation_min = 0.3;  ///< Below it the part is not in the picture.
};

inline constexpr std::size_t kCandidateNumbers = 19;

/// A place that differs, in pixels of the template; right and bottom exclusive.
struct Defect {
  int left = 0, top = 0, right = 0, bottom = 0;  ///< Without the margin.
  float score = 0;                               ///< 0..1; with a filter its probability.
  std::vector<float> numbers;                    ///< [19] for the filter.
};

/// What labelled examples taught: which groups are defects, and how large labels are drawn around them.
struct DefectFilter {
  training::LogisticModel model;
  double score_min = 0.5;
  int margin = 8;
};

class TemplateInspector {
 public:
  /// good  the template first; further good pictures widen what is tolerated
  /// Errors: invalid_argument (no picture, sides, options).
  static Result<TemplateInspector> make(std::span<const GreyPicture> good, const TemplateOptions& options = {});

  /// Strongest first. Errors: invalid_argument (sides), not_found (the part is not in the picture).
  Result<std::vector<Defect>> inspect(const GreyPicture& picture, const DefectFilter* filter = nullptr) const;
  const TemplateOptions& options() const { return options_; }

 private:
  TemplateInspector() = default;
  TemplateOptions options_;
  GreyPicture lowest_, highest_;  ///< Of the good pictures, laid over the first.
  GreyPicture good_;
};

/// A picture's candidates (inspect() without a filter) and where its defects really are, without a margin.
struct TemplateExample {
  std::vector<Defect> candidates;
  std::vector<Defect> labels;
};
/// overlap_min  intersection over union from which a candidate is the label's, 0..1
/// Errors: invalid_argument (fewer than 10 true and 10 false candidates).
Result<DefectFilter> learn_defect_filter(std::span<const TemplateExample> pictures, double overlap_min = 0.33);

}  // namespace verge::vision
