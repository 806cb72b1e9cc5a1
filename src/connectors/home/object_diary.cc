#include "connectors/home/object_diary.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "connectors/home/home_plan.h"

namespace verge::connectors {
namespace {

constexpr std::int64_t kBetterEvery_us = 1'000'000;
constexpr double kMovedPart = 0.25;  // Of its own height, as for still_s in rules.

double seconds(std::int64_t us) { return static_cast<double>(us) / 1e6; }

int pixel(double part, int size) { return static_cast<int>(std::lround(std::clamp(part, 0.0, 1.0) * size)); }

}  // namespace

std::vector<ObjectDiary::Entry> ObjectDiary::see(const pipeline::Scene& scene, std::int64_t captured_us,
                                                 std::int64_t monotonic_us) {
  std::vector<Entry> entries;
  untracked_.clear();
  const int width = scene.frame ? scene.frame->width : 0, height = scene.frame ? scene.frame->height : 0;
  for (const pipeline::Object& object : scene.objects) {
    const auto known = lives_.find(object.track);
    if (object.track.empty() || (known == lives_.end() && lives_.size() >= options_.objects_max)) {
      ++untracked_[topic_name(object.label)];
      continue;
    }
    const Sight sight{captured_us,
                      object.score,
                      {pixel(object.box.left, width), pixel(object.box.top, height), pixel(object.box.right, width),
                       pixel(object.box.bottom, height)},
                      width,
                      height};
    if (known != lives_.end()) {
      if (auto entry = see_again(known->second, object, scene, sight, monotonic_us))
        entries.push_back(*std::move(entry));
      continue;
    }
    Life& life = lives_[object.track];
    life.id = fmt::format("{:.6f}-{}.{}", seconds(captured_us), camera_, topic_name(object.track));
    life.first = life.best = sight;
    (void)see_again(life, object, scene, sight, monotonic_us);
    entries.push_back(tell("new", life, std::nullopt));
  }
  for (auto at = lives_.begin(); at != lives_.end();) {
    const bool is_gone = seconds(monotonic_us - at->second.seen_us) > options_.gone_s;
    if (is_gone) entries.push_back(tell("end", at->second, at->second.last.captured_us));
    at = is_gone ? lives_.erase(at) : std::next(at);
  }
  return entries;
}

std::optional<ObjectDiary::Entry> ObjectDiary::see_again(Life& life, const pipeline::Object& object,
                                                         const pipeline::Scene& scene, const Sight& sight,
                                                         std::int64_t monotonic_us) const {
  const bool was_stationary = life.is_stationary;
  life.label = topic_name(object.label);
  life.last = sight;
  life.seen_us = monotonic_us;
  if (sight.score > life.best.score) life.best = sight;
  life.attributes = Json::object();
  for (const pipeline::Attribute& attribute : object.attributes) {
    life.attributes[attribute.name] = std::round(static_cast<double>(attribute.score) * 1000) / 1000;
  }
  note_place(life, monotonic_us);
  const bool has_new_zones = note_zones(life, object, scene);
  if (life.told.is_null()) {
    life.told_us = monotonic_us;
    return std::nullopt;  // "new" is told by the caller.
  }
  const double told_score = life.told["top_score"].get<double>();
  const bool is_better = static_cast<double>(life.best.score) >= told_score + options_.better_by &&
                         monotonic_us - life.told_us >= kBetterEvery_us;
  if (!has_new_zones && !is_better && was_stationary == life.is_stationary) return std::nullopt;
  life.told_us = monotonic_us;
  return tell("update", life, std::nullopt);
}

void ObjectDiary::note_place(Life& life, std::int64_t monotonic_us) const {
  const auto& box = life.last.box;
  const double x = (box[0] + box[2]) / 2.0, y = box[3];
  const bool has_moved = std::hypot(x - life.x, y - life.y) > kMovedPart * std::max(1, box[3] - box[1]);
  if (life.still_since_us == 0 || has_moved) {
    if (life.is_stationary) ++life.moves;
    life.x = x;
    life.y = y;
    life.still_since_us = monotonic_us;
    life.motionless = 0;
    life.is_stationary = false;
    return;
  }
  ++life.motionless;
  life.is_stationary = seconds(monotonic_us - life.still_since_us) >= options_.still_s;
}

/// Whether it is in other zones than before.
bool ObjectDiary::note_zones(Life& life, const pipeline::Object& object, const pipeline::Scene& scene) {
  std::vector<std::string> zones;
  for (const std::string& zone : object.zones) zones.push_back(topic_name(zone));
  for (const std::string& before : life.zones) {
    const auto is_this = [&](const pipeline::Shape& shape) { return topic_name(shape.name) == before; };
    if (std::ranges::none_of(scene.shapes, is_this)) zones.push_back(before);
  }
  std::ranges::sort(zones);
  zones.erase(std::unique(zones.begin(), zones.end()), zones.end());
  for (const std::string& zone : zones) {
    if (std::ranges::find(life.entered_zones, zone) == life.entered_zones.end()) life.entered_zones.push_back(zone);
  }
  const bool is_changed = zones != life.zones;
  life.zones = std::move(zones);
  return is_changed;
}

std::optional<ObjectDiary::Entry> ObjectDiary::note_evidence(const std::string& track, bool has_snapshot,
                                                             bool has_clip) {
  const auto at = lives_.find(track);
  if (at == lives_.end()) return std::nullopt;
  Life& life = at->second;
  const bool is_news = (has_snapshot && !life.has_snapshot) || (has_clip && !life.has_clip);
  life.has_snapshot = life.has_snapshot || has_snapshot;
  life.has_clip = life.has_clip || has_clip;
  if (!is_news) return std::nullopt;
  return tell("update", life, std::nullopt);
}

std::vector<ObjectDiary::Entry> ObjectDiary::end_all() {
  std::vector<Entry> entries;
  for (auto& [track, life] : lives_) entries.push_back(tell("end", life, life.last.captured_us));
  lives_.clear();
  untracked_.clear();
  return entries;
}

ObjectDiary::Entry ObjectDiary::tell(const char* type, Life& life, std::optional<std::int64_t> end_us) const {
  Json now = describe(life, end_us);
  Entry entry{type, life.told.is_null() ? now : std::move(life.told), now};
  life.told = std::move(now);
  return entry;
}

Json ObjectDiary::describe(const Life& life, std::optional<std::int64_t> end_us) const {
  const auto area = [](const Sight& sight) { return (sight.box[2] - sight.box[0]) * (sight.box[3] - sight.box[1]); };
  const auto score = [](const Sight& sight) { return std::round(static_cast<double>(sight.score) * 1e4) / 1e4; };
  const auto region = [](const Sight& sight) { return Json{0, 0, sight.width, sight.height}; };
  const Sight& last = life.last;
  const int height = std::max(1, last.box[3] - last.box[1]);
  return {{"id", life.id},
          {"camera", camera_},
          {"frame_time", seconds(last.captured_us)},
          {"snapshot",
           {{"frame_time", seconds(life.best.captured_us)},
            {"box", life.best.box},
            {"area", area(life.best)},
            {"region", region(life.best)},
            {"score", score(life.best)},
            {"attributes", Json::array()}}},
          {"label", life.label},
          {"sub_label", nullptr},
          {"top_score", score(life.best)},
          {"false_positive", false},
          {"start_time", seconds(life.first.captured_us)},
          {"end_time", end_us ? Json(seconds(*end_us)) : Json()},
          {"score", score(last)},
          {"box", last.box},
          {"area", area(last)},
          {"ratio", std::round(100.0 * (last.box[2] - last.box[0]) / height) / 100},
          {"region", region(last)},
          {"active", !life.is_stationary},
          {"stationary", life.is_stationary},
          {"motionless_count", life.motionless},
          {"position_changes", life.moves},
          {"current_zones", life.zones},
          {"entered_zones", life.entered_zones},
          {"has_snapshot", life.has_snapshot},
          {"has_clip", life.has_clip},
          {"attributes", life.attributes},
          {"current_attributes", Json::array()}};
}

ObjectDiary::Counts ObjectDiary::counts() const {
  Counts counts = untracked_;
  for (const auto& [track, life] : lives_) ++counts[life.label];
  return counts;
}

ObjectDiary::Counts ObjectDiary::counts_in(const std::string& zone) const {
  Counts counts;
  for (const auto& [track, life] : lives_) {
    if (std::ranges::find(life.zones, zone) != life.zones.end()) ++counts[life.label];
  }
  return counts;
}

}  // namespace verge::connectors
