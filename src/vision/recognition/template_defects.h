// vision/recognition/template_defects.h -- defects of a part by comparing it with pictures of good ones (boards,
// labels, prints).
//
// The picture is laid over the template (registration.h), then each pixel must lie between the lowest and highest value
// that the template has within a few pixels, and the other way round, so that ragged edges are no defects. What remains
// is grouped. With labelled examples a filter learns which groups are false (teach/defect_filter.h); without them, all
// that are large and strong enough count.
// Source: Otsu 1979 (two tones); local minima and maxima as grey-scale morphology, Haralick et al. 1987; thickness by
// chamfer distances, Borgefors 1986.
// Threads: an inspector never changes; its functions may be called from several threads at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vision/picture/registration.h"

namespace verge::vision {

struct TemplateOptions {
  int shift = 2;                 ///< Pixels that edges may lie elsewhere, 1..8.
  double change_min = 0;         ///< Grey values outside of what is tolerated, 1..255; 0: by the template's two tones.
  int join = 4;                  ///< Pixels by which what changed is widened before it is grouped, 0..32.
  int pixels_min = 3;            ///< Of a group, 1..10,000.
  int margin = 8;                ///< Pixels shown around a group, 0..64.
  double correlation_min = 0.3;  ///< -1..1. Below it the part is not in the picture.
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
  std::vector<double> weights;  ///< [19]
  double offset = 0;
  double score_min = 0.5;
  int margin = 8;
  /// 0..1. numbers: [19]
  double probability(std::span<const float> numbers) const;
};

/// What a picture is compared with, all of one size.
struct TemplatePictures {
  GreyPicture good;
  GreyPicture lowest, highest;  ///< Of the good pictures, laid over the first.
};

class TemplateInspector {
 public:
  /// good  the template first; further good pictures widen what is tolerated, unless they do not fit over it
  /// Errors: invalid_argument (no picture, sides, options).
  static Result<TemplateInspector> make(std::span<const GreyPicture> good, const TemplateOptions& options = {});
  static Result<TemplateInspector> make(TemplatePictures pictures, const TemplateOptions& options);

  struct Registered {
    Alignment alignment;
    GreyPicture over;  ///< The picture, laid over the template.
  };
  /// Errors: invalid_argument (sides), not_found (the part is not in the picture).
  Result<Registered> lay_over(const GreyPicture& picture) const;
  /// By how much each pixel is outside of what is tolerated: [2, height, width], of what is too much and what lacks.
  std::vector<float> excess_of(const GreyPicture& over) const;
  /// Strongest first. excess: as excess_of() gives it for `over`
  std::vector<Defect> find(const GreyPicture& over, std::span<const float> excess,
                           const DefectFilter* filter = nullptr) const;
  /// The three in a row. Errors: as lay_over().
  Result<std::vector<Defect>> inspect(const GreyPicture& picture, const DefectFilter* filter = nullptr) const;

  const TemplateOptions& options() const { return options_; }
  const TemplatePictures& pictures() const { return pictures_; }
  /// The score without a filter that the weakest group has.
  double score_min() const;

 private:
  TemplateInspector() = default;
  double change_min_for(const GreyPicture& over) const;
  TemplateOptions options_;
  TemplatePictures pictures_;
  std::vector<std::uint8_t> edges_;  ///< Highest less lowest value of the good picture around each pixel.
};

}  // namespace verge::vision
