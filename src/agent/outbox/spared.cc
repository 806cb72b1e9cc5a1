#include "agent/outbox/spared.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/bytes.h"
#include "base/json.h"

namespace verge::agent {
namespace {

Result<Spared> spared_from(const Json& json) {
  VERGE_TRY(const auto offset, integer_member(json, "offset"));
  VERGE_TRY(const auto received_us, integer_member(json, "received_us"));
  VERGE_TRY(const auto encoded, string_member(json, "record"));
  VERGE_TRY(const auto bytes, from_base64(encoded));
  VERGE_TRY(auto record, outbox_record_from(bytes));
  return Spared{static_cast<std::uint64_t>(offset), received_us, std::move(record)};
}

}  // namespace

Spared* SparedRecords::next(const std::string& target) {
  const auto own = by_target_.find(target);
  if (own == by_target_.end()) return nullptr;
  const auto found =
      std::find_if(own->second.begin(), own->second.end(), [](const Spared& item) { return !item.is_sent; });
  return found == own->second.end() ? nullptr : &*found;
}

Spared* SparedRecords::find(const std::string& target, std::uint64_t offset) {
  const auto own = by_target_.find(target);
  if (own == by_target_.end()) return nullptr;
  const auto found = std::lower_bound(own->second.begin(), own->second.end(), offset,
                                      [](const Spared& item, std::uint64_t wanted) { return item.offset < wanted; });
  return found == own->second.end() || found->offset != offset ? nullptr : &*found;
}

void SparedRecords::add(Spared item) {
  auto& own = by_target_[item.record.target];
  if (!own.empty() && item.offset <= own.back().offset) return;
  bytes_ += item.size();
  is_changed_ = true;
  own.push_back(std::move(item));
}

void SparedRecords::remove(const std::string& target, std::uint64_t offset) {
  const Spared* item = find(target, offset);
  if (item == nullptr) return;
  auto& own = by_target_[target];
  bytes_ -= item->size();
  is_changed_ = true;
  own.erase(std::find_if(own.begin(), own.end(), [item](const Spared& candidate) { return &candidate == item; }));
  if (own.empty()) by_target_.erase(target);
}

void SparedRecords::remove_from(std::uint64_t offset) {
  std::vector<std::pair<std::string, std::uint64_t>> gone;
  for (const auto& [target, items] : by_target_) {
    for (const Spared& item : items) {
      if (item.offset >= offset) gone.emplace_back(target, item.offset);
    }
  }
  for (const auto& [target, item_offset] : gone) remove(target, item_offset);
}

void SparedRecords::unsend(const std::string& target) {
  const auto own = by_target_.find(target);
  if (own == by_target_.end()) return;
  for (Spared& item : own->second) item.is_sent = false;
}

std::uint64_t SparedRecords::shrink(std::size_t bytes_max) {
  if (bytes_ <= bytes_max) return 0;
  std::vector<std::tuple<int, std::uint64_t, std::string>> victims;
  for (const auto& [target, items] : by_target_) {
    for (const Spared& item : items) victims.emplace_back(-item.record.rank, item.offset, target);
  }
  std::sort(victims.begin(), victims.end());
  std::uint64_t lost = 0;
  for (const auto& [rank, offset, target] : victims) {
    if (bytes_ <= bytes_max) break;
    remove(target, offset);
    ++lost;
  }
  return lost;
}

std::string SparedRecords::to_text() const {
  Json list = Json::array();
  for (const auto& [target, items] : by_target_) {
    for (const Spared& item : items) {
      list.push_back(
          {{"offset", item.offset}, {"received_us", item.received_us}, {"record", to_base64(to_bytes(item.record))}});
    }
  }
  return verge::to_text(Json{{"spared", std::move(list)}});
}

Result<std::vector<std::string>> SparedRecords::add_from_text(std::string_view text) {
  VERGE_TRY(const Json json, parse_json(text));
  const Json* list = find_member(json, {"spared"});
  if (list == nullptr || !list->is_array()) return Error{ErrorCode::corrupt, "there is no list \"spared\""};
  std::vector<std::string> targets;
  for (const Json& item : *list) {
    auto record = spared_from(item);
    if (!record) continue;
    targets.push_back(record->record.target);
    add(*std::move(record));
  }
  return targets;
}

}  // namespace verge::agent
