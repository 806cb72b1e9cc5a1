#include "connectors/home/home_entities.h"

#include <algorithm>
#include <fmt/format.h>

namespace verge::connectors {
namespace {

constexpr const char* kOnWhenAny = "{{ 'ON' if value | int(0) > 0 else 'OFF' }}";

/// Parts of an identifier; no part holds "__".
template <class... Parts>
std::string joined(const Parts&... parts) {
  std::string whole;
  ((whole += (whole.empty() ? "" : "__") + std::string(parts)), ...);
  return whole;
}

}  // namespace

std::string HomeTopics::below(const HomeStream& stream, std::string_view rest) const {
  return fmt::format("{}/{}/{}", prefix_, stream.topic, rest);
}
std::string HomeTopics::count(const HomeStream& stream, std::string_view zone, std::string_view label) const {
  return below(stream, fmt::format("{}/{}", zone, label));
}
std::string HomeTopics::snapshot(const HomeStream& stream, std::string_view label) const {
  return below(stream, fmt::format("{}/snapshot", label));
}
std::string HomeTopics::totals(const HomeStream& stream, std::string_view part) const {
  return below(stream, fmt::format("_totals/{}", part));
}
std::string HomeTopics::active(const HomeStream& stream, std::string_view rule) const {
  return below(stream, fmt::format("_active/{}", rule));
}
std::string HomeTopics::happened(const HomeStream& stream, std::string_view part) const {
  return below(stream, fmt::format("_happened/{}", part));
}
std::string HomeTopics::told(const HomeStream& stream, std::string_view type) const {
  return below(stream, fmt::format("_told/{}", type));
}

HomeEntity HomeEntities::entity(const HomeStream& stream, std::string_view component, const std::string& object,
                                const std::string& name) const {
  const std::string id = joined(stream.topic, object);
  return {fmt::format("{}/{}/{}/{}/config", names_.discovery, component, names_.node, id),
          {{"name", name},
           {"unique_id", joined("verge", names_.node, id)},
           {"availability_topic", topics_.available()},
           {"device",
            {{"identifiers", {joined("verge", names_.node, stream.topic)}},
             {"name", stream.name},
             {"manufacturer", "Verge"},
             {"model", stream.kind}}},
           {"origin", {{"name", "Verge"}}}}};
}

void HomeEntities::add_counts(std::vector<HomeEntity>& entities, const HomeStream& stream, const HomePart* zone,
                              const std::string& label) const {
  const std::string topic = zone == nullptr ? topics_.count(stream, label) : topics_.count(stream, zone->topic, label);
  const std::string object = zone == nullptr ? label : joined(zone->topic, label);
  const std::string what = label == HomeTopics::kAll ? "objects" : label;
  const std::string name = zone == nullptr ? what : fmt::format("{}: {}", zone->name, what);
  HomeEntity count = entity(stream, "sensor", joined(object, "count"), name);
  count.config["state_topic"] = topic;
  count.config["state_class"] = "measurement";
  entities.push_back(std::move(count));
  HomeEntity occupancy = entity(stream, "binary_sensor", joined(object, "occupancy"), name + " present");
  occupancy.config["state_topic"] = topic;
  occupancy.config["device_class"] = "occupancy";
  occupancy.config["value_template"] = kOnWhenAny;
  entities.push_back(std::move(occupancy));
}

void HomeEntities::add_totals(std::vector<HomeEntity>& entities, const HomeStream& stream, const HomePart& part,
                              std::initializer_list<const char*> counters) const {
  for (const char* counter : counters) {
    HomeEntity total = entity(stream, "sensor", joined(part.topic, counter), fmt::format("{} {}", part.name, counter));
    total.config["state_topic"] = topics_.totals(stream, part.topic);
    total.config["value_template"] = fmt::format("{{{{ value_json['{}'] }}}}", counter);
    total.config["state_class"] = "total_increasing";
    entities.push_back(std::move(total));
  }
}

HomeEntity HomeEntities::happening(const HomeStream& stream, const HomePart& part, std::string state_topic,
                                   Json types) const {
  HomeEntity event = entity(stream, "event", joined(part.topic, "event"), part.name);
  event.config["state_topic"] = std::move(state_topic);
  event.config["event_types"] = std::move(types);
  return event;
}

std::vector<HomeEntity> HomeEntities::of_stream(const HomeStream& stream) const {
  std::vector<HomeEntity> entities;
  if (stream.shows_objects) {
    for (HomeEntity& one : of_label(stream, HomeTopics::kAll)) entities.push_back(std::move(one));
    for (const std::string& label : stream.labels) {
      for (HomeEntity& one : of_label(stream, label)) entities.push_back(std::move(one));
    }
  }
  for (const HomePart& zone : stream.zones) {
    add_totals(entities, stream, zone, {"entered", "left"});
    entities.push_back(happening(stream, zone, topics_.happened(stream, zone.topic), {"entered", "left"}));
  }
  for (const HomePart& line : stream.lines) {
    add_totals(entities, stream, line, {"in", "out"});
    entities.push_back(happening(stream, line, topics_.happened(stream, line.topic), {"in", "out"}));
  }
  for (const HomeRule& rule : stream.rules) {
    if (!rule.tells_end) {
      entities.push_back(happening(stream, rule, topics_.happened(stream, rule.topic), Json::array({"fired"})));
      continue;
    }
    HomeEntity active = entity(stream, "binary_sensor", joined(rule.topic, "active"), rule.name);
    active.config["state_topic"] = topics_.active(stream, rule.topic);
    entities.push_back(std::move(active));
  }
  if (stream.has_scores) {
    HomeEntity score = entity(stream, "sensor", "score", "score");
    score.config["state_topic"] = topics_.score(stream);
    score.config["state_class"] = "measurement";
    entities.push_back(std::move(score));
    HomeEntity unusual = entity(stream, "binary_sensor", "unusual", "unusual");
    unusual.config["state_topic"] = topics_.unusual(stream);
    unusual.config["device_class"] = "problem";
    entities.push_back(std::move(unusual));
  }
  return entities;
}

std::vector<HomeEntity> HomeEntities::of_label(const HomeStream& stream, const std::string& label) const {
  std::vector<HomeEntity> entities;
  add_counts(entities, stream, nullptr, label);
  for (const HomePart& zone : stream.zones) add_counts(entities, stream, &zone, label);
  return entities;
}

HomeEntity HomeEntities::of_snapshot(const HomeStream& stream, const std::string& label) const {
  HomeEntity image = entity(stream, "image", joined(label, "snapshot"), label == HomeTopics::kAll ? "snapshot" : label);
  image.config["image_topic"] = topics_.snapshot(stream, label);
  image.config["content_type"] = "image/jpeg";
  return image;
}

HomeEntity HomeEntities::of_type(const HomeStream& stream, const std::string& type) const {
  const HomePart part{type, topic_name(type)};
  return happening(stream, part, topics_.told(stream, part.topic), Json::array({type}));
}

bool HomeEntities::may_come(const std::vector<HomeStream>& streams, std::string_view state_topic) const {
  for (const HomeStream& stream : streams) {
    const std::string begin = topics_.count(stream, "");
    if (!state_topic.starts_with(begin)) continue;
    std::string_view rest = state_topic.substr(begin.size());
    const auto slash = rest.find('/');
    const std::string_view first = rest.substr(0, slash);
    const std::string_view second = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
    const auto is_label = [&](std::string_view label) {
      return label == HomeTopics::kAll || !stream.knows_all_labels ||
             std::ranges::find(stream.labels, label) != stream.labels.end();
    };
    if (first == "_told") return true;
    if (first.starts_with('_') || !stream.shows_objects) return false;
    if (second.empty() || second == "snapshot") return is_label(first);
    return is_label(second) && std::ranges::find(stream.zones, first, &HomePart::topic) != stream.zones.end();
  }
  return false;
}

}  // namespace verge::connectors
