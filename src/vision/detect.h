// vision/detect.h -- finds objects in pictures with a detector model; one model serves all streams.
//
// Takes scenes, gives scenes with objects (boxes in parts of the picture). A picture that cannot be analysed is logged
// and dropped. The model is a folder (models/model_card.h); its card says what goes in and how boxes come out.
// Threads: a thread of its own computes; submit() only queues.
#pragma once

#include "inference/session.h"
#include "pipeline/stage.h"
#include "vision/detector_card.h"
#include "vision/nanodet.h"

namespace verge::vision {

struct DetectorOptions {
  int threads = 1;                  ///< Of one run, for whoever loads the session.
  float score_min = 0.4F;           ///< 0..1
  float overlap_max = 0.5F;         ///< 0..1
  std::vector<std::string> labels;  ///< Only these; empty for all of the card's.
};

/// The core without threads: picture in, objects out.
/// Threads: used by one thread at a time.
class Detector {
 public:
  /// Errors: invalid_argument when model and card do not fit, or a label is unknown.
  static Result<std::unique_ptr<Detector>> make(std::unique_ptr<inference::Session> session, const DetectorCard& card,
                                                const DetectorOptions& options);
  Result<std::vector<pipeline::Object>> detect(const pipeline::Frame& frame);
  inference::Session& session() { return *session_; }
  const inference::Tensor& input() const { return input_; }

 private:
  Detector(std::unique_ptr<inference::Session> session, DetectorCard card, DetectorOptions options);

  std::unique_ptr<inference::Session> session_;
  DetectorCard card_;
  DetectorOptions options_;
  Letterbox letterbox_;
  inference::Tensor input_;
  std::vector<HeadPair> heads_;
  std::vector<int> wanted_;
};

pipeline::Kind<pipeline::SharedStage> detect_kind();

}  // namespace verge::vision
