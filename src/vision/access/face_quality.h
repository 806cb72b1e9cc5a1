// vision/access/face_quality.h -- is a picture of a face good enough to know somebody by?
//
// Each reason against it comes with its number. Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000,
// "Diatom autofocusing in brightfield microscopy") over that of the picture, on the face brought to 64 x 64, so that it
// depends neither on its size nor on its contrast. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/packet.h"
#include "vision/access/face_points.h"

namespace verge::vision {

struct FaceQualityOptions {
  double eyes_min = 20;          ///< Pixels between the eyes.
  double sharpness_min = 0.03;   ///< Laplacian's variance over the picture's.
  double dark_min = 40;          ///< Mean brightness of the face, 0..255.
  double bright_max = 215;       ///< The same.
  double contrast_min = 14;      ///< Standard deviation of the brightness.
  double across_max = 0.18;      ///< The nose's place between the eyes (NosePlace), about 22 degrees aside.
  double roll_max = 30;          ///< The eyes' line, degrees.
  double other_share_max = 0.6;  ///< Of the face's size: another one as large stands beside it.
};

/// What was measured; what could not be is 0.
struct FaceQuality {
  double eyes = 0, sharpness = 0, brightness = 0, contrast = 0, across = 0, roll = 0;
  int faces = 0;
  /// Words of kFaceProblems, the first one the most telling; empty: it is good enough.
  std::vector<std::string_view> problems;
  bool is_good() const { return problems.empty(); }
  /// "blurred (sharpness 0.011, at least 0.02)"
  std::string explanation(const FaceQualityOptions& options) const;
};

inline constexpr std::string_view kNoFace = "no face", kSeveralFaces = "several faces", kTooSmall = "too small",
                                  kNoPoints = "no points", kTurnedAway = "turned away", kTooDark = "too dark",
                                  kTooBright = "too bright", kFlatLight = "too little contrast", kBlurred = "blurred",
                                  kNotDescribed = "not described";  ///< By an embedding model.

/// The largest face of the picture, by its box; nullptr without one.
const pipeline::Object* largest_face(const std::vector<pipeline::Object>& objects);
/// face  one of `objects`; nullptr: kNoFace
FaceQuality face_quality(const pipeline::Frame& frame, const std::vector<pipeline::Object>& objects,
                         const pipeline::Object* face, const FaceQualityOptions& options);

}  // namespace verge::vision
