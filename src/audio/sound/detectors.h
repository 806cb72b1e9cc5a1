// audio/sound/detectors.h -- how strange a row of numbers is, learned from ordinary rows alone; and as ONNX.
//
// Every detector says one number, larger is stranger:
//   nearest      distance to the nearest ordinary row, each number scaled to equal spread
//   mahalanobis  length of the row on the principal axes, scaled to equal spread with Ledoit and Wolf's shrinkage
//   residual     what the leading axes (95 % of the spread) do not explain
//   encoder      what a small auto-encoder (16 inner numbers, tanh) does not bring back from the axes
//   in_domain    nearest, divided by how far that row's own neighbours are, so that a state of the machine (a domain)
//                with few or scattered examples does not raise false alarms
// Source: Ledoit and Wolf 2004 (shrinkage); Wilkinghoff et al. 2025, "Keeping the Balance: Anomaly Score Calculation
// for Domain Generalization" (local density); Kingma and Ba 2015 (Adam). Deterministic. Threads: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/onnx_graph.h"
#include "training/logistic.h"

namespace verge::audio {

enum class DetectorKind : std::uint8_t { nearest, mahalanobis, residual, encoder, in_domain };
inline constexpr std::array<std::string_view, 5> kDetectorKinds{"nearest", "mahalanobis", "residual", "encoder",
                                                                "in_domain"};

struct DetectorOptions {
  DetectorKind kind = DetectorKind::nearest;
  std::size_t bank_rows = 2000;  ///< Rows that `nearest` and `in_domain` keep, evenly, 16..8192.
  std::uint64_t seed = 1;
};

/// Rows to axes of equal spread.
struct Axes {
  std::size_t inputs = 0, outputs = 0;
  std::vector<float> mean;       ///< [inputs]
  std::vector<float> basis;      ///< [inputs, outputs], scaled.
  std::vector<float> variances;  ///< [outputs], the largest first.
  double shrinkage = 0;          ///< 0 (the covariance as it is) .. 1 (a ball).
  void apply(std::span<const float> row, std::span<float> target) const;
};
/// rows: at least 2. At most 64 axes.
Axes fit_axes(const training::Rows& rows);
/// The numbers themselves, each scaled to equal spread.
Axes fit_scales(const training::Rows& rows);

class Detector {
 public:
  /// rows: ordinary ones, at least 16, finite. Errors: invalid_argument.
  static Result<Detector> fit(const training::Rows& rows, const DetectorOptions& options);
  double score(std::span<const float> row) const;
  /// Adds nodes that compute the same: rows [n, columns] to scores [n, 1].
  models::GraphBuilder::Edge add_to(models::GraphBuilder& graph, const models::GraphBuilder::Edge& rows) const;
  DetectorKind kind() const { return kind_; }

 private:
  void fit_bank(const training::Rows& rows, std::size_t kept);
  void fit_encoder(const training::Rows& rows, std::uint64_t seed);
  double nearest_score(std::span<const float> axes) const;

  DetectorKind kind_ = DetectorKind::nearest;
  Axes axes_;
  std::vector<float> bank_;       ///< nearest: [m, axes]
  std::vector<float> densities_;  ///< in_domain: [m] one over the squared distance to its neighbours; nearest: ones.
  std::size_t explained_ = 0;     ///< residual: leading axes.
  std::vector<float> inward_, inward_offsets_, outward_, outward_offsets_;  ///< encoder: [axes, 16], [16], …
};

/// Area under the ROC curve: how often a strange score is above an ordinary one.
double area_under_roc(std::span<const float> ordinary, std::span<const float> strange);

}  // namespace verge::audio
