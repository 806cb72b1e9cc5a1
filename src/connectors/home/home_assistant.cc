#include "connectors/home/home_assistant.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <set>

#include "base/disk.h"
#include "base/json.h"
#include "connectors/event_stamp.h"
#include "connectors/home/broker_link.h"
#include "connectors/home/home_entities.h"
#include "connectors/home/object_diary.h"
#include "evidence/keeper.h"
#include "messaging/packets.h"

namespace verge::connectors {
namespace {

using contract::Event;
using pipeline::Context;
using pipeline::Packet;
using pipeline::Scene;

constexpr std::int64_t kSilence_us = 10'000'000;  // A stream without pictures for so long shows nobody.
constexpr std::size_t kLabelsMax = 100;           // Of one stream; further ones count only as "all".
constexpr std::size_t kTypesMax = 20;             // Of events that belong to no zone, line or rule; of one stream.
constexpr std::uint64_t kSnapshotBytesMax = 3U << 20U;

struct HomeSettings {
  BrokerLinkOptions link;
  HomeNames names;
  bool tells_objects = true, shows_snapshots = true;
};

/// What a stream's entities show.
struct Watched {
  HomeStream plan;
  ObjectDiary diary;
  std::set<std::string> labels;                         ///< With entities, as in topics.
  std::set<std::string> types;                          ///< Of other events, with entities.
  std::map<std::string, std::set<std::string>> active;  ///< Rule, as in topics, to the tracks that it holds for.
  std::uint32_t take = 0;
  std::int64_t heard_us = 0;  ///< Monotonic, by our clock.
};

std::string on_off(bool is_on) { return is_on ? "ON" : "OFF"; }

/// Empty when there is no such text.
std::string text_of(const Json& object, const char* member) {
  const Json* const found = find_member(object, {member});
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

class HomeSink final : public pipeline::Sink {
 public:
  HomeSink(HomeSettings settings, std::vector<HomeStream> streams, const Context& context)
      : clock_(context.clock == nullptr ? system_clock() : *context.clock),
        context_(context),
        entities_(settings.names),
        topics_(settings.names.prefix),
        is_discovered_(!settings.names.discovery.empty()),
        tells_objects_(settings.tells_objects),
        shows_snapshots_(settings.shows_snapshots),
        streams_(std::move(streams)),
        stamp_(context.device, context.module, clock_),
        link_(std::move(settings.link), clock_, context.metrics == nullptr ? own_metrics_ : *context.metrics,
              {[this](std::string_view topic, std::string_view payload) { on_retained(topic, payload); },
               [this] { on_tick(); }}) {
    for (const HomeStream& stream : streams_) {
      watched_.emplace(stream.name, Watched{stream, ObjectDiary(stream.topic), {}, {}, {}, 0, 0});
    }
  }
  ~HomeSink() override { link_.stop(); }

  Status open() override {
    {
      const std::lock_guard lock(mutex_);
      for (auto& [name, watched] : watched_) begin(watched);
    }
    link_.start();
    return Done{};
  }

  /// What could not be sent waits for the broker; the error says why the house learns nothing now.
  Status write(const Packet& packet) override {
    {
      const std::lock_guard lock(mutex_);
      const auto at = packet.stream ? watched_.find(*packet.stream) : watched_.end();
      if (at == watched_.end()) return Done{};
      Watched& watched = at->second;
      watched.heard_us = clock_.monotonic_us();
      if (const auto scene = pipeline::payload_as<Scene>(packet)) see(watched, *scene, packet);
      if (const auto event = pipeline::payload_as<Event>(packet)) hear(watched, *event);
    }
    return link_.state();
  }

  Status close() override {
    {
      const std::lock_guard lock(mutex_);
      for (auto& [name, watched] : watched_) end(watched);
    }
    link_.stop();
    return Done{};
  }

 private:
  // ---- entities

  void begin(Watched& watched) {
    announce(entities_.of_stream(watched.plan));
    watched.labels.insert(watched.plan.labels.begin(), watched.plan.labels.end());
    for (const HomeRule& rule : watched.plan.rules) {
      if (rule.tells_end) link_.set_state(topics_.active(watched.plan, rule.topic), on_off(false));
    }
    if (watched.plan.has_scores) link_.set_state(topics_.unusual(watched.plan), on_off(false));
    show_counts(watched);
  }

  void announce(const std::vector<HomeEntity>& entities) {
    if (!is_discovered_) return;
    for (const HomeEntity& entity : entities) {
      announced_.insert(entity.topic);
      link_.set_state(entity.topic, to_text(entity.config));
    }
  }

  /// On the link's thread: what the broker retains of us. Our own announcements come back, too.
  void on_retained(std::string_view topic, std::string_view payload) {
    if (payload.empty()) return;
    const std::lock_guard lock(mutex_);
    if (announced_.contains(std::string(topic))) return;
    const auto config = parse_json(payload);
    std::string state_topic = config ? text_of(*config, "state_topic") : std::string();
    if (config && state_topic.empty()) state_topic = text_of(*config, "image_topic");
    if (entities_.may_come(streams_, state_topic)) return;
    link_.set_state(std::string(topic), "");
    if (topics_.is_ours(state_topic)) link_.set_state(state_topic, "");
  }

  // ---- objects

  void see(Watched& watched, const Scene& scene, const Packet& packet) {
    if (scene.frame && scene.frame->take != watched.take) {
      watched.take = scene.frame->take;
      forget_rules(watched);
    }
    tell(watched.diary.see(scene, packet.captured_us, packet.monotonic_us));
    show_counts(watched);
    for (const pipeline::Shape& shape : scene.shapes) show_totals(watched, shape);
  }

  /// Those who began before a camera was connected again, or a film began again, have no end.
  void forget_rules(Watched& watched) {
    for (auto& [rule, tracks] : watched.active) {
      tracks.clear();
      link_.set_state(topics_.active(watched.plan, rule), on_off(false));
    }
  }

  void tell(const std::vector<ObjectDiary::Entry>& entries) {
    if (!tells_objects_) return;
    for (const ObjectDiary::Entry& entry : entries) {
      link_.send(topics_.events(),
                 to_text(Json{{"type", entry.type}, {"before", entry.before}, {"after", entry.after}}));
    }
  }

  void note_label(Watched& watched, const std::string& label) {
    if (label == HomeTopics::kAll || watched.labels.size() >= kLabelsMax || !watched.labels.insert(label).second)
      return;
    announce(entities_.of_label(watched.plan, label));
  }

  void show_counts(Watched& watched) {
    if (!watched.plan.shows_objects) return;
    const auto counts = watched.diary.counts();
    for (const auto& [label, count] : counts) note_label(watched, label);
    show(watched, counts, [&](const std::string& label) { return topics_.count(watched.plan, label); });
    for (const HomePart& zone : watched.plan.zones) {
      show(watched, watched.diary.counts_in(zone.topic),
           [&](const std::string& label) { return topics_.count(watched.plan, zone.topic, label); });
    }
  }

  template <class TopicOf>
  void show(const Watched& watched, const ObjectDiary::Counts& counts, TopicOf topic_of) {
    std::int64_t all = 0;
    for (const auto& [label, count] : counts) all += count;
    link_.set_state(topic_of(HomeTopics::kAll), std::to_string(all));
    for (const std::string& label : watched.labels) {
      const auto at = counts.find(label);
      link_.set_state(topic_of(label), std::to_string(at == counts.end() ? 0 : at->second));
    }
  }

  void show_totals(const Watched& watched, const pipeline::Shape& shape) {
    Json totals = Json::object();
    for (const auto& [name, count] : shape.counts) {
      if (name != "inside") totals[name] = count;  // It goes down, too; counts() tells it.
    }
    link_.set_state(topics_.totals(watched.plan, topic_name(shape.name)), to_text(totals));
  }

  void end(Watched& watched) {
    tell(watched.diary.end_all());
    show_counts(watched);
    forget_rules(watched);
  }

  /// On the link's thread.
  void on_tick() {
    const std::lock_guard lock(mutex_);
    for (auto& [name, watched] : watched_) {
      if (watched.heard_us == 0 || clock_.monotonic_us() - watched.heard_us < kSilence_us) continue;
      watched.heard_us = 0;
      tell(watched.diary.end_all());
      show_counts(watched);
    }
  }

  // ---- events

  void hear(Watched& watched, const Event& event) {
    note_evidence(watched, event);
    if (event.type.starts_with("evidence.")) return;
    const std::string part = topic_name(event.rule);
    const HomeStream& plan = watched.plan;
    const auto has = [&](const auto& parts) { return std::ranges::find(parts, part, &HomePart::topic) != parts.end(); };
    if (has(plan.zones)) return happen(plan, part, event, event.type.substr(event.type.find('.') + 1));
    if (has(plan.lines)) return happen(plan, part, event, direction_of(event));
    if (const auto rule = std::ranges::find(plan.rules, part, &HomePart::topic); rule != plan.rules.end()) {
      return hear_rule(watched, *rule, event);
    }
    hear_other(watched, event);
  }

  void hear_rule(Watched& watched, const HomeRule& rule, const Event& event) {
    const bool is_end = rule.tells_end && event.type.ends_with(".ended");
    happen(watched.plan, rule.topic, event, is_end ? "ended" : "fired");
    if (!rule.tells_end) return;
    auto& tracks = watched.active[rule.topic];
    if (is_end) tracks.erase(event.track);
    if (!is_end) tracks.insert(event.track);
    link_.set_state(topics_.active(watched.plan, rule.topic), on_off(!tracks.empty()));
  }

  void hear_other(Watched& watched, const Event& event) {
    if (watched.plan.has_scores && event.type.starts_with("anomaly.")) {
      link_.set_state(topics_.score(watched.plan), fmt::format("{:.3f}", event.score));
      if (event.type != "anomaly.score") {
        link_.set_state(topics_.unusual(watched.plan), on_off(event.type == "anomaly.alarm"));
      }
      return;
    }
    if (!watched.types.contains(event.type)) {
      if (watched.types.size() >= kTypesMax) return;
      watched.types.insert(event.type);
      announce({entities_.of_type(watched.plan, event.type)});
    }
    link_.send(topics_.told(watched.plan, topic_name(event.type)), event_text(event, event.type));
  }

  void happen(const HomeStream& plan, const std::string& part, const Event& event, const std::string& type) {
    link_.send(topics_.happened(plan, part), event_text(event, type));
  }

  static std::string direction_of(const Event& event) {
    const auto extension = parse_json(event.extension_json);
    return extension ? text_of(*extension, "direction") : std::string();
  }

  /// The event (docs/formats/event.md) with the member that Home Assistant asks for.
  std::string event_text(Event event, const std::string& event_type) {
    stamp_.stamp(event);
    Json json = contract::to_json(event);
    json["event_type"] = event_type;
    return to_text(json);
  }

  void note_evidence(Watched& watched, const Event& event) {
    if (event.evidence.empty()) return;
    const bool is_clip = event.type == "evidence.stored";
    if (!is_clip && shows_snapshots_) show_snapshot(watched, event);
    if (event.track.empty()) return;
    if (auto entry = watched.diary.note_evidence(event.track, !is_clip, is_clip)) tell({*std::move(entry)});
  }

  void show_snapshot(Watched& watched, const Event& event) {
    auto jpeg = read_snapshot(event.evidence.front());
    if (!jpeg) return;  // Removed meanwhile, or none that a picture's entity could show.
    const std::string label = event.label.empty() ? HomeTopics::kAll : topic_name(event.label);
    announce({entities_.of_snapshot(watched.plan, label)});
    link_.set_state(topics_.snapshot(watched.plan, label), *std::move(jpeg));
  }

  Result<std::string> read_snapshot(const std::string& digest) const {
    if (context_.evidence == nullptr) return Error{ErrorCode::unavailable, "this program keeps no evidence"};
    VERGE_TRY(evidence::Store* const store, context_.evidence->store());
    const auto file = store->find(digest);
    if (!file || file->label.ending != "jpg" || file->bytes > kSnapshotBytesMax) {
      return Error{ErrorCode::not_found, "no picture that can be sent"};
    }
    return store->read(digest, 0, file->bytes);
  }

  const Clock& clock_;
  const Context context_;
  Metrics own_metrics_;
  const HomeEntities entities_;
  const HomeTopics topics_;
  const bool is_discovered_, tells_objects_, shows_snapshots_;
  const std::vector<HomeStream> streams_;
  std::mutex mutex_;  ///< Of the next three. The link may be called under it, never the other way round.
  std::map<std::string, Watched> watched_;
  std::set<std::string> announced_;
  EventStamp stamp_;
  BrokerLink link_;  ///< Last: its thread ends before the rest goes.
};

/// A topic of our own: no wildcards, no empty levels.
Status check_topic_option(const std::string& name, const std::string& value) {
  auto status = messaging::check_topic(value);
  const bool has_empty_level = value.starts_with('/') || value.ends_with('/') || value.find("//") != std::string::npos;
  if (status && !has_empty_level) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("{} is \"{}\"; give levels of a topic without +, #, and / at an end", name, value)};
}

Result<TlsPointer> read_broker_trust(const std::string& ca, const Context& context) {
  TlsOptions tls;
  if (!ca.empty()) {
    VERGE_TRY(tls.trust_pem, read_file(context.folder / ca, 1U << 20U));
  }
  return TlsContext::make_client(tls);
}

std::string default_node(const Context& context) {
  if (context.device.empty() && context.module.empty()) return "verge";
  return topic_name(context.device + (context.module.empty() ? "" : " " + context.module));
}

Result<HomeSettings> read_home_settings(const Json& options, const Context& context, const Environment& environment) {
  HomeSettings settings;
  VERGE_TRY(settings.link.broker, read_broker_url(options["url"].get<std::string>(), environment));
  const auto ca = options["ca"].get<std::string>();
  if (!ca.empty() && !settings.link.broker.is_tls) {
    return Error{ErrorCode::invalid_argument, "ca is given, but the url has no TLS; write mqtts://"};
  }
  if (settings.link.broker.is_tls) {
    VERGE_TRY(settings.link.tls, read_broker_trust(ca, context));
  }
  settings.names.node = options["node"].get<std::string>();
  if (settings.names.node.empty()) settings.names.node = default_node(context);
  if (topic_name(settings.names.node) != settings.names.node) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("node is \"{}\"; give letters, digits, \"-\" and single \"_\"", settings.names.node)};
  }
  settings.names.prefix = options["prefix"].get<std::string>();
  if (settings.names.prefix.empty()) settings.names.prefix = "verge/" + settings.names.node;
  VERGE_CHECK(check_topic_option("prefix", settings.names.prefix));
  settings.names.discovery = options["discovery"].get<std::string>();
  if (!settings.names.discovery.empty()) VERGE_CHECK(check_topic_option("discovery", settings.names.discovery));
  settings.tells_objects = options["events"].get<bool>();
  settings.shows_snapshots = options["snapshots"].get<bool>();
  settings.link.client_id = "verge-" + settings.names.node;
  settings.link.available = HomeTopics(settings.names.prefix).available();
  if (!settings.names.discovery.empty()) settings.link.filter = HomeEntities(settings.names).filter();
  return settings;
}

Result<std::unique_ptr<pipeline::Sink>> make_sink(const Json& options, const Context& context,
                                                  const Environment& environment) {
  VERGE_TRY(HomeSettings settings, read_home_settings(options, context, environment));
  std::vector<HomeStream> streams;
  if (context.pipeline) {
    VERGE_TRY(streams, home_plan(*context.pipeline));
  }
  return std::unique_ptr<pipeline::Sink>(std::make_unique<HomeSink>(std::move(settings), std::move(streams), context));
}

}  // namespace

pipeline::Kind<pipeline::Sink> home_assistant_kind(Environment environment) {
  return {
      .name = "home_assistant",
      .where = "connectors/home/home_assistant.h",
      .summary = "Tells your MQTT broker: Home Assistant's entities, Frigate's events; docs/home_assistant.md.",
      .options = {{"url", "text",
                   "The broker: mqtt://user:${MQTT_PASSWORD}@HOST:1883, or mqtts://. ${NAME}: an environment "
                   "variable.",
                   nullptr, true},
                  {"ca", "text", "TLS: PEM file of who may sign the broker's certificate; empty: the system's.", ""},
                  {"node", "text", "This program at the broker; empty: device and module, or verge.", ""},
                  {"prefix", "text", "Begin of its topics; empty: verge/NODE.", ""},
                  {"discovery", "text", "Begin of Home Assistant's discovery topics; empty: none.", "homeassistant"},
                  {"events", "flag", "PREFIX/events tells the life of each tracked object.", true},
                  {"snapshots", "flag", "Snapshots that events bear go to the broker, too.", true}},
      .make = [environment = std::move(environment)](const Json& options, const Context& context) {
        return make_sink(options, context, environment);
      }};
}

}  // namespace verge::connectors
