#include "vision/logic/rule_facts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <numbers>
#include <string_view>

#include "pipeline/nearest_word.h"
#include "vision/logic/schedule.h"

namespace verge::vision {
namespace {

using expression::Undefined;
using expression::Value;
using pipeline::Object;

constexpr std::int64_t kSpeedWindowUs = 1'000'000;
constexpr double kHeadingSpeedMin = 0.02;  // Heights of the picture per second; below it the direction is noise.
constexpr double kStillShare = 0.25;       // Of the object's own height.
constexpr std::size_t kPlacesMax = 64;

/// NAME stands for something of the user's own. Without it the name is whole.
constexpr std::array<std::string_view, 15> kOfObjects{"label",   "score",     "track",      "x",        "y",
                                                      "width",   "height",    "age_s",      "still_s",  "speed",
                                                      "heading", "zone.NAME", "dwell.NAME", "has.NAME", "near.LABEL"};
constexpr std::array<std::string_view, 9> kOfScenes{
    "objects",          "count.LABEL", "inside.NAME", "inside.NAME.LABEL", "picture.NAME",
    "looks.NAME.LABEL", "hour",        "weekday",     "since.RULE"};

double seconds(std::int64_t microseconds) { return static_cast<double>(microseconds) / 1e6; }

bool stands_in(const Object& object, const std::string& zone) {
  return std::ranges::find(object.zones, zone) != object.zones.end();
}

Value score_of(const std::vector<pipeline::Attribute>& attributes, const std::string& name) {
  if (attributes.empty()) return Undefined{};
  const auto found = std::ranges::find(attributes, name, &pipeline::Attribute::name);
  return Json(found == attributes.end() ? 0.0F : found->score);
}

/// Of two intervals; 0 where they overlap.
double gap(double a_from, double a_to, double b_from, double b_to) {
  return std::max({0.0, b_from - a_to, a_from - b_to});
}

/// "zone" of "zone.press"; the whole of a name without a dot.
std::string_view kind_of(std::string_view name) { return name.substr(0, name.find('.')); }

/// "inside.NAME.LABEL" is of three parts.
std::size_t part_count(std::string_view name) { return 1 + static_cast<std::size_t>(std::ranges::count(name, '.')); }

/// For a name that no fact has: perhaps a dot in somebody's name was taken for the one between two.
std::string hint_for(const std::vector<std::string>& path, const std::vector<std::string>& allowed) {
  const bool is_known = std::ranges::find(allowed, path[0], kind_of) != allowed.end();
  if (!is_known || path.size() < 3) return pipeline::suggestion(fmt::format("{}", fmt::join(path, ".")), allowed);
  return fmt::format("; a name with a dot is quoted: {}.[[{}]]", path[0], fmt::join(path.begin() + 1, path.end(), "."));
}

}  // namespace

void RuleFacts::update(const pipeline::Scene& scene, Moment moment) {
  scene_ = &scene;
  moment_ = moment;
  aspect_ = scene.frame != nullptr && scene.frame->height > 0
                ? static_cast<double>(scene.frame->width) / scene.frame->height
                : 1.0;
  for (const Object& object : scene.objects) {
    if (!object.track.empty()) remember(object);
  }
  std::erase_if(memories_, [&](const auto& memory) { return moment.monotonic_us - memory.second.seen_us > kForgetUs; });
  for (const pipeline::Fired& fired : scene.fired) note(fired.rule, fired.track, moment.monotonic_us);
  // What was about an object goes with it.
  std::erase_if(fired_about_us_, [&](const auto& entry) {
    const std::string& track = entry.first.second;
    return !track.empty() && memories_.count(track) == 0;
  });
}

void RuleFacts::remember(const Object& object) {
  const auto [at, is_new] = memories_.try_emplace(object.track);
  Memory& memory = at->second;
  const auto [x, y] = foot_point(object.box);
  const Place place{moment_.monotonic_us, x * aspect_, y};
  if (is_new) memory.first_us = memory.still_since_us = moment_.monotonic_us, memory.anchor = place;
  memory.seen_us = moment_.monotonic_us;

  const double moved = std::hypot(place.x - memory.anchor.x, place.y - memory.anchor.y);
  if (moved > kStillShare * (object.box.bottom - object.box.top)) {
    memory.anchor = place;
    memory.still_since_us = moment_.monotonic_us;
  }
  memory.lately.push_back(place);
  while (memory.lately.size() > kPlacesMax ||
         place.monotonic_us - memory.lately.front().monotonic_us > kSpeedWindowUs) {
    memory.lately.pop_front();
  }
  std::erase_if(memory.in_zone_since_us, [&](const auto& zone) { return !stands_in(object, zone.first); });
  for (const std::string& zone : object.zones) memory.in_zone_since_us.try_emplace(zone, moment_.monotonic_us);
}

void RuleFacts::note(const std::string& rule, const std::string& track, std::int64_t monotonic_us) {
  fired_us_[rule] = monotonic_us;
  fired_about_us_[{rule, track}] = monotonic_us;
}

Value RuleFacts::answer(const Object* object, const std::vector<std::string>& path) const {
  if (scene_ == nullptr || path.empty()) return Undefined{};
  if (object != nullptr) {
    Value value = answer_object(*object, path);
    if (!std::holds_alternative<Undefined>(value)) return value;
  }
  return answer_scene(object, path);
}

Value RuleFacts::answer_object(const Object& object, const std::vector<std::string>& path) const {
  const std::string& what = path[0];
  const auto [x, y] = foot_point(object.box);
  const auto known = memories_.find(object.track);
  const Memory* memory = known == memories_.end() ? nullptr : &known->second;
  if (path.size() == 2) {
    const std::string& name = path[1];
    if (what == "zone") return Json(stands_in(object, name));
    if (what == "near") return gap_to(object, name);
    if (what == "has") return score_of(object.attributes, name);
    if (memory == nullptr || what != "dwell") return Undefined{};
    const auto since = memory->in_zone_since_us.find(name);
    return Json(since == memory->in_zone_since_us.end() ? 0.0 : seconds(moment_.monotonic_us - since->second));
  }
  if (path.size() != 1) return Undefined{};
  if (what == "label") return Json(object.label);
  if (what == "score") return Json(object.score);
  if (what == "track") return Json(object.track);
  if (what == "x") return Json(x);
  if (what == "y") return Json(y);
  if (what == "width") return Json(object.box.right - object.box.left);
  if (what == "height") return Json(object.box.bottom - object.box.top);
  if (memory == nullptr) return Undefined{};
  if (what == "age_s") return Json(seconds(moment_.monotonic_us - memory->first_us));
  if (what == "still_s") return Json(seconds(moment_.monotonic_us - memory->still_since_us));
  if (what != "speed" && what != "heading") return Undefined{};
  const auto [across, down] = velocity(*memory);
  const double speed = std::hypot(across, down);
  if (what == "speed") return Json(speed);
  if (speed < kHeadingSpeedMin) return Undefined{};
  const double degrees = std::atan2(across, -down) * 180 / std::numbers::pi;
  return Json(degrees < 0 ? degrees + 360 : degrees);
}

std::pair<double, double> RuleFacts::velocity(const Memory& memory) {
  const Place& from = memory.lately.front();
  const Place& to = memory.lately.back();
  const double time_s = seconds(to.monotonic_us - from.monotonic_us);
  if (time_s <= 0) return {0, 0};
  return {(to.x - from.x) / time_s, (to.y - from.y) / time_s};
}

Value RuleFacts::gap_to(const Object& object, const std::string& label) const {
  double nearest = -1;
  for (const Object& other : scene_->objects) {
    if (&other == &object || other.label != label) continue;
    const double across = gap(object.box.left, object.box.right, other.box.left, other.box.right) * aspect_;
    const double down = gap(object.box.top, object.box.bottom, other.box.top, other.box.bottom);
    const double distance = std::hypot(across, down);
    if (nearest < 0 || distance < nearest) nearest = distance;
  }
  return nearest < 0 ? Value(Undefined{}) : Value(Json(nearest));
}

Value RuleFacts::answer_scene(const Object* object, const std::vector<std::string>& path) const {
  const std::string& what = path[0];
  if (path.size() == 1) {
    if (what == "objects") return Json(scene_->objects.size());
    return time_fact(what, moment_.captured_us);
  }
  if (what == "count" && path.size() == 2) {
    return Json(std::ranges::count(scene_->objects, path[1], &Object::label));
  }
  if (what == "inside" && path.size() <= 3) {
    return Json(std::ranges::count_if(scene_->objects, [&](const Object& each) {
      return stands_in(each, path[1]) && (path.size() == 2 || each.label == path[2]);
    }));
  }
  if (what == "picture" && path.size() == 2) return score_of(scene_->attributes, path[1]);
  if (what == "looks" && path.size() == 3) {
    const auto zone = std::ranges::find(scene_->shapes, path[1], &pipeline::Shape::name);
    return zone == scene_->shapes.end() ? Value(Undefined{}) : score_of(zone->attributes, path[2]);
  }
  if (what != "since" || path.size() != 2) return Undefined{};
  const auto at_us = last_fired(path[1], object);
  return at_us ? Value(Json(seconds(moment_.monotonic_us - *at_us))) : Value(Undefined{});
}

std::optional<std::int64_t> RuleFacts::last_fired(const std::string& rule, const Object* object) const {
  if (object == nullptr) {
    const auto fired = fired_us_.find(rule);
    return fired == fired_us_.end() ? std::nullopt : std::optional(fired->second);
  }
  std::optional<std::int64_t> latest;
  for (const std::string& about : {object->track, std::string()}) {
    const auto fired = fired_about_us_.find({rule, about});
    if (fired != fired_about_us_.end()) latest = std::max(latest.value_or(fired->second), fired->second);
  }
  return latest;
}

Value time_fact(const std::string& name, std::int64_t captured_us) {
  const std::tm local = local_time(captured_us);
  if (name == "hour") return Json(local.tm_hour + local.tm_min / 60.0 + local.tm_sec / 3600.0);
  if (name != "weekday") return Undefined{};
  return Json(kWeekdays[static_cast<std::size_t>(local.tm_wday)]);
}

Status check_names(const expression::Condition& condition, bool is_about_objects) {
  std::vector<std::string> allowed(kOfScenes.begin(), kOfScenes.end());
  if (is_about_objects) allowed.insert(allowed.begin(), kOfObjects.begin(), kOfObjects.end());
  for (const std::vector<std::string>& path : condition.paths()) {
    const bool is_known = std::ranges::any_of(
        allowed, [&](const std::string& each) { return kind_of(each) == path[0] && part_count(each) == path.size(); });
    if (is_known) continue;
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("the condition \"{}\" asks for \"{}\", which {}{}", condition.text(), fmt::join(path, "."),
                    is_about_objects ? "no object and no scene has" : "no scene has", hint_for(path, allowed))};
  }
  return Done{};
}

pipeline::Provided asked_in(const expression::Condition& condition) {
  pipeline::Provided asked;
  for (const std::vector<std::string>& path : condition.paths()) {
    if (path.size() < 2) continue;
    const std::string &kind = path[0], &name = path[1];
    const bool asks_who = kind == "zone" || kind == "dwell" || kind == "inside";
    if (asks_who || kind == "looks") asked.emplace("zone", name);
    if (asks_who) asked.emplace("peopled", name);
    if (kind == "since") asked.emplace("rule", name);
  }
  return asked;
}

}  // namespace verge::vision
