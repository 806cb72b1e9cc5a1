// training/ridge.h -- linear regression with a penalty, for many targets at once.
//
// Source: Hoerl and Kennard 1970. Threads: pure functions.
#pragma once

#include <Eigen/Core>

namespace verge::training {

/// inputs [rows, features], targets [rows, targets], both centred; penalty relative to the mean feature variance, > 0.
/// Returns weights [features, targets].
Eigen::MatrixXd fit_ridge(const Eigen::MatrixXd& inputs, const Eigen::MatrixXd& targets, double penalty);

}  // namespace verge::training
