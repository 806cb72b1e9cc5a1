// vision/anomaly.h -- says whether a picture looks normal, and where it does not, with a model taught from good
// pictures.
//
// The card: head {"kind": "anomaly-map", "cell": 8}; one output "map" [1, 1, rows, columns], each cell `cell` pixels of
// the input, 1 at the threshold. The scene gets an Attribute "normal" or "anomaly"; each group of touching cells above
// the threshold becomes an object "anomaly", so that zones, rules and the tracker work on it. A score of 0..1 is
// 1 - 2^-value: one half at the threshold.
// Threads: those of model_stage.h compute; submit() only queues.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "pipeline/stage.h"
#include "vision/heads/head_reader.h"
#include "vision/picture_model.h"

namespace verge::vision {

/// A group of touching cells, right and bottom exclusive.
struct HotCells {
  int left = 0, top = 0, right = 0, bottom = 0;
  float value = 0;  ///< The largest in it.
};
/// Groups of cells with at least `value_min` that touch by side or corner, the strongest first.
///
/// map  [rows, columns]; NaN counts as above everything
std::vector<HotCells> hot_cells(std::span<const float> map, int rows, int columns, float value_min,
                                std::size_t groups_max);

struct AnomalyFinderOptions {
  double tolerance = 1;          ///< Times the taught threshold, 0.1..10; larger alarms less.
  std::size_t regions_max = 20;  ///< 1..300
};

/// The core without threads. Threads: any number at once.
class AnomalyFinder {
 public:
  /// Errors: invalid_argument when model and card do not fit.
  static Result<std::unique_ptr<AnomalyFinder>> make(models::LoadedModel model, const AnomalyFinderOptions& options);

  struct Seen {
    pipeline::Attribute attribute;          ///< "normal" or "anomaly" and its score.
    std::vector<pipeline::Object> regions;  ///< Strongest first.
    float value = 0;                        ///< Largest of the map; 1: the threshold times the tolerance.
    std::vector<float> map;                 ///< [rows, columns], in the same unit.
    int rows = 0, columns = 0;
  };
  Result<Seen> look(const pipeline::Frame& frame);

 private:
  AnomalyFinder() = default;

  std::unique_ptr<PictureModel> model_;
  HeadOutput map_;
  int cell_ = 8;
  AnomalyFinderOptions options_;
};

pipeline::Kind<pipeline::SharedStage> anomaly_kind();

}  // namespace verge::vision
