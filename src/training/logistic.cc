#include "training/logistic.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <deque>
#include <fmt/format.h>

namespace verge::training {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr std::size_t kMemory = 8;  // Steps that the curvature is estimated from.
constexpr double kSpreadMin = 1e-7;

/// Standardised features, or their coordinates in the space of the rows.
struct Problem {
  MatrixXd inputs;        // [rows, dimensions]
  MatrixXd basis;         // [features, dimensions]; empty: the identity
  VectorXd mean, factor;  // Standardised = (value - mean) * factor.
  MatrixXd targets;       // [rows, classes], 0 or 1
  VectorXd shares;        // Weight of each row; their sum is 1.
};

Problem make_problem(const Rows& rows, std::span<const int> labels, int classes) {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto count = static_cast<Index>(rows.count());
  Problem problem;
  problem.inputs =
      Eigen::Map<const RowMajor>(rows.values.data(), count, static_cast<Index>(rows.columns)).cast<double>();
  problem.mean = problem.inputs.colwise().mean();
  problem.inputs.rowwise() -= problem.mean.transpose();
  const VectorXd spread = (problem.inputs.colwise().squaredNorm() / static_cast<double>(count)).cwiseSqrt();
  problem.factor = spread.unaryExpr([](double value) { return value > kSpreadMin ? 1 / value : 0.0; });
  problem.inputs.array().rowwise() *= problem.factor.transpose().array();

  problem.targets = MatrixXd::Zero(count, classes);
  VectorXd members = VectorXd::Zero(classes);
  for (const int label : labels) members[label] += 1;
  problem.shares.resize(count);
  for (Index at = 0; at < count; ++at) {
    const int label = labels[static_cast<std::size_t>(at)];
    problem.targets(at, label) = 1;
    problem.shares[at] = 1 / (members[label] * classes);
  }
  if (count < problem.inputs.cols()) {
    const Eigen::HouseholderQR<MatrixXd> decomposed(problem.inputs.transpose());
    problem.basis = decomposed.householderQ() * MatrixXd::Identity(problem.inputs.cols(), count);
    problem.inputs = MatrixXd(decomposed.matrixQR().topRows(count).triangularView<Eigen::Upper>()).transpose();
  }
  return problem;
}

/// Weights and, in the last row, offsets: [dimensions + 1, classes].
double loss_of(const Problem& problem, const MatrixXd& point, double penalty, MatrixXd& gradient) {
  const Index dimensions = problem.inputs.cols();
  MatrixXd wrong = problem.inputs * point.topRows(dimensions);
  wrong.rowwise() += point.row(dimensions);
  double loss = 0.5 * penalty * point.topRows(dimensions).squaredNorm();
  for (Index row = 0; row < wrong.rows(); ++row) {
    const double most = wrong.row(row).maxCoeff();
    const double right = wrong.row(row).dot(problem.targets.row(row)) - most;
    wrong.row(row) = (wrong.row(row).array() - most).exp();
    const double sum = wrong.row(row).sum();
    loss += problem.shares[row] * (std::log(sum) - right);
    wrong.row(row) = problem.shares[row] * (wrong.row(row) / sum - problem.targets.row(row));
  }
  gradient.resize(point.rows(), point.cols());
  gradient.topRows(dimensions) = problem.inputs.transpose() * wrong + penalty * point.topRows(dimensions);
  gradient.row(dimensions) = wrong.colwise().sum();
  return loss;
}

double product_of(const MatrixXd& a, const MatrixXd& b) { return a.cwiseProduct(b).sum(); }

/// What the last steps say about the curvature.
class StepMemory {
 public:
  void add(MatrixXd step, MatrixXd change) {
    const double curvature = product_of(step, change);
    if (!(curvature > 1e-14 * change.squaredNorm())) return;
    if (steps_.size() == kMemory) steps_.pop_front();
    steps_.push_back({std::move(step), std::move(change), 1 / curvature});
  }

  MatrixXd direction(const MatrixXd& gradient) const {
    MatrixXd way = -gradient;
    std::vector<double> parts(steps_.size());
    for (std::size_t at = steps_.size(); at-- > 0;) {
      parts[at] = steps_[at].inverse * product_of(steps_[at].step, way);
      way -= parts[at] * steps_[at].change;
    }
    if (!steps_.empty()) way /= steps_.back().inverse * steps_.back().change.squaredNorm();
    for (std::size_t at = 0; at < steps_.size(); ++at) {
      const double part = steps_[at].inverse * product_of(steps_[at].change, way);
      way += (parts[at] - part) * steps_[at].step;
    }
    return way;
  }

 private:
  struct Step {
    MatrixXd step, change;
    double inverse = 0;
  };
  std::deque<Step> steps_;
};

/// Moves `point` to the least loss.
void minimise(const Problem& problem, double penalty, const LogisticOptions& options, MatrixXd& point) {
  StepMemory memory;
  MatrixXd gradient, next_gradient;
  double loss = loss_of(problem, point, penalty, gradient);
  // What there was to gain at the very beginning, so that a warm start is held to the same measure.
  MatrixXd first;
  loss_of(problem, MatrixXd::Zero(point.rows(), point.cols()), penalty, first);
  const double enough = options.tolerance * std::max(first.cwiseAbs().maxCoeff(), 1e-12);
  for (int turn = 0; turn < options.iterations_max && gradient.cwiseAbs().maxCoeff() > enough; ++turn) {
    const MatrixXd way = memory.direction(gradient);
    const double slope = product_of(way, gradient);
    if (!(slope < 0)) return;
    double length = turn == 0 ? std::min(1.0, 1 / way.norm()) : 1.0;
    MatrixXd next;
    double next_loss = 0;
    bool is_lower = false;
    for (int shorter = 0; shorter < 40 && !is_lower; ++shorter, length /= 2) {
      next = point + length * way;
      next_loss = loss_of(problem, next, penalty, next_gradient);
      is_lower = next_loss <= loss + 1e-4 * length * slope;
    }
    if (!is_lower) return;
    memory.add(next - point, next_gradient - gradient);
    point.swap(next);
    gradient.swap(next_gradient);
    loss = next_loss;
  }
}

/// Back to features as they come.
LogisticModel model_of(const Problem& problem, const MatrixXd& point) {
  const Index dimensions = problem.inputs.cols();
  MatrixXd weights = point.topRows(dimensions);
  if (problem.basis.size() > 0) weights = problem.basis * weights;
  weights.array().colwise() *= problem.factor.array();
  const VectorXd offsets = point.row(dimensions).transpose() - weights.transpose() * problem.mean;
  LogisticModel model;
  model.features = static_cast<std::size_t>(weights.rows());
  model.classes = static_cast<std::size_t>(weights.cols());
  model.weights.assign(weights.data(), weights.data() + weights.size());  // Column by column: [classes, features].
  model.offsets.assign(offsets.data(), offsets.data() + offsets.size());
  return model;
}

Status check_logistic(const Rows& rows, std::span<const int> labels, int classes, std::span<const double> penalties) {
  const auto mistake = [](std::string words) {
    return Error{ErrorCode::invalid_argument, "fit a logistic regression: " + words};
  };
  if (rows.columns == 0 || rows.values.size() != rows.columns * labels.size())
    return mistake(
        fmt::format("{} numbers in rows of {} for {} labels", rows.values.size(), rows.columns, labels.size()));
  if (classes < 2) return mistake(fmt::format("{} classes; at least 2 are needed", classes));
  std::vector<int> members(static_cast<std::size_t>(classes));
  for (const int label : labels) {
    if (label < 0 || label >= classes) return mistake(fmt::format("label {} of {} classes", label, classes));
    ++members[static_cast<std::size_t>(label)];
  }
  for (std::size_t at = 0; at < members.size(); ++at)
    if (members[at] == 0) return mistake(fmt::format("class {} has no row", at));
  if (!std::ranges::all_of(rows.values, [](float value) { return std::isfinite(value); }))
    return mistake("a row is not finite");
  for (const double penalty : penalties)
    if (!(penalty > 0) || !std::isfinite(penalty))
      return mistake(fmt::format("penalty {:g}; give one above 0", penalty));
  return Done{};
}

}  // namespace

std::vector<double> LogisticModel::logits(std::span<const float> row) const {
  std::vector<double> sums = offsets;
  for (std::size_t one = 0; one < classes; ++one) {
    const double* own = weights.data() + one * features;
    for (std::size_t at = 0; at < features; ++at) sums[one] += own[at] * static_cast<double>(row[at]);
  }
  return sums;
}

std::vector<double> soft_max(std::span<const double> logits, double temperature) {
  std::vector<double> shares(logits.begin(), logits.end());
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (double& share : shares) sum += share = std::exp((share - most) / temperature);
  for (double& share : shares) share /= sum;
  return shares;
}

Result<std::vector<LogisticModel>> fit_logistic(const Rows& rows, std::span<const int> labels, int classes,
                                                std::span<const double> penalties, const LogisticOptions& options) {
  VERGE_CHECK(check_logistic(rows, labels, classes, penalties));
  const Problem problem = make_problem(rows, labels, classes);
  MatrixXd point = MatrixXd::Zero(problem.inputs.cols() + 1, classes);
  std::vector<LogisticModel> models;
  for (const double penalty : penalties) {
    minimise(problem, penalty, options, point);
    models.push_back(model_of(problem, point));
  }
  return models;
}

}  // namespace verge::training
