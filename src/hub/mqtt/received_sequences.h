// hub/mqtt/received_sequences.h -- which sequence numbers of a sender are already in the log.
//
// A set of ranges, not only the highest number: when the disk refuses one message and takes the next, the refused one
// must still be accepted when it comes again. Numbers that were never sent (dropped by a full outbox) leave holes;
// beyond ranges_max the oldest hole counts as received.
// Threads: a plain value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace verge::hub {

class ReceivedSequences {
 public:
  static constexpr std::size_t ranges_max = 64;  ///< Bounds memory: 1 KiB per sender and epoch.

  bool contains(std::uint64_t sequence) const;
  void add(std::uint64_t sequence);
  /// Both ends inclusive, ascending, apart by at least one number.
  const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges() const { return ranges_; }
  void set_ranges(std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges);

 private:
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges_;
};

/// The numbers of one sender. Of its outbox's epochs the newest two are remembered.
class SenderHistory {
 public:
  /// Null when nothing of this epoch was received.
  const ReceivedSequences* find(std::string_view epoch) const;
  ReceivedSequences& at(std::string_view epoch);
  const std::vector<std::pair<std::string, ReceivedSequences>>& epochs() const { return epochs_; }

 private:
  static constexpr std::size_t kEpochsMax = 2;
  std::vector<std::pair<std::string, ReceivedSequences>> epochs_;  ///< Oldest first.
};

}  // namespace verge::hub
