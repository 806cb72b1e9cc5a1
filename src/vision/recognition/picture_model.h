// vision/recognition/picture_model.h -- a model that looks at one picture: prepares it as the card says and runs.
//
// What detectors, classifiers, pose and face models share. The model has one input, of float32, uint8 or int32.
// Threads: run() from any number at once; each has a prepared input of its own meanwhile.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "inference/session.h"
#include "models/model_card.h"
#include "vision/picture/letterbox.h"
#include "vision/recognition/tiles.h"

namespace verge::vision {

/// How the card wants pictures, for an input of this type. Errors: invalid_argument naming the card's member.
Result<LetterboxOptions> letterbox_of(const models::ModelCard& card, inference::DataType type);

/// What a taught model remembers in pixels: a uint8 output that is equal for every picture. Errors: invalid_argument
/// naming /outputs; those of the engine.
Result<inference::Tensor> remembered_pixels(const models::LoadedModel& model, std::string_view name,
                                            const inference::Shape& shape);

class PictureModel {
 public:
  /// Errors: invalid_argument when the card's picture and the model's input do not fit.
  static Result<std::unique_ptr<PictureModel>> make(models::LoadedModel model);

  struct Answer {
    std::vector<inference::Tensor> outputs;  ///< In the session's order, or the only one.
    Placement placement;
  };
  /// From now on run() computes this output alone. Call before the first run.
  void compute_only(std::size_t output) { wanted_ = {session().outputs()[output].name}; }
  /// Errors: invalid_argument for a picture without pixels; internal (the engine's words).
  Result<Answer> run(const pipeline::Frame& frame);

  const models::LoadedModel& model() const { return model_; }
  const models::ModelCard& card() const { return model_.card; }
  inference::Session& session() { return *model_.session; }
  /// As the newest run left it, for whoever measures the run alone. Call while nothing runs.
  const inference::Tensor& input() const { return desks_.back()->input; }
  PixelSize picture_size() const { return {options_.width, options_.height}; }

 private:
  /// Where a picture is prepared. There are as many as there were runs at once.
  struct Desk {
    explicit Desk(const LetterboxOptions& options) : letterbox(options), input(options.type, shape_of(options)) {}
    Letterbox letterbox;
    inference::Tensor input;
    bool is_padded = false;
  };
  PictureModel(models::LoadedModel model, const LetterboxOptions& options);
  std::unique_ptr<Desk> take_desk();
  Result<Answer> run_at(Desk& desk, const pipeline::Frame& frame);

  models::LoadedModel model_;
  const LetterboxOptions options_;
  std::vector<std::string_view> wanted_;  ///< Names that the session keeps; empty: all.
  std::mutex mutex_;
  std::vector<std::unique_ptr<Desk>> desks_;  ///< That nobody uses.
};

}  // namespace verge::vision
