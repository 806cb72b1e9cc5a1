// cli/agreement.h -- how far two models say the same about pictures: the answers of one found again in the other's.
//
// Threads: used by one thread at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "models/model_card.h"
#include "vision/recognition/classify.h"
#include "vision/recognition/detect.h"

namespace verge::cli {

/// Reads one picture file.
using PictureReader = std::function<Result<std::shared_ptr<pipeline::Frame>>(const std::filesystem::path& file)>;

/// What a model says of a picture, and how long it took.
class Judge {
 public:
  struct Answer {
    std::vector<pipeline::Object> objects;  ///< Of a classifier: one, the whole picture.
    double cpu_ms = 0;                      ///< Of this thread: other work on the machine does not count.
  };

  /// Errors: invalid_argument when the model is neither a detector nor a classifier.
  static Result<Judge> make(models::LoadedModel model);
  Result<Answer> look(const pipeline::Frame& frame);

 private:
  std::unique_ptr<vision::Detector> detector_;
  std::unique_ptr<vision::Classifier> classifier_;
};

/// A small model beside the whole one. Detectors answer with boxes, which are found again with the same label and an
/// overlap of 0.5 or more; classifiers with a label.
struct Agreement {
  std::size_t pictures = 0;
  std::size_t whole_answers = 0, small_answers = 0;
  std::size_t found_again = 0;                ///< Of the whole model's answers.
  std::size_t right = 0;                      ///< Of the small model's answers.
  double whole_cpu_ms = 0, small_cpu_ms = 0;  ///< Mean of a picture, one thread.

  double found_share() const;  ///< 0..1; 1 when there was nothing to find.
  double precision() const;    ///< 0..1
};

/// Both models look at each picture, one after the other. Errors: those of reading and running.
Result<Agreement> compare(Judge& whole, Judge& small, std::span<const std::filesystem::path> pictures,
                          const PictureReader& read);

}  // namespace verge::cli
