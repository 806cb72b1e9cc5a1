#include "training/ridge.h"

#include <Eigen/Cholesky>

namespace verge::training {

Eigen::MatrixXd fit_ridge(const Eigen::MatrixXd& inputs, const Eigen::MatrixXd& targets, double penalty) {
  Eigen::MatrixXd gram = inputs.transpose() * inputs;
  gram.diagonal().array() += penalty * gram.diagonal().mean() + 1e-9;
  return gram.ldlt().solve(inputs.transpose() * targets);
}

}  // namespace verge::training
