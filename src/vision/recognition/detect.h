// vision/recognition/detect.h -- finds objects in pictures with a detector model; one model serves all streams.
//
// Takes scenes, gives scenes with objects (boxes in parts of the picture). With `tiles` or `focus` it looks at parts of
// the picture, too, so that it sees small objects (close_detector.h). A picture that cannot be analysed is logged and
// dropped. The model is a folder (models/model_card.h); its card says what goes in (picture_model.h) and how boxes
// come out (heads/box_head.h).
// Threads: those of model_stage.h compute; submit() only queues.
#pragma once

#include <optional>
#include <span>

#include "pipeline/stage.h"
#include "vision/heads/box_head.h"
#include "vision/recognition/picture_model.h"

namespace verge::vision {

struct DetectorOptions {
  std::optional<float> score_min{};    ///< 0..1; the card's threshold "score", else 0.4.
  std::optional<float> overlap_max{};  ///< 0..1; the card's threshold "overlap", else 0.5.
  std::vector<std::string> labels{};   ///< Only these; empty for all of the card's.
};

/// The core without threads: picture in, objects out.
/// Threads: any number at once.
class Detector {
 public:
  /// Errors: invalid_argument when model and card do not fit, or a label is unknown.
  static Result<std::unique_ptr<Detector>> make(models::LoadedModel model, const DetectorOptions& options);
  /// Strongest first, boxes and points in parts of the picture; boxes end at its edges, points need not.
  ///
  /// people  gets where persons and faces are that the model knows, whichever labels are wanted, from kHideScoreMin on;
  ///         may be null
  Result<std::vector<pipeline::Object>> detect(const pipeline::Frame& frame, pipeline::People* people = nullptr);
  inference::Session& session() { return model_->session(); }
  const inference::Tensor& input() const { return model_->input(); }
  float overlap_max() const { return overlap_max_; }
  PixelSize input_size() const { return model_->picture_size(); }

 private:
  Detector() = default;

  std::unique_ptr<PictureModel> model_;
  std::unique_ptr<BoxHead> head_;
  float score_min_ = 0, overlap_max_ = 0;
  std::vector<int> wanted_, persons_, faces_;  ///< Indexes into the card's labels, ascending.

  Status find_people(std::span<const inference::Tensor> outputs, Placement placement, pipeline::People& people) const;
};

pipeline::Kind<pipeline::SharedStage> detect_kind();

}  // namespace verge::vision
