// vision/recognition/pose.h -- finds the points of a body (shoulders, wrists, ankles) in each person with a pose model.
//
// The card: head {"kind": "movenet", "points": ["nose", …]}; the model gives [1, 1, points, 3]: y, x in parts of the
// input and a score 0..1. The points become the object's keypoints, in the card's order.
// Threads: those of model_stage.h compute; submit() only queues.
#pragma once

#include <string>
#include <vector>

#include "pipeline/stage.h"
#include "vision/heads/head_reader.h"
#include "vision/recognition/picture_model.h"

namespace verge::vision {

/// The core without threads: picture of one person in, points out.
/// Threads: any number at once.
class PoseEstimator {
 public:
  /// Errors: invalid_argument when model and card do not fit.
  static Result<std::unique_ptr<PoseEstimator>> make(models::LoadedModel model);
  /// In parts of the picture; a point that is not seen still has a place, and a low score.
  Result<std::vector<pipeline::Keypoint>> estimate(const pipeline::Frame& frame);

 private:
  PoseEstimator() = default;

  std::unique_ptr<PictureModel> model_;
  HeadOutput points_;
};

struct PoseOptions {
  std::vector<std::string> labels{"person"};  ///< Objects that have a body; empty for all.
  double margin = 0.15;                       ///< Of the box's width and height, added on each side; 0..2.
  int objects_max = 8;                        ///< Per picture, strongest first, 1..300: bounds its time.
};

/// Adds keypoints to the scene's objects. Errors: those of the model.
Status add_poses(PoseEstimator& estimator, const PoseOptions& options, pipeline::Scene& scene);

pipeline::Kind<pipeline::SharedStage> pose_kind();

}  // namespace verge::vision
