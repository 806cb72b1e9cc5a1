// connectors/home/home_entities.h -- Home Assistant's entities for a pipeline: their discovery messages and topics.
//
// Of every stream with objects: a count and an occupancy for each label and for all, the same for each of its zones;
// what zones and lines have counted; an on/off for each rule that tells its end, an event for every other rule, zone
// and line; the last snapshot of each label. Of scored sensors: the score, and whether it is unusual.
//
// Source: Home Assistant's documentation of MQTT discovery, binary_sensor, sensor, event and image (2023.11 and later).
// Threads: pure functions; a HomeEntities is a value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "connectors/home/home_plan.h"

namespace verge::connectors {

struct HomeNames {
  std::string discovery = "homeassistant";  ///< Begin of discovery topics.
  std::string node;                         ///< One topic level, of this program alone.
  std::string prefix;                       ///< Begin of its own topics.
};

/// Where a program's states and messages are. Labels and parts as in topics; "all" is every label.
class HomeTopics {
 public:
  static constexpr const char* kAll = "all";
  explicit HomeTopics(std::string prefix) : prefix_(std::move(prefix)) {}
  bool is_ours(std::string_view topic) const { return topic.starts_with(prefix_ + "/"); }
  std::string available() const { return prefix_ + "/available"; }
  std::string events() const { return prefix_ + "/events"; }
  std::string count(const HomeStream& stream, std::string_view label) const { return below(stream, label); }
  std::string count(const HomeStream& stream, std::string_view zone, std::string_view label) const;
  std::string snapshot(const HomeStream& stream, std::string_view label) const;
  /// {"entered": 3, "left": 1} of a zone, {"in": 3, "out": 1} of a line.
  std::string totals(const HomeStream& stream, std::string_view part) const;
  std::string active(const HomeStream& stream, std::string_view rule) const;    ///< ON or OFF.
  std::string happened(const HomeStream& stream, std::string_view part) const;  ///< Events, one by one.
  std::string told(const HomeStream& stream, std::string_view type) const;      ///< Those of no zone, line or rule.
  std::string score(const HomeStream& stream) const { return below(stream, "_score"); }
  std::string unusual(const HomeStream& stream) const { return below(stream, "_unusual"); }  ///< ON or OFF.

 private:
  std::string below(const HomeStream& stream, std::string_view rest) const;
  std::string prefix_;
};

struct HomeEntity {
  std::string topic;  ///< Of its discovery message.
  Json config;
};

class HomeEntities {
 public:
  explicit HomeEntities(HomeNames names) : names_(std::move(names)), topics_(names_.prefix) {}

  /// All that the pipeline itself says.
  std::vector<HomeEntity> of_stream(const HomeStream& stream) const;
  /// A label, in the stream and in all its zones.
  std::vector<HomeEntity> of_label(const HomeStream& stream, const std::string& label) const;
  HomeEntity of_snapshot(const HomeStream& stream, const std::string& label) const;
  /// Events of a type that belongs to no zone, line or rule: "speech.final".
  HomeEntity of_type(const HomeStream& stream, const std::string& type) const;

  /// Every discovery message of this program, earlier ones too.
  std::string filter() const { return names_.discovery + "/+/" + names_.node + "/+/config"; }
  /// Whether an entity that of_stream() does not name can still come: of a label that may be seen, a type that may
  /// happen. state_topic: from its discovery message.
  bool may_come(const std::vector<HomeStream>& streams, std::string_view state_topic) const;
  const HomeTopics& topics() const { return topics_; }

 private:
  HomeEntity entity(const HomeStream& stream, std::string_view component, const std::string& object,
                    const std::string& name) const;
  void add_counts(std::vector<HomeEntity>& entities, const HomeStream& stream, const HomePart* zone,
                  const std::string& label) const;
  void add_totals(std::vector<HomeEntity>& entities, const HomeStream& stream, const HomePart& part,
                  std::initializer_list<const char*> counters) const;
  HomeEntity happening(const HomeStream& stream, const HomePart& part, std::string state_topic, Json types) const;

  HomeNames names_;
  HomeTopics topics_;
};

}  // namespace verge::connectors
