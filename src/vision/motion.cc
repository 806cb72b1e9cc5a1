#include "vision/motion.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "pipeline/option_checks.h"
#include "vision/zone.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::Packet;
using pipeline::PixelFormat;
using pipeline::Scene;

constexpr int kColumns = 80;
constexpr int kRowStep = 2;             // Every second line is enough for an average.
constexpr float kFirstVariance = 16;    // Grey levels squared, until the cell's own is known.
constexpr float kDeviations = 4;        // From the mean, to be far from it.
constexpr double kFollowS = 5;          // Time constant of the mean while nothing moves,
constexpr double kAbsorbS = 30;         // and while something does.
constexpr double kNewSceneShare = 0.5;  // Of the picture; more is another scene, not motion in this one.
constexpr int kFitRounds = 4;
constexpr float kFactorMin = 0.3F, kFactorMax = 3.0F;

/// Bytes from one pixel's brightness to the next. Of RGB the green one: most of the brightness.
int pixel_step(const Frame& frame) { return frame.format == PixelFormat::rgb24 ? 3 : 1; }
int first_byte(const Frame& frame) { return frame.format == PixelFormat::rgb24 ? 1 : 0; }

class MotionStage final : public pipeline::Stage {
 public:
  MotionStage(MotionOptions options, const pipeline::Context& context)
      : options_(options),
        detector_(std::move(options)),
        skipped_(context.metrics->counter("verge_motion_skipped_total", "Still pictures that were not analysed.",
                                          {{"stream", context.stream}})),
        area_(context.metrics->gauge("verge_motion_area", "Part of the newest picture that moves, 0..1.",
                                     {{"stream", context.stream}})) {}

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame || goes_through(*scene->frame, packet.monotonic_us)) {
      emit(packet);
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
    }
    take_ = frame.take;
    const double area = detector_.update(frame, now_us);
    area_.set(area);
    if (area >= options_.area_min) moved_us_ = now_us;
    const auto within = [now_us](const std::optional<std::int64_t>& at_us, double seconds) {
      return at_us && static_cast<double>(now_us - *at_us) < seconds * 1e6;
    };
    const bool is_moving = area >= options_.area_min || within(moved_us_, options_.hold_s);
    const bool is_due = !passed_us_ || (options_.still_fps > 0 && !within(passed_us_, 1 / options_.still_fps));
    if (is_moving || is_due) passed_us_ = now_us;
    return is_moving || is_due;
  }

  const MotionOptions options_;
  MotionDetector detector_;
  Counter& skipped_;
  Gauge& area_;
  std::optional<std::uint32_t> take_;
  std::optional<std::int64_t> moved_us_, passed_us_;
};

Result<std::vector<Point>> polygon_of(const Json& corners) {
  std::vector<Point> polygon;
  for (const Json& corner : corners) {
    const bool is_point = corner.is_array() && corner.size() == 2 && corner[0].is_number() && corner[1].is_number();
    if (!is_point) return Error{ErrorCode::invalid_argument, "ignore wants polygons: [[[x, y], [x, y], [x, y]], …]"};
    polygon.emplace_back(corner[0].get<double>(), corner[1].get<double>());
  }
  if (polygon.size() < 3) return Error{ErrorCode::invalid_argument, "a polygon of ignore needs three corners or more"};
  return polygon;
}

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
  for (const Json& corners : options["ignore"]) {
    VERGE_TRY(auto polygon, polygon_of(corners));
    settings.ignore.push_back(std::move(polygon));
  }
  return std::unique_ptr<pipeline::Stage>(std::make_unique<MotionStage>(std::move(settings), context));
}

}  // namespace

double MotionDetector::update(const Frame& frame, std::int64_t monotonic_us) {
  const double seconds = static_cast<double>(std::max<std::int64_t>(0, monotonic_us - time_us_)) / 1e6;
  time_us_ = monotonic_us;
  if (frame.width < 1 || frame.height < 1 || frame.planes[0] == nullptr) return 0;
  if (cells_.empty() || frame.width != width_ || frame.height != height_) {
    begin(frame);
    return 0;
  }
  average(frame);
  const Light light = fit_light();
  for (Cell& cell : cells_) {
    cell.mean = light.factor * cell.mean + light.offset;
    const float limit = std::max(static_cast<float>(options_.step_min), kDeviations * std::sqrt(cell.variance));
    cell.is_far = !cell.is_ignored && std::abs(cell.now - cell.mean) > limit;
  }
  int moving = 0, counted = 0;
  for (int row = 0; row < rows_; ++row) {
    for (int column = 0; column < columns_; ++column) {
      const Cell& cell = cells_[static_cast<std::size_t>(row * columns_ + column)];
      counted += cell.is_ignored ? 0 : 1;
      moving += cell.is_far && has_far_neighbour(column, row) ? 1 : 0;
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
  width_ = frame.width;
  height_ = frame.height;
  columns_ = std::min(kColumns, width_);
  rows_ = std::clamp(static_cast<int>(std::lround(static_cast<double>(columns_) * height_ / width_)), 1, height_);
  cells_.assign(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_), {});
  average(frame);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const auto column = static_cast<double>(i % static_cast<std::size_t>(columns_));
    const auto row = static_cast<double>(i / static_cast<std::size_t>(columns_));
    const Point centre{(column + 0.5) / columns_, (row + 0.5) / rows_};
    cells_[i].mean = cells_[i].now;
    cells_[i].variance = kFirstVariance;
    cells_[i].is_ignored =
        std::ranges::any_of(options_.ignore, [&](const auto& polygon) { return is_inside(polygon, centre); });
  }
}

void MotionDetector::average(const Frame& frame) {
  const int step = pixel_step(frame);
  sums_.resize(static_cast<std::size_t>(columns_));
  const auto begin_of = [](int index, int count, int size) {
    return static_cast<int>(static_cast<std::int64_t>(index) * size / count);
  };
  for (int row = 0; row < rows_; ++row) {
    std::ranges::fill(sums_, 0U);
    const int top = begin_of(row, rows_, height_);
    const int bottom = begin_of(row + 1, rows_, height_);
    int lines = 0;
    for (int y = top; y < bottom; y += kRowStep, ++lines) {
      const std::uint8_t* line =
          frame.planes[0] + static_cast<std::ptrdiff_t>(y) * frame.strides[0] + first_byte(frame);
      for (int column = 0; column < columns_; ++column) {
        std::uint32_t sum = 0;
        const int right = begin_of(column + 1, columns_, width_);
        for (int x = begin_of(column, columns_, width_); x < right; ++x) sum += line[x * step];
        sums_[static_cast<std::size_t>(column)] += sum;
      }
    }
    for (int column = 0; column < columns_; ++column) {
      const int pixels = lines * (begin_of(column + 1, columns_, width_) - begin_of(column, columns_, width_));
      cells_[static_cast<std::size_t>(row * columns_ + column)].now =
          static_cast<float>(sums_[static_cast<std::size_t>(column)]) / static_cast<float>(pixels);
    }
  }
}

/// Least squares over the cells near the last fit, again and again: what moves loses its say.
MotionDetector::Light MotionDetector::fit_light() const {
  Light light;
  std::vector<float> distances(cells_.size());
  // The middle one of the differences is right as long as less than half of the picture moves.
  for (std::size_t i = 0; i < cells_.size(); ++i) distances[i] = cells_[i].now - cells_[i].mean;
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  light.offset = *middle;
  for (int round = 0; round < kFitRounds; ++round) {
    const auto distance = [&](const Cell& cell) {
      return std::abs(cell.now - (light.factor * cell.mean + light.offset));
    };
    for (std::size_t i = 0; i < cells_.size(); ++i) distances[i] = distance(cells_[i]);
    std::nth_element(distances.begin(), middle, distances.end());
    const float near = std::max(1.0F, 2.5F * *middle);
    double count = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (const Cell& cell : cells_) {
      if (distance(cell) > near) continue;
      ++count;
      x += cell.mean, y += cell.now;
      xx += static_cast<double>(cell.mean) * cell.mean;
      xy += static_cast<double>(cell.mean) * cell.now;
    }
    const double spread = count * xx - x * x;
    // A picture of one tone tells no factor.
    const bool has_factor = spread > count * count;
    light.factor =
        has_factor ? std::clamp(static_cast<float>((count * xy - x * y) / spread), kFactorMin, kFactorMax) : 1;
    light.offset = static_cast<float>((y - light.factor * x) / count);
  }
  return light;
}

void MotionDetector::learn(double seconds) {
  const auto share = [seconds](double constant_s) { return static_cast<float>(1 - std::exp(-seconds / constant_s)); };
  const float follow = share(kFollowS);
  const float absorb = share(kAbsorbS);
  for (Cell& cell : cells_) {
    const float distance = cell.now - cell.mean;
    cell.mean += (cell.is_far ? absorb : follow) * distance;
    if (!cell.is_far) cell.variance += follow * (distance * distance - cell.variance);
  }
}

bool MotionDetector::has_far_neighbour(int column, int row) const {
  const auto is_far = [&](int c, int r) {
    return c >= 0 && c < columns_ && r >= 0 && r < rows_ && cells_[static_cast<std::size_t>(r * columns_ + c)].is_far;
  };
  return is_far(column - 1, row) || is_far(column + 1, row) || is_far(column, row - 1) || is_far(column, row + 1);
}

pipeline::Kind<pipeline::Stage> motion_kind() {
  const MotionOptions fallback;
  return {.name = "motion",
          .where = "vision/motion.h",
          .summary = "Lets pictures through in which something moves; stands before detect.",
          .options = {{"area_min", "number", "Part of the picture that must move, 0..1.", fallback.area_min},
                      {"step_min", "number", "Grey levels of 255 that a cell must change at least, 1..255.",
                       fallback.step_min},
                      {"still_fps", "number", "Still pictures let through per second, 0..1000.", fallback.still_fps},
                      {"hold_s", "number", "All go through for so long after the last motion, seconds, 0..3600.",
                       fallback.hold_s},
                      {"ignore", "list", "Polygons in which nothing counts, such as a clock: [[[x, y], …], …], 0..1.",
                       Json::array()}},
          .make = make_motion};
}

}  // namespace verge::vision
