// vision/recognition/anomaly.h -- says whether a picture looks normal, and where it does not, with a model taught from
// good pictures.
//
// The card: head {"kind": "anomaly-map", "cell": 8}; one output "map" [1, 1, rows, columns], each cell `cell` pixels of
// the input, 1 at the threshold. The scene gets an Attribute "normal" or "anomaly" and a heat map; each group of
// touching cells above the threshold becomes an object "anomaly", so that zones, rules and the tracker work on it. A
// score of 0..1 is 1 - 2^-value: one half at the threshold.
// With "correlation_min" in the head the model compares a part where it lies: pictures are laid over the one that its
// output "good" holds, uint8 [1, 3, height, width] (part_aligner.h). A part that is not found is looked at as it lies,
// and the scene gets an Attribute "unaligned" besides.
// Threads: those of model_stage.h compute; submit() only queues.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "pipeline/stage.h"
#include "vision/heads/head_reader.h"
#include "vision/recognition/part_aligner.h"
#include "vision/recognition/picture_model.h"

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

/// A map as it lies on the picture: for each cell of a grid over it the largest value that the map has there, at places
/// that lie at most half a cell of the map apart.
///
/// map  [rows, columns]
/// to_map  from parts of the picture, 0..1, to columns and rows of the map, which may be outside of it
/// answer  [grid_rows, grid_columns]; 0 where the map knows nothing
std::vector<float> map_on_picture(std::span<const float> map, int rows, int columns, int grid_rows, int grid_columns,
                                  const std::function<std::pair<double, double>(double across, double down)>& to_map);

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
    std::vector<float> map;                 ///< [rows, columns] of the model's input, in the same unit.
    int rows = 0, columns = 0;
    pipeline::HeatMap heat;                        ///< The map as it lies on the picture.
    std::optional<pipeline::Attribute> unaligned;  ///< "unaligned" when the part was sought and not found.
    Alignment alignment;                           ///< How the part lay.
  };
  /// Errors: invalid_argument for a picture without pixels; internal (the engine's words).
  Result<Seen> look(const pipeline::Frame& frame);
  /// Null when pictures are looked at as they lie.
  const PartAligner* aligner() const { return aligner_ ? &*aligner_ : nullptr; }

 private:
  AnomalyFinder() = default;
  Status read_good(const HeadReader& reader);
  contract::Region region_of(const HotCells& cells, const Placement& placement, const Alignment& alignment) const;
  pipeline::HeatMap heat_of(const Seen& seen, const Placement& placement) const;

  std::unique_ptr<PictureModel> model_;
  std::optional<PartAligner> aligner_;  ///< Of a model that compares a part where it lies.
  HeadOutput map_;
  int cell_ = 8;
  AnomalyFinderOptions options_;
};

pipeline::Kind<pipeline::SharedStage> anomaly_kind();

}  // namespace verge::vision
