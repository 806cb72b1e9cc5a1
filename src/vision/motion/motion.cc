#include "vision/motion/motion.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "pipeline/option_checks.h"
#include "pipeline/stillness.h"
#include "vision/logic/zone.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::Packet;
using pipeline::Scene;

constexpr int kColumns = 80;
constexpr int kRowStep = 2;             // Every second line is enough for an average.
constexpr float kFirstVariance = 16;    // Grey levels squared, until the cell's own is known.
constexpr float kDeviations = 4;        // From the mean, to be far from it.
constexpr double kFollowS = 5;          // Time constant of the mean while nothing moves,
constexpr double kAbsorbS = 30;         // and while something does.
constexpr double kNewSceneShare = 0.5;  // Of the picture; more is another scene, not motion in this one.
constexpr double kPatience = 1.25;      // Of the time between still pictures: then one has to come.

class MotionStage final : public pipeline::Stage {
 public:
  MotionStage(MotionOptions options, const pipeline::Context& context)
      : options_(options),
        detector_(std::move(options)),
        tell_still_(context.tell_still),
        skipped_(context.metrics->counter("verge_motion_skipped_total", "Still pictures that were not analysed.",
                                          {{"stream", context.stream}})),
        area_(context.metrics->gauge("verge_motion_area", "Part of the newest picture that moves, 0..1.",
                                     {{"stream", context.stream}})) {}

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) {
      emit(packet);
    } else if (goes_through(*scene->frame, packet.monotonic_us)) {
      auto seen = std::make_shared<Scene>(*scene);
      seen->moving = detector_.moving();
      Packet out = packet;
      out.payload = std::shared_ptr<const Scene>(std::move(seen));
      emit(std::move(out));
    } else {
      skipped_.add();
    }
    return Done{};
  }

 private:
  bool goes_through(const Frame& frame, std::int64_t now_us) {
    if (take_ != frame.take) {
      detector_.reset();
      passed_us_.reset();
      seen_us_.reset();
    }
    take_ = frame.take;
    const double area = detector_.update(frame, now_us);
    area_.set(area);
    if (area >= options_.area_min) moved_us_ = now_us;
    const auto within = [now_us](const std::optional<std::int64_t>& at_us, double seconds) {
      return at_us && static_cast<double>(now_us - *at_us) < seconds * 1e6;
    };
    const bool is_moving = area >= options_.area_min || within(moved_us_, options_.hold_s);
    // The next picture comes about as long after this one as this one after the last: which is nearer to the time?
    const double still_s = options_.still_fps > 0 ? 1 / options_.still_fps : 0;
    const double step_s = seen_us_ ? static_cast<double>(now_us - *seen_us_) / 1e6 : 0;
    const bool is_due = !passed_us_ || (still_s > 0 && !within(passed_us_, still_s - std::min(step_s, still_s) / 2));
    if (is_moving || is_due) passed_us_ = now_us;
    seen_us_ = now_us;
    if (tell_still_) tell(is_moving, still_s);
    return is_moving || is_due;
  }

  void tell(bool is_moving, double still_s) const {
    pipeline::StillWord word{!is_moving, *seen_us_};
    if (still_s > 0) word.needed_by_us = *passed_us_ + std::llround(kPatience * still_s * 1e6);
    tell_still_(word);
  }

  const MotionOptions options_;
  MotionDetector detector_;
  const std::function<void(const pipeline::StillWord&)> tell_still_;
  Counter& skipped_;
  Gauge& area_;
  std::optional<std::uint32_t> take_;
  std::optional<std::int64_t> moved_us_, passed_us_, seen_us_;
};

Result<std::unique_ptr<pipeline::Stage>> make_motion(const Json& options, const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_range(options, "area_min", 0, 1));
  VERGE_CHECK(pipeline::check_range(options, "step_min", 1, 255));
  VERGE_CHECK(pipeline::check_range(options, "still_fps", 0, 1000));
  VERGE_CHECK(pipeline::check_range(options, "hold_s", 0, 3600));
  MotionOptions settings;
  settings.area_min = options["area_min"].get<double>();
  settings.step_min = options["step_min"].get<double>();
  settings.still_fps = options["still_fps"].get<double>();
  settings.hold_s = options["hold_s"].get<double>();
  VERGE_TRY(settings.ignore, polygons_of(options, "ignore"));
  return std::unique_ptr<pipeline::Stage>(std::make_unique<MotionStage>(std::move(settings), context));
}

}  // namespace

MotionDetector::MotionDetector(MotionOptions options) : options_(std::move(options)), grid_(kColumns, kRowStep) {}

double MotionDetector::update(const Frame& frame, std::int64_t monotonic_us) {
  const double seconds = static_cast<double>(std::max<std::int64_t>(0, monotonic_us - time_us_)) / 1e6;
  time_us_ = monotonic_us;
  if (!CellGrid::has_pixels(frame)) return 0;
  if (cells_.empty() || !grid_.fits(frame)) {
    begin(frame);
    return 0;
  }
  grid_.average(frame, now_);
  const Light light = fit_light(means_, now_);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    Cell& cell = cells_[i];
    means_[i] = light.on(means_[i]);
    const float limit = std::max(static_cast<float>(options_.step_min), kDeviations * std::sqrt(cell.variance));
    cell.is_far = !cell.is_ignored && std::abs(now_[i] - means_[i]) > limit;
  }
  int moving = 0, counted = 0;
  for (int row = 0; row < grid_.rows(); ++row) {
    for (int column = 0; column < grid_.columns(); ++column) {
      const std::size_t i = grid_.at(column, row);
      is_moving_[i] = cells_[i].is_far && has_far_neighbour(column, row);
      counted += cells_[i].is_ignored ? 0 : 1;
      moving += is_moving_[i] ? 1 : 0;
    }
  }
  const double area = counted == 0 ? 0.0 : static_cast<double>(moving) / counted;
  if (area > kNewSceneShare) {
    begin(frame);
  } else {
    learn(seconds);
  }
  return area;
}

void MotionDetector::begin(const Frame& frame) {
  grid_.shape(frame);
  grid_.average(frame, now_);
  means_ = now_;
  cells_.assign(grid_.count(), {});
  is_moving_.assign(grid_.count(), false);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    cells_[i].variance = kFirstVariance;
    cells_[i].is_ignored =
        std::ranges::any_of(options_.ignore, [&](const auto& polygon) { return is_inside(polygon, grid_.centre(i)); });
  }
}

void MotionDetector::learn(double seconds) {
  const auto share = [seconds](double constant_s) { return static_cast<float>(1 - std::exp(-seconds / constant_s)); };
  const float follow = share(kFollowS);
  const float absorb = share(kAbsorbS);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    Cell& cell = cells_[i];
    const float distance = now_[i] - means_[i];
    means_[i] += (cell.is_far ? absorb : follow) * distance;
    if (!cell.is_far) cell.variance += follow * (distance * distance - cell.variance);
  }
}

bool MotionDetector::has_far_neighbour(int column, int row) const {
  const auto is_far = [&](int c, int r) {
    return c >= 0 && c < grid_.columns() && r >= 0 && r < grid_.rows() && cells_[grid_.at(c, r)].is_far;
  };
  return is_far(column - 1, row) || is_far(column + 1, row) || is_far(column, row - 1) || is_far(column, row + 1);
}

std::vector<contract::Region> MotionDetector::moving() const {
  std::vector<contract::Region> places;
  for (const CellGroup& group : groups_of(grid_, is_moving_)) {
    places.push_back(grid_.box(group.left, group.top, group.right, group.bottom));
  }
  const auto area = [](const contract::Region& box) { return (box.right - box.left) * (box.bottom - box.top); };
  std::ranges::stable_sort(places, std::ranges::greater{}, area);
  if (places.size() > kPlacesMax) places.resize(kPlacesMax);
  return places;
}

pipeline::Kind<pipeline::Stage> motion_kind() {
  const MotionOptions fallback;
  return {.name = "motion",
          .where = "vision/motion/motion.h",
          .summary = "Lets pictures through in which something moves; stands before detect.",
          .options = {{"area_min", "number", "Part of the picture that must move, 0..1.", fallback.area_min},
                      {"step_min", "number", "Grey levels of 255 that a cell must change at least, 1..255.",
                       fallback.step_min},
                      {"still_fps", "number", "Still pictures let through per second, 0..1000.", fallback.still_fps},
                      {"hold_s", "number", "All go through for so long after the last motion, seconds, 0..3600.",
                       fallback.hold_s},
                      {"ignore", "list", "Polygons in which nothing counts, such as a clock: [[[x, y], …], …], 0..1.",
                       Json::array()}},
          .make = make_motion,
          .provide = [](const Json&, pipeline::Provided& provided) { provided.emplace("motion", ""); }};
}

}  // namespace verge::vision
