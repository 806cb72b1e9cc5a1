#include "vision/track.h"

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "vision/assignment.h"
#include "vision/non_max_suppression.h"

namespace verge::vision {
namespace {

using contract::Region;
using pipeline::Object;
using pipeline::Packet;
using pipeline::Scene;

// Noises in heights of the object: a person of 1.7 m starts and stops within about a second.
constexpr double kMeasureNoise = 0.03;
constexpr double kSizeNoise = 0.06;
constexpr double kSpeedNoise = 1.0;
constexpr double kAcceleration = 2.0;
constexpr double kSizeAcceleration = 0.5;

Box to_box(const Region& region) {
  return {static_cast<float>(region.left), static_cast<float>(region.top), static_cast<float>(region.right),
          static_cast<float>(region.bottom)};
}

class TrackStage final : public pipeline::Stage {
 public:
  explicit TrackStage(TrackerOptions options) : tracker_(options) {}

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) {
      emit(packet);
      return Done{};
    }
    if (take_ != scene->frame->take) tracker_.reset();
    take_ = scene->frame->take;
    auto tracked = std::make_shared<Scene>(*scene);
    const double aspect = static_cast<double>(scene->frame->width) / std::max(1, scene->frame->height);
    tracked->objects = tracker_.update(scene->objects, packet.monotonic_us, aspect);
    Packet out = packet;
    out.payload = std::shared_ptr<const Scene>(std::move(tracked));
    emit(std::move(out));
    return Done{};
  }

 private:
  Tracker tracker_;
  std::optional<std::uint32_t> take_;
};

}  // namespace

CoordinateFilter::CoordinateFilter(double value, double noise, double speed_noise)
    : value_(value), value_variance_(noise * noise), speed_variance_(speed_noise * speed_noise) {}

void CoordinateFilter::predict(double seconds, double acceleration_noise) {
  value_ += speed_ * seconds;
  const double q = acceleration_noise * acceleration_noise * seconds * seconds;
  value_variance_ += seconds * (2 * covariance_ + seconds * speed_variance_) + q * seconds * seconds / 4;
  covariance_ += seconds * speed_variance_ + q * seconds / 2;
  speed_variance_ += q;
}

void CoordinateFilter::correct(double measured, double noise) {
  const double total = value_variance_ + noise * noise;
  const double gain = value_variance_ / total;
  const double speed_gain = covariance_ / total;
  const double surprise = measured - value_;
  value_ += gain * surprise;
  speed_ += speed_gain * surprise;
  speed_variance_ -= speed_gain * covariance_;
  covariance_ *= 1 - gain;
  value_variance_ *= 1 - gain;
}

Region Tracker::Track::box() const {
  const double half = std::max(0.0, width.value()) / 2;
  return {centre.value() - half, foot.value() - std::max(0.0, height.value()), centre.value() + half, foot.value()};
}

void Tracker::predict(double seconds, double aspect) {
  for (Track& track : tracks_) {
    const double height = std::max(0.01, track.height.value());
    track.centre.predict(seconds, kAcceleration * height / aspect);
    track.foot.predict(seconds, kAcceleration * height);
    track.width.predict(seconds, kSizeAcceleration * height / aspect);
    track.height.predict(seconds, kSizeAcceleration * height);
    track.is_seen = false;
  }
}

void Tracker::correct(Track& track, const Object& object, std::int64_t time_us, double aspect) {
  const Region& box = object.box;
  const double height = std::max(0.01, box.bottom - box.top);
  track.centre.correct((box.left + box.right) / 2, kMeasureNoise * height / aspect);
  track.foot.correct(box.bottom, kMeasureNoise * height);
  track.width.correct(box.right - box.left, kSizeNoise * height / aspect);
  track.height.correct(height, kSizeNoise * height);
  track.object = object;
  track.seen_us = time_us;
  track.is_seen = true;
  ++track.seen_count;
  if (track.seen_count >= options_.confirm_count) track.is_confirmed = true;
}

void Tracker::begin(const Object& object, std::int64_t time_us, double aspect) {
  const Region& box = object.box;
  const double height = std::max(0.01, box.bottom - box.top);
  Track track;
  track.id = ++last_id_;
  track.centre = {(box.left + box.right) / 2, kMeasureNoise * height / aspect, kSpeedNoise * height / aspect};
  track.foot = {box.bottom, kMeasureNoise * height, kSpeedNoise * height};
  track.width = {box.right - box.left, kSizeNoise * height / aspect, kSizeNoise * height / aspect};
  track.height = {height, kSizeNoise * height, kSizeNoise * height};
  track.object = object;
  track.seen_us = time_us;
  track.seen_count = 1;
  track.is_seen = true;
  track.is_confirmed = options_.confirm_count <= 1;
  tracks_.push_back(std::move(track));
}

void Tracker::match(const std::vector<Object>& found, std::vector<bool>& is_taken, float score_min, float score_max,
                    float overlap_min, Pool pool, std::int64_t time_us, double aspect) {
  std::vector<Track*> rows;
  for (Track& track : tracks_) {
    const bool is_lately = time_us - track.seen_us <= step_us_ * 3 / 2;
    const bool is_wanted =
        pool == Pool::unconfirmed ? !track.is_confirmed : track.is_confirmed && (pool == Pool::confirmed || is_lately);
    if (!track.is_seen && is_wanted) rows.push_back(&track);
  }
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!is_taken[i] && found[i].score >= score_min && found[i].score < score_max) columns.push_back(i);
  }
  if (rows.empty() || columns.empty()) return;
  std::vector<float> costs;
  for (const Track* track : rows) {
    const Box predicted = to_box(track->box());
    for (const std::size_t i : columns) {
      const float shared = track->object.label == found[i].label ? overlap(predicted, to_box(found[i].box)) : 0;
      costs.push_back(1 - shared);
    }
  }
  const std::vector<int> pairs =
      assign(costs, static_cast<int>(rows.size()), static_cast<int>(columns.size()), 1 - overlap_min);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (pairs[row] < 0) continue;
    const std::size_t column = columns[static_cast<std::size_t>(pairs[row])];
    is_taken[column] = true;
    correct(*rows[row], found[column], time_us, aspect);
  }
}

std::vector<Object> Tracker::update(const std::vector<Object>& found, std::int64_t time_us, double aspect) {
  constexpr float kAnyScore = 2;
  step_us_ = time_us_ == 0 ? 0 : std::max<std::int64_t>(0, time_us - time_us_);
  time_us_ = time_us;
  predict(static_cast<double>(step_us_) / 1e6, aspect);

  std::vector<bool> is_taken(found.size());
  match(found, is_taken, options_.score_high, kAnyScore, options_.overlap_min, Pool::confirmed, time_us, aspect);
  match(found, is_taken, 0, options_.score_high, options_.overlap_min_weak, Pool::seen_lately, time_us, aspect);
  match(found, is_taken, options_.score_high, kAnyScore, options_.overlap_min, Pool::unconfirmed, time_us, aspect);

  std::erase_if(tracks_, [&](const Track& track) {
    const double unseen_s = static_cast<double>(time_us - track.seen_us) / 1e6;
    return !track.is_seen && (!track.is_confirmed || unseen_s > options_.lost_s);
  });
  for (std::size_t i = 0; i < found.size() && tracks_.size() < options_.tracks_max; ++i) {
    if (!is_taken[i] && found[i].score >= options_.score_new) begin(found[i], time_us, aspect);
  }

  std::vector<Object> shown;
  for (const Track& track : tracks_) {
    if (!track.is_confirmed || !track.is_seen) continue;
    Object object = track.object;
    object.box = track.box();
    object.track = std::to_string(track.id);
    shown.push_back(std::move(object));
  }
  return shown;
}

pipeline::Kind<pipeline::Stage> track_kind() {
  const TrackerOptions fallback;
  const auto number = [](float value) { return static_cast<double>(static_cast<int>(value * 1000 + 0.5F)) / 1000; };
  return {
      .name = "track",
      .where = "vision/track.h",
      .summary = "Follows objects from picture to picture and gives each an id.",
      .options = {{"score_high", "number", "Boxes this strong are matched first, 0..1.", number(fallback.score_high)},
                  {"score_new", "number", "Boxes this strong begin a track, 0..1.", number(fallback.score_new)},
                  {"overlap_min", "number", "Of a strong box with the expected place, 0..1.",
                   number(fallback.overlap_min)},
                  {"overlap_min_weak", "number", "The same for weak boxes, 0..1.", number(fallback.overlap_min_weak)},
                  {"lost_s", "number", "A track unseen for longer ends, seconds.", fallback.lost_s},
                  {"confirm_count", "integer", "Pictures before a new track is shown.", fallback.confirm_count}},
      .make = [](const Json& options, const pipeline::Context&) -> Result<std::unique_ptr<pipeline::Stage>> {
        TrackerOptions settings;
        settings.score_high = options["score_high"].get<float>();
        settings.score_new = options["score_new"].get<float>();
        settings.overlap_min = options["overlap_min"].get<float>();
        settings.overlap_min_weak = options["overlap_min_weak"].get<float>();
        settings.lost_s = options["lost_s"].get<double>();
        settings.confirm_count = options["confirm_count"].get<int>();
        return std::unique_ptr<pipeline::Stage>(std::make_unique<TrackStage>(settings));
      }};
}

}  // namespace verge::vision
