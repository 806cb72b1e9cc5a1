// agent/outbox/spared.h -- records of rank that outlive the segment of the log they were in.
//
// When the disk cap takes the oldest segment, what ranks above ordinary is moved here and delivered before anything
// that is still in the log. File format: docs/formats/outbox.md.
// Bound: shrink() to a number of bytes. Threads: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/outbox/record.h"
#include "base/result.h"

namespace verge::agent {

struct Spared {
  std::uint64_t offset = 0;  ///< Where it was in the log.
  std::int64_t received_us = 0;
  OutboxRecord record;
  bool is_sent = false;  ///< On the wire.

  /// About what it takes, in memory and in the file.
  std::size_t size() const { return record.payload.size() + record.properties.size() + 256; }
};

class SparedRecords {
 public:
  bool has(const std::string& target) const { return by_target_.count(target) != 0; }
  /// The oldest of the target that is not on the wire; nullptr when there is none. Valid until the next change.
  Spared* next(const std::string& target);
  /// Nullptr when it is not (or no longer) here. Valid until the next change.
  Spared* find(const std::string& target, std::uint64_t offset);

  /// Ignored when its target has it already or has a newer one: records come in the order of the log, and an attempt
  /// that failed may come again.
  void add(Spared item);
  void remove(const std::string& target, std::uint64_t offset);
  /// Forgets what lies at `offset` of the log or behind it.
  void remove_from(std::uint64_t offset);
  /// The receiver went away: nothing of the target is on the wire any more.
  void unsend(const std::string& target);
  /// Drops until at most `bytes_max` are left: the highest rank first, of one rank the oldest. Returns how many.
  std::uint64_t shrink(std::size_t bytes_max);

  std::size_t bytes() const { return bytes_; }
  /// True from the first change since it was made or marked as saved.
  bool is_changed() const { return is_changed_; }
  void mark_saved() { is_changed_ = false; }

  /// The file's content.
  std::string to_text() const;
  /// Adds what a file held and returns the targets; leaves out records that cannot be read. Errors: corrupt, when the
  /// whole is no such file.
  Result<std::vector<std::string>> add_from_text(std::string_view text);

 private:
  std::map<std::string, std::deque<Spared>> by_target_;  ///< Oldest first; no empty ones.
  std::size_t bytes_ = 0;
  bool is_changed_ = false;
};

}  // namespace verge::agent
