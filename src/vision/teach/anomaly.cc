#include "vision/teach/anomaly.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <numeric>

#include "training/tail.h"
#include "vision/picture_model.h"
#include "vision/teach/anomaly_graph.h"
#include "vision/teach/backbone.h"
#include "vision/teach/pretend_defects.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using Pictures = std::span<const std::shared_ptr<const Frame>>;

constexpr std::size_t kPicturesMin = 8;
constexpr std::size_t kPretendedMin = 60, kPretendedMax = 120;
constexpr std::size_t kTrunkNumbers = 64;             ///< Of the trunk's channels after whitening.
constexpr std::size_t kKeptNumbersMax = 100'000'000;  ///< Of all pictures: 400 MB.
constexpr std::size_t kPlacedNumbersMax = 8'000'000;  ///< 32 MB of the model.
constexpr double kClearlyBetter = 0.02;               ///< Area under ROC by which a way must beat those before it.
constexpr std::size_t kTailScoresMin = 100;           ///< Of training/tail.h.

/// A way of comparing. The earlier one is taken unless a later one is clearly better: at its place also sees that
/// something right is in the wrong place, which pretended defects seldom show.
struct Way {
  Comparing comparing;
  bool uses_trunk, uses_tone;
};
constexpr std::array<Way, 6> kWays{{{Comparing::at_its_place, true, true},
                                    {Comparing::everywhere, true, true},
                                    {Comparing::at_its_place, true, false},
                                    {Comparing::everywhere, true, false},
                                    {Comparing::at_its_place, false, true},
                                    {Comparing::everywhere, false, true}}};

std::string text_of(const Way& way) {
  const char* what = way.uses_trunk ? way.uses_tone ? "trunk and tone" : "trunk" : "tone";
  return fmt::format("compared {}, {}", way.comparing == Comparing::everywhere ? "with any place" : "at its place",
                     what);
}

Status check_anomaly_options(const AnomalyOptions& options, Pictures good) {
  const auto refuse = [](std::string text) {
    return Error{ErrorCode::invalid_argument, "teach what is normal: " + std::move(text)};
  };
  if (good.size() < kPicturesMin) {
    return refuse(fmt::format("{} pictures of good parts; at least {} are needed, 30 are a good beginning", good.size(),
                              kPicturesMin));
  }
  if (!(options.false_alarms >= 1e-4 && options.false_alarms <= 0.2))
    return refuse(fmt::format("false alarms {}; 0.0001 to 0.2", options.false_alarms));
  if (options.pixels_max < 4096 || options.pixels_max > 4'000'000)
    return refuse(fmt::format("pixels {}; 4,096 to 4,000,000", options.pixels_max));
  if (options.bank_rows < 64 || options.bank_rows > 16'384)
    return refuse(fmt::format("bank of {}; 64 to 16,384", options.bank_rows));
  if (options.threads < 1 || options.threads > 64) return refuse(fmt::format("threads {}; 1 to 64", options.threads));
  return Done{};
}

/// A side of the input near this many pixels.
int side_of(double pixels) { return std::clamp(static_cast<int>(std::lround(pixels / 16)) * 16, 32, 2048); }

double median_of(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// Area under ROC: how often a defective one is above a good one.
double area_under_roc(std::span<const float> good, std::span<const float> defective) {
  double above = 0;
  for (const float bad : defective) {
    for (const float fine : good) above += bad > fine ? 1 : bad == fine ? 0.5 : 0;
  }
  return above / static_cast<double>(good.size() * defective.size());
}

/// Features, banks and distances of one kind of numbers (trunk or tone).
struct Kind {
  Whitening whitening;
  PatchSet good;
  std::unique_ptr<EverywhereBank> everywhere;
  std::unique_ptr<PlacedBank> placed;
  /// Per way of comparing: [pictures, cells] of good ones by a bank without them, [pretended] largest of each.
  std::array<std::vector<float>, 2> good_maps, pretended;
  std::array<float, 2> scale{1, 1};  ///< Half of the good pictures stay below it.
  /// Per way of comparing and cell, what distances are multiplied by: edges vary more than the middle of a part.
  std::array<std::vector<float>, 2> weights;

  const PatchBank& bank(std::size_t comparing) const {
    return comparing == 0 ? static_cast<const PatchBank&>(*everywhere) : *placed;
  }
};

class AnomalyTeacher {
 public:
  AnomalyTeacher(const AnomalyOptions& options, const std::function<bool(double)>& progress)
      : options_(options), progress_(progress) {}

  Result<TaughtAnomaly> teach(const models::OnnxModel& network, const models::ModelCard& card, Pictures good) {
    VERGE_CHECK(check_anomaly_options(options_, good));
    VERGE_CHECK(open(network, card, *good.front()));
    VERGE_CHECK(collect(good));
    VERGE_CHECK(compare(good));
    choose();
    return finish();
  }

 private:
  Status open(const models::OnnxModel& network, const models::ModelCard& card, const Frame& first);
  Status collect(Pictures good);
  Status compare(Pictures good);
  void choose();
  Result<TaughtAnomaly> finish();

  /// Raw features of a picture: [cells, channels] and [cells, 5].
  Result<std::array<std::vector<float>, 2>> features(const Frame& frame);
  Result<std::array<std::vector<float>, 2>> whitened(const Frame& frame);
  Status tell(double share) const {
    if (!progress_ || progress_(share)) return Done{};
    return Error{ErrorCode::timeout, "teach what is normal: the time is over; give more time or fewer pictures"};
  }
  std::vector<float> steadied(std::span<const float> maps) const;
  /// [pictures] of a way, from the largest of each kind's.
  std::vector<float> joined(const Way& way, bool is_pretended) const;
  std::vector<float> maxima(std::span<const float> maps) const;

  const AnomalyOptions& options_;
  const std::function<bool(double)>& progress_;
  std::unique_ptr<Backbone> backbone_;
  std::unique_ptr<PictureModel> model_;
  std::size_t rows_ = 0, columns_ = 0;
  std::array<Kind, 2> kinds_;  ///< Trunk, tone.
  Way way_ = kWays[0];
  AnomalyFindings findings_;
};

Status AnomalyTeacher::open(const models::OnnxModel& network, const models::ModelCard& card, const Frame& first) {
  const double pixels = static_cast<double>(first.width) * first.height;
  const double factor = std::min(1.0, std::sqrt(options_.pixels_max / std::max(pixels, 1.0)));
  BackboneOptions wanted;
  wanted.strides = {kCellPixels};
  wanted.width = side_of(first.width * factor);
  wanted.height = side_of(first.height * factor);
  wanted.threads = options_.threads;
  VERGE_TRY(backbone_, Backbone::make(network, card, wanted));
  rows_ = static_cast<std::size_t>(wanted.height / kCellPixels);
  columns_ = static_cast<std::size_t>(wanted.width / kCellPixels);
  models::OnnxModel trunk = backbone_->graph();
  const std::string images = trunk.graph.inputs.front().name;
  trunk.graph.outputs.clear();
  models::GraphBuilder graph(std::move(trunk));
  const FeatureEdges edges = add_patch_features(graph, images, backbone_->picture(), backbone_->channels(0));
  const auto cells = static_cast<std::int64_t>(rows_ * columns_);
  graph.output("trunk", edges.trunk, models::ElementType::float32, {cells, backbone_->channels(0)});
  graph.output("tone", edges.tone, models::ElementType::float32, {cells, kToneNumbers});
  VERGE_TRY(const models::OnnxModel features, graph.finish());
  models::LoadedModel loaded;
  loaded.card = backbone_->origin();
  loaded.card.picture = backbone_->picture();
  VERGE_TRY(loaded.session, inference::load_onnx_bytes(models::to_bytes(features), {.threads = options_.threads}));
  VERGE_TRY(model_, PictureModel::make(std::move(loaded)));
  return Done{};
}

Result<std::array<std::vector<float>, 2>> AnomalyTeacher::features(const Frame& frame) {
  VERGE_TRY(const PictureModel::Answer answer, model_->run(frame));
  std::array<std::vector<float>, 2> result;
  for (std::size_t kind = 0; kind < 2; ++kind) {
    const auto values = answer.outputs[kind].values<float>();
    result[kind].assign(values.begin(), values.end());
    if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) continue;
    return Error{ErrorCode::internal,
                 "teach what is normal: the trunk gave a number that is not finite; use another model"};
  }
  return result;
}

Result<std::array<std::vector<float>, 2>> AnomalyTeacher::whitened(const Frame& frame) {
  VERGE_TRY(const auto raw, features(frame));
  std::array<std::vector<float>, 2> result;
  for (std::size_t kind = 0; kind < 2; ++kind) {
    result[kind].resize(rows_ * columns_ * kinds_[kind].whitening.outputs);
    kinds_[kind].whitening.apply(raw[kind], result[kind]);
  }
  return result;
}

/// Looks at all pictures twice: for mean and spread, then for whitened features.
Status AnomalyTeacher::collect(Pictures good) {
  std::array<Moments, 2> moments{Moments(static_cast<std::size_t>(backbone_->channels(0))), Moments(kToneNumbers)};
  for (std::size_t at = 0; at < good.size(); ++at) {
    VERGE_TRY(const auto raw, features(*good[at]));
    for (std::size_t kind = 0; kind < 2; ++kind) moments[kind].add(raw[kind]);
    VERGE_CHECK(tell(0.3 * static_cast<double>(at + 1) / static_cast<double>(good.size())));
  }
  for (std::size_t kind = 0; kind < 2; ++kind) {
    kinds_[kind].whitening = moments[kind].whitening(kTrunkNumbers);
    kinds_[kind].good = {good.size(), rows_, columns_, kinds_[kind].whitening.outputs, {}};
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    VERGE_TRY(const auto patches, whitened(*good[at]));
    for (std::size_t kind = 0; kind < 2; ++kind) {
      auto& values = kinds_[kind].good.values;
      values.insert(values.end(), patches[kind].begin(), patches[kind].end());
    }
    VERGE_CHECK(tell(0.3 + 0.3 * static_cast<double>(at + 1) / static_cast<double>(good.size())));
  }
  return Done{};
}

Status AnomalyTeacher::compare(Pictures good) {
  const std::size_t cells = rows_ * columns_;
  for (Kind& kind : kinds_) {
    VERGE_TRY(kind.everywhere, make_everywhere_bank(kind.good, options_.bank_rows, options_.seed, options_.threads));
    kind.placed = make_placed_bank(kind.good, kPlacedNumbersMax);
    for (std::size_t comparing = 0; comparing < 2; ++comparing) {
      auto& maps = kind.good_maps[comparing];
      maps.resize(good.size() * cells);
      for (std::size_t at = 0; at < good.size(); ++at) {
        VERGE_CHECK(
            kind.bank(comparing).distances(kind.good.picture(at), at, std::span(maps).subspan(at * cells, cells)));
      }
      kind.weights[comparing].assign(cells, 1);
      if (comparing == 1) kind.weights[comparing] = steadied(maps);
      for (std::size_t i = 0; i < maps.size(); ++i) maps[i] *= kind.weights[comparing][i % cells];
      kind.scale[comparing] = std::max(static_cast<float>(median_of(maxima(maps))), 1e-6F);
    }
  }
  VERGE_CHECK(tell(0.8));
  const std::size_t trials = std::clamp(good.size(), kPretendedMin, kPretendedMax);
  std::vector<float> map(cells);
  for (std::size_t trial = 0; trial < trials; ++trial) {
    const std::size_t at = trial * good.size() / trials;
    VERGE_TRY(const auto rgb, as_rgb(*good[at], backbone_->width(), backbone_->height()));
    VERGE_TRY(const auto patches, whitened(*pretend_defect(*rgb, options_.seed * 1000 + trial)));
    for (std::size_t kind = 0; kind < 2; ++kind) {
      for (std::size_t comparing = 0; comparing < 2; ++comparing) {
        VERGE_CHECK(kinds_[kind].bank(comparing).distances(patches[kind], at, map));
        std::ranges::transform(map, kinds_[kind].weights[comparing], map.begin(), std::multiplies<>());
        kinds_[kind].pretended[comparing].push_back(std::ranges::max(map));
      }
    }
    VERGE_CHECK(tell(0.8 + 0.15 * static_cast<double>(trial + 1) / static_cast<double>(trials)));
  }
  return Done{};
}

/// One over what good pictures show in and around each cell, plus what they show on average.
std::vector<float> AnomalyTeacher::steadied(std::span<const float> maps) const {
  const std::size_t cells = rows_ * columns_;
  std::vector<float> mean(cells);
  for (std::size_t i = 0; i < maps.size(); ++i)
    mean[i % cells] += maps[i] * static_cast<float>(cells) / static_cast<float>(maps.size());
  const auto around = [&](const std::vector<float>& field, const auto& join, float begin) {
    std::vector<float> result(cells, begin);
    for (std::size_t cell = 0; cell < cells; ++cell) {
      const std::size_t x = cell % columns_, y = cell / columns_;
      for (std::size_t v = y - (y > 0); v <= std::min(rows_ - 1, y + 1); ++v) {
        for (std::size_t u = x - (x > 0); u <= std::min(columns_ - 1, x + 1); ++u)
          result[cell] = join(result[cell], field[v * columns_ + u]);
      }
    }
    return result;
  };
  const auto largest = around(
      mean, [](float a, float b) { return std::max(a, b); }, 0);
  const auto sums = around(largest, std::plus<>(), 0);
  const auto counts = around(std::vector<float>(cells, 1), std::plus<>(), 0);
  const float average = std::max(std::accumulate(mean.begin(), mean.end(), 0.0F) / static_cast<float>(cells), 1e-6F);
  std::vector<float> weights(cells);
  for (std::size_t cell = 0; cell < cells; ++cell) weights[cell] = 2 * average / (sums[cell] / counts[cell] + average);
  return weights;
}

std::vector<float> AnomalyTeacher::maxima(std::span<const float> maps) const {
  const std::size_t cells = rows_ * columns_;
  std::vector<float> result;
  for (std::size_t at = 0; at < maps.size(); at += cells) result.push_back(std::ranges::max(maps.subspan(at, cells)));
  return result;
}

std::vector<float> AnomalyTeacher::joined(const Way& way, bool is_pretended) const {
  const auto comparing = static_cast<std::size_t>(way.comparing);
  std::vector<float> result;
  for (std::size_t kind = 0; kind < 2; ++kind) {
    if (!(kind == 0 ? way.uses_trunk : way.uses_tone)) continue;
    const Kind& numbers = kinds_[kind];
    std::vector<float> scores = is_pretended ? numbers.pretended[comparing] : maxima(numbers.good_maps[comparing]);
    for (float& score : scores) score /= numbers.scale[comparing];
    if (result.empty()) result = scores;
    for (std::size_t at = 0; at < scores.size(); ++at) result[at] = std::max(result[at], scores[at]);
  }
  return result;
}

void AnomalyTeacher::choose() {
  std::array<double, kWays.size()> areas{};
  for (std::size_t way = 0; way < kWays.size(); ++way) {
    areas[way] = area_under_roc(joined(kWays[way], false), joined(kWays[way], true));
    findings_.ways.push_back(fmt::format("{}: {:.3f}", text_of(kWays[way]), areas[way]));
  }
  const double best = std::ranges::max(areas);
  std::size_t chosen = 0;
  while (areas[chosen] < best - kClearlyBetter) ++chosen;
  way_ = kWays[chosen];
  findings_.separated = areas[chosen];
  findings_.comparing = way_.comparing;
  findings_.uses_trunk = way_.uses_trunk;
  findings_.uses_tone = way_.uses_tone;
}

Result<TaughtAnomaly> AnomalyTeacher::finish() {
  const auto comparing = static_cast<std::size_t>(way_.comparing);
  const std::size_t cells = rows_ * columns_;
  const std::vector<float> scores = joined(way_, false);
  const auto threshold = static_cast<float>(anomaly_threshold(scores, options_.false_alarms));
  findings_.pictures = scores.size();
  findings_.rows = rows_;
  findings_.columns = columns_;
  findings_.false_alarms = options_.false_alarms;
  findings_.is_extrapolated = static_cast<double>(scores.size()) * options_.false_alarms < 1;
  for (const float score : scores) findings_.good_scores.push_back(score / threshold);

  models::OnnxModel trunk = backbone_->graph();
  const std::string images = trunk.graph.inputs.front().name;
  trunk.graph.outputs.clear();
  trunk.graph.name = "anomaly";
  models::GraphBuilder graph(std::move(trunk));
  const FeatureEdges edges = add_patch_features(graph, images, backbone_->picture(), backbone_->channels(0));
  std::vector<std::string> maps;
  findings_.good_maps.assign(scores.size() * cells, 0);
  for (std::size_t kind = 0; kind < 2; ++kind) {
    if (!(kind == 0 ? way_.uses_trunk : way_.uses_tone)) continue;
    const Kind& numbers = kinds_[kind];
    const std::string patches = add_whitening(graph, kind == 0 ? edges.trunk : edges.tone, numbers.whitening);
    const std::string distances = comparing == 0 ? add_distances(graph, patches, cells, *numbers.everywhere)
                                                 : add_distances(graph, patches, *numbers.placed);
    const float unit = 1 / (numbers.scale[comparing] * threshold);
    std::vector<float> units(numbers.weights[comparing]);
    for (float& value : units) value *= unit;
    maps.push_back(graph.add("Mul", {distances, graph.floats({static_cast<std::int64_t>(cells), 1}, units)}));
    for (std::size_t i = 0; i < findings_.good_maps.size(); ++i) {
      findings_.good_maps[i] = std::max(findings_.good_maps[i], numbers.good_maps[comparing][i] * unit);
    }
  }
  const std::string map = maps.size() == 1 ? maps.front() : graph.add("Max", maps);
  const models::Dimensions shape{1, 1, static_cast<std::int64_t>(rows_), static_cast<std::int64_t>(columns_)};
  graph.output("map", graph.add("Reshape", {map, graph.ints(shape)}), models::ElementType::float32, shape);
  TaughtAnomaly taught;
  VERGE_TRY(taught.model, graph.finish());

  const models::ModelCard& origin = backbone_->origin();
  models::ModelCard& card = taught.card;
  card.name = "anomaly";
  card.task = "anomaly-detection";
  card.family = "vision";
  card.labels = {"normal", "anomaly"};
  card.picture = backbone_->picture();
  const auto& input = taught.model.graph.inputs.front();
  card.inputs = {{input.name, inference::DataType::float32, input.shape}};
  card.outputs = {{"map", inference::DataType::float32, shape}};
  card.head = {{"kind", "anomaly-map"}, {"cell", kCellPixels}};
  card.licence = origin.licence;
  card.source = {
      {"trainer", "verge train vision"}, {"trunk", origin.name}, {"seed", options_.seed}, {"way", text_of(way_)}};
  card.metrics = {{"good_pictures", findings_.pictures},
                  {"false_alarms_promised", options_.false_alarms},
                  {"pretended_defects_area_under_roc", findings_.separated}};
  card.tolerance = 0.02;
  VERGE_CHECK(tell(1));
  taught.findings = std::move(findings_);
  return taught;
}

}  // namespace

double anomaly_threshold(std::span<const float> scores, double probability) {
  const float largest = std::ranges::max(scores);
  if (scores.size() >= kTailScoresMin) {
    const training::TailFit tail = training::fit_tail(scores, 0.9);
    return training::threshold_for(tail, probability, largest);
  }
  // The largest cell of a picture is the largest of many: Gumbel's law, fitted by moments. With few pictures its spread
  // is known badly; the share by which it may be too small is added.
  const auto count = static_cast<double>(scores.size());
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / count;
  double variance = 0;
  for (const float score : scores) variance += (score - mean) * (score - mean) / (count - 1);
  const double spread = std::sqrt(6 * std::max(variance, 1e-12)) / 3.14159265358979 * (1 + 1 / std::sqrt(count));
  return mean - 0.5772156649 * spread - spread * std::log(-std::log(1 - probability));
}

Result<TaughtAnomaly> teach_anomaly(const models::OnnxModel& network, const models::ModelCard& network_card,
                                    Pictures good, const AnomalyOptions& options,
                                    const std::function<bool(double)>& progress) {
  VERGE_CHECK(check_anomaly_options(options, good));
  const std::size_t cells = static_cast<std::size_t>(options.pixels_max) / (kCellPixels * kCellPixels);
  const std::size_t affordable = std::max(kPicturesMin, kKeptNumbersMax / (cells * (kTrunkNumbers + kToneNumbers)));
  std::vector<std::shared_ptr<const Frame>> kept;
  for (std::size_t at = 0; at < std::min(good.size(), affordable); ++at) {
    kept.push_back(good[at * good.size() / std::min(good.size(), affordable)]);
  }
  return AnomalyTeacher(options, progress).teach(network, network_card, kept);
}

}  // namespace verge::vision
