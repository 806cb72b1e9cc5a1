#include "training/ridge.h"

#include <gtest/gtest.h>
#include <random>

namespace verge::training {
namespace {

using Eigen::MatrixXd;

MatrixXd noise(Eigen::Index rows, Eigen::Index columns, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  MatrixXd values(rows, columns);
  for (Eigen::Index at = 0; at < values.size(); ++at)
    values.data()[at] = static_cast<double>(random() >> 11U) / 4503599627370496.0 - 1;
  return values.rowwise() - values.colwise().mean();
}

TEST(Ridge, FindsTheWeightsThatMadeTheTargets) {
  const MatrixXd inputs = noise(500, 3, 1);
  MatrixXd weights(3, 2);
  weights << 1, -2, 0.5, 0, 3, 4;
  const MatrixXd found = fit_ridge(inputs, inputs * weights, 1e-9);
  EXPECT_LT((found - weights).cwiseAbs().maxCoeff(), 1e-6);
}

TEST(Ridge, EqualsTheTextbookFormula) {
  // By hand: x = (-1, 0, 1), y = (-2, 0, 2): w = xy / (xx + penalty * xx) = 4 / (2 + 2 * penalty).
  MatrixXd x(3, 1), y(3, 1);
  x << -1, 0, 1;
  y << -2, 0, 2;
  for (const double penalty : {1e-6, 0.1, 1.0, 9.0})
    EXPECT_NEAR(fit_ridge(x, y, penalty)(0, 0), 4 / (2 + 2 * penalty), 1e-8) << penalty;
}

TEST(Ridge, AHigherPenaltyMeansSmallerWeights) {
  const MatrixXd inputs = noise(200, 4, 2);
  const MatrixXd targets = noise(200, 1, 3) + inputs.col(0);
  double last = 1e9;
  for (const double penalty : {1e-6, 1e-2, 1.0, 100.0}) {
    const double size = fit_ridge(inputs, targets, penalty).norm();
    EXPECT_LT(size, last) << penalty;
    last = size;
  }
}

TEST(Ridge, EqualInputsShareTheWeightInsteadOfExploding) {
  const MatrixXd one = noise(300, 1, 4);
  MatrixXd twins(300, 2);
  twins << one, one;
  const MatrixXd found = fit_ridge(twins, 2 * one, 1e-3);
  EXPECT_NEAR(found(0, 0), 1, 0.01);
  EXPECT_NEAR(found(1, 0), 1, 0.01);
}

TEST(Ridge, InputsThatNeverMoveGetNoWeight) {
  MatrixXd inputs = noise(100, 2, 5);
  inputs.col(1).setZero();
  const MatrixXd found = fit_ridge(inputs, inputs.col(0), 1e-6);
  EXPECT_NEAR(found(0, 0), 1, 1e-3);
  EXPECT_NEAR(found(1, 0), 0, 1e-9);
  EXPECT_TRUE(fit_ridge(MatrixXd::Zero(10, 2), MatrixXd::Zero(10, 1), 1e-3).isZero()) << "all constant";
}

}  // namespace
}  // namespace verge::training
