// vision/recognition/faces.h -- finds faces, in the whole picture or in persons, and describes each by an embedding.
//
// A detector (any box head; its points become keypoints) and, when asked for, a second model whose card has the head
// {"kind": "embedding"}: what it gives of a face, [1, size], is brought to unit length. The angle between two
// embeddings tells how alike two faces are; which angle is "the same person" must be calibrated on pictures of one's
// own. Faces are added to the scene's objects. Threads: those of model_stage.h compute; submit() only
// queues.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline/stage.h"
#include "vision/heads/head_reader.h"
#include "vision/recognition/detect.h"

namespace verge::vision {

/// A picture as a vector of unit length. Threads: any number at once.
class Embedder {
 public:
  /// Errors: invalid_argument when model and card do not fit.
  static Result<std::unique_ptr<Embedder>> make(models::LoadedModel model);
  /// Null when the model gave zeros or numbers that are not finite.
  Result<std::shared_ptr<const std::vector<float>>> embed(const pipeline::Frame& frame);
  const std::string& model_digest() const { return digest_; }

 private:
  Embedder() = default;

  std::unique_ptr<PictureModel> model_;
  HeadOutput vector_;
  std::string digest_;
};

struct FacesOptions {
  std::vector<std::string> within;  ///< Look only inside these objects, [person]; empty: in the whole picture.
  double margin = 0.1;              ///< Around such an object, in parts of its size on each side, 0..2.
  double embed_margin = 0.2;        ///< The same around a face, for the embedding.
  int objects_max = 8;              ///< Objects searched, and faces described, per picture, 1..300: bounds its time.
};

/// Adds faces to the scene's objects. embedder: may be null. Errors: those of the models.
Status add_faces(Detector& detector, Embedder* embedder, const FacesOptions& options, pipeline::Scene& scene);

pipeline::Kind<pipeline::SharedStage> faces_kind();

}  // namespace verge::vision
