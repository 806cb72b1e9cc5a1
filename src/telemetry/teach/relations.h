// telemetry/teach/relations.h -- the model of normal behaviour: how each sensor follows from the others, and how lively
// it is.
//
// From a window of the newest rows [window, channels] three numbers per channel are formed:
//   surprise  newest mean minus what the other channels (and everybody's past) predict: a ridge regression
//   unrest    log energy, over the blocks of the window, of what the other channels do not explain: a broken relation
//   silence   how much less the reading moves than usual, log mean square of its steps: a stuck sensor
// each divided by its 99.5 % quantile on normal data that the fit did not see, so that 1 is rare for all of them. The
// score is the largest. `score_window` is the reference; to_onnx writes the same formulas as the graph that the device
// runs. Threads: values and pure functions.
#pragma once

#include <Eigen/Core>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/onnx_graph.h"

namespace verge::telemetry {

struct RelationsOptions {
  std::size_t block_rows = 12;  ///< Rows that are averaged against noise; the newest block is "now".
  std::size_t blocks = 8;       ///< window = block_rows * blocks rows.
  double penalty = 1e-3;        ///< Of the regression, relative to the features' variance.
  std::size_t window_rows() const { return block_rows * blocks; }
};

struct Relations {
  RelationsOptions options;
  Eigen::RowVectorXd mean, spread;                   ///< [channels], of the raw values.
  Eigen::MatrixXd surprise_weights, unrest_weights;  ///< [3 * channels, channels] and [2 * channels, channels]
  Eigen::RowVectorXd surprise_bias, unrest_bias;     ///< [channels]
  Eigen::RowVectorXd surprise_scale;                 ///< [channels]
  Eigen::RowVectorXd unrest_centre, unrest_scale;
  Eigen::RowVectorXd silence_centre, silence_scale;
  std::size_t channel_count() const { return static_cast<std::size_t>(mean.size()); }
};

struct WindowScore {
  double value = 0;
  Eigen::RowVectorXd contributions;  ///< [channels]; value is the largest.
};

/// rows [rows, channels] without NaN. Fits on the windows that end in [0, fit_rows), measures scales on those that
/// begin after.
Relations fit_relations(const Eigen::MatrixXd& rows, std::size_t fit_rows, const RelationsOptions& options);
/// window: [window_rows, channels], oldest first.
WindowScore score_window(const Relations& relations, const Eigen::MatrixXd& window);
/// Input "window" [window_rows, channels] float32; outputs "score" [1], "contributions" [channels].
Result<models::OnnxModel> to_onnx(const Relations& relations, const std::vector<std::string>& channels);

}  // namespace verge::telemetry
