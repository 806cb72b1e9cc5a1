#include "hub/mqtt/ingest.h"

#include <algorithm>
#include <charconv>
#include <fmt/core.h>
#include <map>

#include "base/json.h"
#include "base/log.h"
#include "hub/message_record.h"

namespace verge::hub {

struct Ingest::Stream {
  contract::Identity who;
  SenderHistory durable;
  /// On their way to the disk: who waits for each number (the first one is its sender).
  std::map<std::pair<std::string, std::uint64_t>, std::vector<Acknowledge>> in_flight;
};

class Ingest::Sender {
 public:
  std::string prefix;
  std::uint32_t partition = 0;
  Stream* stream = nullptr;  ///< Lives as long as the Ingest.
};

namespace {

using Properties = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kSnapshotBytesMax = 256U << 20U;
constexpr std::size_t kScanRecords = 4096;

/// What the hub alone may say about a message.
bool is_stamp(std::string_view name) { return name.starts_with("iothub-connection-") || name == "iothub-enqueuedtime"; }

std::size_t azure_bytes(const Properties& properties, std::string_view body) {
  std::size_t bytes = body.size();
  for (const auto& [name, value] : properties) bytes += value.size() + (name.starts_with("$.") ? 0 : name.size());
  return bytes;
}

Result<std::uint64_t> parse_sequence(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size() && number <= INT64_MAX) return number;
  return Error{ErrorCode::invalid_argument,
               fmt::format("property {} is \"{}\"; send a whole number", kSequenceProperty, text.substr(0, 64))};
}

Properties kept_properties(const contract::PropertyBag& bag, bool retain) {
  Properties kept;
  kept.reserve(bag.all().size() + (retain ? 1 : 0));
  for (const auto& item : bag.all()) {
    if (item.first == kEpochProperty || item.first == kSequenceProperty || is_stamp(item.first)) continue;
    kept.push_back(item);
  }
  if (retain) kept.emplace_back("mqtt-retain", "true");
  return kept;
}

Json ranges_json(const ReceivedSequences& received) {
  Json list = Json::array();
  for (const auto& [first, last] : received.ranges()) list.push_back({first, last});
  return list;
}

/// Writes next to the file, syncs, renames: a snapshot is whole or absent.
Status replace_file(Disk& disk, const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path fresh = path.string() + ".new";
  {
    VERGE_TRY(const auto file, disk.open(fresh, true));
    VERGE_CHECK(file->truncate(0));
    VERGE_CHECK(file->write_at(0, bytes));
    VERGE_CHECK(file->sync());
  }
  VERGE_CHECK(disk.rename(fresh, path));
  return disk.sync_folder(path.parent_path());
}

}  // namespace

Ingest::Ingest(Disk& disk, std::filesystem::path snapshot, storage::AppendLog& log, Metrics& metrics)
    : disk_(disk),
      snapshot_(std::move(snapshot)),
      log_(log),
      messages_(metrics.counter("verge_hub_messages_total", "Messages made durable.")),
      duplicates_(metrics.counter("verge_hub_duplicates_total", "Messages sent again whose original was durable.")),
      refused_(metrics.counter("verge_hub_messages_refused_total", "Messages that the log did not take.")),
      bytes_(metrics.counter("verge_hub_message_bytes_total", "Bytes of message bodies received.")),
      durable_ends_(log.partition_count(), 0) {}

Ingest::~Ingest() = default;

Result<std::unique_ptr<Ingest>> Ingest::open(Disk& disk, std::filesystem::path snapshot, storage::AppendLog& log,
                                             Metrics& metrics) {
  std::unique_ptr<Ingest> ingest(new Ingest(disk, std::move(snapshot), log, metrics));
  VERGE_CHECK(ingest->restore());
  return ingest;
}

Ingest::Stream& Ingest::stream_of(const contract::Identity& who) {
  auto& stream = streams_[who.to_text()];
  if (!stream) {
    stream = std::make_unique<Stream>();
    stream->who = who;
  }
  return *stream;
}

Status Ingest::restore() {
  VERGE_TRY(const auto offsets, load_snapshot());
  for (std::uint32_t partition = 0; partition < log_.partition_count(); ++partition) {
    VERGE_CHECK(scan(partition, offsets[partition]));
  }
  return Done{};
}

/// Where to go on reading in each partition. A snapshot that cannot be used costs time, not messages: the whole log
/// is read instead.
Result<std::vector<std::uint64_t>> Ingest::load_snapshot() {
  const std::vector<std::uint64_t> from_start(log_.partition_count(), 0);
  VERGE_TRY(const auto names, disk_.list(snapshot_.parent_path()));
  if (std::find(names.begin(), names.end(), snapshot_.filename().string()) == names.end()) return from_start;
  VERGE_TRY(const auto file, disk_.open(snapshot_, false));
  VERGE_TRY(const auto text, file->read_at(0, kSnapshotBytesMax));
  const auto json = parse_json(text);
  const auto unusable = [&](std::string_view why) {
    log_warning("hub", "reading the whole message log again", {{"file", snapshot_.string()}, {"because", why}});
    streams_.clear();
    return from_start;
  };
  if (!json || !json->is_object()) return unusable("the snapshot is no JSON");
  try {
    const auto offsets = json->at("offsets").get<std::vector<std::uint64_t>>();
    if (offsets.size() != from_start.size()) return unusable("the snapshot is of other partitions");
    for (std::uint32_t partition = 0; partition < offsets.size(); ++partition) {
      if (offsets[partition] > log_.end_offset(partition)) return unusable("the log ends before the snapshot");
    }
    for (const Json& sender : json->at("senders")) {
      Stream& stream = stream_of({sender.at("device").get<std::string>(), sender.at("module").get<std::string>()});
      for (const Json& epoch : sender.at("epochs")) {
        stream.durable.at(epoch.at("epoch").get<std::string>())
            .set_ranges(epoch.at("ranges").get<std::vector<std::pair<std::uint64_t, std::uint64_t>>>());
      }
    }
    return offsets;
  } catch (const Json::exception& error) {
    return unusable(error.what());
  }
}

Status Ingest::scan(std::uint32_t partition, std::uint64_t offset) {
  for (;;) {
    VERGE_TRY(const auto records, log_.read(partition, offset, kScanRecords));
    if (records.empty()) break;
    for (const auto& item : records) {
      offset = item.offset + 1;
      if (is_probe(item.bytes)) continue;
      const auto record = decode_record(item.bytes);
      if (!record) {
        log_error("hub", record.error().within("restore received sequences"), {{"offset", item.offset}});
        continue;
      }
      if (!record->epoch.empty()) stream_of(record->sender).durable.at(record->epoch).add(record->sequence);
    }
  }
  durable_ends_[partition] = offset;
  return Done{};
}

Ingest::SenderPointer Ingest::sender(const contract::Identity& who, std::string_view generation_id,
                                     std::string_view auth_method) {
  auto sender = std::make_shared<Sender>();
  sender->prefix = record_prefix(who, generation_id, auth_method);
  sender->partition = storage::partition_of(who.device, log_.partition_count());
  const std::lock_guard lock(mutex_);
  sender->stream = &stream_of(who);
  return sender;
}

Status Ingest::publish(const Sender& sender, const contract::PropertyBag& bag, std::string_view body, bool retain,
                       Acknowledge acknowledge) {
  const Properties properties = kept_properties(bag, retain);
  if (const std::size_t bytes = azure_bytes(properties, body); bytes > kMessageBytesMax) {
    return Error{ErrorCode::limit,
                 fmt::format("a message of {} bytes; at most {} with its properties", bytes, kMessageBytesMax)};
  }
  bytes_.add(body.size());
  const std::string_view epoch = bag.get(kEpochProperty);
  if (epoch.empty()) {
    append(sender, encode_record(sender.prefix, {}, 0, properties, body), std::move(acknowledge));
    return Done{};
  }

  VERGE_TRY(const std::uint64_t sequence, parse_sequence(bag.get(kSequenceProperty)));
  switch (take(*sender.stream, epoch, sequence, acknowledge)) {
    case Taken::durable:
      duplicates_.add();
      acknowledge(Done{});
      return Done{};
    case Taken::in_flight:
      duplicates_.add();
      return Done{};
    case Taken::fresh:
      break;
  }
  append_once(sender, std::string(epoch), sequence, encode_record(sender.prefix, epoch, sequence, properties, body));
  return Done{};
}

/// Decides under one lock what is known of a number; unless it is durable, `acknowledge` waits with it.
Ingest::Taken Ingest::take(Stream& stream, std::string_view epoch, std::uint64_t sequence,
                           const Acknowledge& acknowledge) {
  const std::lock_guard lock(mutex_);
  const ReceivedSequences* durable = stream.durable.find(epoch);
  if (durable != nullptr && durable->contains(sequence)) return Taken::durable;
  auto& waiting = stream.in_flight[{std::string(epoch), sequence}];
  waiting.push_back(acknowledge);
  return waiting.size() == 1 ? Taken::fresh : Taken::in_flight;
}

void Ingest::append(const Sender& sender, std::string bytes, Acknowledge acknowledge) {
  const std::uint32_t partition = sender.partition;
  log_.append(partition, std::move(bytes),
              [this, partition, acknowledge = std::move(acknowledge)](Result<std::uint64_t> offset) {
                {
                  const std::lock_guard lock(mutex_);
                  note_outcome(partition, offset);
                }
                if (offset) {
                  acknowledge(Done{});
                } else {
                  acknowledge(std::move(offset).error());
                }
              });
}

void Ingest::append_once(const Sender& sender, std::string epoch, std::uint64_t sequence, std::string bytes) {
  const std::uint32_t partition = sender.partition;
  Stream* stream = sender.stream;
  log_.append(partition, std::move(bytes),
              [this, partition, stream, epoch = std::move(epoch), sequence](Result<std::uint64_t> offset) {
                std::vector<Acknowledge> waiting;
                {
                  const std::lock_guard lock(mutex_);
                  note_outcome(partition, offset);
                  if (auto entry = stream->in_flight.extract({epoch, sequence})) waiting = std::move(entry.mapped());
                  if (offset) stream->durable.at(epoch).add(sequence);
                }
                for (const auto& acknowledge : waiting) {
                  if (offset) {
                    acknowledge(Done{});
                  } else {
                    acknowledge(Error(offset.error()));
                  }
                }
              });
}

void Ingest::note_outcome(std::uint32_t partition, const Result<std::uint64_t>& offset) {
  if (!offset) {
    refused_.add();
    if (trouble_.empty()) log_error("hub", offset.error().within("store a message"));
    trouble_ = offset.error().message;
    return;
  }
  messages_.add();
  durable_ends_[partition] = *offset + 1;
  is_changed_ = true;
  if (trouble_.empty()) return;
  log_info("hub", "the message log takes writes again");
  trouble_.clear();
}

std::string Ingest::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Ingest::probe() {
  {
    const std::lock_guard lock(mutex_);
    if (trouble_.empty() || is_probing_) return;
    is_probing_ = true;
  }
  log_.append(0, probe_record(), [this](Result<std::uint64_t> offset) {
    const std::lock_guard lock(mutex_);
    is_probing_ = false;
    note_outcome(0, offset);
  });
}

Status Ingest::store_snapshot() {
  const std::lock_guard storing(storing_);
  Json json;
  {
    const std::lock_guard lock(mutex_);
    if (!is_changed_) return Done{};
    is_changed_ = false;
    json["offsets"] = durable_ends_;
    Json senders = Json::array();
    for (const auto& [id, stream] : streams_) {
      if (stream->durable.epochs().empty()) continue;
      Json epochs = Json::array();
      for (const auto& [epoch, received] : stream->durable.epochs()) {
        epochs.push_back({{"epoch", epoch}, {"ranges", ranges_json(received)}});
      }
      senders.push_back(
          {{"device", stream->who.device}, {"module", stream->who.module}, {"epochs", std::move(epochs)}});
    }
    json["senders"] = std::move(senders);
  }
  const auto stored = replace_file(disk_, snapshot_, to_text(json));
  if (stored) return Done{};
  const std::lock_guard lock(mutex_);
  is_changed_ = true;
  return stored.error().within("store which messages were received");
}

}  // namespace verge::hub
