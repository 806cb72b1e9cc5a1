#include "vision/teach/anomaly.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <numbers>
#include <numeric>

#include "training/tail.h"
#include "vision/recognition/anomaly.h"
#include "vision/recognition/picture_model.h"
#include "vision/teach/anomaly_graph.h"
#include "vision/teach/backbone.h"
#include "vision/teach/part_reference.h"
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
constexpr double kAlignedErrors = 0.7;       ///< Of the errors without: laying over must leave fewer than that,
constexpr double kAlignedBetter = 0.005;     ///< and be better by this area.
constexpr std::size_t kTailScoresMin = 100;  ///< Of training/tail.h.

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

/// What is learned from the pictures as they lie, or as they are laid over one of them.
struct Trial {
  const PartReference* reference = nullptr;  ///< Null: as they lie.
  std::array<Kind, 2> kinds;                 ///< Trunk, tone.
  std::size_t best_way = 0;                  ///< Of kWays.
  double area = 0.5;
  std::vector<float> maxima_of(std::size_t kind, std::size_t comparing, std::size_t cells) const {
    std::vector<float> result;
    const std::span maps(kinds[kind].good_maps[comparing]);
    for (std::size_t at = 0; at < maps.size(); at += cells) result.push_back(std::ranges::max(maps.subspan(at, cells)));
    return result;
  }
  /// [pictures] of a way, from the largest of each kind's.
  std::vector<float> joined(const Way& way, bool is_pretended, std::size_t cells) const;
};

class AnomalyTeacher {
 public:
  AnomalyTeacher(const AnomalyOptions& options, const std::function<bool(double)>& progress)
      : options_(options), progress_(progress) {}

  Result<TaughtAnomaly> teach(const models::OnnxModel& network, const models::ModelCard& card, Pictures good) {
    VERGE_CHECK(check_anomaly_options(options_, good));
    VERGE_CHECK(open(network, card, *good.front()));
    VERGE_CHECK(seek_part(good));
    if (options_.align != AlignParts::on) VERGE_CHECK(try_out(as_they_lie_, good));
    if (is_tried_aligned()) {
      laid_over_.reference = &*reference_;
      VERGE_CHECK(try_out(laid_over_, good));
    }
    return finish(choose());
  }

 private:
  Status open(const models::OnnxModel& network, const models::ModelCard& card, const Frame& first);
  Status seek_part(Pictures good);
  bool is_tried_aligned() const {
    return reference_ && (options_.align == AlignParts::on || (reference_->is_one_part() && reference_->is_moving()));
  }
  Status try_out(Trial& trial, Pictures good);
  Status collect(Trial& trial, Pictures good);
  Status compare(Trial& trial, Pictures good);
  void choose_way(Trial& trial);
  const Trial& choose();
  Result<TaughtAnomaly> finish(const Trial& trial);
  std::vector<float> scores_and_maps(const Trial& trial);
  Result<models::OnnxModel> graph_of(const Trial& trial, float threshold);
  models::ModelCard card_of(const Trial& trial, const models::OnnxModel& model) const;

  using Features = std::array<std::vector<float>, 2>;
  /// Raw features of a picture: [cells, channels] and [cells, 5].
  Result<Features> features(const Frame& frame);
  Result<Features> whitened(const Trial& trial, const Frame& frame);
  /// The `at`th good picture as the trial looks at it.
  Result<std::shared_ptr<const Frame>> looked_at(const Trial& trial, Pictures good, std::size_t at) const;
  Status tell(double share) const {
    if (!progress_ || progress_(share)) return Done{};
    return Error{ErrorCode::timeout, "teach what is normal: the time is over; give more time or fewer pictures"};
  }
  /// Within the share of the work that is being done.
  Status tell_part(double share) const { return tell(told_from_ + (told_to_ - told_from_) * share); }
  std::size_t cells() const { return rows_ * columns_; }
  std::vector<float> steadied(std::span<const float> maps) const;

  const AnomalyOptions& options_;
  const std::function<bool(double)>& progress_;
  std::unique_ptr<Backbone> backbone_;
  std::unique_ptr<PictureModel> model_;
  std::size_t rows_ = 0, columns_ = 0;
  std::optional<PartReference> reference_;
  Trial as_they_lie_, laid_over_;
  double told_from_ = 0, told_to_ = 1;
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

/// Looks for the picture that the others are laid over, where that is wanted.
Status AnomalyTeacher::seek_part(Pictures good) {
  if (options_.align == AlignParts::off) {
    findings_.alignment = "Pictures are compared as they lie, as asked.";
    return Done{};
  }
  told_to_ = 0.1;
  VERGE_TRY(reference_, find_part_reference(good, backbone_->width(), backbone_->height(),
                                            [&](double share) { return tell_part(share); }));
  const std::string fitting =
      fmt::format("{} of {} good pictures lie over each other", reference_->fitting, good.size());
  if (options_.align == AlignParts::on && 2 * reference_->fitting < good.size()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("teach what is normal: only {}, so that they cannot be laid over one; leave --align on "
                             "out, or take pictures of one side of one part",
                             fitting)};
  }
  if (!reference_->is_one_part()) {
    findings_.alignment = fmt::format("Pictures are compared as they lie: {}.", fitting);
  } else if (!reference_->is_moving()) {
    findings_.alignment =
        "Pictures are compared as they lie: laying the good ones over each other takes little of their difference "
        "away.";
  }
  return Done{};
}

Status AnomalyTeacher::try_out(Trial& trial, Pictures good) {
  const double begin = options_.align == AlignParts::off ? 0 : 0.1, end = 0.98;
  const double middle = options_.align == AlignParts::automatic && is_tried_aligned() ? (begin + end) / 2 : end;
  told_from_ = trial.reference != nullptr && options_.align == AlignParts::automatic ? middle : begin;
  told_to_ = trial.reference != nullptr ? end : middle;
  VERGE_CHECK(collect(trial, good));
  VERGE_CHECK(compare(trial, good));
  choose_way(trial);
  return Done{};
}

Result<std::shared_ptr<const Frame>> AnomalyTeacher::looked_at(const Trial& trial, Pictures good,
                                                               std::size_t at) const {
  if (trial.reference == nullptr) return good[at];
  VERGE_TRY(auto laid, trial.reference->aligner.lay(*good[at], trial.reference->alignments[at]));
  return std::move(laid.frame);
}

Result<AnomalyTeacher::Features> AnomalyTeacher::features(const Frame& frame) {
  VERGE_TRY(const PictureModel::Answer answer, model_->run(frame));
  Features result;
  for (std::size_t kind = 0; kind < 2; ++kind) {
    const auto values = answer.outputs[kind].values<float>();
    result[kind].assign(values.begin(), values.end());
    if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) continue;
    return Error{ErrorCode::internal,
                 "teach what is normal: the trunk gave a number that is not finite; use another model"};
  }
  return result;
}

Result<AnomalyTeacher::Features> AnomalyTeacher::whitened(const Trial& trial, const Frame& frame) {
  VERGE_TRY(const auto raw, features(frame));
  Features result;
  for (std::size_t kind = 0; kind < 2; ++kind) {
    result[kind].resize(cells() * trial.kinds[kind].whitening.outputs);
    trial.kinds[kind].whitening.apply(raw[kind], result[kind]);
  }
  return result;
}

/// Looks at all pictures twice: for mean and spread, then for whitened features.
Status AnomalyTeacher::collect(Trial& trial, Pictures good) {
  std::array<Moments, 2> moments{Moments(static_cast<std::size_t>(backbone_->channels(0))), Moments(kToneNumbers)};
  for (std::size_t at = 0; at < good.size(); ++at) {
    VERGE_TRY(const auto frame, looked_at(trial, good, at));
    VERGE_TRY(const auto raw, features(*frame));
    for (std::size_t kind = 0; kind < 2; ++kind) moments[kind].add(raw[kind]);
    VERGE_CHECK(tell_part(0.3 * static_cast<double>(at + 1) / static_cast<double>(good.size())));
  }
  for (std::size_t kind = 0; kind < 2; ++kind) {
    trial.kinds[kind].whitening = moments[kind].whitening(kTrunkNumbers);
    trial.kinds[kind].good = {good.size(), rows_, columns_, trial.kinds[kind].whitening.outputs, {}};
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    VERGE_TRY(const auto frame, looked_at(trial, good, at));
    VERGE_TRY(const auto patches, whitened(trial, *frame));
    for (std::size_t kind = 0; kind < 2; ++kind) {
      auto& values = trial.kinds[kind].good.values;
      values.insert(values.end(), patches[kind].begin(), patches[kind].end());
    }
    VERGE_CHECK(tell_part(0.3 + 0.3 * static_cast<double>(at + 1) / static_cast<double>(good.size())));
  }
  return Done{};
}

Status AnomalyTeacher::compare(Trial& trial, Pictures good) {
  const std::size_t cells = this->cells();
  for (std::size_t at_kind = 0; at_kind < 2; ++at_kind) {
    Kind& kind = trial.kinds[at_kind];
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
      kind.scale[comparing] =
          std::max(static_cast<float>(median_of(trial.maxima_of(at_kind, comparing, cells))), 1e-6F);
    }
    kind.good.values = {};  // The banks hold what is needed from here on; two trials would take twice the memory.
  }
  VERGE_CHECK(tell_part(0.8));
  const std::size_t pretended = std::clamp(good.size(), kPretendedMin, kPretendedMax);
  std::vector<float> map(cells);
  for (std::size_t number = 0; number < pretended; ++number) {
    const std::size_t at = number * good.size() / pretended;
    VERGE_TRY(const auto rgb, as_rgb(*good[at], backbone_->width(), backbone_->height()));
    std::shared_ptr<const Frame> frame = pretend_defect(*rgb, options_.seed * 1000 + number);
    if (trial.reference != nullptr) {  // The defect pulls at how it is laid over, as a real one does.
      VERGE_TRY(auto laid, trial.reference->aligner.lay(*frame));
      frame = std::move(laid.frame);
    }
    VERGE_TRY(const auto patches, whitened(trial, *frame));
    for (std::size_t kind = 0; kind < 2; ++kind) {
      Kind& numbers = trial.kinds[kind];
      for (std::size_t comparing = 0; comparing < 2; ++comparing) {
        VERGE_CHECK(numbers.bank(comparing).distances(patches[kind], at, map));
        std::ranges::transform(map, numbers.weights[comparing], map.begin(), std::multiplies<>());
        numbers.pretended[comparing].push_back(std::ranges::max(map));
      }
    }
    VERGE_CHECK(tell_part(0.8 + 0.2 * static_cast<double>(number + 1) / static_cast<double>(pretended)));
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

std::vector<float> Trial::joined(const Way& way, bool is_pretended, std::size_t cells) const {
  const auto comparing = static_cast<std::size_t>(way.comparing);
  std::vector<float> result;
  for (std::size_t kind = 0; kind < 2; ++kind) {
    if (!(kind == 0 ? way.uses_trunk : way.uses_tone)) continue;
    const Kind& numbers = kinds[kind];
    std::vector<float> scores = is_pretended ? numbers.pretended[comparing] : maxima_of(kind, comparing, cells);
    for (float& score : scores) score /= numbers.scale[comparing];
    if (result.empty()) result = scores;
    for (std::size_t at = 0; at < scores.size(); ++at) result[at] = std::max(result[at], scores[at]);
  }
  return result;
}

void AnomalyTeacher::choose_way(Trial& trial) {
  std::array<double, kWays.size()> areas{};
  for (std::size_t way = 0; way < kWays.size(); ++way) {
    areas[way] = area_under_roc(trial.joined(kWays[way], false, cells()), trial.joined(kWays[way], true, cells()));
    findings_.ways.push_back(fmt::format("{}{}: {:.3f}", trial.reference != nullptr ? "laid over a good picture, " : "",
                                         text_of(kWays[way]), areas[way]));
  }
  const double best = std::ranges::max(areas);
  while (areas[trial.best_way] < best - kClearlyBetter) ++trial.best_way;
  trial.area = areas[trial.best_way];
}

/// Laying over is taken when it clearly leaves fewer errors, or when it lets a part that moves be compared at its place
/// at no clear cost: that also sees what is right in itself and in the wrong place, which pretended defects seldom
/// show.
const Trial& AnomalyTeacher::choose() {
  const Trial* chosen = &as_they_lie_;
  if (options_.align == AlignParts::on) {
    chosen = &laid_over_;
    findings_.alignment = "Each picture is laid over a good one first, as asked.";
  } else if (laid_over_.reference != nullptr) {
    const bool is_better = laid_over_.area >= as_they_lie_.area + kAlignedBetter &&
                           1 - laid_over_.area <= kAlignedErrors * (1 - as_they_lie_.area);
    const bool is_placed = kWays[laid_over_.best_way].comparing == Comparing::at_its_place &&
                           kWays[as_they_lie_.best_way].comparing == Comparing::everywhere &&
                           laid_over_.area > as_they_lie_.area - kClearlyBetter;
    const std::string numbers = fmt::format(
        "a pretended defect looks stranger than a good picture {:.1f} times of 100 "
        "then, {:.1f} as they lie",
        100 * laid_over_.area, 100 * as_they_lie_.area);
    if (is_better || is_placed) chosen = &laid_over_;
    findings_.alignment = fmt::format(
        "{} (the good ones lie by {:.1f} % of the picture apart): {}.",
        chosen == &laid_over_ ? "Each picture is laid over a good one first" : "Pictures are compared as they lie",
        100 * reference_->moved, numbers);
  }
  const Way& way = kWays[chosen->best_way];
  findings_.separated = chosen->area;
  findings_.comparing = way.comparing;
  findings_.uses_trunk = way.uses_trunk;
  findings_.uses_tone = way.uses_tone;
  findings_.is_aligned = chosen->reference != nullptr;
  if (findings_.is_aligned) {
    findings_.not_found =
        static_cast<std::size_t>(std::ranges::count_if(reference_->alignments, [&](const Alignment& found) {
          return found.correlation < reference_->aligner.correlation_min();
        }));
  }
  return *chosen;
}

/// The good pictures' scores, and their maps where they lie in the pictures; neither is in units of the threshold yet.
std::vector<float> AnomalyTeacher::scores_and_maps(const Trial& trial) {
  const Way& way = kWays[trial.best_way];
  const auto comparing = static_cast<std::size_t>(way.comparing);
  std::vector<float> scores = trial.joined(way, false, cells());
  findings_.good_maps.assign(scores.size() * cells(), 0);
  for (std::size_t kind = 0; kind < 2; ++kind) {
    if (!(kind == 0 ? way.uses_trunk : way.uses_tone)) continue;
    const Kind& numbers = trial.kinds[kind];
    for (std::size_t i = 0; i < findings_.good_maps.size(); ++i) {
      findings_.good_maps[i] =
          std::max(findings_.good_maps[i], numbers.good_maps[comparing][i] / numbers.scale[comparing]);
    }
  }
  if (trial.reference == nullptr) return scores;
  const int rows = static_cast<int>(rows_), columns = static_cast<int>(columns_);
  const PartAligner& aligner = trial.reference->aligner;
  for (std::size_t at = 0; at < scores.size(); ++at) {
    const Alignment& alignment = trial.reference->alignments[at];
    if (alignment.correlation < aligner.correlation_min()) continue;
    const auto map = std::span(findings_.good_maps).subspan(at * cells(), cells());
    const auto shown = map_on_picture(map, rows, columns, rows, columns, [&](double across, double down) {
      const double x = across * aligner.grey().width, y = down * aligner.grey().height;
      const PixelBox point =
          box_in_good({x, y, x, y}, aligner.grey(), aligner.grey().width, aligner.grey().height, alignment);
      return std::pair{point.left / kCellPixels, point.top / kCellPixels};
    });
    std::ranges::copy(shown, map.begin());
  }
  return scores;
}

Result<models::OnnxModel> AnomalyTeacher::graph_of(const Trial& trial, float threshold) {
  const Way& way = kWays[trial.best_way];
  const auto comparing = static_cast<std::size_t>(way.comparing);
  const auto count = static_cast<std::int64_t>(cells());
  models::OnnxModel trunk = backbone_->graph();
  const std::string images = trunk.graph.inputs.front().name;
  trunk.graph.outputs.clear();
  trunk.graph.name = "anomaly";
  models::GraphBuilder graph(std::move(trunk));
  const FeatureEdges edges = add_patch_features(graph, images, backbone_->picture(), backbone_->channels(0));
  std::vector<std::string> maps;
  for (std::size_t kind = 0; kind < 2; ++kind) {
    if (!(kind == 0 ? way.uses_trunk : way.uses_tone)) continue;
    const Kind& numbers = trial.kinds[kind];
    const std::string patches = add_whitening(graph, kind == 0 ? edges.trunk : edges.tone, numbers.whitening);
    const std::string distances = comparing == 0 ? add_distances(graph, patches, cells(), *numbers.everywhere)
                                                 : add_distances(graph, patches, *numbers.placed);
    std::vector<float> units(numbers.weights[comparing]);
    for (float& value : units) value /= numbers.scale[comparing] * threshold;
    maps.push_back(graph.add("Mul", {distances, graph.floats({count, 1}, units)}));
  }
  const std::string map = maps.size() == 1 ? maps.front() : graph.add("Max", maps);
  const models::Dimensions shape{1, 1, static_cast<std::int64_t>(rows_), static_cast<std::int64_t>(columns_)};
  graph.output("map", graph.add("Reshape", {map, graph.ints(shape)}), models::ElementType::float32, shape);
  if (trial.reference != nullptr) {
    const Frame& good = trial.reference->aligner.good();
    const std::size_t plane = static_cast<std::size_t>(good.width) * static_cast<std::size_t>(good.height);
    std::vector<std::uint8_t> bytes(plane * 3);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i % 3 * plane + i / 3] = good.planes[0][i];
    const models::Dimensions pixels{1, 3, good.height, good.width};
    graph.output("good",
                 graph.constant(models::OnnxTensor::of<std::uint8_t>(pixels, std::span<const std::uint8_t>(bytes))),
                 models::ElementType::uint8, pixels);
  }
  return graph.finish();
}

models::ModelCard AnomalyTeacher::card_of(const Trial& trial, const models::OnnxModel& model) const {
  const models::ModelCard& origin = backbone_->origin();
  models::ModelCard card;
  card.name = "anomaly";
  card.task = "anomaly-detection";
  card.family = "vision";
  card.labels = {"normal", "anomaly"};
  card.picture = backbone_->picture();
  const auto& input = model.graph.inputs.front();
  const auto rows = static_cast<std::int64_t>(rows_), columns = static_cast<std::int64_t>(columns_);
  card.inputs = {{input.name, inference::DataType::float32, input.shape}};
  card.outputs = {{"map", inference::DataType::float32, {1, 1, rows, columns}}};
  card.head = {{"kind", "anomaly-map"}, {"cell", kCellPixels}};
  if (trial.reference != nullptr) {
    card.outputs.push_back({"good", inference::DataType::uint8, {1, 3, backbone_->height(), backbone_->width()}});
    card.head["correlation_min"] = trial.reference->aligner.correlation_min();
  }
  card.licence = origin.licence;
  card.source = {{"trainer", "verge train vision"},
                 {"trunk", origin.name},
                 {"seed", options_.seed},
                 {"way", text_of(kWays[trial.best_way])},
                 {"align", findings_.alignment}};
  card.metrics = {{"good_pictures", findings_.pictures},
                  {"false_alarms_promised", options_.false_alarms},
                  {"pretended_defects_area_under_roc", findings_.separated}};
  card.tolerance = 0.02;
  return card;
}

Result<TaughtAnomaly> AnomalyTeacher::finish(const Trial& trial) {
  const std::vector<float> scores = scores_and_maps(trial);
  const auto threshold = static_cast<float>(anomaly_threshold(scores, options_.false_alarms));
  findings_.pictures = scores.size();
  findings_.rows = rows_;
  findings_.columns = columns_;
  findings_.false_alarms = options_.false_alarms;
  findings_.is_extrapolated = static_cast<double>(scores.size()) * options_.false_alarms < 1;
  for (const float score : scores) findings_.good_scores.push_back(score / threshold);
  for (float& value : findings_.good_maps) value /= threshold;
  TaughtAnomaly taught;
  VERGE_TRY(taught.model, graph_of(trial, threshold));
  taught.card = card_of(trial, taught.model);
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
  // The largest cell of a picture is the largest of many: Gumbel's law, fitted by L-moments (Hosking 1990), for one odd
  // picture among few would stretch a variance to several times what it is. With few pictures the spread is known
  // badly; the share by which it may be too small is added.
  std::vector<float> sorted(scores.begin(), scores.end());
  std::ranges::sort(sorted);
  const auto count = static_cast<double>(sorted.size());
  double mean = 0, risen = 0;  // b0 and b1 of Hosking's probability-weighted moments.
  for (std::size_t at = 0; at < sorted.size(); ++at) {
    mean += sorted[at] / count;
    risen += sorted[at] * static_cast<double>(at) / (count * (count - 1));
  }
  const double second = std::max(2 * risen - mean, 1e-6);
  const double spread = second / std::numbers::ln2 * (1 + 1 / std::sqrt(count));
  return mean - std::numbers::egamma * spread - spread * std::log(-std::log(1 - probability));
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
