// telemetry/window_scorer.h -- runs a window model row by row: keeps the newest rows, returns score and contributions.
//
// The model folder is what `verge train telemetry` writes: model.onnx (input "window" [rows, channels]) and card.json
// (labels are the channels, thresholds.score). Rows are matched to the model's channels by name; a missing reading
// takes the channel's last. Streaming and batch run the same graph on the same rows, so they agree exactly. Threads:
// one stream.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "models/model_card.h"
#include "pipeline/packet.h"

namespace verge::telemetry {

class WindowScorer {
 public:
  /// Errors: those of models::open_model; invalid_argument when it is not a window model.
  static Result<std::unique_ptr<WindowScorer>> load(const std::filesystem::path& folder);

  struct Outcome {
    float score = 0;
    std::vector<float> contributions;  ///< In the order of channels().
  };
  /// Takes the next row; nothing until the window is full. Errors: invalid_argument when a channel is not in the row.
  Result<std::optional<Outcome>> add(const pipeline::SensorRow& row);
  /// Forgets the window, after a hole in time.
  void reset();
  const std::vector<std::string>& channels() const { return model_.card.labels; }
  double period_s() const { return period_s_; }
  float threshold() const { return threshold_; }
  const std::string& model_digest() const { return model_.card.digest; }

 private:
  WindowScorer(models::LoadedModel model, std::size_t window_rows);
  Status match_channels(const std::vector<std::string>& names);

  models::LoadedModel model_;
  const std::size_t window_rows_;
  double period_s_ = 0;
  float threshold_ = 0;
  inference::Tensor window_;  ///< [rows, channels], oldest first.
  std::size_t filled_rows_ = 0;
  std::vector<std::size_t> positions_;  ///< Of each model channel in the row.
  std::shared_ptr<const std::vector<std::string>> matched_;
};

}  // namespace verge::telemetry
