// vision/teach/anomaly_graph.h -- visual anomaly as one ONNX graph: picture in, map of strangeness out.
//
// Two kinds of numbers describe a cell of 8 x 8 pixels: the trunk's features of stride 8, averaged over 3 x 3 cells,
// and five plain ones (tone): the logarithm of each colour's mean less a plane over the picture, which takes gain and
// gradient of the light away, and the logarithm of the gradient's energy across and down less the picture's mean. The
// trunk hardly sees a soft stain or a change of texture that tone shows plainly.
// Threads: pure functions; a GraphBuilder is used by one thread at a time.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/model_card.h"
#include "models/onnx_graph.h"
#include "vision/teach/patch_bank.h"

namespace verge::vision {

inline constexpr int kCellPixels = 8;
inline constexpr int kToneNumbers = 5;

struct FeatureEdges {
  models::GraphBuilder::Edge trunk;  ///< [cells, channels]
  models::GraphBuilder::Edge tone;   ///< [cells, 5]
};
/// Adds to a trunk with input `images` [1, 3, height, width] and value `stride_8` [1, channels, rows, columns].
FeatureEdges add_patch_features(models::GraphBuilder& graph, const std::string& images,
                                const models::PictureInput& picture, int channels);

/// x → (x - mean) * basis: [inputs] and [inputs, outputs] row-major.
struct Whitening {
  std::size_t inputs = 0, outputs = 0;
  std::vector<float> mean, basis;
  void apply(std::span<const float> rows, std::span<float> target) const;
};
/// Principal axes, each scaled to equal spread; weak ones are held back by a hundredth of the mean spread.
///
/// mean  [n]
/// covariance  [n, n]
Whitening whitening_of(std::span<const double> mean, std::span<const double> covariance, std::size_t outputs_max);

/// Collects mean and covariance of rows of `n` numbers.
struct Moments {
  explicit Moments(std::size_t n) : sums(n), products(n * n) {}
  std::vector<double> sums, products;
  double count = 0;
  void add(std::span<const float> rows);
  Whitening whitening(std::size_t outputs_max) const;
};

models::GraphBuilder::Edge add_whitening(models::GraphBuilder& graph, const std::string& rows,
                                         const Whitening& whitening);
/// Distances [rows * columns, 1] of whitened patches [cells, dimensions].
models::GraphBuilder::Edge add_distances(models::GraphBuilder& graph, const std::string& patches, std::size_t cells,
                                         const EverywhereBank& bank);
models::GraphBuilder::Edge add_distances(models::GraphBuilder& graph, const std::string& patches,
                                         const PlacedBank& bank);

}  // namespace verge::vision
