#include "hub/mqtt/received_sequences.h"

#include <algorithm>

namespace verge::hub {

bool ReceivedSequences::contains(std::uint64_t sequence) const {
  for (auto range = ranges_.rbegin(); range != ranges_.rend(); ++range) {  // Almost always the last one.
    if (sequence > range->second) return false;
    if (sequence >= range->first) return true;
  }
  // Below everything that we still remember: older than the oldest hole.
  return ranges_.size() == ranges_max;
}

void ReceivedSequences::add(std::uint64_t sequence) {
  auto after = ranges_.end();
  while (after != ranges_.begin() && std::prev(after)->first > sequence) --after;
  const bool has_before = after != ranges_.begin();
  if (has_before && std::prev(after)->second >= sequence) return;
  const bool joins_before = has_before && std::prev(after)->second + 1 == sequence;
  const bool joins_after = after != ranges_.end() && sequence + 1 == after->first;
  if (joins_before && joins_after) {
    std::prev(after)->second = after->second;
    ranges_.erase(after);
  } else if (joins_before) {
    std::prev(after)->second = sequence;
  } else if (joins_after) {
    after->first = sequence;
  } else {
    ranges_.insert(after, {sequence, sequence});
  }
  if (ranges_.size() <= ranges_max) return;
  ranges_[1].first = ranges_[0].first;
  ranges_.erase(ranges_.begin());
}

void ReceivedSequences::set_ranges(std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges) {
  ranges_ = std::move(ranges);
  if (ranges_.size() > ranges_max) ranges_.erase(ranges_.begin(), ranges_.end() - ranges_max);
}

const ReceivedSequences* SenderHistory::find(std::string_view epoch) const {
  for (auto item = epochs_.rbegin(); item != epochs_.rend(); ++item) {
    if (item->first == epoch) return &item->second;
  }
  return nullptr;
}

ReceivedSequences& SenderHistory::at(std::string_view epoch) {
  for (auto& [name, received] : epochs_) {
    if (name == epoch) return received;
  }
  if (epochs_.size() == kEpochsMax) epochs_.erase(epochs_.begin());
  return epochs_.emplace_back(std::string(epoch), ReceivedSequences{}).second;
}

}  // namespace verge::hub
