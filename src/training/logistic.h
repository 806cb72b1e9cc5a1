// training/logistic.h -- multinomial logistic regression: probabilities of classes from rows of numbers.
//
// Every class weighs the same, however many rows it has. Features are standardised on the rows of the fit; a constant
// one gets no weight. The penalty is on the weights for standardised features, not on the offsets.
// Source: penalised multinomial model, Hastie, Tibshirani and Friedman 2009, section 4.4; minimised by L-BFGS, Nocedal
// and Wright 2006, algorithm 7.5, with backtracking. With fewer rows than features the search is in the rows' own
// space, which holds the answer (Hastie and Tibshirani 2004, "Efficient quadratic regularization").
// Deterministic. Threads: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"

namespace verge::training {

/// Numbers in rows of one length, side by side.
struct Rows {
  std::size_t columns = 0;
  std::vector<float> values;  ///< [count(), columns]

  std::size_t count() const { return columns == 0 ? 0 : values.size() / columns; }
  std::span<const float> row(std::size_t at) const { return std::span(values).subspan(at * columns, columns); }
  void add(std::span<const float> row) { values.insert(values.end(), row.begin(), row.end()); }
};

struct LogisticModel {
  std::size_t features = 0, classes = 0;
  std::vector<double> weights;  ///< [classes, features], for features as they come: standardisation is within.
  std::vector<double> offsets;  ///< [classes]

  /// One per class, any scale; soft_max() makes probabilities of them. `row` has `features` numbers.
  std::vector<double> logits(std::span<const float> row) const;
};

/// exp(logit / temperature), brought to a sum of 1. temperature > 0.
std::vector<double> soft_max(std::span<const double> logits, double temperature = 1);

struct LogisticOptions {
  double tolerance = 1e-5;   ///< Ends when no component of the gradient is larger, relative to the first.
  int iterations_max = 200;  ///< Of each penalty.
};

/// One model per penalty, in their order; cheapest when they fall, as each fit begins where the one before ended.
/// The loss is the mean cross-entropy (classes weigh the same) plus penalty / 2 times the sum of squared weights.
///
/// labels     one per row, 0 .. classes - 1; each class at least once, classes >= 2
/// penalties  > 0
/// Errors: invalid_argument naming what does not fit; a row that is not finite.
Result<std::vector<LogisticModel>> fit_logistic(const Rows& rows, std::span<const int> labels, int classes,
                                                std::span<const double> penalties, const LogisticOptions& options = {});

}  // namespace verge::training
