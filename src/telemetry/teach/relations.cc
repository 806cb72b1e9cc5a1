#include "telemetry/teach/relations.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <span>

#include "training/ridge.h"

namespace verge::telemetry {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::RowVectorXd;

constexpr double kTiny = 1e-6;  // Below any sensor's noise in standard units.
constexpr double kScaleQuantile = 0.995;
constexpr Index kWindowStep = 2;  // Neighbouring windows say nearly the same: every second one is enough.

Index index_of(std::size_t count) { return static_cast<Index>(count); }

MatrixXd standardise(const Relations& relations, const MatrixXd& rows) {
  return (rows.rowwise() - relations.mean).array().rowwise() / relations.spread.array();
}

/// Means of consecutive blocks: [blocks, channels].
MatrixXd block_means(const MatrixXd& window, const RelationsOptions& options) {
  MatrixXd means(index_of(options.blocks), window.cols());
  for (Index block = 0; block < means.rows(); ++block) {
    means.row(block) =
        window.middleRows(block * index_of(options.block_rows), index_of(options.block_rows)).colwise().mean();
  }
  return means;
}

/// [now, now squared, oldest block]
RowVectorXd surprise_features(const MatrixXd& means) {
  const Index channels = means.cols();
  RowVectorXd features(3 * channels);
  const RowVectorXd now = means.row(means.rows() - 1);
  features << now, now.array().square().matrix(), RowVectorXd(means.row(0));
  return features;
}

/// [block, block squared] for every block.
MatrixXd unrest_features(const MatrixXd& means) {
  MatrixXd features(means.rows(), 2 * means.cols());
  features << means, means.array().square().matrix();
  return features;
}

RowVectorXd silence_of(const MatrixXd& window, const RelationsOptions& options) {
  const Index rows = 2 * index_of(options.block_rows);
  const MatrixXd newest = window.bottomRows(rows + 1);
  const MatrixXd steps = newest.bottomRows(rows) - newest.topRows(rows);
  return (steps.array().square().colwise().mean() + kTiny).log();
}

struct RawFeatures {
  RowVectorXd surprise, unrest, silence;
};

RawFeatures raw_features(const Relations& relations, const MatrixXd& window) {
  const MatrixXd means = block_means(window, relations.options);
  RawFeatures raw;
  raw.surprise =
      means.row(means.rows() - 1) - (surprise_features(means) * relations.surprise_weights + relations.surprise_bias);
  const MatrixXd rest = means - ((unrest_features(means) * relations.unrest_weights).rowwise() + relations.unrest_bias);
  raw.unrest = (rest.array().square().colwise().mean() + kTiny).log();
  raw.silence = silence_of(window, relations.options);
  return raw;
}

/// For each channel a regression on all features but the channel's own present.
void fit_weights(const MatrixXd& features, const MatrixXd& targets, std::size_t own_blocks, double penalty,
                 MatrixXd& weights, RowVectorXd& bias) {
  const Index channels = targets.cols();
  const RowVectorXd feature_mean = features.colwise().mean();
  const RowVectorXd target_mean = targets.colwise().mean();
  const MatrixXd centred = features.rowwise() - feature_mean;
  weights = MatrixXd::Zero(features.cols(), channels);
  for (Index channel = 0; channel < channels; ++channel) {
    std::vector<Index> used;
    for (Index feature = 0; feature < features.cols(); ++feature) {
      const bool is_own = feature % channels == channel && feature / channels < index_of(own_blocks);
      if (!is_own) used.push_back(feature);
    }
    if (used.empty()) continue;  // A sensor without company: nothing explains it, its mean is the prediction.
    const MatrixXd inputs = centred(Eigen::all, used);
    const MatrixXd target = targets.col(channel).array() - target_mean(channel);
    const MatrixXd found = training::fit_ridge(inputs, target, penalty);
    for (std::size_t at = 0; at < used.size(); ++at) weights(used[at], channel) = found(index_of(at), 0);
  }
  bias = target_mean - feature_mean * weights;
}

void fit_regressions(Relations& relations, const MatrixXd& rows) {
  const Index window_rows = index_of(relations.options.window_rows());
  const Index count = (rows.rows() - window_rows) / kWindowStep + 1;
  const Index channels = rows.cols();
  MatrixXd features(count, 3 * channels);
  MatrixXd targets(count, channels);
  for (Index at = 0; at < count; ++at) {
    const MatrixXd means = block_means(rows.middleRows(at * kWindowStep, window_rows), relations.options);
    features.row(at) = surprise_features(means);
    targets.row(at) = means.row(means.rows() - 1);
  }
  fit_weights(features, targets, 2, relations.options.penalty, relations.surprise_weights, relations.surprise_bias);
  fit_weights(features.leftCols(2 * channels), targets, 2, relations.options.penalty, relations.unrest_weights,
              relations.unrest_bias);
}

double quantile(std::vector<double> values, double share) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::vector<double> column_of(const MatrixXd& matrix, Index column) {
  return {matrix.col(column).begin(), matrix.col(column).end()};
}

void fit_scales(Relations& relations, const MatrixXd& rows) {
  const Index window_rows = index_of(relations.options.window_rows());
  const Index count = (rows.rows() - window_rows) / kWindowStep + 1;
  const Index channels = rows.cols();
  MatrixXd surprise(count, channels), unrest(count, channels), silence(count, channels);
  for (Index at = 0; at < count; ++at) {
    const auto raw = raw_features(relations, rows.middleRows(at * kWindowStep, window_rows));
    surprise.row(at) = raw.surprise;
    unrest.row(at) = raw.unrest;
    silence.row(at) = raw.silence;
  }
  relations.surprise_scale.resize(channels);
  for (auto* vector :
       {&relations.unrest_centre, &relations.unrest_scale, &relations.silence_centre, &relations.silence_scale})
    vector->resize(channels);
  for (Index channel = 0; channel < channels; ++channel) {
    relations.surprise_scale(channel) =
        std::max(kTiny, quantile(column_of(surprise.cwiseAbs(), channel), kScaleQuantile));
    relations.unrest_centre(channel) = quantile(column_of(unrest, channel), 0.5);
    relations.unrest_scale(channel) =
        std::max(0.05, quantile(column_of(unrest, channel), kScaleQuantile) - relations.unrest_centre(channel));
    relations.silence_centre(channel) = quantile(column_of(silence, channel), 0.5);
    relations.silence_scale(channel) =
        std::max(0.05, relations.silence_centre(channel) - quantile(column_of(silence, channel), 1 - kScaleQuantile));
  }
}

}  // namespace

Relations fit_relations(const MatrixXd& rows, std::size_t fit_rows, const RelationsOptions& options) {
  Relations relations;
  relations.options = options;
  const MatrixXd raw = rows.topRows(index_of(fit_rows));
  relations.mean = raw.colwise().mean();
  relations.spread = (((raw.rowwise() - relations.mean).array().square().colwise().mean()).sqrt().max(1e-9)).matrix();
  const MatrixXd standard = standardise(relations, rows);
  fit_regressions(relations, standard.topRows(index_of(fit_rows)));
  fit_scales(relations, standard.bottomRows(rows.rows() - index_of(fit_rows)));
  return relations;
}

WindowScore score_window(const Relations& relations, const MatrixXd& window) {
  const auto raw = raw_features(relations, standardise(relations, window));
  const auto surprise = raw.surprise.cwiseAbs().array() / relations.surprise_scale.array();
  const auto unrest = (raw.unrest - relations.unrest_centre).array() / relations.unrest_scale.array();
  const auto silence = (relations.silence_centre - raw.silence).array() / relations.silence_scale.array();
  WindowScore score;
  score.contributions = surprise.max(unrest).max(silence).max(0.0).matrix();
  score.value = score.contributions.maxCoeff();
  return score;
}

namespace {

/// Small helpers over GraphBuilder, so that the graph below reads like score_window.
class Formula {
 public:
  explicit Formula(models::GraphBuilder& graph) : graph_(graph) {}
  using Edge = models::GraphBuilder::Edge;

  Edge vector(const RowVectorXd& values) {
    const Eigen::RowVectorXf single = values.cast<float>();
    return graph_.floats({single.size()},
                         std::span<const float>(single.data(), static_cast<std::size_t>(single.size())));
  }
  Edge matrix(const MatrixXd& values) {
    const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> single = values.cast<float>();
    return graph_.floats({single.rows(), single.cols()},
                         std::span<const float>(single.data(), static_cast<std::size_t>(single.size())));
  }
  Edge rows(const Edge& from, std::int64_t begin, std::int64_t end) {
    return graph_.add("Slice", {from, graph_.ints({begin}), graph_.ints({end}), graph_.ints({0})});
  }
  Edge square(const Edge& value) { return graph_.add("Mul", {value, value}); }
  Edge mean_rows(const Edge& value) { return graph_.add("ReduceMean", {value}, {{"axes", {0}}, {"keepdims", 0}}); }
  Edge log_energy(const Edge& value) {
    return graph_.add("Log", {graph_.add("Add", {mean_rows(square(value)), graph_.scalar(static_cast<float>(kTiny))})});
  }

 private:
  models::GraphBuilder& graph_;
};

}  // namespace

Result<models::OnnxModel> to_onnx(const Relations& relations, const std::vector<std::string>& channels) {
  const auto& options = relations.options;
  const auto window_rows = static_cast<std::int64_t>(options.window_rows());
  const auto block_rows = static_cast<std::int64_t>(options.block_rows);
  const auto blocks = static_cast<std::int64_t>(options.blocks);
  const auto count = static_cast<std::int64_t>(relations.channel_count());
  models::GraphBuilder graph("normal_relations");
  Formula formula(graph);

  const auto raw = graph.input("window", models::ElementType::float32, {window_rows, count});
  const auto window =
      graph.add("Div", {graph.add("Sub", {raw, formula.vector(relations.mean)}), formula.vector(relations.spread)});
  const auto cube = graph.add("Reshape", {window, graph.ints({blocks, block_rows, count})});
  const auto means = graph.add("ReduceMean", {cube}, {{"axes", {1}}, {"keepdims", 0}});
  const auto now = formula.rows(means, blocks - 1, blocks);
  const auto oldest = formula.rows(means, 0, 1);

  const auto features = graph.add("Concat", {now, formula.square(now), oldest}, {{"axis", 1}});
  const auto predicted = graph.add("Add", {graph.add("MatMul", {features, formula.matrix(relations.surprise_weights)}),
                                           formula.vector(relations.surprise_bias)});
  const auto surprise = graph.add(
      "Div", {graph.add("Abs", {graph.add("Sub", {now, predicted})}), formula.vector(relations.surprise_scale)});

  const auto pairs = graph.add("Concat", {means, formula.square(means)}, {{"axis", 1}});
  const auto explained = graph.add("Add", {graph.add("MatMul", {pairs, formula.matrix(relations.unrest_weights)}),
                                           formula.vector(relations.unrest_bias)});
  const auto energy = formula.log_energy(graph.add("Sub", {means, explained}));
  const auto unrest = graph.add("Div", {graph.add("Sub", {energy, formula.vector(relations.unrest_centre)}),
                                        formula.vector(relations.unrest_scale)});

  const auto steps = graph.add("Sub", {formula.rows(window, window_rows - 2 * block_rows, window_rows),
                                       formula.rows(window, window_rows - 2 * block_rows - 1, window_rows - 1)});
  const auto silence =
      graph.add("Div", {graph.add("Sub", {formula.vector(relations.silence_centre), formula.log_energy(steps)}),
                        formula.vector(relations.silence_scale)});

  const auto flat = graph.add("Reshape", {surprise, graph.ints({count})});
  const auto contributions = graph.add("Max", {flat, unrest, silence, graph.scalar(0)});
  graph.output("score", graph.add("ReduceMax", {contributions}, {{"axes", {0}}, {"keepdims", 1}}),
               models::ElementType::float32, {1});
  graph.output("contributions", contributions, models::ElementType::float32, {count});
  graph.metadata("channels", fmt::format("{}", fmt::join(channels, ",")));
  return graph.finish();
}

}  // namespace verge::telemetry
