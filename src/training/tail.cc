#include "training/tail.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/assert.h"

namespace verge::training {

TailFit fit_tail(std::span<const float> scores, double start_quantile) {
  VERGE_ASSERT(scores.size() >= 100);
  std::vector<float> sorted(scores.begin(), scores.end());
  std::sort(sorted.begin(), sorted.end());
  const auto first =
      std::min(sorted.size() - 10, static_cast<std::size_t>(start_quantile * static_cast<double>(sorted.size())));
  TailFit fit;
  fit.start = sorted[first];
  fit.tail_share = static_cast<double>(sorted.size() - first) / static_cast<double>(sorted.size());

  // Probability-weighted moments of the excesses, in rising order.
  const auto count = static_cast<double>(sorted.size() - first);
  double mean = 0;
  double weighted = 0;
  for (std::size_t at = first; at < sorted.size(); ++at) {
    const double excess = static_cast<double>(sorted[at]) - fit.start;
    const double position = static_cast<double>(at - first);
    mean += excess / count;
    weighted += excess * (count - 1 - position) / (count - 1) / count;
  }
  const double denominator = mean - 2 * weighted;
  if (mean <= 0 || denominator <= 0) {
    fit.scale = std::max(mean, 1e-9);
    return fit;
  }
  fit.shape = std::clamp(2 - mean / denominator, -0.5, 0.5);
  fit.scale = 2 * mean * weighted / denominator;
  return fit;
}

double threshold_for(const TailFit& fit, double probability, double score_max, double reach) {
  const double ratio = std::max(1.0, fit.tail_share / std::max(probability, 1e-15));
  const double beyond = std::abs(fit.shape) < 1e-6 ? fit.scale * std::log(ratio)
                                                   : fit.scale / fit.shape * (std::pow(ratio, fit.shape) - 1);
  return std::min(fit.start + beyond, score_max + reach * (score_max - fit.start));
}

}  // namespace verge::training
