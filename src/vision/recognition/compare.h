// vision/recognition/compare.h -- says whether a part is as the good one, and where it is not, with a template that was
// taught.
//
// The card: head {"kind": "template", …} (docs/formats/model-card.md); input [1, 1, height, width] uint8, the picture
// in grey, laid over the template (registration.h); outputs "excess" [1, 2, height, width] float32, by how much each
// pixel is outside of what is tolerated, and "good" [1, 3, height, width] uint8, the template and the lowest and
// highest values of good parts, which is read once. The scene gets an Attribute "good", "defect" or "missing" (the part
// is not in the picture); each place that differs becomes an object "defect", so that zones, rules and the tracker work
// on it. A score is one half at the taught threshold. Threads: a thread of its own computes (model_stage.h); submit()
// only queues.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "pipeline/stage.h"
#include "vision/picture/letterbox.h"
#include "vision/recognition/template_defects.h"

namespace verge::vision {

struct CompareOptions {
  double tolerance = 1;          ///< Times the odds of the taught threshold, 0.1..10; larger alarms less.
  std::size_t regions_max = 20;  ///< 1..300
};

/// The core without threads. Threads: used by one thread at a time.
class TemplateComparer {
 public:
  /// Errors: invalid_argument when model and card do not fit; those of the engine.
  static Result<std::unique_ptr<TemplateComparer>> make(models::LoadedModel model, const CompareOptions& options);

  struct Seen {
    pipeline::Attribute attribute;          ///< "good", "defect" or "missing" and its score.
    std::vector<pipeline::Object> regions;  ///< Strongest first.
    double correlation = 0;                 ///< Of the picture and the template, -1..1.
  };
  Result<Seen> look(const pipeline::Frame& frame);
  const TemplateInspector& inspector() const { return *inspector_; }

 private:
  TemplateComparer(models::LoadedModel model, const LetterboxOptions& letterbox, const CompareOptions& options)
      : model_(std::move(model)),
        letterbox_(letterbox),
        picture_(letterbox.type, shape_of(letterbox)),
        over_(letterbox.type, shape_of(letterbox)),
        options_(options) {}
  Result<TemplatePictures> read_good();
  Result<std::vector<Defect>> defects_in(const GreyPicture& over);
  float shown_score(float score) const;
  pipeline::Object region_of(const Defect& defect, const Alignment& alignment, Placement placement) const;

  models::LoadedModel model_;
  Letterbox letterbox_;
  inference::Tensor picture_, over_;
  bool is_padded_ = false;
  std::optional<TemplateInspector> inspector_;
  std::optional<DefectFilter> filter_;
  double score_min_ = 0.5;
  int margin_ = 8;
  CompareOptions options_;
};

pipeline::Kind<pipeline::SharedStage> compare_kind();

}  // namespace verge::vision
