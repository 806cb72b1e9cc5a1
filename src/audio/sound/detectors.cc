#include "audio/sound/detectors.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/assert.h"
#include "training/nearest.h"
#include "training/validation.h"

namespace verge::audio {
namespace {

using models::GraphBuilder;
constexpr std::size_t kAxesMax = 64, kInner = 16, kRowsMin = 16;
constexpr int kDensityNeighbours = 8;
constexpr double kExplained = 0.95;
constexpr int kEncoderEpochs = 60;
constexpr std::size_t kEncoderBatch = 32;

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::MatrixXd as_matrix(const training::Rows& rows) {
  return Eigen::Map<const RowMatrix>(rows.values.data(), static_cast<Eigen::Index>(rows.count()),
                                     static_cast<Eigen::Index>(rows.columns))
      .cast<double>();
}

/// How much of the covariance is chance. Source: Ledoit and Wolf 2004, "A well-conditioned estimator", lemma 3.2-3.4.
double ledoit_wolf(const Eigen::MatrixXd& centred, const Eigen::MatrixXd& covariance) {
  const double n = static_cast<double>(centred.rows()), p = static_cast<double>(covariance.rows());
  const double mean = covariance.trace() / p;
  const double spread = covariance.squaredNorm() - p * mean * mean;
  double fourth = 0;
  for (Eigen::Index row = 0; row < centred.rows(); ++row) {
    const double squared = centred.row(row).squaredNorm();
    fourth += squared * squared;
  }
  const double chance = (fourth / n - covariance.squaredNorm()) / n;
  return spread <= 0 ? 1.0 : std::clamp(chance / spread, 0.0, 1.0);
}

GraphBuilder::Edge square_sums(GraphBuilder& graph, const GraphBuilder::Edge& rows) {
  return graph.add("ReduceSum", {graph.add("Mul", {rows, rows}), graph.ints({1})}, {{"keepdims", 1}});
}

}  // namespace

void Axes::apply(std::span<const float> row, std::span<float> target) const {
  VERGE_ASSERT(row.size() == inputs && target.size() == outputs);
  std::fill(target.begin(), target.end(), 0.0F);
  const float* weights = basis.data();
  for (std::size_t in = 0; in < inputs; ++in, weights += outputs) {
    const float value = row[in] - mean[in];
    for (std::size_t out = 0; out < outputs; ++out) target[out] += value * weights[out];
  }
}

Axes fit_axes(const training::Rows& rows) {
  Eigen::MatrixXd centred = as_matrix(rows);
  const Eigen::RowVectorXd mean = centred.colwise().mean();
  centred.rowwise() -= mean;
  const Eigen::MatrixXd covariance = centred.transpose() * centred / static_cast<double>(centred.rows());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  Axes axes;
  axes.shrinkage = ledoit_wolf(centred, covariance);
  axes.inputs = rows.columns;
  axes.outputs = std::min({rows.columns, kAxesMax, rows.count() - 1});
  const double ball = std::max(covariance.trace() / static_cast<double>(rows.columns), 1e-12);
  axes.mean.resize(axes.inputs);
  axes.basis.resize(axes.inputs * axes.outputs);
  for (std::size_t in = 0; in < axes.inputs; ++in)
    axes.mean[in] = static_cast<float>(mean[static_cast<Eigen::Index>(in)]);
  for (std::size_t out = 0; out < axes.outputs; ++out) {
    const auto column = static_cast<Eigen::Index>(axes.inputs - 1 - out);
    const double variance = std::max(0.0, solver.eigenvalues()[column]);
    // A thousandth of the mean spread at least: where nothing ever varied, the microphone's noise must not count.
    const double shrunk = (1 - axes.shrinkage) * variance + axes.shrinkage * ball + 1e-3 * ball;
    axes.variances.push_back(static_cast<float>(variance));
    // The sign of an axis is free; its largest number is made positive, so that equal data give equal files.
    Eigen::Index largest = 0;
    solver.eigenvectors().col(column).cwiseAbs().maxCoeff(&largest);
    const double sign = solver.eigenvectors()(largest, column) < 0 ? -1 : 1;
    for (std::size_t in = 0; in < axes.inputs; ++in) {
      const double value = solver.eigenvectors()(static_cast<Eigen::Index>(in), column);
      axes.basis[in * axes.outputs + out] = static_cast<float>(sign * value / std::sqrt(shrunk));
    }
  }
  return axes;
}

Axes fit_scales(const training::Rows& rows) {
  const Eigen::MatrixXd matrix = as_matrix(rows);
  Axes scales;
  scales.inputs = scales.outputs = rows.columns;
  scales.basis.assign(rows.columns * rows.columns, 0.0F);
  for (std::size_t at = 0; at < rows.columns; ++at) {
    const auto column = matrix.col(static_cast<Eigen::Index>(at));
    const double mean = column.mean(), deviation = std::sqrt((column.array() - mean).square().mean());
    scales.mean.push_back(static_cast<float>(mean));
    scales.variances.push_back(static_cast<float>(deviation * deviation));
    scales.basis[at * rows.columns + at] = static_cast<float>(1 / (deviation + 1e-3));
  }
  return scales;
}

Result<Detector> Detector::fit(const training::Rows& rows, const DetectorOptions& options) {
  if (rows.count() < kRowsMin) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{} rows of ordinary sound; at least {} are needed", rows.count(), kRowsMin)};
  }
  for (const float value : rows.values)
    if (!std::isfinite(value)) return Error{ErrorCode::invalid_argument, "a row has a number that is not finite"};
  Detector detector;
  detector.kind_ = options.kind;
  const bool is_near = options.kind == DetectorKind::nearest || options.kind == DetectorKind::in_domain;
  detector.axes_ = is_near ? fit_scales(rows) : fit_axes(rows);
  training::Rows seen{detector.axes_.outputs, {}};
  std::vector<float> row(detector.axes_.outputs);
  for (std::size_t at = 0; at < rows.count(); ++at) {
    detector.axes_.apply(rows.row(at), row);
    seen.add(row);
  }
  switch (options.kind) {
    case DetectorKind::nearest:
    case DetectorKind::in_domain:
      detector.fit_bank(seen, std::clamp<std::size_t>(options.bank_rows, 16, 8192));
      break;
    case DetectorKind::mahalanobis:
      break;
    case DetectorKind::residual: {
      double whole = 0, part = 0;
      for (const float variance : detector.axes_.variances) whole += variance;
      while (detector.explained_ + 1 < detector.axes_.outputs && part < kExplained * whole)
        part += detector.axes_.variances[detector.explained_++];
      break;
    }
    case DetectorKind::encoder:
      detector.fit_encoder(seen, options.seed);
      break;
  }
  return detector;
}

void Detector::fit_bank(const training::Rows& rows, std::size_t kept) {
  const std::size_t count = std::min(kept, rows.count());
  for (std::size_t at = 0; at < count; ++at) {
    const auto row = rows.row(at * rows.count() / count);
    bank_.insert(bank_.end(), row.begin(), row.end());
  }
  densities_.assign(count, 1.0F);
  if (kind_ == DetectorKind::nearest) return;
  const auto bank = training::NearestBank::make(bank_, rows.columns);
  VERGE_ASSERT(bank);
  const int asked = std::min<int>(kDensityNeighbours + 1, static_cast<int>(count));
  std::vector<training::Neighbour> found(count * static_cast<std::size_t>(asked));
  VERGE_ASSERT(bank->find(bank_, asked, 1, found));
  std::vector<float> reaches;
  for (std::size_t at = 0; at < count; ++at) {
    double reach = 0;  // The first neighbour is the row itself.
    for (int k = 1; k < asked; ++k)
      reach += found[at * static_cast<std::size_t>(asked) + static_cast<std::size_t>(k)].squared / (asked - 1.0);
    reaches.push_back(static_cast<float>(reach));
  }
  std::vector<float> sorted = reaches;
  std::ranges::sort(sorted);
  const float least = std::max(0.1F * sorted[count / 2], 1e-6F);  // Rows that repeat must not make a needle's eye.
  for (std::size_t at = 0; at < count; ++at) densities_[at] = 1 / std::max(reaches[at], least);
}

double Detector::nearest_score(std::span<const float> axes) const {
  float best = std::numeric_limits<float>::infinity();
  for (std::size_t at = 0; at < densities_.size(); ++at) {
    const float squared = training::squared_distance(axes.data(), bank_.data() + at * axes.size(), axes.size());
    best = std::min(best, squared * densities_[at]);
  }
  return std::sqrt(best);
}

/// One hidden layer of tanh, trained by Adam to bring rows back.
void Detector::fit_encoder(const training::Rows& rows, std::uint64_t seed) {
  const auto width = static_cast<Eigen::Index>(rows.columns), inner = static_cast<Eigen::Index>(kInner);
  training::SeededNumbers numbers(seed);
  const auto begun = [&](Eigen::Index from, Eigen::Index to) {
    Eigen::MatrixXf made(from, to);
    const double scale = std::sqrt(6.0 / static_cast<double>(from + to));  // Glorot and Bengio 2010.
    for (Eigen::Index i = 0; i < from; ++i)
      for (Eigen::Index j = 0; j < to; ++j) made(i, j) = static_cast<float>(scale * (2 * numbers.part() - 1));
    return made;
  };
  struct Weights {
    Eigen::MatrixXf value, first, second;
    void step(const Eigen::MatrixXf& slope, int turn) {
      first = 0.9F * first + 0.1F * slope;
      second = 0.999F * second + 0.001F * slope.cwiseProduct(slope);
      const auto t = static_cast<float>(turn);
      const float rate = 0.003F * std::sqrt(1 - std::pow(0.999F, t)) / (1 - std::pow(0.9F, t));
      value.array() -= rate * first.array() / (second.array().sqrt() + 1e-8F);
    }
  };
  const auto weights_of = [](Eigen::MatrixXf value) {
    const Eigen::MatrixXf nothing = Eigen::MatrixXf::Zero(value.rows(), value.cols());
    return Weights{std::move(value), nothing, nothing};
  };
  Weights in = weights_of(begun(width, inner)), out = weights_of(begun(inner, width));
  Weights in_offset = weights_of(Eigen::MatrixXf::Zero(1, inner)),
          out_offset = weights_of(Eigen::MatrixXf::Zero(1, width));
  std::vector<std::size_t> order(rows.count());
  for (std::size_t at = 0; at < order.size(); ++at) order[at] = at;
  int turn = 0;
  for (int epoch = 0; epoch < kEncoderEpochs; ++epoch) {
    for (std::size_t at = order.size(); at > 1; --at) std::swap(order[at - 1], order[numbers.below(at)]);
    for (std::size_t from = 0; from < order.size(); from += kEncoderBatch) {
      const std::size_t count = std::min(kEncoderBatch, order.size() - from);
      Eigen::MatrixXf batch(static_cast<Eigen::Index>(count), width);
      for (std::size_t i = 0; i < count; ++i) {
        const auto row = rows.row(order[from + i]);
        for (std::size_t j = 0; j < row.size(); ++j)
          batch(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = row[j];
      }
      const Eigen::MatrixXf code = ((batch * in.value).rowwise() + in_offset.value.row(0)).array().tanh().matrix();
      const Eigen::MatrixXf back = (code * out.value).rowwise() + out_offset.value.row(0);
      const Eigen::MatrixXf slope = (back - batch) * (2.0F / static_cast<float>(batch.size()));
      const Eigen::MatrixXf inner_slope =
          ((slope * out.value.transpose()).array() * (1 - code.array().square())).matrix();
      ++turn;
      out.step(code.transpose() * slope, turn);
      out_offset.step(slope.colwise().sum(), turn);
      in.step(batch.transpose() * inner_slope, turn);
      in_offset.step(inner_slope.colwise().sum(), turn);
    }
  }
  const auto flat = [](const Eigen::MatrixXf& matrix) {
    const RowMatrix rows_first = matrix;
    return std::vector<float>(rows_first.data(), rows_first.data() + rows_first.size());
  };
  inward_ = flat(in.value);
  inward_offsets_ = flat(in_offset.value);
  outward_ = flat(out.value);
  outward_offsets_ = flat(out_offset.value);
}

double Detector::score(std::span<const float> row) const {
  std::vector<float> axes(axes_.outputs);
  axes_.apply(row, axes);
  if (kind_ == DetectorKind::nearest || kind_ == DetectorKind::in_domain) return nearest_score(axes);
  double sum = 0;
  if (kind_ == DetectorKind::encoder) {
    std::vector<float> code(inward_offsets_);
    for (std::size_t i = 0; i < axes.size(); ++i)
      for (std::size_t k = 0; k < kInner; ++k) code[k] += axes[i] * inward_[i * kInner + k];
    for (float& value : code) value = std::tanh(value);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      float back = outward_offsets_[i];
      for (std::size_t k = 0; k < kInner; ++k) back += code[k] * outward_[k * axes.size() + i];
      sum += static_cast<double>(axes[i] - back) * (axes[i] - back);
    }
  } else {
    for (std::size_t i = explained_; i < axes.size(); ++i) sum += static_cast<double>(axes[i]) * axes[i];
  }
  return std::sqrt(sum);
}

GraphBuilder::Edge Detector::add_to(GraphBuilder& graph, const GraphBuilder::Edge& rows) const {
  const auto inputs = static_cast<std::int64_t>(axes_.inputs), width = static_cast<std::int64_t>(axes_.outputs);
  const auto centred = graph.add("Sub", {rows, graph.floats({1, inputs}, axes_.mean)});
  const auto axes = graph.add("MatMul", {centred, graph.floats({inputs, width}, axes_.basis)});
  switch (kind_) {
    case DetectorKind::nearest:
    case DetectorKind::in_domain: {
      // |q - b|^2 = |q|^2 - 2 q.b + |b|^2, then times the density of b; rounding must not make it negative.
      const auto kept = static_cast<std::int64_t>(densities_.size());
      std::vector<float> columns(bank_.size()), squares(densities_.size());
      for (std::size_t at = 0; at < densities_.size(); ++at) {
        for (std::size_t i = 0; i < axes_.outputs; ++i) {
          const float value = bank_[at * axes_.outputs + i];
          columns[i * densities_.size() + at] = -2 * value;
          squares[at] += value * value;
        }
      }
      const auto products = graph.add("MatMul", {axes, graph.floats({width, kept}, columns)});
      const auto sums =
          graph.add("Add", {graph.add("Add", {products, graph.floats({1, kept}, squares)}), square_sums(graph, axes)});
      const auto weighed = graph.add("Mul", {graph.add("Relu", {sums}), graph.floats({1, kept}, densities_)});
      return graph.add("Sqrt", {graph.add("ReduceMin", {weighed}, {{"axes", {1}}, {"keepdims", 1}})});
    }
    case DetectorKind::encoder: {
      const auto inner = static_cast<std::int64_t>(kInner);
      const auto code =
          graph.add("Tanh", {graph.add("Add", {graph.add("MatMul", {axes, graph.floats({width, inner}, inward_)}),
                                               graph.floats({1, inner}, inward_offsets_)})});
      const auto back = graph.add("Add", {graph.add("MatMul", {code, graph.floats({inner, width}, outward_)}),
                                          graph.floats({1, width}, outward_offsets_)});
      return graph.add("Sqrt", {square_sums(graph, graph.add("Sub", {axes, back}))});
    }
    default: {
      const auto rest = graph.add(
          "Slice", {axes, graph.ints({static_cast<std::int64_t>(explained_)}), graph.ints({width}), graph.ints({1})});
      return graph.add("Sqrt", {square_sums(graph, rest)});
    }
  }
}

double area_under_roc(std::span<const float> ordinary, std::span<const float> strange) {
  std::vector<float> sorted(ordinary.begin(), ordinary.end());
  std::ranges::sort(sorted);
  double below = 0;
  for (const float score : strange) {
    const auto [low, high] = std::ranges::equal_range(sorted, score);
    below += static_cast<double>(low - sorted.begin()) + 0.5 * static_cast<double>(high - low);
  }
  return below / std::max(1.0, static_cast<double>(ordinary.size()) * static_cast<double>(strange.size()));
}

}  // namespace verge::audio
