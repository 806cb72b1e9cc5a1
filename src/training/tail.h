// training/tail.h -- a threshold from a promise: at most so many exceedances per so many observations.
//
// Source: peaks over threshold with a generalised Pareto tail (Siffer et al. 2017, "Anomaly Detection in Streams with
// Extreme Value Theory"), fitted by probability-weighted moments (Hosking and Wallis 1987). Threads: pure functions.
#pragma once

#include <cstddef>
#include <span>

namespace verge::training {

struct TailFit {
  double start = 0;  ///< Above it the tail model counts.
  double shape = 0, scale = 0;
  double tail_share = 0;  ///< Share of observations above start.
};

/// scores: at least 100 finite numbers. Fits the part above the quantile `start_quantile`.
TailFit fit_tail(std::span<const float> scores, double start_quantile = 0.95);
/// The value exceeded with this probability per observation; never below the start, and never more than `reach` times
/// the distance from start to the largest score beyond that score (a heavy tail fitted to few peaks must not blind the
/// alarm).
double threshold_for(const TailFit& fit, double probability, double score_max, double reach = 0.5);

}  // namespace verge::training
