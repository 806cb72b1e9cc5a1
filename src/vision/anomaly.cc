#include "vision/anomaly.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/model_stage.h"
#include "vision/provided.h"

namespace verge::vision {
namespace {

constexpr int kCellMax = 256;

float score_of(float value) { return 1 - std::exp2(-value); }

class SceneAnomalyFinder final : public SceneAnalyser {
 public:
  explicit SceneAnomalyFinder(std::unique_ptr<AnomalyFinder> finder) : finder_(std::move(finder)) {}

  Status analyse(const pipeline::Packet& /*packet*/, pipeline::Scene& scene) override {
    VERGE_TRY(AnomalyFinder::Seen seen, finder_->look(*scene.frame));
    scene.attributes.push_back(std::move(seen.attribute));
    std::ranges::move(seen.regions, std::back_inserter(scene.objects));
    return Done{};
  }
  bool allows_many_threads() const override { return true; }

 private:
  std::unique_ptr<AnomalyFinder> finder_;
};

Result<std::unique_ptr<pipeline::SharedStage>> make_anomaly_stage(const Json& options,
                                                                  const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_range(options, "tolerance", 0.1, 10));
  VERGE_CHECK(pipeline::check_range(options, "regions_max", 1, 300));
  AnomalyFinderOptions settings;
  settings.tolerance = options["tolerance"].get<double>();
  settings.regions_max = options["regions_max"].get<std::size_t>();
  VERGE_TRY(models::LoadedModel model, open_model_of(options, "model", "anomaly", context));
  VERGE_TRY(auto finder, AnomalyFinder::make(std::move(model), settings));
  auto analyser = std::make_unique<SceneAnomalyFinder>(std::move(finder));
  return std::unique_ptr<pipeline::SharedStage>(
      std::make_unique<ModelStage>("anomaly", std::move(analyser), context, runs_of(options)));
}

}  // namespace

std::vector<HotCells> hot_cells(std::span<const float> map, int rows, int columns, float value_min,
                                std::size_t groups_max) {
  std::vector<char> is_open(map.size());
  for (std::size_t cell = 0; cell < map.size(); ++cell) is_open[cell] = !(map[cell] < value_min);
  std::vector<HotCells> groups;
  std::vector<int> waiting;
  for (int start = 0; start < rows * columns; ++start) {
    if (!is_open[static_cast<std::size_t>(start)]) continue;
    HotCells group{start % columns, start / columns, start % columns + 1, start / columns + 1, 0};
    is_open[static_cast<std::size_t>(start)] = 0;
    waiting.assign(1, start);
    while (!waiting.empty()) {
      const int cell = waiting.back(), x = cell % columns, y = cell / columns;
      waiting.pop_back();
      const float value = map[static_cast<std::size_t>(cell)];
      group.value = std::max(group.value, std::isnan(value) ? std::numeric_limits<float>::infinity() : value);
      group = {std::min(group.left, x), std::min(group.top, y), std::max(group.right, x + 1),
               std::max(group.bottom, y + 1), group.value};
      for (int v = std::max(0, y - 1); v <= std::min(rows - 1, y + 1); ++v) {
        for (int u = std::max(0, x - 1); u <= std::min(columns - 1, x + 1); ++u) {
          if (!is_open[static_cast<std::size_t>(v * columns + u)]) continue;
          is_open[static_cast<std::size_t>(v * columns + u)] = 0;
          waiting.push_back(v * columns + u);
        }
      }
    }
    groups.push_back(group);
  }
  std::ranges::stable_sort(groups, std::greater<>(), &HotCells::value);
  if (groups.size() > groups_max) groups.resize(groups_max);
  return groups;
}

Result<std::unique_ptr<AnomalyFinder>> AnomalyFinder::make(models::LoadedModel model,
                                                           const AnomalyFinderOptions& options) {
  auto finder = std::unique_ptr<AnomalyFinder>(new AnomalyFinder());
  VERGE_TRY(finder->model_, PictureModel::make(std::move(model)));
  const models::ModelCard& card = finder->model_->card();
  if (card.head_kind() != "anomaly-map")
    return card_mistake(card, "/head/kind", "\"anomaly-map\" for a model of what is normal");
  const HeadReader reader(card, finder->model_->session().outputs());
  VERGE_CHECK(reader.allow_only({"cell"}));
  VERGE_TRY(finder->cell_, reader.whole("cell", 8, 1, kCellMax));
  if (reader.width() % finder->cell_ != 0 || reader.height() % finder->cell_ != 0) {
    return reader.mistake("cell", "a divisor of the picture's width and height");
  }
  VERGE_TRY(finder->map_,
            reader.output("map", {1, 1, reader.height() / finder->cell_, reader.width() / finder->cell_}));
  finder->options_ = options;
  return finder;
}

Result<AnomalyFinder::Seen> AnomalyFinder::look(const pipeline::Frame& frame) {
  VERGE_TRY(const PictureModel::Answer answer, model_->run(frame));
  VERGE_TRY(const auto values, numbers_of(answer.outputs, map_));
  Seen seen;
  seen.rows = static_cast<int>(map_.shape[2]);
  seen.columns = static_cast<int>(map_.shape[3]);
  for (const float value : values) {
    seen.map.push_back(value / static_cast<float>(options_.tolerance));
    seen.value = std::isnan(value) ? std::numeric_limits<float>::infinity() : std::max(seen.value, seen.map.back());
  }
  const float score = score_of(seen.value);
  seen.attribute = seen.value >= 1 ? pipeline::Attribute{"anomaly", score} : pipeline::Attribute{"normal", 1 - score};
  for (const HotCells& cells : hot_cells(seen.map, seen.rows, seen.columns, 1, options_.regions_max)) {
    const auto across = [&](int cell) {
      return std::clamp(part_across(answer.placement, static_cast<float>(cell * cell_)), 0.0, 1.0);
    };
    const auto down = [&](int cell) {
      return std::clamp(part_down(answer.placement, static_cast<float>(cell * cell_)), 0.0, 1.0);
    };
    pipeline::Object object;
    object.label = "anomaly";
    object.score = score_of(cells.value);
    object.box = {across(cells.left), down(cells.top), across(cells.right), down(cells.bottom)};
    if (object.box.right > object.box.left && object.box.bottom > object.box.top)
      seen.regions.push_back(std::move(object));
  }
  return seen;
}

pipeline::Kind<pipeline::SharedStage> anomaly_kind() {
  const AnomalyFinderOptions fallback;
  return {
      .name = "anomaly",
      .where = "vision/anomaly.h",
      .summary = "Says whether a picture looks normal and marks what does not, with a model taught from good pictures.",
      .options = with_engine_options(
          {model_option("The taught model's folder (model.onnx, card.json), relative to the pipeline file."),
           {"tolerance", "number", "Times the taught threshold, 0.1..10; more alarms less.", fallback.tolerance},
           {"regions_max", "integer", "Marked places of one picture, 1..300, the strongest.", fallback.regions_max}}),
      .make = make_anomaly_stage,
      .provide = provide_untracked};
}

}  // namespace verge::vision
