#include "pipeline/executor.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <fmt/format.h>
#include <mutex>
#include <set>
#include <thread>

#include "base/log.h"
#include "pipeline/stillness.h"

namespace verge::pipeline {
namespace {

using std::chrono::milliseconds;

constexpr auto kDrainMax = std::chrono::seconds(10);
constexpr auto kRetryMin = milliseconds(500);
constexpr auto kRetryMax = milliseconds(30'000);
constexpr std::size_t kSharedInFlightMax = 64;
constexpr std::int64_t kRateSpanUs = 5'000'000;

/// Packets per second over the last 5 s, in 50 steps of 100 ms.
class Rate {
 public:
  void add(std::int64_t now_us) {
    forget(now_us);
    ++counts_[at(now_us)];
  }
  double per_second(std::int64_t now_us) {
    forget(now_us);
    std::uint64_t sum = 0;
    for (const std::uint32_t count : counts_) sum += count;
    const std::int64_t span_us = std::clamp<std::int64_t>(now_us - first_us_, 1'000'000, kRateSpanUs);
    return static_cast<double>(sum) * 1e6 / static_cast<double>(span_us);
  }

 private:
  static constexpr std::int64_t kStepUs = 100'000;
  std::size_t at(std::int64_t now_us) const { return static_cast<std::size_t>(now_us / kStepUs) % counts_.size(); }
  void forget(std::int64_t now_us) {
    if (first_us_ < 0) first_us_ = now_us;
    const std::int64_t step = now_us / kStepUs;
    const auto size = static_cast<std::int64_t>(counts_.size());
    for (std::int64_t past = std::max(newest_ + 1, step - size + 1); past <= step; ++past) {
      counts_[static_cast<std::size_t>(past) % counts_.size()] = 0;
    }
    newest_ = std::max(newest_, step);
  }
  std::array<std::uint32_t, 50> counts_{};
  std::int64_t newest_ = -1, first_us_ = -1;
};

using Taps = std::map<std::string, std::function<void(const Packet&)>>;

struct Lane;
struct Unit;

struct Stream {
  std::shared_ptr<const std::string> name;
  std::string kind;
  bool is_live = true;
  std::unique_ptr<Source> source;
  std::thread thread;
  std::vector<Lane*> next;        ///< Of the source's packets.
  std::vector<Lane*> event_next;  ///< Of its events: sinks.
  bool is_leaf = false;           ///< No stage follows: its packets go to the tap.
  bool has_ended = false;
  bool is_open = false;
  std::uint64_t sequence = 0;
  std::int64_t monotonic_us = 0;
  Rate rate;
  std::string family, error;
  Status ending = Done{};            ///< How run() ended, once it has.
  std::shared_ptr<const Taps> taps;  ///< Null without any.
};

/// A packet that a shared stage works on; leaves the lane in the order it came.
struct Ticket {
  bool is_done = false;
  std::int64_t taken_us = 0;  ///< Monotonic.
  Result<std::optional<Packet>> result = std::optional<Packet>();
};

struct Waiting {
  Packet packet;
  std::int64_t since_us = 0;  ///< Monotonic.
};

/// One stream's way through one unit.
struct Lane {
  Unit* unit = nullptr;
  Stream* stream = nullptr;
  std::deque<Waiting> queue;
  std::size_t pictures = 0;       ///< Of those in the queue.
  std::uint64_t served_turn = 0;  ///< Of the unit, when it last took a packet from here; 0: never.
  std::deque<std::shared_ptr<Ticket>> tickets;
  std::vector<Lane*> next;        ///< Stages and sinks that take its packets.
  std::vector<Lane*> event_next;  ///< Sinks that take its events.
  bool is_leaf = false;
  bool is_delivering = false;  ///< One thread at a time takes finished tickets, so that order holds.
  Counter *in = nullptr, *out = nullptr, *dropped = nullptr, *failed = nullptr;
  std::uint64_t in_count = 0, out_count = 0, dropped_count = 0, failed_count = 0;
  double mean_ms = 0, worst_ms = 0;  ///< Of a packet's work.
  Status newest = Done{};            ///< How the newest packet fared.
};

/// What is scheduled: a stage of one stream, a shared stage, or a sink.
struct Unit {
  std::string name;
  std::unique_ptr<Stage> stage;
  std::unique_ptr<SharedStage> shared;
  std::unique_ptr<Sink> sink;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::size_t running = 0, running_max = 1, queue_max = 8;
  std::size_t tickets_max = 1;  ///< Shared: packets of one lane submitted at a time.
  std::uint64_t turns = 0;      ///< Packets taken so far.
  bool is_submitting = false;   ///< Shared: one submit at a time.
  std::uint64_t errors_logged = 0;
  Status closing = Done{};
};

bool is_event(const Packet& packet) { return payload_as<contract::Event>(packet) != nullptr; }
bool is_picture(const Packet& packet) { return std::holds_alternative<std::shared_ptr<const Scene>>(packet.payload); }

std::string_view family_of(const Packet& packet) {
  if (payload_as<Scene>(packet)) return "vision";
  if (payload_as<AudioBlock>(packet)) return "audio";
  if (payload_as<SensorRow>(packet)) return "telemetry";
  return "";
}

class Engine final : public Executor {
 public:
  Engine(Context context, ExecutorOptions options) : context_(std::move(context)), options_(options) {
    if (context_.clock == nullptr) context_.clock = &system_clock();
    if (context_.metrics == nullptr) context_.metrics = &own_metrics_;
  }
  ~Engine() override { stop(); }

  Status build(const PipelineSpec& spec, const Catalog& catalog);
  void start() override;
  void stop() override;
  void wait() override;
  bool has_ended() const override;
  std::vector<StreamState> streams() const override;
  std::vector<LaneState> lanes() const override;
  const Privacy& privacy() const override { return context_.privacy; }
  Status outcome() const override;
  std::vector<std::string> method_names() const override;
  MethodReply call_method(const std::string& name, const Json& parameters) override;
  void set_tap(const std::string& stream, const std::string& name, std::function<void(const Packet&)> tap) override;

 private:
  // Building.
  Context context_for(const std::string& stream, const std::string& part);
  bool has_room_for_picture(const std::string& stream) const;
  void add_method(const std::string& owner, const std::string& stream, std::string name, Method method);
  Status make_sources(const PipelineSpec& spec, const Catalog& catalog);
  Status make_stage(const StageSpec& stage, const Catalog& catalog, const std::set<Stream*>& streams);
  Status make_sinks(const PipelineSpec& spec, const Catalog& catalog);
  void connect(const PipelineSpec& spec);
  Lane* add_lane(Unit& unit, Stream& stream);
  Status open_all();

  // Running.
  void run_source(Stream& stream);
  static bool is_final(const Stream& stream, const Error& error);
  void finish_source(Stream& stream, Status ending);
  bool open_source(Stream& stream, milliseconds& delay);
  bool sleep_unless_stopping(milliseconds duration);
  void emit_from_source(Stream& stream, Packet packet);
  void work();
  Lane* find_work();
  Lane* lane_to_serve(Unit& unit);
  void drop_late(Lane& lane);
  bool has_room_below(const Lane& lane) const;
  void run_lane(Lane& lane, Packet packet, std::unique_lock<std::mutex>& lock);
  void run_shared(Lane& lane, Packet packet, std::unique_lock<std::mutex>& lock);
  void finish_ticket(Lane& lane, const std::shared_ptr<Ticket>& ticket, Result<std::optional<Packet>> result);
  void pass_on(Lane& lane, Packet packet);
  void push(Lane& lane, const Packet& packet);
  static Packet take(Lane& lane, std::deque<Waiting>::iterator at);
  static void drop(Lane& lane);
  bool is_late(const Lane& lane, const Waiting& waiting) const;
  static void note_work(Lane& lane, std::int64_t lasted_us);
  static void count_success(Lane& lane);
  static void count_failure(Lane& lane, const Error& error);
  static void show(const std::shared_ptr<const Taps>& taps, const Packet& packet);

  // Stopping.
  void drain_and_close();
  bool is_idle(const Unit& unit) const;

  Context context_;
  ExecutorOptions options_;
  Metrics own_metrics_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Unit>> units_;  ///< A unit stands behind those that feed it.
  std::map<std::pair<std::string, Stream*>, Lane*> lanes_by_stage_;
  std::map<std::string, Method> methods_;
  std::map<std::string, std::shared_ptr<Stillness>> stillness_;  ///< By stream.
  mutable std::mutex mutex_;
  std::condition_variable work_, room_, ended_;
  std::vector<std::thread> workers_;
  std::size_t sources_running_ = 0;
  bool is_started_ = false, is_stopped_ = false, workers_stop_ = false;
  std::atomic<bool> stopping_{false};
};

// ---- building --------------------------------------------------------------------------------------------------

Context Engine::context_for(const std::string& stream, const std::string& part) {
  Context context = context_;
  context.stream = stream;
  context.add_method = [this, stream, part](std::string name, Method method) {
    add_method(part, stream, std::move(name), std::move(method));
  };
  if (stream.empty()) return context;
  auto& stillness = stillness_[stream];
  if (!stillness) stillness = std::make_shared<Stillness>();
  context.stillness = stillness;
  context.tell_still = [stillness, part](const StillWord& word) { stillness->say(part, word); };
  context.has_room = [this, stream] { return has_room_for_picture(stream); };
  return context;
}

/// Half of what may wait: pictures on their way from stage to stage are not in a queue just then.
bool Engine::has_room_for_picture(const std::string& stream) const {
  const std::lock_guard lock(mutex_);
  std::size_t waiting = 0;
  for (const auto& unit : units_) {
    for (const auto& lane : unit->lanes) waiting += *lane->stream->name == stream ? lane->pictures : 0;
  }
  return waiting < std::max<std::size_t>(1, options_.pictures_max / 2);
}

void Engine::add_method(const std::string& owner, const std::string& stream, std::string name, Method method) {
  const std::lock_guard lock(mutex_);
  // Two streams with the same stage offer the same method: the second is told apart by its stream.
  if (methods_.contains(name)) name += "." + (stream.empty() ? owner : stream);
  methods_.emplace(std::move(name), std::move(method));
}

Status Engine::build(const PipelineSpec& spec, const Catalog& catalog) {
  VERGE_CHECK(make_sources(spec, catalog));
  std::map<std::string, std::set<Stream*>> reach;  // which streams come out of a source or stage
  for (auto& stream : streams_) reach[*stream->name] = {stream.get()};
  for (const StageSpec* stage : in_order(spec)) {
    std::set<Stream*>& streams = reach[stage->name];
    for (const std::string& input : stage->inputs) streams.insert(reach[input].begin(), reach[input].end());
    VERGE_CHECK(make_stage(*stage, catalog, streams));
  }
  VERGE_CHECK(make_sinks(spec, catalog));
  connect(spec);
  return open_all();
}

Status Engine::make_sources(const PipelineSpec& spec, const Catalog& catalog) {
  for (const SourceSpec& source : spec.sources) {
    const auto* kind = catalog.find_source(source.kind);
    if (kind == nullptr) return Error{ErrorCode::invalid_argument, "make source: no kind \"" + source.kind + "\""};
    auto made = kind->make(source.options, context_for(source.name, source.name));
    if (!made) return std::move(made).error().within(fmt::format("source \"{}\"", source.name));
    auto stream = std::make_unique<Stream>();
    stream->name = std::make_shared<const std::string>(source.name);
    stream->kind = source.kind;
    stream->source = *std::move(made);
    stream->is_live = stream->source->is_live();
    streams_.push_back(std::move(stream));
  }
  return Done{};
}

Lane* Engine::add_lane(Unit& unit, Stream& stream) {
  auto lane = std::make_unique<Lane>();
  lane->unit = &unit;
  lane->stream = &stream;
  const auto counter = [&](const char* result) {
    return &context_.metrics->counter("verge_stage_packets_total", "Packets by stage, stream and what became of them.",
                                      {{"stage", unit.name}, {"stream", *stream.name}, {"result", result}});
  };
  lane->in = counter("in");
  lane->out = counter("out");
  lane->dropped = counter("dropped");
  lane->failed = counter("failed");
  unit.lanes.push_back(std::move(lane));
  return unit.lanes.back().get();
}

Status Engine::make_stage(const StageSpec& stage, const Catalog& catalog, const std::set<Stream*>& streams) {
  const auto doing = fmt::format("stage \"{}\"", stage.name);
  const auto add_unit = [&] {
    units_.push_back(std::make_unique<Unit>());
    units_.back()->name = stage.name;
    units_.back()->queue_max = std::max<std::size_t>(1, options_.queue_packets_max);
    return units_.back().get();
  };
  if (const auto* kind = catalog.find_shared(stage.kind)) {
    auto made = kind->make(stage.options, context_for("", stage.name));
    if (!made) return std::move(made).error().within(doing);
    Unit* unit = add_unit();
    unit->shared = *std::move(made);
    unit->running_max = std::clamp<std::size_t>(unit->shared->in_flight_max(), 1, kSharedInFlightMax);
    unit->tickets_max = std::clamp<std::size_t>(unit->shared->in_flight_of_stream_max(), 1, unit->running_max);
    for (auto& stream : streams_) {
      if (streams.contains(stream.get())) lanes_by_stage_[{stage.name, stream.get()}] = add_lane(*unit, *stream);
    }
    return Done{};
  }
  const auto* kind = catalog.find_stage(stage.kind);
  if (kind == nullptr) return Error{ErrorCode::invalid_argument, doing + ": no kind \"" + stage.kind + "\""};
  for (auto& stream : streams_) {
    if (!streams.contains(stream.get())) continue;
    auto made = kind->make(stage.options, context_for(*stream->name, stage.name));
    if (!made) return std::move(made).error().within(doing);
    Unit* unit = add_unit();
    unit->stage = *std::move(made);
    lanes_by_stage_[{stage.name, stream.get()}] = add_lane(*unit, *stream);
  }
  return Done{};
}

Status Engine::make_sinks(const PipelineSpec& spec, const Catalog& catalog) {
  for (const SinkSpec& sink : spec.sinks) {
    const auto doing = fmt::format("sink \"{}\"", sink.name);
    const auto* kind = catalog.find_sink(sink.kind);
    if (kind == nullptr) return Error{ErrorCode::invalid_argument, doing + ": no kind \"" + sink.kind + "\""};
    auto made = kind->make(sink.options, context_for("", sink.name));
    if (!made) return std::move(made).error().within(doing);
    auto unit = std::make_unique<Unit>();
    unit->name = sink.name;
    unit->sink = *std::move(made);
    unit->queue_max = std::max<std::size_t>(1, options_.sink_packets_max);
    for (auto& stream : streams_) lanes_by_stage_[{"sink:" + sink.name, stream.get()}] = add_lane(*unit, *stream);
    units_.push_back(std::move(unit));
  }
  return Done{};
}

void Engine::connect(const PipelineSpec& spec) {
  std::set<std::string> followed;  // sources and stages that a stage takes from
  for (const StageSpec& stage : spec.stages) followed.insert(stage.inputs.begin(), stage.inputs.end());
  const auto is_wanted = [&](const SinkSpec& sink, const std::string& name) {
    return sink.inputs.empty() ? !followed.contains(name) : std::ranges::find(sink.inputs, name) != sink.inputs.end();
  };
  const auto connect_one = [&](const std::string& name, Stream* stream, std::vector<Lane*>& next,
                               std::vector<Lane*>& event_next, bool& is_leaf) {
    is_leaf = !followed.contains(name);
    for (const StageSpec& stage : spec.stages) {
      if (std::ranges::find(stage.inputs, name) == stage.inputs.end()) continue;
      next.push_back(lanes_by_stage_.at({stage.name, stream}));
    }
    for (const SinkSpec& sink : spec.sinks) {
      Lane* lane = lanes_by_stage_.at({"sink:" + sink.name, stream});
      if (is_wanted(sink, name)) next.push_back(lane);
      if (sink.inputs.empty() || is_wanted(sink, name)) event_next.push_back(lane);
    }
  };
  for (auto& stream : streams_) {
    connect_one(*stream->name, stream.get(), stream->next, stream->event_next, stream->is_leaf);
    std::vector<std::string> takers;
    // A sink never says anything; it may bear the name of a stage that does.
    for (const Lane* lane : stream->next) takers.push_back(lane->unit->sink ? std::string() : lane->unit->name);
    stillness_[*stream->name]->set_takers(takers);
    for (const StageSpec& stage : spec.stages) {
      const auto at = lanes_by_stage_.find({stage.name, stream.get()});
      if (at == lanes_by_stage_.end()) continue;
      connect_one(stage.name, stream.get(), at->second->next, at->second->event_next, at->second->is_leaf);
    }
  }
}

Status Engine::open_all() {
  for (auto& unit : units_) {
    Status opened = unit->stage ? unit->stage->open() : unit->shared ? unit->shared->open() : unit->sink->open();
    if (!opened) return std::move(opened).error().within(fmt::format("open \"{}\"", unit->name));
  }
  for (auto& stream : streams_) {
    Status opened = stream->source->open();
    stream->is_open = static_cast<bool>(opened);
    if (opened) continue;
    const ErrorCode code = opened.error().code;
    if (!stream->is_live || (code != ErrorCode::unavailable && code != ErrorCode::timeout)) {
      return std::move(opened).error().within(fmt::format("open source \"{}\"", *stream->name));
    }
    stream->error = opened.error().message;
    log_error("pipeline", opened.error(), {{"source", *stream->name}});
  }
  return Done{};
}

// ---- running ---------------------------------------------------------------------------------------------------

void Engine::start() {
  const std::lock_guard lock(mutex_);
  VERGE_ASSERT(!is_started_);
  is_started_ = true;
  for (std::size_t i = 0; i < std::max<std::size_t>(1, options_.workers); ++i) {
    workers_.emplace_back([this] { work(); });
  }
  sources_running_ = streams_.size();
  for (auto& stream : streams_) stream->thread = std::thread([this, &stream = *stream] { run_source(stream); });
}

bool Engine::sleep_unless_stopping(milliseconds duration) {
  std::unique_lock lock(mutex_);
  return !room_.wait_for(lock, duration, [&] { return stopping_.load(); });
}

bool Engine::open_source(Stream& stream, milliseconds& delay) {
  if (stream.is_open) return true;
  Status opened = stream.source->open();
  if (opened) {
    stream.is_open = true;
    return true;
  }
  {
    const std::lock_guard lock(mutex_);
    if (stream.error != opened.error().message) log_error("pipeline", opened.error(), {{"source", *stream.name}});
    stream.error = opened.error().message;
  }
  if (!sleep_unless_stopping(delay)) return false;
  delay = std::min(delay * 2, kRetryMax);
  return false;
}

/// A file that cannot be read will not be better next time.
bool Engine::is_final(const Stream& stream, const Error& error) {
  return !stream.is_live && error.code != ErrorCode::unavailable && error.code != ErrorCode::timeout;
}

void Engine::run_source(Stream& stream) {
  milliseconds delay = kRetryMin;
  while (!stopping_) {
    if (!open_source(stream, delay)) continue;
    const std::uint64_t before = stream.sequence;
    Status ran = stream.source->run([&](Packet packet) { emit_from_source(stream, std::move(packet)); },
                                    [this] { return stopping_.load(); });
    if (ran || is_final(stream, ran.error())) {
      finish_source(stream, std::move(ran));
      return;
    }
    stream.is_open = false;
    if (stream.sequence != before) delay = kRetryMin;  // it had worked for a while
    {
      const std::lock_guard lock(mutex_);
      if (stream.error != ran.error().message) log_error("pipeline", ran.error(), {{"source", *stream.name}});
      stream.error = ran.error().message;
    }
    if (sleep_unless_stopping(delay)) delay = std::min(delay * 2, kRetryMax);
  }
  finish_source(stream, Done{});
}

void Engine::finish_source(Stream& stream, Status ending) {
  const std::lock_guard lock(mutex_);
  if (!ending) {
    log_error("pipeline", ending.error(), {{"source", *stream.name}});
    stream.error = ending.error().message;
  }
  stream.ending = std::move(ending);
  stream.has_ended = true;
  --sources_running_;
  ended_.notify_all();
}

void Engine::emit_from_source(Stream& stream, Packet packet) {
  packet.stream = stream.name;
  stream.monotonic_us = std::max(stream.monotonic_us, packet.monotonic_us);
  packet.monotonic_us = stream.monotonic_us;
  const bool is_event_packet = is_event(packet);
  const std::vector<Lane*>& next = is_event_packet ? stream.event_next : stream.next;
  std::shared_ptr<const Taps> taps;
  {
    std::unique_lock lock(mutex_);
    if (!stream.is_live) {
      const auto is_full = [](const Lane* lane) { return lane->queue.size() >= lane->unit->queue_max; };
      room_.wait(lock, [&] { return stopping_ || std::ranges::none_of(next, is_full); });
    }
    packet.sequence = stream.sequence++;
    stream.error.clear();
    stream.rate.add(context_.clock->monotonic_us());
    if (const auto family = family_of(packet); !family.empty()) stream.family = family;
    for (Lane* lane : next) push(*lane, packet);
    if (is_event_packet || stream.is_leaf) taps = stream.taps;
  }
  work_.notify_all();
  show(taps, packet);
}

void Engine::show(const std::shared_ptr<const Taps>& taps, const Packet& packet) {
  if (!taps) return;
  for (const auto& [name, tap] : *taps) tap(packet);
}

/// Under the lock. A live stream that is full loses its oldest picture where pictures are too many, else its oldest
/// packet, but an event only to another event.
void Engine::push(Lane& lane, const Packet& packet) {
  lane.in->add();
  ++lane.in_count;
  lane.queue.push_back({packet, context_.clock->monotonic_us()});
  lane.pictures += is_picture(packet) ? 1 : 0;
  if (!lane.stream->is_live) return;
  const bool has_many_pictures = lane.pictures > std::max<std::size_t>(1, options_.pictures_max);
  if (!has_many_pictures && lane.queue.size() <= lane.unit->queue_max) return;
  auto victim = has_many_pictures ? std::ranges::find_if(lane.queue, is_picture, &Waiting::packet)
                                  : std::ranges::find_if_not(lane.queue, is_event, &Waiting::packet);
  if (victim == lane.queue.end()) victim = lane.queue.begin();
  take(lane, victim);
  drop(lane);
}

/// Under the lock.
Packet Engine::take(Lane& lane, std::deque<Waiting>::iterator at) {
  Packet packet = std::move(at->packet);
  lane.queue.erase(at);
  lane.pictures -= is_picture(packet) ? 1 : 0;
  return packet;
}

void Engine::drop(Lane& lane) {
  lane.dropped->add();
  ++lane.dropped_count;
}

bool Engine::is_late(const Lane& lane, const Waiting& waiting) const {
  if (!lane.stream->is_live || is_event(waiting.packet)) return false;
  const std::int64_t now_us = context_.clock->monotonic_us();
  // By its age a picture would be dropped behind a slow model, after all its work; by its waiting it is dropped before.
  const auto is_over = [now_us](std::int64_t from_us, std::int64_t us_max) {
    return us_max > 0 && now_us - from_us > us_max;
  };
  return is_over(waiting.packet.monotonic_us, options_.deadline_us) ||
         (is_picture(waiting.packet) && is_over(waiting.since_us, options_.picture_wait_us_max));
}

/// Streams that wait instead of dropping only run where the next queues have room, so that nobody blocks inside a
/// stage.
bool Engine::has_room_below(const Lane& lane) const {
  if (lane.stream->is_live) return true;
  const auto is_full = [](const Lane* below) { return below->queue.size() >= below->unit->queue_max; };
  return std::ranges::none_of(lane.next, is_full) && std::ranges::none_of(lane.event_next, is_full);
}

/// Under the lock. The units behind come first, so that packets leave before new ones enter.
Lane* Engine::find_work() {
  for (auto unit = units_.rbegin(); unit != units_.rend(); ++unit) {
    Unit& candidate = **unit;
    if (candidate.running >= candidate.running_max || candidate.is_submitting) continue;
    if (Lane* lane = lane_to_serve(candidate)) {
      lane->served_turn = ++candidate.turns;
      return lane;
    }
  }
  return nullptr;
}

/// Of the lanes with work that may begin now the one that was served longest ago; executor.h says why.
Lane* Engine::lane_to_serve(Unit& unit) {
  Lane* next = nullptr;
  for (const auto& lane : unit.lanes) {
    drop_late(*lane);
    if (lane->queue.empty() || (unit.shared && lane->tickets.size() >= unit.tickets_max)) continue;
    if (!has_room_below(*lane)) continue;
    const auto rank = [](const Lane& each) {
      return std::pair(each.served_turn, each.queue.front().packet.monotonic_us);
    };
    if (next == nullptr || rank(*lane) < rank(*next)) next = lane.get();
  }
  return next;
}

void Engine::drop_late(Lane& lane) {
  while (!lane.queue.empty() && is_late(lane, lane.queue.front())) {
    take(lane, lane.queue.begin());
    drop(lane);
    room_.notify_all();
  }
}

void Engine::work() {
  std::unique_lock lock(mutex_);
  while (!workers_stop_) {
    Lane* lane = find_work();
    if (lane == nullptr) {
      work_.wait(lock);
      continue;
    }
    Packet packet = take(*lane, lane->queue.begin());
    ++lane->unit->running;
    room_.notify_all();
    if (lane->unit->shared) {
      run_shared(*lane, std::move(packet), lock);
    } else {
      run_lane(*lane, std::move(packet), lock);
    }
  }
}

void Engine::note_work(Lane& lane, std::int64_t lasted_us) {
  constexpr double kNewest = 0.1;  // Weight of the newest packet in the mean.
  const double lasted_ms = static_cast<double>(lasted_us) / 1e3;
  lane.mean_ms = lane.worst_ms == 0 ? lasted_ms : lane.mean_ms + kNewest * (lasted_ms - lane.mean_ms);
  lane.worst_ms = std::max(lane.worst_ms, lasted_ms);
}

void Engine::count_success(Lane& lane) {
  lane.out->add();
  ++lane.out_count;
  lane.newest = Done{};
}

void Engine::count_failure(Lane& lane, const Error& error) {
  lane.failed->add();
  ++lane.failed_count;
  lane.newest = error;
  // A stage that fails on every picture must not fill the disk: the 1st, 2nd, 4th, 8th … failure is logged.
  const std::uint64_t count = ++lane.unit->errors_logged;
  if ((count & (count - 1)) == 0) {
    log_error("pipeline", error, {{"stage", lane.unit->name}, {"stream", *lane.stream->name}, {"failures", count}});
  }
}

void Engine::run_lane(Lane& lane, Packet packet, std::unique_lock<std::mutex>& lock) {
  Unit& unit = *lane.unit;
  lock.unlock();
  const std::int64_t taken_us = context_.clock->monotonic_us();
  Status status = unit.stage ? unit.stage->process(packet, [&](Packet out) { pass_on(lane, std::move(out)); })
                             : unit.sink->write(packet);
  packet = {};  // frames go back to their pool before we wait for the lock
  const std::int64_t lasted_us = context_.clock->monotonic_us() - taken_us;
  lock.lock();
  note_work(lane, lasted_us);
  if (status) {
    count_success(lane);
  } else {
    count_failure(lane, status.error());
  }
  --unit.running;
  work_.notify_all();
  room_.notify_all();
}

void Engine::run_shared(Lane& lane, Packet packet, std::unique_lock<std::mutex>& lock) {
  auto ticket = std::make_shared<Ticket>();
  ticket->taken_us = context_.clock->monotonic_us();
  lane.tickets.push_back(ticket);
  SharedStage& stage = *lane.unit->shared;
  lane.unit->is_submitting = true;
  lock.unlock();
  stage.submit(std::move(packet),
               [this, &lane, ticket](auto result) { finish_ticket(lane, ticket, std::move(result)); });
  lock.lock();
  lane.unit->is_submitting = false;
  work_.notify_all();
  room_.notify_all();
}

void Engine::finish_ticket(Lane& lane, const std::shared_ptr<Ticket>& ticket, Result<std::optional<Packet>> result) {
  std::unique_lock lock(mutex_);
  VERGE_ASSERT(!ticket->is_done);
  ticket->is_done = true;
  ticket->result = std::move(result);
  note_work(lane, context_.clock->monotonic_us() - ticket->taken_us);
  if (lane.is_delivering) return;
  lane.is_delivering = true;
  while (!lane.tickets.empty() && lane.tickets.front()->is_done) {
    auto next = std::move(lane.tickets.front()->result);
    lane.tickets.pop_front();
    if (!next) {
      count_failure(lane, next.error());
    } else if (*next) {
      count_success(lane);
      lock.unlock();
      pass_on(lane, std::move(**next));
      lock.lock();
    } else {
      drop(lane);
    }
    --lane.unit->running;
  }
  lane.is_delivering = false;
  // Under the lock: once the last ticket is gone, stop() may take the executor down.
  work_.notify_all();
  room_.notify_all();
}

void Engine::pass_on(Lane& lane, Packet packet) {
  std::shared_ptr<const Taps> taps;
  packet.stream = lane.stream->name;
  {
    const std::lock_guard lock(mutex_);
    const bool is_event_packet = is_event(packet);
    for (Lane* next : is_event_packet ? lane.event_next : lane.next) push(*next, packet);
    if (is_event_packet || lane.is_leaf) taps = lane.stream->taps;
    work_.notify_all();
  }
  show(taps, packet);
}

void Engine::wait() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [&] { return stopping_ || (is_started_ && sources_running_ == 0); });
}

bool Engine::has_ended() const {
  const std::lock_guard lock(mutex_);
  return stopping_ || (is_started_ && sources_running_ == 0);
}

// ---- stopping --------------------------------------------------------------------------------------------------

bool Engine::is_idle(const Unit& unit) const {
  const auto is_empty = [](const auto& lane) { return lane->queue.empty(); };
  return unit.running == 0 && std::ranges::all_of(unit.lanes, is_empty);
}

void Engine::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_) return;
    is_stopped_ = true;
    stopping_ = true;
    ended_.notify_all();
    room_.notify_all();
  }
  for (auto& stream : streams_) {
    if (stream->thread.joinable()) stream->thread.join();
  }
  if (!is_started_) return;
  drain_and_close();
  {
    const std::lock_guard lock(mutex_);
    workers_stop_ = true;
    work_.notify_all();
  }
  for (std::thread& worker : workers_) worker.join();
}

/// Front to back, so that what a stage still emits when it closes goes through those behind it.
void Engine::drain_and_close() {
  const auto end = std::chrono::steady_clock::now() + kDrainMax;
  for (auto& unit : units_) {
    {
      std::unique_lock lock(mutex_);
      room_.wait_until(lock, end, [&] { return is_idle(*unit); });
      for (auto& lane : unit->lanes) {
        while (!lane->queue.empty()) {
          take(*lane, lane->queue.begin());
          drop(*lane);
        }
      }
      // A running call cannot be taken back; what it took longer than the drain time is waited for.
      room_.wait(lock, [&] { return unit->running == 0 && !unit->is_submitting; });
    }
    Status closed = Done{};
    if (unit->stage) {
      closed = unit->stage->close([&](Packet out) { pass_on(*unit->lanes.front(), std::move(out)); });
    } else if (unit->shared) {
      unit->shared->close();
    } else {
      closed = unit->sink->close();
    }
    if (!closed) log_error("pipeline", closed.error(), {{"stage", unit->name}});
    const std::lock_guard lock(mutex_);
    unit->closing = std::move(closed);
  }
}

// ---- looking ---------------------------------------------------------------------------------------------------

std::vector<StreamState> Engine::streams() const {
  const std::lock_guard lock(mutex_);
  std::vector<StreamState> states;
  for (const auto& stream : streams_) {
    StreamState state;
    state.name = *stream->name;
    state.family = stream->family;
    state.kind = stream->kind;
    state.packets = stream->sequence;
    state.rate_hz = stream->rate.per_second(context_.clock->monotonic_us());
    state.error = stream->error;
    for (const auto& unit : units_) {
      for (const auto& lane : unit->lanes) {
        if (lane->stream != stream.get()) continue;
        state.dropped += lane->dropped_count;
        state.failed += lane->failed_count;
        if (state.error.empty() && !lane->newest) state.error = unit->name + ": " + lane->newest.error().message;
      }
    }
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<LaneState> Engine::lanes() const {
  const std::lock_guard lock(mutex_);
  std::vector<LaneState> states;
  for (const auto& unit : units_) {
    for (const auto& lane : unit->lanes) {
      states.push_back({unit->name, *lane->stream->name, lane->in_count, lane->out_count, lane->dropped_count,
                        lane->failed_count, lane->queue.size(), unit->queue_max, lane->mean_ms, lane->worst_ms});
    }
  }
  return states;
}

Status Engine::outcome() const {
  const std::lock_guard lock(mutex_);
  for (const auto& stream : streams_) {
    if (!stream->ending) return stream->ending.error().within(fmt::format("source \"{}\"", *stream->name));
  }
  for (const auto& unit : units_) {
    if (!unit->closing) return unit->closing.error().within(fmt::format("close \"{}\"", unit->name));
    for (const auto& lane : unit->lanes) {
      if (lane->newest || lane->out_count > 0) continue;
      return lane->newest.error().within(fmt::format("\"{}\" failed with each of {} packets of \"{}\"; the last one",
                                                     unit->name, lane->failed_count, *lane->stream->name));
    }
  }
  return Done{};
}

std::vector<std::string> Engine::method_names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, method] : methods_) names.push_back(name);
  return names;
}

MethodReply Engine::call_method(const std::string& name, const Json& parameters) {
  Method method;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = methods_.find(name); at != methods_.end()) method = at->second;
  }
  if (!method) return {404, {{"message", fmt::format("no stage offers the method \"{}\"", name)}}};
  // An empty method payload arrives as null, and a member may have a type that the method did not expect.
  try {
    return method(parameters.is_object() ? parameters : Json::object());
  } catch (const std::exception& problem) {
    return {400, {{"message", fmt::format("method \"{}\": {}", name, problem.what())}}};
  }
}

void Engine::set_tap(const std::string& stream, const std::string& name, std::function<void(const Packet&)> tap) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(streams_, [&](const auto& each) { return *each->name == stream; });
  if (found == streams_.end()) return;
  auto taps = (*found)->taps ? std::make_shared<Taps>(*(*found)->taps) : std::make_shared<Taps>();
  taps->erase(name);
  if (tap) taps->emplace(name, std::move(tap));
  (*found)->taps = taps->empty() ? nullptr : std::move(taps);
}

}  // namespace

Result<std::unique_ptr<Executor>> Executor::make(const PipelineSpec& spec, const Catalog& catalog, Context context,
                                                 ExecutorOptions options) {
  context.pipeline_hash = spec.hash;
  context.privacy = spec.privacy;
  context.pipeline = std::make_shared<const PipelineSpec>(spec);
  auto engine = std::make_unique<Engine>(std::move(context), options);
  VERGE_CHECK(engine->build(spec, catalog));
  return std::unique_ptr<Executor>(std::move(engine));
}

}  // namespace verge::pipeline
