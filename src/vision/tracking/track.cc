#include "vision/tracking/track.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "vision/provided.h"
#include "vision/recognition/non_max_suppression.h"
#include "vision/tracking/assignment.h"

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

// How boxes are matched: worth of the best place beside an overlap of 1; what is too far or too much of another size
// whatever the filters say, in heights; and the likeness of colours that speaks neither for nor against.
constexpr double kPlaceWorth = 0.3;
constexpr double kApartMax = 1.5;
constexpr double kGrowthMax = 1.4;
constexpr float kLikenessUsual = 0.8F;
// Who has been away longer has to come back to the expected place, else whoever comes in next would be taken for him.
constexpr std::int64_t kApartAwayUs = 500'000;
// Colours: a box is covered by others from this part of its area on; then they are not learnt. Otherwise each picture
// counts as much, until the newest tenth outweighs the rest.
constexpr float kCoveredMin = 0.25F;
constexpr int kColoursMemory = 10;

Box to_box(const Region& region) {
  return {static_cast<float>(region.left), static_cast<float>(region.top), static_cast<float>(region.right),
          static_cast<float>(region.bottom)};
}

/// The largest part of a box that another one covers.
float covered_part(const std::vector<Object>& found, std::size_t at) {
  const Region& box = found[at].box;
  const double area = std::max(1e-9, (box.right - box.left) * (box.bottom - box.top));
  double most = 0;
  for (std::size_t other = 0; other < found.size(); ++other) {
    if (other == at) continue;
    const Region& cover = found[other].box;
    const double wide = std::min(box.right, cover.right) - std::max(box.left, cover.left);
    const double high = std::min(box.bottom, cover.bottom) - std::max(box.top, cover.top);
    most = std::max(most, std::max(0.0, wide) * std::max(0.0, high) / area);
  }
  return static_cast<float>(most);
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
    std::vector<std::optional<Colours>> colours;
    for (const Object& object : scene->objects) colours.push_back(colours_of(*scene->frame, object.box));
    tracked->objects = tracker_.update(scene->objects, packet.monotonic_us, aspect, colours);
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

double CoordinateFilter::surprise(double measured, double noise) const {
  const double off = measured - value_;
  return off * off / (value_variance_ + noise * noise);
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

void Tracker::correct(Track& track, const Sight& sight, std::size_t at) {
  const Object& object = sight.found[at];
  const Region& box = object.box;
  const double height = std::max(0.01, box.bottom - box.top);
  track.centre.correct((box.left + box.right) / 2, kMeasureNoise * height / sight.aspect);
  track.foot.correct(box.bottom, kMeasureNoise * height);
  track.width.correct(box.right - box.left, kSizeNoise * height / sight.aspect);
  track.height.correct(height, kSizeNoise * height);
  track.object = object;
  track.seen_us = sight.time_us;
  track.is_seen = true;
  ++track.seen_count;
  if (track.seen_count >= options_.confirm_count) track.is_confirmed = true;
  learn_colours(track, sight, at);
}

void Tracker::learn_colours(Track& track, const Sight& sight, std::size_t at) {
  if (sight.is_covered[at] || at >= sight.colours.size() || !sight.colours[at]) return;
  if (!track.colours) track.colours = sight.colours[at];
  track.colours_count = std::min(track.colours_count + 1, kColoursMemory);
  track.colours->blend(*sight.colours[at], 1.0F / static_cast<float>(track.colours_count));
}

void Tracker::begin(const Sight& sight, std::size_t at) {
  const Object& object = sight.found[at];
  const Region& box = object.box;
  const double height = std::max(0.01, box.bottom - box.top);
  Track track;
  track.id = ++last_id_;
  track.centre = {(box.left + box.right) / 2, kMeasureNoise * height / sight.aspect,
                  kSpeedNoise * height / sight.aspect};
  track.foot = {box.bottom, kMeasureNoise * height, kSpeedNoise * height};
  track.width = {box.right - box.left, kSizeNoise * height / sight.aspect, kSizeNoise * height / sight.aspect};
  track.height = {height, kSizeNoise * height, kSizeNoise * height};
  track.object = object;
  track.seen_us = sight.time_us;
  track.seen_count = 1;
  track.is_seen = true;
  track.is_confirmed = options_.confirm_count <= 1;
  learn_colours(track, sight, at);
  tracks_.push_back(std::move(track));
}

double Tracker::deviations_of(const Track& track, const Region& box, const Sight& sight) const {
  const double height = std::max(0.01, track.height.value());
  const double found_height = box.bottom - box.top;
  const double centre = (box.left + box.right) / 2;
  const bool was_away = sight.time_us - track.seen_us > std::max(kApartAwayUs, step_us_ * 5 / 2);
  const bool is_other_size = found_height > kGrowthMax * height || found_height * kGrowthMax < height;
  const bool is_far = std::abs(centre - track.centre.value()) * sight.aspect > kApartMax * height;
  if (was_away || is_other_size || is_far) return std::numeric_limits<double>::infinity();
  return std::sqrt(track.centre.surprise(centre, kMeasureNoise * height / sight.aspect) +
                   track.foot.surprise(box.bottom, kMeasureNoise * height) +
                   track.height.surprise(found_height, kSizeNoise * height));
}

std::optional<float> Tracker::closeness(const Track& track, const Sight& sight, std::size_t at,
                                        const Round& round) const {
  const Object& object = sight.found[at];
  if (track.object.label != object.label) return std::nullopt;
  const Region& box = object.box;
  const float shared = overlap(to_box(track.box()), to_box(box));
  const bool overlaps = shared > round.overlap_min;
  float close = overlaps ? shared : 0;

  const double deviations = round.may_be_apart ? deviations_of(track, box, sight) : options_.reach;
  const bool is_in_reach = deviations < options_.reach;
  if (is_in_reach) close += static_cast<float>(kPlaceWorth * (1 - deviations / options_.reach));
  if (!overlaps && !is_in_reach) return std::nullopt;
  if (track.colours && at < sight.colours.size() && sight.colours[at])
    close += options_.colours_weight * (likeness(*track.colours, *sight.colours[at]) - kLikenessUsual);
  return close;
}

void Tracker::match(Sight& sight, const Round& round) {
  std::vector<Track*> rows;
  for (Track& track : tracks_) {
    const bool is_lately = sight.time_us - track.seen_us <= step_us_ * 3 / 2;
    const bool is_wanted = round.pool == Pool::unconfirmed
                               ? !track.is_confirmed
                               : track.is_confirmed && (round.pool == Pool::confirmed || is_lately);
    if (!track.is_seen && is_wanted) rows.push_back(&track);
  }
  std::vector<std::size_t> columns;
  for (std::size_t i = 0; i < sight.found.size(); ++i) {
    const float score = sight.found[i].score;
    if (!sight.is_taken[i] && score >= round.score_min && score < round.score_max) columns.push_back(i);
  }
  if (rows.empty() || columns.empty()) return;
  constexpr float kNever = 100;
  std::vector<float> costs;
  for (const Track* track : rows) {
    for (const std::size_t i : columns) {
      const auto close = closeness(*track, sight, i, round);
      costs.push_back(close ? -*close : kNever);
    }
  }
  const std::vector<int> pairs = assign(costs, static_cast<int>(rows.size()), static_cast<int>(columns.size()), kNever);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (pairs[row] < 0) continue;
    const std::size_t column = columns[static_cast<std::size_t>(pairs[row])];
    sight.is_taken[column] = true;
    correct(*rows[row], sight, column);
  }
}

std::vector<Object> Tracker::update(const std::vector<Object>& found, std::int64_t time_us, double aspect,
                                    std::span<const std::optional<Colours>> colours) {
  constexpr float kAnyScore = 2;
  step_us_ = time_us_ == 0 ? 0 : std::max<std::int64_t>(0, time_us - time_us_);
  time_us_ = time_us;
  predict(static_cast<double>(step_us_) / 1e6, aspect);

  Sight sight{found, colours, time_us, aspect, std::vector<bool>(found.size()), std::vector<bool>(found.size())};
  for (std::size_t i = 0; i < found.size(); ++i) sight.is_covered[i] = covered_part(found, i) >= kCoveredMin;
  const float high = options_.score_high;
  match(sight, {Pool::confirmed, high, kAnyScore, options_.overlap_min, true});
  match(sight, {Pool::seen_lately, 0, high, options_.overlap_min_weak, false});
  match(sight, {Pool::unconfirmed, high, kAnyScore, options_.overlap_min, true});

  std::erase_if(tracks_, [&](const Track& track) {
    const double unseen_s = static_cast<double>(time_us - track.seen_us) / 1e6;
    return !track.is_seen && (!track.is_confirmed || unseen_s > options_.lost_s);
  });
  for (std::size_t i = 0; i < found.size() && tracks_.size() < options_.tracks_max; ++i) {
    if (!sight.is_taken[i] && found[i].score >= options_.score_new) begin(sight, i);
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
      .where = "vision/tracking/track.h",
      .summary = "Follows objects from picture to picture and gives each an id.",
      .options = {{"score_high", "number", "Boxes this strong are matched first, 0..1.", number(fallback.score_high)},
                  {"score_new", "number", "Boxes this strong begin a track, 0..1.", number(fallback.score_new)},
                  {"overlap_min", "number", "Of a strong box with the expected place, 0..1.",
                   number(fallback.overlap_min)},
                  {"overlap_min_weak", "number", "The same for weak boxes, 0..1.", number(fallback.overlap_min_weak)},
                  {"reach", "number", "Standard deviations that a strong box may be off; 0: it has to overlap.",
                   fallback.reach},
                  {"colours_weight", "number", "Of the likeness of colours beside the overlap; 0: none.",
                   number(fallback.colours_weight)},
                  {"lost_s", "number", "A track unseen for longer ends, seconds.", fallback.lost_s},
                  {"confirm_count", "integer", "Pictures before a new track is shown.", fallback.confirm_count}},
      .make = [](const Json& options, const pipeline::Context&) -> Result<std::unique_ptr<pipeline::Stage>> {
        TrackerOptions settings;
        settings.score_high = options["score_high"].get<float>();
        settings.score_new = options["score_new"].get<float>();
        settings.overlap_min = options["overlap_min"].get<float>();
        settings.overlap_min_weak = options["overlap_min_weak"].get<float>();
        settings.reach = options["reach"].get<double>();
        settings.colours_weight = options["colours_weight"].get<float>();
        settings.lost_s = options["lost_s"].get<double>();
        settings.confirm_count = options["confirm_count"].get<int>();
        return std::unique_ptr<pipeline::Stage>(std::make_unique<TrackStage>(settings));
      },
      .provide = provide_tracks,
      .check = [](const Json&, const pipeline::Provided& before) { return check_no_early_zone("track", before); }};
}

}  // namespace verge::vision
