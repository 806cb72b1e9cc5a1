#include "vision/teach/anomaly_graph.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <array>
#include <cmath>

namespace verge::vision {
namespace {

using models::GraphBuilder;
using Edge = GraphBuilder::Edge;
using models::ElementType;

constexpr std::size_t kCellsPerTurn = 1024;  ///< Bounds the table of distances to so many rows.
constexpr float kDark = 10;                  ///< Pixel values are lifted by this before their logarithm.
constexpr float kFlat = 1e-3F;               ///< As is the gradient's energy.
constexpr float kFar = 3.0e38F;

std::vector<models::OnnxAttribute> over_second() { return {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", 1}}; }

Edge average_3x3(GraphBuilder& graph, const Edge& map) {
  return graph.add("AveragePool", {map}, {{"kernel_shape", {3, 3}}, {"strides", {1, 1}}, {"pads", {1, 1, 1, 1}}});
}

Edge average_cells(GraphBuilder& graph, const Edge& map) {
  return graph.add("AveragePool", {map},
                   {{"kernel_shape", {kCellPixels, kCellPixels}}, {"strides", {kCellPixels, kCellPixels}}});
}

/// [1, channels, rows, columns] → [rows * columns, channels]
Edge as_rows(GraphBuilder& graph, const Edge& map, std::int64_t channels) {
  return graph.add("Reshape", {graph.add("Transpose", {map}, {{"perm", {0, 2, 3, 1}}}), graph.ints({-1, channels})});
}

/// What a plane over the picture explains is taken from each of three channels [1, 3, rows, columns].
Edge less_plane(GraphBuilder& graph, const Edge& map, std::int64_t rows, std::int64_t columns) {
  const std::int64_t cells = rows * columns;
  Eigen::Matrix<float, Eigen::Dynamic, 3, Eigen::RowMajor> plane(cells, 3);
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const auto x = static_cast<float>(cell % columns), y = static_cast<float>(cell / columns);
    plane.row(cell) << 1.0F, (x + 0.5F) / static_cast<float>(columns) - 0.5F,
        (y + 0.5F) / static_cast<float>(rows) - 0.5F;
  }
  // The columns are orthogonal on a centred grid; a side of one cell leaves one of them zero.
  Eigen::Matrix<float, 3, Eigen::Dynamic, Eigen::RowMajor> back = plane.transpose();
  for (Eigen::Index i = 0; i < 3; ++i) back.row(i) /= std::max(plane.col(i).squaredNorm(), 1e-6F);
  const Edge flat = graph.add("Reshape", {map, graph.ints({3, cells})});
  const Eigen::Matrix<float, Eigen::Dynamic, 3, Eigen::RowMajor> project = back.transpose();
  const Edge share = graph.add(
      "MatMul", {flat, graph.floats({cells, 3}, std::span(project.data(), static_cast<std::size_t>(cells) * 3))});
  const Eigen::Matrix<float, 3, Eigen::Dynamic, Eigen::RowMajor> spread = plane.transpose();
  const Edge fit = graph.add(
      "MatMul", {share, graph.floats({3, cells}, std::span(spread.data(), static_cast<std::size_t>(cells) * 3))});
  return graph.add("Reshape", {graph.add("Sub", {flat, fit}), graph.ints({1, 3, rows, columns})});
}

Edge gradient_energy(GraphBuilder& graph, const Edge& lines, std::initializer_list<std::int64_t> pads,
                     std::initializer_list<std::int64_t> kernel) {
  const Edge padded = graph.add("Pad", {lines, graph.ints(pads)}, {{"mode", "edge"}});
  const Edge difference = graph.add("Conv", {padded, graph.floats(models::Dimensions(kernel), {-1, 0, 1})});
  const Edge energy = average_cells(graph, graph.add("Mul", {difference, difference}));
  const Edge level = graph.add("Log", {graph.add("Add", {energy, graph.scalar(kFlat)})});
  return graph.add("Sub", {level, graph.add("ReduceMean", {level}, {{"axes", {2, 3}}, {"keepdims", 1}})});
}

std::vector<float> squares_of_rows(std::span<const float> rows, std::size_t dimensions) {
  std::vector<float> squares;
  for (std::size_t at = 0; at < rows.size(); at += dimensions) {
    double sum = 0;
    for (std::size_t i = 0; i < dimensions; ++i) sum += static_cast<double>(rows[at + i]) * rows[at + i];
    squares.push_back(static_cast<float>(sum));
  }
  return squares;
}

Edge square_sum(GraphBuilder& graph, const Edge& rows) {
  return graph.add("ReduceSum", {graph.add("Mul", {rows, rows}), graph.ints({1})}, {{"keepdims", 1}});
}

Edge root(GraphBuilder& graph, const Edge& squares) { return graph.add("Sqrt", {graph.add("Relu", {squares})}); }

}  // namespace

FeatureEdges add_patch_features(GraphBuilder& graph, const std::string& images, const models::PictureInput& picture,
                                int channels) {
  const std::int64_t rows = picture.height / kCellPixels, columns = picture.width / kCellPixels;
  const Edge pixels = graph.add("Add", {graph.add("Mul", {images, graph.floats({1, 3, 1, 1}, picture.deviation)}),
                                        graph.floats({1, 3, 1, 1}, picture.mean)});
  const Edge dark = graph.scalar(kDark);
  const Edge colours = graph.add("Log", {graph.add("Add", {graph.add("Relu", {average_cells(graph, pixels)}), dark})});
  const Edge grey = graph.add("ReduceMean", {pixels}, over_second());
  const Edge lines = graph.add("Log", {graph.add("Add", {graph.add("Relu", {grey}), dark})});
  const Edge tone = graph.add(
      "Concat",
      {less_plane(graph, colours, rows, columns), gradient_energy(graph, lines, {0, 0, 0, 1, 0, 0, 0, 1}, {1, 1, 1, 3}),
       gradient_energy(graph, lines, {0, 0, 1, 0, 0, 0, 1, 0}, {1, 1, 3, 1})},
      {{"axis", 1}});
  return {as_rows(graph, average_3x3(graph, "stride_8"), channels),
          as_rows(graph, average_3x3(graph, tone), kToneNumbers)};
}

void Whitening::apply(std::span<const float> rows, std::span<float> target) const {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto in = static_cast<Eigen::Index>(inputs), out = static_cast<Eigen::Index>(outputs);
  const Eigen::Index count = static_cast<Eigen::Index>(rows.size()) / in;
  const Eigen::Map<const Rows> source(rows.data(), count, in);
  const Eigen::Map<const Eigen::RowVectorXf> centre(mean.data(), in);
  const Eigen::Map<const Rows> axes(basis.data(), in, out);
  Eigen::Map<Rows>(target.data(), count, out).noalias() = (source.rowwise() - centre) * axes;
}

Whitening whitening_of(std::span<const double> mean, std::span<const double> covariance, std::size_t outputs_max) {
  const auto n = static_cast<Eigen::Index>(mean.size());
  // Features of different size count alike: axes are those of the correlation.
  Eigen::MatrixXd correlation = Eigen::Map<const Eigen::MatrixXd>(covariance.data(), n, n);
  const double mean_variance = std::max(correlation.trace() / static_cast<double>(n), 1e-12);
  const Eigen::VectorXd spread = (correlation.diagonal().array().max(0) + 1e-6 * mean_variance).sqrt();
  correlation = spread.cwiseInverse().asDiagonal() * correlation * spread.cwiseInverse().asDiagonal();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(correlation);
  Whitening result;
  result.inputs = mean.size();
  result.outputs = std::min(mean.size(), outputs_max);
  result.mean.assign(mean.begin(), mean.end());
  const double held = 0.01 * std::max(correlation.trace() / static_cast<double>(n), 1e-6);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (std::size_t axis = 0; axis < result.outputs; ++axis) {
      const Eigen::Index column = n - 1 - static_cast<Eigen::Index>(axis);
      const double strength = std::sqrt(std::max(solver.eigenvalues()(column), 0.0) + held);
      result.basis.push_back(static_cast<float>(solver.eigenvectors()(i, column) / strength / spread(i)));
    }
  }
  return result;
}

void Moments::add(std::span<const float> rows) {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto n = static_cast<Eigen::Index>(sums.size());
  const Eigen::Map<const Rows> source(rows.data(), static_cast<Eigen::Index>(rows.size()) / n, n);
  const Eigen::MatrixXd exact = source.cast<double>();
  Eigen::Map<Eigen::VectorXd>(sums.data(), n) += exact.colwise().sum().transpose();
  Eigen::Map<Eigen::MatrixXd>(products.data(), n, n).noalias() += exact.transpose() * exact;
  count += static_cast<double>(exact.rows());
}

Whitening Moments::whitening(std::size_t outputs_max) const {
  const std::size_t n = sums.size();
  std::vector<double> mean(sums), covariance(products);
  for (double& value : mean) value /= count;
  for (std::size_t i = 0; i < n * n; ++i) covariance[i] = covariance[i] / count - mean[i / n] * mean[i % n];
  return whitening_of(mean, covariance, outputs_max);
}

Edge add_whitening(GraphBuilder& graph, const std::string& rows, const Whitening& whitening) {
  const auto in = static_cast<std::int64_t>(whitening.inputs), out = static_cast<std::int64_t>(whitening.outputs);
  return graph.add("MatMul", {graph.add("Sub", {rows, graph.floats({in}, whitening.mean)}),
                              graph.floats({in, out}, whitening.basis)});
}

Edge add_distances(GraphBuilder& graph, const std::string& patches, std::size_t cells, const EverywhereBank& bank) {
  const std::size_t count = bank.bank->count(), d = bank.bank->dimensions();
  const std::vector<float>& rows = bank.bank->rows();
  std::vector<float> across(rows.size());  // -2 times the bank, transposed.
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t i = 0; i < d; ++i) across[i * count + row] = -2 * rows[row * d + i];
  }
  const Edge products = graph.floats({static_cast<std::int64_t>(d), static_cast<std::int64_t>(count)}, across);
  const Edge squares = graph.floats({static_cast<std::int64_t>(count)}, squares_of_rows(rows, d));
  std::vector<Edge> parts{patches};
  if (cells > kCellsPerTurn) {
    std::vector<std::int64_t> sizes;
    for (std::size_t at = 0; at < cells; at += kCellsPerTurn)
      sizes.push_back(static_cast<std::int64_t>(std::min(kCellsPerTurn, cells - at)));
    parts = graph.add_many("Split", {patches, graph.ints(sizes)}, sizes.size(), {{"axis", 0}});
  }
  for (Edge& part : parts) {
    const Edge table = graph.add("Add", {graph.add("MatMul", {part, products}), squares});
    part = graph.add("Add", {graph.add("ReduceMin", {table}, over_second()), square_sum(graph, part)});
  }
  return root(graph, parts.size() == 1 ? parts.front() : graph.add("Concat", parts, {{"axis", 0}}));
}

Edge add_distances(GraphBuilder& graph, const std::string& patches, const PlacedBank& bank) {
  const auto rows = static_cast<std::int64_t>(bank.rows), columns = static_cast<std::int64_t>(bank.columns);
  const auto d = static_cast<std::int64_t>(bank.dimensions), per_cell = static_cast<std::int64_t>(bank.per_cell);
  const std::int64_t cells = rows * columns;
  std::vector<float> doubled(bank.values.size());
  std::ranges::transform(bank.values, doubled.begin(), [](float value) { return -2 * value; });
  // For each cell of the bank the patches of the nine cells around it, as columns.
  const Edge field = graph.add("Reshape", {patches, graph.ints({rows, columns, d})});
  const Edge padded = graph.add("Pad", {field, graph.ints({1, 1, 0, 1, 1, 0})}, {{"mode", "edge"}});
  std::vector<Edge> around;
  for (std::int64_t v = 0; v < 3; ++v) {
    for (std::int64_t u = 0; u < 3; ++u) {
      const Edge moved =
          graph.add("Slice", {padded, graph.ints({v, u}), graph.ints({v + rows, u + columns}), graph.ints({0, 1})});
      around.push_back(graph.add("Reshape", {moved, graph.ints({cells, d, 1})}));
    }
  }
  const Edge asked = graph.add("Concat", around, {{"axis", 2}});
  const Edge products = graph.add("MatMul", {graph.floats({cells, per_cell, d}, doubled), asked});
  const Edge table =
      graph.add("Add", {products, graph.floats({cells, per_cell, 1}, squares_of_rows(bank.values, bank.dimensions))});
  const Edge nearest =
      graph.add("ReduceMin", {table}, {{"axes", std::vector<std::int64_t>{1}}, {"keepdims", 0}});  // [cells, 9]
  const Edge grid = graph.add("Reshape", {nearest, graph.ints({rows, columns, 9})});
  // Back to the patches: the one at v, u of its bank cell's surroundings lies v - 1 rows and u - 1 columns away.
  const Edge room = graph.add("Pad", {grid, graph.ints({1, 1, 0, 1, 1, 0}), graph.scalar(kFar)});
  std::vector<Edge> answers;
  for (std::int64_t v = 0; v < 3; ++v) {
    for (std::int64_t u = 0; u < 3; ++u) {
      answers.push_back(
          graph.add("Slice", {room, graph.ints({2 - v, 2 - u, v * 3 + u}),
                              graph.ints({2 - v + rows, 2 - u + columns, v * 3 + u + 1}), graph.ints({0, 1, 2})}));
    }
  }
  const Edge best = graph.add("Reshape", {graph.add("Min", answers), graph.ints({cells, 1})});
  return root(graph, graph.add("Add", {best, square_sum(graph, patches)}));
}

}  // namespace verge::vision
