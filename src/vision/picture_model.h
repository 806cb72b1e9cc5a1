// vision/picture_model.h -- a model that looks at one picture: prepares it as the card says and runs.
//
// What detectors, classifiers, pose and face models share. The model has one input, of float32, uint8 or int32.
// Threads: used by one thread at a time.
#pragma once

#include <memory>
#include <vector>

#include "inference/session.h"
#include "models/model_card.h"
#include "vision/letterbox.h"

namespace verge::vision {

/// How the card wants pictures, for an input of this type. Errors: invalid_argument naming the card's member.
Result<LetterboxOptions> letterbox_of(const models::ModelCard& card, inference::DataType type);

class PictureModel {
 public:
  /// Errors: invalid_argument when the card's picture and the model's input do not fit.
  static Result<std::unique_ptr<PictureModel>> make(models::LoadedModel model);

  struct Answer {
    std::vector<inference::Tensor> outputs;  ///< In the session's order.
    Placement placement;
  };
  /// Errors: invalid_argument for a picture without pixels; internal (the engine's words).
  Result<Answer> run(const pipeline::Frame& frame);

  const models::ModelCard& card() const { return model_.card; }
  inference::Session& session() { return *model_.session; }
  const inference::Tensor& input() const { return input_; }

 private:
  PictureModel(models::LoadedModel model, const LetterboxOptions& options);

  models::LoadedModel model_;
  Letterbox letterbox_;
  inference::Tensor input_;
  bool is_input_padded_ = false;
};

}  // namespace verge::vision
