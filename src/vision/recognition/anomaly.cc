#include "vision/recognition/anomaly.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/provided.h"
#include "vision/recognition/model_stage.h"

namespace verge::vision {
namespace {

constexpr int kCellMax = 256;

constexpr std::string_view kGoodPart = "good";

float score_of(float value) { return 1 - std::exp2(-value); }

class SceneAnomalyFinder final : public SceneAnalyser {
 public:
  explicit SceneAnomalyFinder(std::unique_ptr<AnomalyFinder> finder) : finder_(std::move(finder)) {}

  Status analyse(const pipeline::Packet& /*packet*/, pipeline::Scene& scene) override {
    VERGE_TRY(AnomalyFinder::Seen seen, finder_->look(*scene.frame));
    scene.attributes.push_back(std::move(seen.attribute));
    if (seen.unaligned) scene.attributes.push_back(*std::move(seen.unaligned));
    scene.heat = std::make_shared<const pipeline::HeatMap>(std::move(seen.heat));
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

std::vector<float> map_on_picture(std::span<const float> map, int rows, int columns, int grid_rows, int grid_columns,
                                  const std::function<std::pair<double, double>(double across, double down)>& to_map) {
  const int across_steps = 2 * ((columns + grid_columns - 1) / grid_columns);
  const int down_steps = 2 * ((rows + grid_rows - 1) / grid_rows);
  std::vector<float> grid(static_cast<std::size_t>(grid_rows * grid_columns));
  for (int step_y = 0; step_y < grid_rows * down_steps; ++step_y) {
    for (int step_x = 0; step_x < grid_columns * across_steps; ++step_x) {
      const auto [x, y] =
          to_map((step_x + 0.5) / (grid_columns * across_steps), (step_y + 0.5) / (grid_rows * down_steps));
      if (!(x >= 0 && y >= 0 && x < columns && y < rows)) continue;
      const float value = map[static_cast<std::size_t>(static_cast<int>(y) * columns + static_cast<int>(x))];
      float& target = grid[static_cast<std::size_t>(step_y / down_steps * grid_columns + step_x / across_steps)];
      target = std::isnan(value) ? std::numeric_limits<float>::infinity() : std::max(target, value);
    }
  }
  return grid;
}

Result<std::unique_ptr<AnomalyFinder>> AnomalyFinder::make(models::LoadedModel model,
                                                           const AnomalyFinderOptions& options) {
  auto finder = std::unique_ptr<AnomalyFinder>(new AnomalyFinder());
  VERGE_TRY(finder->model_, PictureModel::make(std::move(model)));
  const models::ModelCard& card = finder->model_->card();
  if (card.head_kind() != "anomaly-map")
    return card_mistake(card, "/head/kind", "\"anomaly-map\" for a model of what is normal");
  const HeadReader reader(card, finder->model_->session().outputs());
  VERGE_CHECK(reader.allow_only({"cell", "correlation_min"}));
  VERGE_TRY(finder->cell_, reader.whole("cell", 8, 1, kCellMax));
  if (reader.width() % finder->cell_ != 0 || reader.height() % finder->cell_ != 0) {
    return reader.mistake("cell", "a divisor of the picture's width and height");
  }
  VERGE_TRY(finder->map_,
            reader.output("map", {1, 1, reader.height() / finder->cell_, reader.width() / finder->cell_}));
  if (reader.find("correlation_min") != nullptr) VERGE_CHECK(finder->read_good(reader));
  finder->options_ = options;
  return finder;
}

Status AnomalyFinder::read_good(const HeadReader& reader) {
  VERGE_TRY(const double correlation_min, reader.number("correlation_min", 0, -1, 1));
  if (model_->card().picture->fit != models::PictureFit::stretch)
    return card_mistake(model_->card(), "/picture/fit", "\"stretch\" for a model that lays pictures over a good one");
  const int width = reader.width(), height = reader.height();
  VERGE_TRY(const inference::Tensor good, remembered_pixels(model_->model(), kGoodPart, {1, 3, height, width}));
  const auto values = good.values<std::uint8_t>();
  const std::size_t plane = values.size() / 3;
  auto bytes = std::make_shared<std::vector<std::uint8_t>>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) (*bytes)[i] = values[i % 3 * plane + i / 3];
  VERGE_TRY(aligner_, PartAligner::make(rgb_frame(width, height, std::move(bytes)), correlation_min));
  model_->compute_only(map_.index);
  map_.index = 0;
  return Done{};
}

contract::Region AnomalyFinder::region_of(const HotCells& cells, const Placement& placement,
                                          const Alignment& alignment) const {
  const auto pixel = [&](int cell) { return static_cast<double>(cell) * cell_; };
  PixelBox box{pixel(cells.left), pixel(cells.top), pixel(cells.right), pixel(cells.bottom)};
  if (aligner_) box = box_in_picture(box, aligner_->grey(), placement.width, placement.height, alignment);
  const auto across = [&](double x) { return std::clamp(part_across(placement, static_cast<float>(x)), 0.0, 1.0); };
  const auto down = [&](double y) { return std::clamp(part_down(placement, static_cast<float>(y)), 0.0, 1.0); };
  return {across(box.left), down(box.top), across(box.right), down(box.bottom)};
}

pipeline::HeatMap AnomalyFinder::heat_of(const Seen& seen, const Placement& placement) const {
  constexpr int side_max = pipeline::HeatMap::kSideMax;
  const int factor = (std::max(seen.rows, seen.columns) + side_max - 1) / side_max;
  pipeline::HeatMap heat{(seen.rows + factor - 1) / factor, (seen.columns + factor - 1) / factor, {}};
  const auto to_map = [&](double across, double down) {
    PixelBox point{placement.left + across * placement.width, placement.top + down * placement.height, 0, 0};
    point.right = point.left;
    point.bottom = point.top;
    if (aligner_) point = box_in_good(point, aligner_->grey(), placement.width, placement.height, seen.alignment);
    return std::pair{point.left / cell_, point.top / cell_};
  };
  for (const float value : map_on_picture(seen.map, seen.rows, seen.columns, heat.rows, heat.columns, to_map)) {
    heat.values.push_back(
        static_cast<std::uint8_t>(std::clamp(value * static_cast<float>(pipeline::HeatMap::kThreshold), 0.0F, 255.0F)));
  }
  return heat;
}

Result<AnomalyFinder::Seen> AnomalyFinder::look(const pipeline::Frame& frame) {
  Seen seen;
  std::shared_ptr<const pipeline::Frame> laid;
  if (aligner_) {
    VERGE_TRY(PartAligner::Laid found, aligner_->lay(frame));
    if (!found.is_found)
      seen.unaligned = {"unaligned", static_cast<float>(1 - std::max(0.0, found.alignment.correlation))};
    seen.alignment = found.alignment;
    laid = std::move(found.frame);
  }
  VERGE_TRY(const PictureModel::Answer answer, model_->run(laid ? *laid : frame));
  VERGE_TRY(const auto values, numbers_of(answer.outputs, map_));
  seen.rows = static_cast<int>(map_.shape[2]);
  seen.columns = static_cast<int>(map_.shape[3]);
  for (const float value : values) {
    seen.map.push_back(value / static_cast<float>(options_.tolerance));
    seen.value = std::isnan(value) ? std::numeric_limits<float>::infinity() : std::max(seen.value, seen.map.back());
  }
  const float score = score_of(seen.value);
  seen.attribute = seen.value >= 1 ? pipeline::Attribute{"anomaly", score} : pipeline::Attribute{"normal", 1 - score};
  for (const HotCells& cells : hot_cells(seen.map, seen.rows, seen.columns, 1, options_.regions_max)) {
    pipeline::Object object;
    object.label = "anomaly";
    object.score = score_of(cells.value);
    object.box = region_of(cells, answer.placement, seen.alignment);
    if (object.box.right > object.box.left && object.box.bottom > object.box.top)
      seen.regions.push_back(std::move(object));
  }
  seen.heat = heat_of(seen, answer.placement);
  return seen;
}

pipeline::Kind<pipeline::SharedStage> anomaly_kind() {
  const AnomalyFinderOptions fallback;
  return {
      .name = "anomaly",
      .where = "vision/recognition/anomaly.h",
      .summary = "Says whether a picture looks normal and marks what does not, with a model taught from good pictures.",
      .options = with_engine_options(
          {model_option("The taught model's folder (model.onnx, card.json), relative to the pipeline file."),
           {"tolerance", "number", "Times the taught threshold, 0.1..10; more alarms less.", fallback.tolerance},
           {"regions_max", "integer", "Marked places of one picture, 1..300, the strongest.", fallback.regions_max}}),
      .make = make_anomaly_stage,
      .provide = provide_untracked};
}

}  // namespace verge::vision
