#include "vision/logic/line.h"

#include <cmath>
#include <fmt/format.h>

#include "base/json.h"
#include "vision/logic/evidence_wish.h"

namespace verge::vision {
namespace {

using pipeline::Packet;
using pipeline::Scene;

double side_of(Point a, Point b, Point p) {
  return (b.first - a.first) * (p.second - a.second) - (b.second - a.second) * (p.first - a.first);
}

class LineStage final : public pipeline::Stage {
 public:
  LineStage(LineOptions options, EvidenceWish wish, pipeline::Context context)
      : options_(options), counter_(std::move(options)), wish_(std::move(wish)), context_(std::move(context)) {}

  Status process(const Packet& packet, const pipeline::Emit& emit) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) {
      emit(packet);
      return Done{};
    }
    if (take_ != scene->frame->take) counter_.reset();
    take_ = scene->frame->take;
    const double aspect = static_cast<double>(scene->frame->width) / std::max(1, scene->frame->height);
    for (const auto& crossing : counter_.update(scene->objects, {packet.captured_us, packet.monotonic_us}, aspect)) {
      emit(event_packet(packet, wish_.with_evidence(event_of(crossing, packet, *scene), packet, *scene)));
    }
    auto marked = std::make_shared<Scene>(*scene);
    marked->shapes.push_back(
        {options_.name, false, {options_.from, options_.to}, {{"in", counter_.in()}, {"out", counter_.out()}}});
    Packet out = packet;
    out.payload = std::shared_ptr<const Scene>(std::move(marked));
    emit(std::move(out));
    return Done{};
  }

 private:
  contract::Event event_of(const LineCounter::Crossing& crossing, const Packet& packet, const Scene& scene) const {
    auto event = scene_event("line.crossed", options_.name, scene.objects[crossing.object], packet, scene,
                             crossing.moment, context_);
    const char* direction = crossing.is_in ? "in" : "out";
    event.extension_json = to_text(
        Json{{"direction", direction}, {"in", counter_.in()}, {"out", counter_.out()}, {"take", scene.frame->take}});
    event.explanation = fmt::format("A {} crossed {} ({}).", event.label, options_.name, direction);
    return event;
  }

  LineOptions options_;
  LineCounter counter_;
  EvidenceWish wish_;
  pipeline::Context context_;
  std::optional<std::uint32_t> take_;
};

}  // namespace

double LineCounter::distance(Point point, double aspect) const {
  const auto stretch = [&](Point p) { return Point{p.first * aspect, p.second}; };
  const Point a = stretch(options_.from);
  const Point b = stretch(options_.to);
  return side_of(a, b, stretch(point)) / std::max(1e-9, std::hypot(b.first - a.first, b.second - a.second));
}

bool LineCounter::goes_through(Point from, Point to) const {
  // The line's ends must lie on different sides of the way; a way along the line does not cross it.
  return side_of(from, to, options_.from) * side_of(from, to, options_.to) < 0;
}

std::vector<LineCounter::Crossing> LineCounter::update(const std::vector<pipeline::Object>& objects, Moment moment,
                                                       double aspect) {
  std::vector<Crossing> crossings;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (objects[i].track.empty()) continue;
    const Point foot = foot_point(objects[i].box);
    const double away = distance(foot, aspect);
    Walker& walker = walkers_[objects[i].track];
    walker.seen_us = moment.monotonic_us;
    if (std::abs(away) < options_.margin) continue;
    const int side = away > 0 ? 1 : -1;
    if (walker.side == 0 || side == walker.side) {
      walker.side = side;
      walker.last = foot;
      walker.change.reset();
      continue;
    }
    if (!walker.change) {
      walker.change = moment;
      walker.went_through = goes_through(walker.last, foot);
    }
    if (static_cast<double>(moment.monotonic_us - walker.change->monotonic_us) / 1e6 < options_.settle_s) continue;
    if (walker.went_through) {
      ++(side > 0 ? in_ : out_);
      crossings.push_back({i, side > 0, *walker.change});
    }
    walker.side = side;
    walker.last = foot;
    walker.change.reset();
  }
  std::erase_if(walkers_, [&](const auto& walker) {
    return static_cast<double>(moment.monotonic_us - walker.second.seen_us) / 1e6 > options_.forget_s;
  });
  return crossings;
}

pipeline::Kind<pipeline::Stage> line_kind() {
  const LineOptions fallback;
  return {
      .name = "line",
      .where = "vision/logic/line.h",
      .summary = "Counts who walks over a line in the picture, in either direction.",
      .options = EvidenceWish::added_to(
          {{"name", "text", "Of the line, as events and the picture show it.", fallback.name},
           {"points", "points", "Two ends [x, y], 0..1, x right, y down; their order decides what \"in\" is.", nullptr,
            true},
           {"margin", "number", "Nearer to the line an object is on no side; part of the picture's height.",
            fallback.margin},
           {"settle_s", "number", "A shorter visit to the other side is a wobble, seconds.", fallback.settle_s},
           {"forget_s", "number", "An object unseen for longer is gone, seconds.", fallback.forget_s}}),
      .make = [](const Json& options, const pipeline::Context& context) -> Result<std::unique_ptr<pipeline::Stage>> {
        const Json& points = options["points"];
        if (points.size() != 2) return Error{ErrorCode::invalid_argument, "a line has two points"};
        LineOptions settings;
        settings.name = options["name"].get<std::string>();
        settings.from = {points[0][0].get<double>(), points[0][1].get<double>()};
        settings.to = {points[1][0].get<double>(), points[1][1].get<double>()};
        settings.margin = options["margin"].get<double>();
        settings.settle_s = options["settle_s"].get<double>();
        settings.forget_s = options["forget_s"].get<double>();
        VERGE_TRY(EvidenceWish wish, EvidenceWish::read(options, context));
        return std::unique_ptr<pipeline::Stage>(
            std::make_unique<LineStage>(std::move(settings), std::move(wish), context));
      },
      .provide = [](const Json& options,
                    pipeline::Provided& provided) { provided.emplace("line", options["name"].get<std::string>()); },
      .check = [](const Json& options, const pipeline::Provided& before) -> Status {
        if (before.contains({"tracks", ""})) return Done{};
        return Error{ErrorCode::invalid_argument,
                     fmt::format("line \"{}\" tells who crosses it and needs stage track before it",
                                 options["name"].get<std::string>())};
      }};
}

}  // namespace verge::vision
