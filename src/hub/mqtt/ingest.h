// hub/mqtt/ingest.h -- from a published message to a durable record: sizes, stamps, duplicates, acknowledgement.
//
// A message counts as received once the log has synced it; only then its acknowledgement is called. A message that an
// outbox sends again (same epoch and sequence number) is acknowledged when its original is durable and not stored
// twice. Which numbers are durable is rebuilt at start from a snapshot and the log behind it. The body is never looked
// at here: 20,000 messages a second leave 50 us for each. Threads: publish() on the loop's thread; acknowledgements
// come from the log's commit thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/disk.h"
#include "base/metrics.h"
#include "base/result.h"
#include "contract/topics.h"
#include "hub/mqtt/received_sequences.h"
#include "storage/append_log.h"

namespace verge::hub {

/// Azure's bound on a device-to-cloud message: body, system property values, application names and values.
inline constexpr std::size_t kMessageBytesMax = 256U << 10U;

/// Properties that an outbox adds; they become the record's epoch and sequence.
inline constexpr std::string_view kEpochProperty = "verge-epoch";
inline constexpr std::string_view kSequenceProperty = "verge-seq";

class Ingest {
 public:
  using Acknowledge = std::function<void(Status)>;

  /// One connected sender; made at connect, so that a message does not pay for what never changes.
  class Sender;
  using SenderPointer = std::shared_ptr<Sender>;

  /// Reads the snapshot and the log behind it. Errors: corrupt, unavailable.
  static Result<std::unique_ptr<Ingest>> open(Disk& disk, std::filesystem::path snapshot, storage::AppendLog& log,
                                              Metrics& metrics);
  ~Ingest();

  SenderPointer sender(const contract::Identity& who, std::string_view generation_id, std::string_view auth_method);

  /// `acknowledge` is called once if the result is Done. Errors: limit (too large), invalid_argument (sequence number
  /// that is none); the caller closes the connection.
  Status publish(const Sender& sender, const contract::PropertyBag& properties, std::string_view body, bool retain,
                 Acknowledge acknowledge);

  /// Empty while the log takes writes; else why it does not.
  std::string trouble() const;
  /// Appends a probe if there is trouble, to learn when it ended. Call every few seconds.
  void probe();

  /// Writes the snapshot if anything changed. Any thread; blocks on the disk.
  Status store_snapshot();

 private:
  struct Stream;  ///< What is known about one sender's numbers.
  Ingest(Disk& disk, std::filesystem::path snapshot, storage::AppendLog& log, Metrics& metrics);
  Status restore();
  Result<std::vector<std::uint64_t>> load_snapshot();
  Status scan(std::uint32_t partition, std::uint64_t offset);
  Stream& stream_of(const contract::Identity& who);
  enum class Taken : std::uint8_t { fresh, in_flight, durable };
  Taken take(Stream& stream, std::string_view epoch, std::uint64_t sequence, const Acknowledge& acknowledge);
  void append(const Sender& sender, std::string bytes, Acknowledge acknowledge);
  void append_once(const Sender& sender, std::string epoch, std::uint64_t sequence, std::string bytes);
  void note_outcome(std::uint32_t partition, const Result<std::uint64_t>& offset);

  Disk& disk_;
  const std::filesystem::path snapshot_;
  storage::AppendLog& log_;
  Counter& messages_;
  Counter& duplicates_;
  Counter& refused_;
  Counter& bytes_;
  mutable std::mutex mutex_;  ///< Guards all below.
  std::unordered_map<std::string, std::unique_ptr<Stream>> streams_;
  std::vector<std::uint64_t> durable_ends_;  ///< Per partition: one past the last record in `streams_`.
  std::string trouble_;
  bool is_changed_ = false;
  bool is_probing_ = false;
  std::mutex storing_;
};

}  // namespace verge::hub
