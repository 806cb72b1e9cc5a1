#include "vision/motion/changes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <optional>

#include "base/json.h"
#include "pipeline/option_checks.h"
#include "vision/logic/zone.h"
#include "vision/provided.h"
#include "vision/recognition/model_stage.h"

namespace verge::vision {
namespace {

using contract::Region;
using pipeline::Frame;
using pipeline::Object;
using pipeline::Packet;
using pipeline::Scene;

constexpr int kChangeColumns = 160;
constexpr int kEveryRow = 1;
constexpr float kVarianceAtFirst = 9;     // Grey levels squared, until the cell's own is known.
constexpr float kFarDeviations = 5;       // From a background, to differ from it.
constexpr float kShakePixels = 1.5F;      // A camera in the wind.
constexpr float kFastS = 2;               // Time constant of the fast background,
constexpr float kSlowS = 60;              // and of the slow one where nothing has changed.
constexpr float kStepMaxS = 2;            // A longer pause between pictures does not count as time in which it stayed.
constexpr float kCoverS = 2;              // For so long a detector may miss who stands there.
constexpr double kCoverMargin = 0.15;     // Around people, in parts of their size: shadows, arms.
constexpr float kHeldShare = 1.5F;        // Of settle_s; more time is not remembered,
constexpr float kFallShare = 0.5F;        // at less a cell is no longer part of a place,
constexpr float kFallPace = 3;            // and it falls so many times as fast as it rose.
constexpr double kOtherSceneShare = 0.5;  // Of the picture; more is another scene.
constexpr std::size_t kChangesMax = 64;
constexpr double kSamePlace = 0.5;    // Of the smaller box; then both are of the same place.
constexpr float kRipeS = 3;           // A place is looked at before it is decided on, so that all of it is there.
constexpr double kSamePattern = 0.9;  // Correlation with what was there before; above it only the light has changed.
constexpr double kPatternMin = 3;     // Standard deviation in grey levels below which a place has no pattern.
constexpr std::size_t kPatternCells = 12;  // Fewer tell nothing.

constexpr std::array<std::pair<int, int>, 4> kSides{{{-1, 0}, {1, 0}, {0, -1}, {0, 1}}};

class ChangesStage final : public pipeline::Stage {
 public:
  explicit ChangesStage(ChangeOptions options) : finder_(std::move(options)) {}

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) {
      emit(packet);
      return Done{};
    }
    if (take_ != scene->frame->take) finder_.reset();
    take_ = scene->frame->take;
    std::vector<Object> changes = finder_.update(*scene, packet.monotonic_us);
    if (changes.empty()) {
      emit(packet);
      return Done{};
    }
    auto marked = std::make_shared<Scene>(*scene);
    std::ranges::move(changes, std::back_inserter(marked->objects));
    Packet out = packet;
    out.payload = std::shared_ptr<const Scene>(std::move(marked));
    emit(std::move(out));
    return Done{};
  }

 private:
  ChangeFinder finder_;
  std::optional<std::uint32_t> take_;
};

Result<std::unique_ptr<pipeline::Stage>> make_changes(const Json& options, const pipeline::Context&) {
  VERGE_CHECK(pipeline::check_range(options, "settle_s", 1, 3600));
  VERGE_CHECK(pipeline::check_range(options, "forget_s", 10, 86'400));
  VERGE_CHECK(pipeline::check_range(options, "learn_s", 1, 3600));
  VERGE_CHECK(pipeline::check_range(options, "area_min", 0, 1));
  VERGE_CHECK(pipeline::check_range(options, "area_max", 0, 1));
  VERGE_CHECK(pipeline::check_range(options, "step_min", 1, 255));
  ChangeOptions settings;
  settings.settle_s = options["settle_s"].get<double>();
  settings.forget_s = options["forget_s"].get<double>();
  settings.learn_s = options["learn_s"].get<double>();
  settings.area_min = options["area_min"].get<double>();
  settings.area_max = options["area_max"].get<double>();
  settings.step_min = options["step_min"].get<double>();
  VERGE_TRY(settings.people, words_of(options, "people"));
  VERGE_TRY(settings.ignore, polygons_of(options, "ignore"));
  return std::unique_ptr<pipeline::Stage>(std::make_unique<ChangesStage>(std::move(settings)));
}

float share_of(float seconds, double constant_s) {
  return static_cast<float>(1 - std::exp(-static_cast<double>(seconds) / constant_s));
}

bool is_cell(const CellGrid& grid, int column, int row) {
  return column >= 0 && column < grid.columns() && row >= 0 && row < grid.rows();
}

Status check_changes(const Json&, const pipeline::Provided& before) { return check_no_early_zone("changes", before); }

}  // namespace

ChangeFinder::ChangeFinder(ChangeOptions options) : options_(std::move(options)), grid_(kChangeColumns, kEveryRow) {}

void ChangeFinder::reset() {
  cells_.clear();
  places_.clear();
}

void ChangeFinder::begin(const Frame& frame, std::int64_t monotonic_us) {
  grid_.shape(frame);
  grid_.average(frame, now_);
  fast_ = slow_ = now_;
  cells_.assign(grid_.count(), {});
  marks_.assign(grid_.count(), false);
  places_.clear();
  begun_us_ = monotonic_us;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    cells_[i].variance = kVarianceAtFirst;
    cells_[i].is_ignored =
        std::ranges::any_of(options_.ignore, [&](const auto& polygon) { return is_inside(polygon, grid_.centre(i)); });
  }
}

std::vector<Object> ChangeFinder::update(const Scene& scene, std::int64_t monotonic_us) {
  const float seconds =
      std::min(kStepMaxS, static_cast<float>(std::max<std::int64_t>(0, monotonic_us - time_us_)) / 1e6F);
  time_us_ = monotonic_us;
  const Frame& frame = *scene.frame;
  if (!CellGrid::has_pixels(frame)) return {};
  const bool is_first = cells_.empty() || !grid_.fits(frame);
  if (is_first) begin(frame, monotonic_us);
  cover(scene, is_first ? 0 : seconds);
  if (!is_first) {
    grid_.average(frame, now_);
    const Light light = fit_light(fast_, now_);
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      fast_[i] = light.on(fast_[i]);
      slow_[i] = light.on(slow_[i]);
    }
  }
  if (!compare(seconds)) {
    begin(frame, monotonic_us);
    cover(scene, 0);
  }
  const bool is_new = static_cast<double>(monotonic_us - begun_us_) < options_.learn_s * 1e6;
  learn(seconds, is_new);
  find_places(seconds);
  std::vector<Object> objects;
  for (const Place& place : places_) {
    if (place.is_object) objects.push_back(place.object);
  }
  return objects;
}

/// Where people stand or have just stood.
void ChangeFinder::cover(const Scene& scene, float seconds) {
  for (Cell& cell : cells_) cell.covered_s = std::max(0.0F, cell.covered_s - seconds);
  const auto cover_box = [&](const Region& box) {
    const double across = (box.right - box.left) * kCoverMargin, down = (box.bottom - box.top) * kCoverMargin;
    const auto cells = [](double part, int count) { return std::clamp(static_cast<int>(part * count), 0, count); };
    const int right = cells(box.right + across, grid_.columns() - 1),
              bottom = cells(box.bottom + down, grid_.rows() - 1);
    for (int row = cells(box.top - down, grid_.rows()); row <= bottom; ++row) {
      for (int column = cells(box.left - across, grid_.columns()); column <= right; ++column) {
        cells_[grid_.at(column, row)].covered_s = kCoverS;
      }
    }
  };
  for (const Object& object : scene.objects) {
    if (std::ranges::find(options_.people, object.label) != options_.people.end()) cover_box(object.box);
  }
  for (const Region& person : scene.people.persons) cover_box(person);
}

/// Grey levels that a cell may differ by: noise, and a shake where the scene has edges.
float ChangeFinder::limit_of(std::size_t cell) const {
  const auto columns = static_cast<std::size_t>(grid_.columns());
  float least = slow_[cell], most = slow_[cell];
  const auto widen = [&](std::size_t other) {
    least = std::min(least, slow_[other]);
    most = std::max(most, slow_[other]);
  };
  const std::size_t column = cell % columns;
  if (column > 0) widen(cell - 1);
  if (column + 1 < columns) widen(cell + 1);
  if (cell >= columns) widen(cell - columns);
  if (cell + columns < cells_.size()) widen(cell + columns);
  const float noise = kFarDeviations * std::sqrt(cells_[cell].variance);
  const float shake = std::min(1.0F, kShakePixels / static_cast<float>(grid_.side())) * (most - least);
  return std::max(static_cast<float>(options_.step_min), noise) + shake;
}

/// Counts for how long each cell has been different. False when the whole scene is another one.
bool ChangeFinder::compare(float seconds) {
  const auto held_s = static_cast<float>(options_.settle_s) * kHeldShare;
  std::size_t far = 0;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    Cell& cell = cells_[i];
    const float limit = limit_of(i);
    cell.is_settled = std::abs(now_[i] - fast_[i]) <= limit;
    cell.is_changed = cell.is_known && !cell.is_ignored && std::abs(fast_[i] - slow_[i]) > limit;
    far += std::abs(now_[i] - slow_[i]) > limit ? 1U : 0U;
    // Hidden by somebody who passes, it stays as it was.
    if (cell.covered_s > 0 || !cell.is_settled) continue;
    cell.changed_s += cell.is_changed ? seconds : -kFallPace * seconds;
    cell.changed_s = std::clamp(cell.changed_s, 0.0F, held_s);
  }
  return static_cast<double>(far) <= kOtherSceneShare * static_cast<double>(cells_.size());
}

void ChangeFinder::learn(float seconds, bool is_new) {
  const float fast = share_of(seconds, kFastS), slow = share_of(seconds, kSlowS);
  const float absorb = share_of(seconds, options_.forget_s);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    Cell& cell = cells_[i];
    if (cell.covered_s > 0) continue;
    const float distance = now_[i] - fast_[i];
    fast_[i] += fast * distance;
    if (!cell.is_known || is_new) {
      // The scene as it is without people; until it is known nothing is different from it.
      if (!cell.is_known) fast_[i] = now_[i];
      slow_[i] = fast_[i];
      cell.is_known = true;
    } else {
      slow_[i] += (cell.is_changed ? absorb : slow) * (fast_[i] - slow_[i]);
    }
    // What comes and goes is no noise.
    if (!cell.is_changed && cell.is_settled) cell.variance += fast * (distance * distance - cell.variance);
  }
}

/// The place that shares most with the box. It may have grown, so the smaller one of both counts.
ChangeFinder::Place* ChangeFinder::known_place(const Region& box) {
  Place* best = nullptr;
  double most = kSamePlace;
  const auto area = [](const Region& of) { return (of.right - of.left) * (of.bottom - of.top); };
  for (Place& place : places_) {
    const Region& old = place.object.box;
    const double across = std::min(old.right, box.right) - std::max(old.left, box.left);
    const double down = std::min(old.bottom, box.bottom) - std::max(old.top, box.top);
    if (place.is_seen || across <= 0 || down <= 0) continue;
    const double share = across * down / std::min(area(old), area(box));
    if (share <= most) continue;
    best = &place;
    most = share;
  }
  return best;
}

/// Of the cells with a mark; gaps of up to two cells, where the scene has an edge, are bridged.
std::vector<CellGroup> ChangeFinder::marked_groups() const {
  std::vector<bool> wide = marks_;
  for (std::size_t i = 0; i < marks_.size(); ++i) {
    if (!marks_[i]) continue;
    const auto column = static_cast<int>(i % static_cast<std::size_t>(grid_.columns()));
    const auto row = static_cast<int>(i / static_cast<std::size_t>(grid_.columns()));
    for (const auto& [across, down] : kSides) {
      if (is_cell(grid_, column + across, row + down)) wide[grid_.at(column + across, row + down)] = true;
    }
  }
  std::vector<CellGroup> groups = groups_of(grid_, wide);
  for (CellGroup& group : groups) {
    std::erase_if(group.cells, [&](std::size_t cell) { return !marks_[cell]; });
    group.left += group.left > 0 ? 1 : 0;
    group.top += group.top > 0 ? 1 : 0;
    group.right -= group.right < grid_.columns() ? 1 : 0;
    group.bottom -= group.bottom < grid_.rows() ? 1 : 0;
  }
  return groups;
}

/// A cell joins after settle_s and leaves when it has been as before for some time.
void ChangeFinder::find_places(float seconds) {
  const auto settle_s = static_cast<float>(options_.settle_s);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    marks_[i] = cells_[i].changed_s >= (marks_[i] ? kFallShare * settle_s : settle_s);
  }
  for (Place& place : places_) place.is_seen = false;
  const auto count = static_cast<double>(cells_.size());
  for (const CellGroup& group : marked_groups()) {
    const double area = static_cast<double>(group.cells.size()) / count;
    if (area < options_.area_min || area > options_.area_max) continue;
    const Region box = grid_.box(group.left, group.top, group.right, group.bottom);
    Place* place = known_place(box);
    if (place == nullptr && places_.size() < kChangesMax) place = &places_.emplace_back();
    if (place == nullptr) continue;
    place->object.box = box;
    place->is_seen = true;
    place->age_s += seconds;
    if (!place->is_decided && place->age_s >= kRipeS) decide(*place, group);
  }
  std::erase_if(places_, [](const Place& place) { return !place.is_seen; });
}

void ChangeFinder::decide(Place& place, const CellGroup& group) {
  place.is_decided = true;
  place.is_object = !is_only_light(group);
  if (!place.is_object) return;
  const auto [now, before] = contrasts_of(group);
  place.object.label = now >= before ? "left" : "removed";
  place.object.score = static_cast<float>(std::max(now, before) / std::max(1e-6, now + before));
  place.object.track = fmt::format("c{}", ++last_id_);
}

/// How much the place stands out from its surroundings, now and before: grey levels across its edge.
std::pair<double, double> ChangeFinder::contrasts_of(const CellGroup& group) const {
  double now = 0, before = 0;
  std::size_t count = 0;
  for (const std::size_t cell : group.cells) {
    const auto column = static_cast<int>(cell % static_cast<std::size_t>(grid_.columns()));
    const auto row = static_cast<int>(cell / static_cast<std::size_t>(grid_.columns()));
    for (const auto& [across, down] : kSides) {
      // The edge may lie anywhere in the cell beyond: the next but one is surely outside.
      const int outer_column = column + 2 * across, outer_row = row + 2 * down;
      if (!is_cell(grid_, outer_column, outer_row) || marks_[grid_.at(column + across, row + down)]) continue;
      const std::size_t outer = grid_.at(outer_column, outer_row);
      if (marks_[outer]) continue;
      now += static_cast<double>(std::abs(fast_[cell] - fast_[outer]));
      before += static_cast<double>(std::abs(slow_[cell] - slow_[outer]));
      ++count;
    }
  }
  const auto mean = [count](double sum) { return count == 0 ? 0 : sum / static_cast<double>(count); };
  return {mean(now), mean(before)};
}

/// Whether the place shows what it showed before, lighter or darker.
bool ChangeFinder::is_only_light(const CellGroup& group) const {
  if (group.cells.size() < kPatternCells) return false;
  double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (const std::size_t cell : group.cells) {
    const double a = slow_[cell], b = fast_[cell];
    x += a, y += b, xx += a * a, yy += b * b, xy += a * b;
  }
  const auto count = static_cast<double>(group.cells.size());
  const double before = std::sqrt(std::max(0.0, xx / count - x / count * x / count));
  const double now = std::sqrt(std::max(0.0, yy / count - y / count * y / count));
  if (before < kPatternMin || now < kPatternMin) return false;
  return (xy / count - x / count * y / count) / (before * now) > kSamePattern;
}

pipeline::Kind<pipeline::Stage> changes_kind() {
  const ChangeOptions fallback;
  return {.name = "changes",
          .where = "vision/motion/changes.h",
          .summary = "Marks what was left in the scene or removed from it, without a model.",
          .options = {{"settle_s", "number", "A place must stay different for so long, seconds, 1..3600.",
                       fallback.settle_s},
                      {"forget_s", "number",
                       "Time constant with which it becomes part of the scene, seconds, 10..86400.", fallback.forget_s},
                      {"learn_s", "number", "Until the scene is known, from the first picture on, seconds, 1..3600.",
                       fallback.learn_s},
                      {"area_min", "number", "Part of the picture; smaller changes are none, 0..1.", fallback.area_min},
                      {"area_max", "number", "Larger ones are none, either, 0..1.", fallback.area_max},
                      {"step_min", "number", "Grey levels of 255 that a place must change at least, 1..255.",
                       fallback.step_min},
                      {"people", "list", "Labels of objects that hide the scene: where they stand nothing is learned.",
                       Json(fallback.people)},
                      {"ignore", "list", "Polygons in which nothing counts, such as a screen: [[[x, y], …], …], 0..1.",
                       Json::array()}},
          .make = make_changes,
          .provide = [](const Json&, pipeline::Provided& provided) { provided.emplace("tracks", ""); },
          .check = check_changes};
}

}  // namespace verge::vision
