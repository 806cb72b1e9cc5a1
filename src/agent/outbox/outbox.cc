#include "agent/outbox/outbox.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>
#include <set>

#include "agent/outbox/spared.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "contract/topics.h"

namespace verge::agent {
namespace {

constexpr std::size_t kReadBytesMax = 1U << 20U;
constexpr int kSweepBatchesMax = 64;  // Per target and sweep, so that a sweep never holds the loop for long.

struct Target {
  std::uint64_t next_offset = 0;  ///< All own records before it were handed over, acknowledged or expired.
  bool is_caught_up = true;       ///< No own durable record at or behind next_offset.
  std::set<std::uint64_t> in_flight;
  std::uint64_t generation = 0;  ///< Answers to an older one are void: its records are sent again.
  bool is_pumping = false;

  bool is_drained() const { return is_caught_up && in_flight.empty(); }
};

/// The newest message ids of a sender that are durable.
class RecentIds {
 public:
  bool contains(const std::string& id) const { return known_.count(id) != 0; }
  void add(const std::string& id, std::size_t count_max) {
    if (!known_.insert(id).second) return;
    order_.push_back(id);
    if (order_.size() <= count_max) return;
    known_.erase(order_.front());
    order_.pop_front();
  }

 private:
  std::set<std::string> known_;
  std::deque<std::string> order_;
};

struct Sender {
  std::uint64_t last_durable = 0, last_given = 0;
  std::size_t pending_count = 0;
  RecentIds durable_ids;
  std::map<std::string, std::vector<std::function<void(Status)>>>
      open_ids;  ///< On their way: who waits beside the first.
};

std::string message_id_of(const OutboxRecord& record) {
  const auto properties = contract::PropertyBag::from_text(record.properties);
  return properties ? std::string(properties->get(kMessageIdProperty)) : std::string();
}

/// What one call of append waits for.
struct Batch {
  std::size_t open_count = 0;
  Status status = Done{};
  std::function<void(Status)> done;
};

struct Arrival {
  std::shared_ptr<Batch> batch;
  OutboxRecord record;
  Result<std::uint64_t> offset;
};

std::uint64_t segment_bytes(const OutboxOptions& options) {
  if (options.segment_bytes_max > 0) return options.segment_bytes_max;
  return std::clamp<std::uint64_t>(options.disk_bytes_max / 16, 256U << 10U, 16U << 20U);
}

std::map<std::string, std::uint64_t> numbers_in(const Json& json, std::string_view key) {
  std::map<std::string, std::uint64_t> numbers;
  const Json* object = find_member(json, {key});
  if (object == nullptr || !object->is_object()) return numbers;
  for (const auto& [name, value] : object->items()) {
    if (value.is_number_unsigned()) numbers[name] = value.get<std::uint64_t>();
  }
  return numbers;
}

Status replace_file(Disk& disk, const std::filesystem::path& path, std::string_view bytes) {
  auto fresh = path;
  fresh += ".new";
  VERGE_TRY(auto file, disk.open(fresh, true));
  VERGE_CHECK(file->truncate(0));
  VERGE_CHECK(file->write_at(0, bytes));
  VERGE_CHECK(file->sync());
  file.reset();
  VERGE_CHECK(disk.rename(fresh, path));
  return disk.sync_folder(path.parent_path());
}

}  // namespace

struct Outbox::Impl : std::enable_shared_from_this<Outbox::Impl> {
  Impl(Loop& l, Workers& w, Disk& d, const Clock& c, Metrics& m, OutboxOptions o, FindSink f)
      : loop(l),
        workers(w),
        disk(d),
        clock(c),
        options(std::move(o)),
        find_sink(std::move(f)),
        stored(m.counter("verge_outbox_stored_total", "Messages stored durably.")),
        delivered(m.counter("verge_outbox_delivered_total", "Messages acknowledged by their receiver.")),
        expired(m.counter("verge_outbox_dropped_total", "Messages dropped.", {{"reason", "expired"}})),
        dropped(m.counter("verge_outbox_dropped_total", "Messages dropped.", {{"reason", "disk_cap"}})),
        repeated(m.counter("verge_outbox_repeated_total", "Messages sent again that were stored already.")),
        refused(m.counter("verge_outbox_refused_total", "Messages not taken because the disk was full or failed.")),
        bytes(m.gauge("verge_outbox_disk_bytes", "Size of the outbox on disk.")) {}

  Loop& loop;
  Workers& workers;
  Disk& disk;
  const Clock& clock;
  const OutboxOptions options;
  const FindSink find_sink;
  Counter &stored, &delivered, &expired, &dropped, &repeated, &refused;
  Gauge& bytes;

  std::unique_ptr<storage::AppendLog> log;
  std::string epoch;
  const std::string boot = boot_id();
  std::map<std::string, Target> targets;
  std::map<std::string, Sender> senders;
  std::uint64_t durable_end = 0;                           ///< One past the highest offset that arrived here.
  std::deque<std::pair<std::uint64_t, std::size_t>> kept;  ///< Offset and size of the newest records.
  std::size_t kept_bytes = 0;
  SparedRecords spared;
  std::string saved_positions;
  std::uint64_t saved_lowest = 0;
  std::mutex file_mutex;
  bool is_closed = false;  ///< Guarded by file_mutex.
  bool is_saving = false;
  Loop::TimerId checkpoint_timer = 0, sweep_timer = 0;

  std::mutex arrivals_mutex;  // Filled by the log's commit thread.
  std::vector<Arrival> arrivals;

  std::filesystem::path positions_path() const { return options.folder / "positions.json"; }
  std::filesystem::path spared_path() const { return options.folder / "spared.json"; }
  std::uint64_t spared_bytes_max() const {
    return options.spared_bytes_max > 0 ? options.spared_bytes_max
                                        : std::min<std::uint64_t>(options.disk_bytes_max / 16, 4U << 20U);
  }

  // -- opening

  Status open() {
    storage::AppendLogOptions log_options;
    log_options.segment_bytes_max = segment_bytes(options);
    log_options.disk_bytes_max = options.disk_bytes_max + 2 * segment_bytes(options);
    log_options.free_bytes_min = options.free_bytes_min;
    VERGE_TRY(log, storage::AppendLog::open(disk, clock, options.folder / "log", log_options));
    const std::uint64_t scan_from = load_positions();
    VERGE_CHECK(scan(scan_from));
    durable_end = log->end_offset(0);
    VERGE_CHECK(recall_ids());
    load_spared();
    if (auto saved = write_positions(positions_text()); !saved) {
      return std::move(saved).error().within("open the outbox");
    }
    checkpoint_timer = loop.every(options.checkpoint_period, [this] { save_later(); });
    sweep_timer = loop.every(options.sweep_period, [this] { sweep(); });
    return Done{};
  }

  /// Returns the offset from which the log knows more than the file. A lost file means a new epoch and sending all
  /// that is kept once more.
  std::uint64_t load_positions() {
    const auto start_over = [this] {
      epoch = new_uuid();
      return log->first_offset(0);
    };
    const auto file = disk.open(positions_path(), false);
    if (!file) return start_over();
    const auto size = (*file)->size_bytes();
    const auto text = size ? (*file)->read_at(0, *size) : Result<std::string>(size.error());
    const auto json = text ? parse_json(*text) : Result<Json>(text.error());
    const auto known = json ? string_member(*json, "epoch") : Result<std::string>(json.error());
    if (!known || known->empty()) {
      log_warning("outbox", "positions cannot be read; beginning a new epoch", {{"file", positions_path().string()}});
      return start_over();
    }
    epoch = *known;
    for (const auto& [name, offset] : numbers_in(*json, "targets")) {
      targets[name].next_offset = offset;
      targets[name].is_caught_up = false;
    }
    for (const auto& [name, sequence] : numbers_in(*json, "sequences")) {
      senders[name].last_given = senders[name].last_durable = sequence;
    }
    const auto offset = integer_member(*json, "offset");
    return offset ? static_cast<std::uint64_t>(*offset) : 0;
  }

  /// Finds what became durable after the positions were written.
  Status scan(std::uint64_t offset) {
    while (true) {
      VERGE_TRY(const auto records, log->read(0, offset, options.read_count_max, kReadBytesMax));
      if (records.empty()) return Done{};
      for (const auto& stored_record : records) {
        offset = stored_record.offset + 1;
        const auto record = outbox_record_from(stored_record.bytes);
        if (!record) {
          log_error("outbox", record.error(), {{"offset", stored_record.offset}});
          continue;
        }
        Target& target = targets[record->target];
        if (target.is_caught_up) target.next_offset = stored_record.offset, target.is_caught_up = false;
        Sender& sender = senders[record->sender];
        sender.last_durable = sender.last_given = std::max(sender.last_given, record->sequence);
      }
    }
  }

  /// The ids of what was durable just before the end: its senders may not know it yet.
  Status recall_ids() {
    const auto count = std::min<std::uint64_t>(options.kept_count_max, durable_end);
    std::uint64_t offset = durable_end - count;
    while (true) {
      VERGE_TRY(const auto records, log->read(0, offset, options.read_count_max, kReadBytesMax));
      if (records.empty()) return Done{};
      for (const auto& stored_record : records) {
        offset = stored_record.offset + 1;
        keep(stored_record.offset, stored_record.bytes.size());
        const auto record = outbox_record_from(stored_record.bytes);
        const auto id = record ? message_id_of(*record) : std::string();
        if (!id.empty()) senders[record->sender].durable_ids.add(id, options.ids_max);
      }
    }
  }

  /// A damaged file costs what was spared, nothing else.
  void load_spared() {
    const auto file = disk.open(spared_path(), false);
    if (!file) return;
    const auto size = (*file)->size_bytes();
    const auto text = size ? (*file)->read_at(0, *size) : Result<std::string>(size.error());
    const auto names = text ? spared.add_from_text(*text) : Result<std::vector<std::string>>(text.error());
    if (!names) {
      return log_warning("outbox", "what the disk cap spared cannot be read", {{"file", spared_path().string()}});
    }
    for (const std::string& name : *names) targets[name];
  }

  void keep(std::uint64_t offset, std::size_t size) {
    kept.emplace_back(offset, size);
    kept_bytes += size;
    while (kept.size() > options.kept_count_max || kept_bytes > options.kept_bytes_max) {
      kept_bytes -= kept.front().second;
      kept.pop_front();
    }
  }

  // -- taking in

  void append(std::vector<Message> messages, std::function<void(Status)> done, const Origin& origin) {
    if (messages.empty()) return done(Done{});
    if (!origin.message_id.empty()) {
      const std::string& name = messages.front().sender;
      if (origin.is_repeated && is_stored(name, origin.message_id, done)) return repeated.add();
      done = remembering(name, origin.message_id, std::move(done));
    }
    store(std::move(messages), std::move(done));
  }

  /// True when the message is stored or on its way; then `done` is taken care of.
  bool is_stored(const std::string& name, const std::string& id, const std::function<void(Status)>& done) {
    Sender& sender = senders[name];
    if (sender.durable_ids.contains(id)) {
      done(Done{});
      return true;
    }
    const auto open_id = sender.open_ids.find(id);
    if (open_id == sender.open_ids.end()) return false;
    open_id->second.push_back(done);
    return true;
  }

  std::function<void(Status)> remembering(const std::string& name, const std::string& id,
                                          std::function<void(Status)> done) {
    // An id that its sender uses for two messages at a time says nothing.
    if (!senders[name].open_ids.try_emplace(id).second) return done;
    return [weak = weak_from_this(), name, id, done = std::move(done)](const Status& status) {
      std::vector<std::function<void(Status)>> waiting;
      if (const auto self = weak.lock()) {
        Sender& sender = self->senders[name];
        if (auto entry = sender.open_ids.extract(id)) waiting = std::move(entry.mapped());
        if (status) sender.durable_ids.add(id, self->options.ids_max);
      }
      done(status);
      for (const auto& other : waiting) other(status);
    };
  }

  void store(std::vector<Message> messages, std::function<void(Status)> done) {
    auto batch = std::make_shared<Batch>();
    batch->open_count = messages.size();
    batch->done = std::move(done);
    if (log->disk_bytes() > options.disk_bytes_max) enforce_cap();
    for (Message& message : messages) {
      OutboxRecord record;
      record.target = std::move(message.target);
      record.sender = std::move(message.sender);
      record.properties = std::move(message.properties);
      record.payload = std::move(message.payload);
      record.time_to_live_s = message.time_to_live_s;
      record.rank = message.rank;
      record.boot = boot;
      record.monotonic_us = clock.monotonic_us();
      if (record.target.starts_with("up:")) {
        Sender& sender = senders[record.sender];
        record.sequence = ++sender.last_given;
        ++sender.pending_count;
      }
      std::string encoded = to_bytes(record);
      log->append(0, std::move(encoded),
                  [weak = weak_from_this(), batch, record = std::move(record)](Result<std::uint64_t> offset) mutable {
                    if (const auto self = weak.lock()) self->arrive({batch, std::move(record), std::move(offset)});
                  });
    }
  }

  /// On the commit thread: one hand-over to the loop takes many.
  void arrive(Arrival arrival) {
    bool is_first = false;
    {
      const std::lock_guard lock(arrivals_mutex);
      is_first = arrivals.empty();
      arrivals.push_back(std::move(arrival));
    }
    if (!is_first) return;
    loop.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->take_arrivals();
    });
  }

  void take_arrivals() {
    std::vector<Arrival> taken;
    {
      const std::lock_guard lock(arrivals_mutex);
      taken.swap(arrivals);
    }
    for (Arrival& arrival : taken) take(arrival);
  }

  void take(Arrival& arrival) {
    settle_sequence(arrival);
    if (arrival.offset) {
      stored.add();
      durable_end = std::max(durable_end, *arrival.offset + 1);
      keep(*arrival.offset, arrival.record.payload.size() + arrival.record.properties.size());
      offer(*arrival.offset, arrival.record);
    } else {
      refused.add();
      if (arrival.batch->status) arrival.batch->status = arrival.offset.error();
    }
    if (--arrival.batch->open_count == 0) arrival.batch->done(arrival.batch->status);
  }

  /// Numbers of records that did not become durable are given again once nothing is under way, so that a full disk
  /// leaves no hole in the sender's sequence.
  void settle_sequence(const Arrival& arrival) {
    if (arrival.record.sequence == 0) return;
    Sender& sender = senders[arrival.record.sender];
    if (arrival.offset) sender.last_durable = std::max(sender.last_durable, arrival.record.sequence);
    if (--sender.pending_count == 0) sender.last_given = sender.last_durable;
  }

  // -- handing over

  /// A record that just became durable: sent at once if nothing of its target waits.
  void offer(std::uint64_t offset, const OutboxRecord& record) {
    Target& target = targets[record.target];
    if (offset < target.next_offset) return;  // The scan was faster than the hand-over.
    if (!target.is_caught_up) return;         // The scan will come to it.
    target.next_offset = offset;
    if (spared.has(record.target) || target.in_flight.size() >= options.window ||
        !hand_over(record.target, target, offset, record)) {
      target.is_caught_up = false;
      return;
    }
    target.next_offset = offset + 1;
  }

  bool hand_over(const std::string& name, Target& target, std::uint64_t offset, const OutboxRecord& record) {
    const auto sink = find_sink(name);
    if (!sink || !sink->is_ready()) return false;
    target.in_flight.insert(offset);
    const auto generation = target.generation;
    const auto sent = sink->send(record, [weak = weak_from_this(), name, offset, generation](Status status) {
      if (const auto self = weak.lock()) self->settle(name, offset, generation, status);
    });
    if (!sent) target.in_flight.erase(offset);
    return sent && target.generation == generation;  // It may have failed before send returned.
  }

  void settle(const std::string& name, std::uint64_t offset, std::uint64_t generation, const Status& status) {
    const auto found = targets.find(name);
    if (found == targets.end() || found->second.generation != generation) return;
    Target& target = found->second;
    if (!status) {
      rewind(name, target);
      return;
    }
    target.in_flight.erase(offset);
    delivered.add();
    spared.remove(name, offset);
    // Reading in half windows: one record at a time would read the log over and over.
    if (!is_all_sent(name, target) && target.in_flight.size() * 2 <= options.window) pump(name, target);
  }

  /// The receiver went away: everything it has not acknowledged is sent again, in order.
  void rewind(const std::string& name, Target& target) {
    if (target.in_flight.empty()) return;
    spared.unsend(name);
    ++target.generation;
    target.next_offset = *target.in_flight.begin();
    target.in_flight.clear();
    target.is_caught_up = false;
  }

  bool is_all_sent(const std::string& name, const Target& target) const {
    return target.is_caught_up && !spared.has(name);
  }

  void pump(const std::string& name, Target& target) {
    if (target.is_pumping) return;
    target.is_pumping = true;
    const bool takes_more = pump_spared(name, target);
    while (takes_more && !target.is_caught_up && target.in_flight.size() < options.window && pump_batch(name, target)) {
    }
    target.is_pumping = false;
  }

  /// False when the target does not take more for now. What is handed over may be acknowledged, and gone, at once.
  bool pump_spared(const std::string& name, Target& target) {
    while (Spared* item = spared.next(name)) {
      const std::uint64_t offset = item->offset;
      if (is_expired(item->record, item->received_us)) {
        expired.add();
        spared.remove(name, offset);
        continue;
      }
      if (target.in_flight.size() >= options.window) return false;
      item->is_sent = true;
      if (hand_over(name, target, offset, OutboxRecord(item->record))) continue;
      if (Spared* refused_item = spared.find(name, offset)) refused_item->is_sent = false;
      return false;
    }
    return true;
  }

  Status save_spared() {
    if (!spared.is_changed()) return Done{};
    const std::lock_guard lock(file_mutex);
    VERGE_CHECK(replace_file(disk, spared_path(), spared.to_text()));
    spared.mark_saved();
    return Done{};
  }

  /// False when the target does not take more for now.
  bool pump_batch(const std::string& name, Target& target) {
    const auto sink = find_sink(name);
    if (!sink || !sink->is_ready()) return false;
    const auto records = read_for(target, options.window - target.in_flight.size());
    if (!records) return false;
    for (const auto& stored_record : *records) {
      const auto record = outbox_record_from(stored_record.bytes);
      if (record && record->target == name) {
        if (is_expired(*record, stored_record.received_us)) {
          expired.add();
        } else if (target.in_flight.size() >= options.window) {
          return false;
        } else if (!hand_over(name, target, stored_record.offset, *record)) {
          return false;
        }
      }
      target.next_offset = std::max(target.next_offset, stored_record.offset + 1);
    }
    return true;
  }

  std::optional<std::vector<storage::LogRecord>> read_for(Target& target, std::size_t count) {
    target.next_offset = std::max(target.next_offset, log->first_offset(0));
    auto records = log->read(0, target.next_offset, std::max<std::size_t>(count, 16), kReadBytesMax);
    if (!records) {
      log_error("outbox", records.error());
      return std::nullopt;
    }
    if (records->empty()) target.is_caught_up = true;
    return *std::move(records);
  }

  bool is_expired(const OutboxRecord& record, std::int64_t received_us) const {
    if (record.time_to_live_s < 0) return false;
    std::int64_t age_us = 0;
    if (!boot.empty() && record.boot == boot) {
      age_us = clock.monotonic_us() - record.monotonic_us;
    } else if (received_us >= kClockIsSet_us && clock.now_us() >= kClockIsSet_us) {
      age_us = clock.now_us() - received_us;
    }
    return age_us >= record.time_to_live_s * 1'000'000;
  }

  void wake(const std::string& name) {
    const auto found = targets.find(name);
    if (found != targets.end()) pump(name, found->second);
  }

  // -- keeping house

  void sweep() {
    bytes.set(static_cast<double>(log->disk_bytes()));
    if (log->disk_bytes() > options.disk_bytes_max) enforce_cap();
    for (auto& [name, target] : targets) {
      if (is_all_sent(name, target)) continue;
      pump(name, target);
      skip_expired(name, target);
    }
    // A target that is empty needs no memory; it comes back with its next record.
    std::erase_if(targets, [this](const auto& entry) {
      return is_drained(entry.first, entry.second) && !entry.second.is_pumping;
    });
    trim();
  }

  bool is_drained(const std::string& name, const Target& target) const {
    return target.is_drained() && !spared.has(name);
  }

  /// Frees what a target that is away will never get.
  void skip_expired(const std::string& name, Target& target) {
    for (int batch = 0; batch < kSweepBatchesMax && !target.is_caught_up; ++batch) {
      const auto records = read_for(target, options.read_count_max);
      if (!records) return;
      for (const auto& stored_record : *records) {
        const auto record = outbox_record_from(stored_record.bytes);
        if (record && record->target == name) {
          if (!is_expired(*record, stored_record.received_us)) return;
          expired.add();
        }
        target.next_offset = stored_record.offset + 1;
      }
    }
  }

  std::uint64_t position_of(const Target& target) const {
    const auto first = target.in_flight.lower_bound(log->first_offset(0));  // What was spared lies before it.
    if (first != target.in_flight.end()) return *first;
    return target.is_caught_up ? durable_end : target.next_offset;
  }

  void trim(bool keeps_newest = true) {
    // Only what the written positions no longer need: a crash must find everything behind them.
    std::uint64_t lowest = std::min(lowest_position(), saved_lowest);
    if (keeps_newest && !kept.empty()) lowest = std::min(lowest, kept.front().first);
    if (lowest <= log->first_offset(0)) return;
    if (const auto trimmed = log->trim_before(0, lowest); !trimmed) log_error("outbox", trimmed.error());
  }

  /// The oldest segments go until a tenth of the cap is free. What ranks high in them is spared; what nobody had
  /// acknowledged and is not spared is counted.
  void enforce_cap() {
    trim(false);
    const std::uint64_t wanted = options.disk_bytes_max / 10 * 9;
    std::vector<std::uint64_t> given_up;
    std::uint64_t lost = 0;
    std::uint64_t offset = log->first_offset(0);
    std::uint64_t read_bytes = 0;
    while (log->disk_bytes() > wanted) {
      const auto records = log->read(0, offset, options.read_count_max, kReadBytesMax);
      if (!records || records->empty()) break;
      for (const auto& stored_record : *records) {
        auto record = outbox_record_from(stored_record.bytes);
        const auto target = record ? targets.find(record->target) : targets.end();
        if (target != targets.end() && position_of(target->second) <= stored_record.offset) {
          const bool is_sent = target->second.in_flight.count(stored_record.offset) != 0;
          if (record->rank < kOrdinaryRank) {
            spared.add({stored_record.offset, stored_record.received_us, *std::move(record), is_sent});
          } else {
            given_up.push_back(stored_record.offset);
          }
        }
        offset = stored_record.offset + 1;
        read_bytes += stored_record.bytes.size();
      }
      if (read_bytes < segment_bytes(options) / 2) continue;
      read_bytes = 0;
      lost += spared.shrink(spared_bytes_max());
      if (const auto saved = save_spared(); !saved) {
        log_error("outbox", saved.error());  // Rather refuse new messages than lose an alarm.
        break;
      }
      if (!log->trim_before(0, offset)) break;
    }
    const std::uint64_t first = log->first_offset(0);
    spared.remove_from(first);  // What is still in the log is delivered from there.
    for (auto& [name, target] : targets) target.next_offset = std::max(target.next_offset, first);
    lost += static_cast<std::uint64_t>(
        std::count_if(given_up.begin(), given_up.end(), [first](std::uint64_t gone) { return gone < first; }));
    if (lost == 0) return;
    dropped.add(lost);
    log_warning("outbox", "the disk cap is reached; the oldest messages were dropped",
                {{"messages", lost}, {"spared", spared.bytes()}, {"disk_bytes_max", options.disk_bytes_max}});
  }

  std::string positions_text() const {
    Json json = {{"epoch", epoch}, {"offset", durable_end}, {"targets", Json::object()}, {"sequences", Json::object()}};
    for (const auto& [name, target] : targets) {
      if (!target.is_drained()) json["targets"][name] = position_of(target);
    }
    for (const auto& [name, sender] : senders) json["sequences"][name] = sender.last_durable;
    return to_text(json);
  }

  std::uint64_t lowest_position() const {
    std::uint64_t lowest = durable_end;
    for (const auto& [name, target] : targets) lowest = std::min(lowest, position_of(target));
    return lowest;
  }

  void save_later() {
    if (is_saving) return;
    auto text = positions_text();
    if (text == saved_positions && !spared.is_changed()) return;
    // Seldom anything: only after the disk cap was reached. An old file means sending more again.
    if (const auto saved = save_spared(); !saved) log_error("outbox", saved.error());
    is_saving = true;
    const auto lowest = lowest_position();
    const auto submitted = workers.submit([self = shared_from_this(), text, lowest] {
      const auto written = self->write_positions(text);
      self->loop.post([weak = std::weak_ptr(self), text, lowest, written] {
        if (const auto owner = weak.lock()) owner->finish_saving(text, lowest, written);
      });
    });
    if (!submitted) is_saving = false;
  }

  Status write_positions(std::string_view text) {
    const std::lock_guard lock(file_mutex);
    // A job that comes late must not replace what the next outbox of this folder wrote.
    if (is_closed) return Error{ErrorCode::unavailable, "write positions: the outbox is closed"};
    return replace_file(disk, positions_path(), text);
  }

  void finish_saving(const std::string& text, std::uint64_t lowest, const Status& written) {
    is_saving = false;
    if (!written) {
      // Nothing is lost: an older position only means sending more again.
      log_error("outbox", written.error());
      return;
    }
    saved_positions = text;
    saved_lowest = lowest;
  }

  void close() {
    loop.cancel(checkpoint_timer);
    loop.cancel(sweep_timer);
    {
      const std::lock_guard lock(file_mutex);
      is_closed = true;
    }
    if (log == nullptr) return;
    log.reset();  // Waits for the commit thread, which may still call arrive().
  }
};

Outbox::Outbox(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Outbox::~Outbox() { impl_->close(); }

Result<std::unique_ptr<Outbox>> Outbox::open(Loop& loop, Workers& workers, Disk& disk, const Clock& clock,
                                             Metrics& metrics, OutboxOptions options, FindSink find_sink) {
  auto impl = std::make_shared<Impl>(loop, workers, disk, clock, metrics, std::move(options), std::move(find_sink));
  VERGE_CHECK(impl->open());
  return std::unique_ptr<Outbox>(new Outbox(std::move(impl)));
}

void Outbox::append(std::vector<Message> messages, std::function<void(Status)> done, const Origin& origin) {
  impl_->append(std::move(messages), std::move(done), origin);
}
void Outbox::wake(const std::string& target) { impl_->wake(target); }
void Outbox::wake_all() {
  std::vector<std::string> names;
  for (const auto& [name, target] : impl_->targets) names.push_back(name);
  for (const auto& name : names) impl_->wake(name);
}
bool Outbox::has_pending(const std::string& target) const {
  const auto found = impl_->targets.find(target);
  return found != impl_->targets.end() && !impl_->is_drained(target, found->second);
}
std::map<std::string, Outbox::TargetFigures> Outbox::figures() const {
  std::map<std::string, TargetFigures> figures;
  for (const auto& [name, target] : impl_->targets) {
    figures[name] = {target.in_flight.size(), impl_->is_drained(name, target)};
  }
  return figures;
}
std::uint64_t Outbox::disk_bytes() const { return impl_->log->disk_bytes(); }
const std::string& Outbox::epoch() const { return impl_->epoch; }
void Outbox::flush() {
  const auto written = impl_->write_positions(impl_->positions_text());
  if (!written) log_error("outbox", written.error());
}

}  // namespace verge::agent
