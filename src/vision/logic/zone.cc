#include "vision/logic/zone.h"

#include <fmt/format.h>

#include "base/json.h"
#include "vision/logic/evidence_wish.h"

namespace verge::vision {
namespace {

using pipeline::Packet;
using pipeline::Scene;

class ZoneStage final : public pipeline::Stage {
 public:
  ZoneStage(ZoneOptions options, EvidenceWish wish, pipeline::Context context)
      : options_(options), counter_(std::move(options)), wish_(std::move(wish)), context_(std::move(context)) {}

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) {
      emit(packet);
      return Done{};
    }
    if (take_ != scene->frame->take) counter_.reset();
    take_ = scene->frame->take;
    const auto changes = counter_.update(scene->objects, {packet.captured_us, packet.monotonic_us});
    for (const ZoneCounter::Change& change : changes) {
      emit(event_packet(packet, wish_.with_evidence(event_of(change, packet, *scene), packet, *scene)));
    }
    Packet out = packet;
    out.payload = std::shared_ptr<const Scene>(marked(*scene));
    emit(std::move(out));
    return Done{};
  }

 private:
  contract::Event event_of(const ZoneCounter::Change& change, const Packet& packet, const Scene& scene) const {
    auto event = scene_event(change.is_entry ? "zone.entered" : "zone.left", options_.name,
                             scene.objects[change.object], packet, scene, change.moment, context_);
    event.extension_json = to_text(Json{{"inside", counter_.inside()},
                                        {"entered", counter_.entered()},
                                        {"left", counter_.left()},
                                        {"take", scene.frame->take}});
    event.explanation = fmt::format("A {} {} {}.", event.label, change.is_entry ? "entered" : "left", options_.name);
    return event;
  }

  std::shared_ptr<const Scene> marked(const Scene& scene) const {
    auto copy = std::make_shared<Scene>(scene);
    std::int64_t inside = counter_.inside();
    for (pipeline::Object& object : copy->objects) {
      // Whom nobody follows stands where he is seen now.
      const bool is_nobodys = object.track.empty();
      if (is_nobodys ? !is_inside(options_.polygon, foot_point(object.box)) : !counter_.holds(object.track)) continue;
      object.zones.push_back(options_.name);
      inside += is_nobodys ? 1 : 0;
    }
    copy->shapes.push_back({options_.name,
                            true,
                            options_.polygon,
                            {{"inside", inside}, {"entered", counter_.entered()}, {"left", counter_.left()}}});
    return copy;
  }

  ZoneOptions options_;
  ZoneCounter counter_;
  EvidenceWish wish_;
  pipeline::Context context_;
  std::optional<std::uint32_t> take_;
};

void provide_zone(const Json& options, pipeline::Provided& provided) {
  const auto name = options["name"].get<std::string>();
  const bool has_tracks = provided.contains({"tracks", ""});
  provided.emplace("zone", name);
  if (has_tracks || provided.contains({"untracked", ""})) provided.emplace("peopled", name);
  if (!has_tracks) provided.emplace("early", name);
}

/// Without tracks it still says who stands in it, but has no events that evidence could be of.
Status check_zone(const Json& options, const pipeline::Provided& before) {
  if (before.contains({"tracks", ""}) || options.value("evidence", "none") == "none") return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("zone \"{}\" is to keep evidence of who comes and goes, and needs stage track before it",
                           options["name"].get<std::string>())};
}

}  // namespace

bool is_inside(const std::vector<Point>& polygon, Point point) {
  if (polygon.size() < 3) return false;
  bool inside = false;
  Point before = polygon.back();
  for (const Point& corner : polygon) {
    const bool spans = (corner.second > point.second) != (before.second > point.second);
    if (spans) {
      const double part = (point.second - corner.second) / (before.second - corner.second);
      if (point.first < corner.first + part * (before.first - corner.first)) inside = !inside;
    }
    before = corner;
  }
  return inside;
}

Result<std::vector<std::vector<Point>>> polygons_of(const Json& options, std::string_view member) {
  std::vector<std::vector<Point>> polygons;
  for (const Json& corners : options[member]) {
    std::vector<Point> polygon;
    for (const Json& corner : corners) {
      const bool is_point = corner.is_array() && corner.size() == 2 && corner[0].is_number() && corner[1].is_number();
      if (!is_point) {
        return Error{ErrorCode::invalid_argument,
                     fmt::format("{} wants polygons: [[[x, y], [x, y], [x, y]], …]", member)};
      }
      polygon.emplace_back(corner[0].get<double>(), corner[1].get<double>());
    }
    if (polygon.size() < 3) {
      return Error{ErrorCode::invalid_argument, fmt::format("a polygon of {} needs three corners or more", member)};
    }
    polygons.push_back(std::move(polygon));
  }
  return polygons;
}

std::vector<ZoneCounter::Change> ZoneCounter::update(const std::vector<pipeline::Object>& objects, Moment moment) {
  std::vector<Change> changes;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (objects[i].track.empty()) continue;
    const bool now_inside = is_inside(options_.polygon, foot_point(objects[i].box));
    const auto [at, is_new] = visitors_.try_emplace(objects[i].track);
    Visitor& visitor = at->second;
    visitor.seen_us = moment.monotonic_us;
    if (is_new) visitor.is_inside = now_inside;
    if (visitor.is_inside == now_inside) {
      visitor.change.reset();
      continue;
    }
    if (!visitor.change) visitor.change = moment;
    const double lasted_s = static_cast<double>(moment.monotonic_us - visitor.change->monotonic_us) / 1e6;
    if (lasted_s < options_.settle_s) continue;
    visitor.is_inside = now_inside;
    ++(now_inside ? entered_ : left_);
    changes.push_back({i, now_inside, *visitor.change});
    visitor.change.reset();
  }
  std::erase_if(visitors_, [&](const auto& visitor) {
    return static_cast<double>(moment.monotonic_us - visitor.second.seen_us) / 1e6 > options_.forget_s;
  });
  return changes;
}

bool ZoneCounter::holds(const std::string& track) const {
  const auto at = visitors_.find(track);
  return at != visitors_.end() && at->second.is_inside;
}

std::int64_t ZoneCounter::inside() const {
  std::int64_t count = 0;
  for (const auto& [track, visitor] : visitors_) count += visitor.is_inside ? 1 : 0;
  return count;
}

pipeline::Kind<pipeline::Stage> zone_kind() {
  const ZoneOptions fallback;
  return {
      .name = "zone",
      .where = "vision/logic/zone.h",
      .summary = "Counts who is in an area of the picture and tells who comes and goes.",
      .options = EvidenceWish::added_to(
          {{"name", "text", "Of the zone, as events and the picture show it.", fallback.name},
           {"polygon", "points", "Three or more corners [x, y], 0..1, x right, y down.", nullptr, true},
           {"settle_s", "number", "A change that lasts less is a wobble, seconds.", fallback.settle_s},
           {"forget_s", "number", "An object unseen for longer is gone, seconds.", fallback.forget_s}}),
      .make = [](const Json& options, const pipeline::Context& context) -> Result<std::unique_ptr<pipeline::Stage>> {
        ZoneOptions settings;
        settings.name = options["name"].get<std::string>();
        for (const Json& point : options["polygon"]) {
          settings.polygon.emplace_back(point[0].get<double>(), point[1].get<double>());
        }
        settings.settle_s = options["settle_s"].get<double>();
        settings.forget_s = options["forget_s"].get<double>();
        if (settings.polygon.size() < 3) {
          return Error{ErrorCode::invalid_argument, "a polygon needs three corners or more"};
        }
        VERGE_TRY(EvidenceWish wish, EvidenceWish::read(options, context));
        return std::unique_ptr<pipeline::Stage>(
            std::make_unique<ZoneStage>(std::move(settings), std::move(wish), context));
      },
      .provide = provide_zone,
      .check = check_zone};
}

}  // namespace verge::vision
