// agent/outbox/outbox.h -- what modules said, kept until its receiver has acknowledged it.
//
// A module's publish is acknowledged when the record is on stable storage; a record leaves when its receiver (the
// hub, or another module) acknowledged it, when its time to live is over, or when the disk cap drops it: the oldest
// ordinary ones first, then those of routes with a priority, alarms last. Each
// target ("up:SENDER", "in:MODULE/INPUT") is drained on its own, in order, with a window; a target that does not
// answer never holds up another. Live traffic goes straight from the append to the receiver; a backlog is read from
// the log. After a crash everything behind a target's checkpoint is sent again: the hub tells duplicates by
// epoch and sequence, which travel as properties verge-epoch and verge-seq; a module may see a message twice.
// What a module sends again (MQTT's DUP) because a crash took its acknowledgement is stored once if it carries a
// message id: the newest ids of each sender are remembered, over a crash by keeping the newest records.
//
// Bounds: window per target; disk cap (oldest segments go, counted; what ranks higher is spared from them into a file);
// log_options for what waits for the disk.
// Threads: everything on the loop's thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/outbox/record.h"
#include "base/disk.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "storage/append_log.h"

namespace verge::agent {

struct OutboxOptions {
  std::filesystem::path folder;
  std::uint64_t disk_bytes_max = 512ULL << 20;
  std::uint64_t free_bytes_min = 64ULL << 20;
  std::uint64_t segment_bytes_max = 0;  ///< 0: a sixteenth of the disk cap, within 256 KiB..16 MiB.
  std::uint64_t spared_bytes_max = 0;   ///< Of what outlives the disk cap; 0: a sixteenth of it, at most 4 MiB.
  std::size_t window = 64;              ///< Records handed to one target's sink and not yet acknowledged.
  std::size_t ids_max = 256;            ///< Message ids remembered per sender: what a client of ours has open at most.
  std::size_t kept_count_max = 1024;    ///< Newest records that stay after their delivery, for their ids,
  std::size_t kept_bytes_max = 1U << 20U;  ///< and their size; the disk cap goes first.
  std::size_t read_count_max = 256;
  std::chrono::milliseconds checkpoint_period{200};
  std::chrono::milliseconds sweep_period{10'000};  ///< Expired records, disk cap.
};

class Outbox {
 public:
  /// Where a target's records go. `send` hands one over; `done` comes once: Done when the receiver has it, an
  /// error to have it sent again after `wake`. Errors of send itself: not taken, try again after `wake`.
  struct Sink {
    std::function<bool()> is_ready;
    std::function<Status(const OutboxRecord& record, std::function<void(Status)> done)> send;
  };
  /// Finds the sink of a target; nothing while there is none (module not connected, hub away).
  using FindSink = std::function<std::optional<Sink>(const std::string& target)>;

  struct Message {
    std::string target, sender, properties, payload;
    std::int64_t time_to_live_s = -1;
    std::uint8_t rank = kOrdinaryRank;
  };

  /// What tells a publish that comes again from one that looks alike.
  struct Origin {
    std::string message_id;    ///< Of the sender's own making; empty: none, then every publish is a new one.
    bool is_repeated = false;  ///< The sender says that it may have sent it before.
  };

  struct TargetFigures {
    std::uint64_t in_flight = 0;
    bool is_drained = true;  ///< Everything durable was acknowledged.
  };

  /// Opens or creates; recovers sequences and positions. `workers` writes checkpoints.
  /// Errors: those of AppendLog::open.
  static Result<std::unique_ptr<Outbox>> open(Loop& loop, Workers& workers, Disk& disk, const Clock& clock,
                                              Metrics& metrics, OutboxOptions options, FindSink find_sink);
  ~Outbox();

  /// Stores all messages of one publish; `done` comes once, when all are durable, or with the first error: limit
  /// when the disk is full, unavailable when it failed. Then nothing may be acknowledged to the module. A repeated one
  /// that is stored already is not stored again; one that is on its way shares the answer.
  void append(std::vector<Message> messages, std::function<void(Status)> done, const Origin& origin);
  void append(std::vector<Message> messages, std::function<void(Status)> done) {
    append(std::move(messages), std::move(done), {});
  }
  /// A target became ready, or may have: send what waits.
  void wake(const std::string& target);
  void wake_all();
  /// Something waits for this target (sent and unacknowledged counts).
  bool has_pending(const std::string& target) const;
  std::map<std::string, TargetFigures> figures() const;
  std::uint64_t disk_bytes() const;
  const std::string& epoch() const;
  /// Writes the checkpoints now and waits for them (at shutdown).
  void flush();

 private:
  struct Impl;
  explicit Outbox(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// The properties that tell the hub duplicates apart.
inline constexpr std::string_view kEpochProperty = "verge-epoch";
inline constexpr std::string_view kSequenceProperty = "verge-seq";
/// Azure's message id, which its senders may set.
inline constexpr std::string_view kMessageIdProperty = "$.mid";
/// "alarm" is spared longest.
inline constexpr std::string_view kSeverityProperty = "severity";

}  // namespace verge::agent
