// vision/teach/backbone.h -- the trunk of a detector as eyes for what is taught: a picture, or a part of it, becomes
// maps of features at strides 8, 16 and 32.
//
// Which values of the network are the trunk follows from shapes alone: among those that depend on nothing coarser than
// themselves (so not on a neck that comes back up), the last with the most channels at each stride. The trunk is fully
// convolutional, so that its picture size is free: any multiple of its coarsest stride.
// Source for pooled features of a detector's trunk: measured, catalogue entry nanodet-coco; Donahue et al. 2014 (DeCAF)
// for learning on the features of a network trained for something else.
// Threads: used by one thread at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "inference/session.h"
#include "models/model_card.h"
#include "models/onnx_graph.h"
#include "vision/picture/letterbox.h"

namespace verge::vision {

/// What the network sees, one column of `channels` numbers per cell; a cell is stride x stride pixels of the input.
struct FeatureMap {
  int stride = 0, channels = 0, rows = 0, columns = 0;
  inference::Tensor tensor;  ///< [1, channels, rows, columns] float32

  /// [channels, rows, columns]
  std::span<const float> values() const { return tensor.values<float>(); }
};

struct BackboneOptions {
  std::vector<int> strides{8, 16, 32};  ///< Wanted maps, finest first; the network is cut behind the last one.
  int width = 0, height = 0;            ///< Pixels of the input, 32..2048, multiples of the last stride; 0: the card's.
  /// How pictures of another size or shape are brought to the input; nothing: as the card says.
  std::optional<models::PictureFit> fit = models::PictureFit::stretch;
  int threads = 1;  ///< Of one run.
};

class Backbone {
 public:
  /// `model`: a model folder (model.onnx, card.json), or its card.json. Errors: those of reading and loading it;
  /// invalid_argument when it has no trunk with these strides, or does not take pictures of this size.
  static Result<std::unique_ptr<Backbone>> open(const std::filesystem::path& model,
                                                const BackboneOptions& options = {});
  static Result<std::unique_ptr<Backbone>> make(const models::OnnxModel& model, const models::ModelCard& card,
                                                const BackboneOptions& options = {});

  /// The picture as `fit` says, one map per wanted stride in the order of the options. A frame of exactly the input's
  /// size is not resampled. Errors: invalid_argument (no pixels), internal (the engine's words).
  Result<std::vector<FeatureMap>> features(const pipeline::Frame& frame);
  /// A part of the picture. At native scale when `part` covers exactly width() x height() pixels, whose left and top
  /// are even in yuv420. Errors: those of the other; invalid_argument for less than two by two pixels.
  Result<std::vector<FeatureMap>> features(const pipeline::Frame& frame, const contract::Region& part);

  int width() const { return letterbox_.options().width; }
  int height() const { return letterbox_.options().height; }
  const std::vector<int>& strides() const { return strides_; }
  /// Of strides()[at].
  int channels(std::size_t at) const { return channels_[at]; }
  /// The trunk: one input as picture() says, one output "stride_N" [1, channels, rows, columns] per wanted stride. A
  /// GraphBuilder goes on from it, so that trunk and head become one file.
  const models::OnnxModel& graph() const { return graph_; }
  /// How a picture becomes the trunk's input, for the card of what is built on it.
  const models::PictureInput& picture() const { return picture_; }
  /// The card of the model that the trunk is from: its licence and source hold for what is built on it.
  const models::ModelCard& origin() const { return origin_; }
  /// "sha256:…" of trunk and preparation: equal ones give equal features (on one machine).
  const std::string& digest() const { return digest_; }

 private:
  explicit Backbone(const LetterboxOptions& letterbox)
      : letterbox_(letterbox), input_(letterbox.type, shape_of(letterbox)) {}

  std::vector<int> strides_, channels_;
  models::OnnxModel graph_;
  models::PictureInput picture_;
  models::ModelCard origin_;
  std::string digest_;
  std::unique_ptr<inference::Session> session_;
  Letterbox letterbox_;
  inference::Tensor input_;
};

}  // namespace verge::vision
