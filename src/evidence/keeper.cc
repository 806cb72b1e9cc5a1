#include "evidence/keeper.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/log.h"

namespace verge::evidence {

Keeper::Keeper(KeeperOptions options, Disk& disk, const Clock& clock, Metrics& metrics)
    : options_(std::move(options)),
      kept_(metrics.counter("verge_evidence_files_total", "Pictures and clips by what became of them.",
                            {{"result", "kept"}})),
      refused_(metrics.counter("verge_evidence_files_total", "Pictures and clips by what became of them.",
                               {{"result", "refused"}})),
      store_(options_.folder, disk, clock, metrics) {}

Keeper::~Keeper() = default;

Result<Store*> Keeper::store() {
  const std::lock_guard lock(mutex_);
  if (!is_open_) VERGE_CHECK(store_.add_shelf({std::string(kEventShelf), options_.days, options_.bytes_max}));
  is_open_ = true;
  return &store_;
}

Status Keeper::add_shelf(const Shelf& shelf) { return store_.add_shelf(shelf); }

/// Logged at the 1st, 2nd, 4th, 8th … time: a full disk must not be filled by saying so.
Error Keeper::refusal(Error error) {
  refused_.add();
  const std::uint64_t count = refused_.value();
  if ((count & (count - 1)) == 0) log_error("evidence", error, {{"refused", count}});
  return error;
}

Result<std::unique_ptr<Store::Draft>> Keeper::begin(std::string_view shelf, Label label) {
  VERGE_TRY(Store* const files, store());
  VERGE_TRY(auto draft, files->begin(shelf, std::move(label)));
  // Before the first byte is in it: clips show people as they are. A mounted folder may be somebody else's.
  for (const auto& folder : {options_.folder, options_.folder / shelf}) {
    std::error_code ignored;
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ignored);
  }
  return draft;
}

Result<StoredFile> Keeper::try_to_keep(std::string_view shelf, Label label, std::string_view bytes) {
  VERGE_TRY(const auto draft, begin(shelf, std::move(label)));
  VERGE_CHECK(draft->write_at(0, bytes));
  return draft->finish();
}

Result<StoredFile> Keeper::keep(std::string_view shelf, Label label, std::string_view bytes) {
  auto file = try_to_keep(shelf, std::move(label), bytes);
  if (!file) return refusal(std::move(file).error());
  kept_.add();
  return file;
}

void Keeper::want_ring(const std::string& stream, double seconds) {
  const std::lock_guard lock(mutex_);
  double& wanted = rings_[stream];
  wanted = std::max(wanted, seconds);
}

double Keeper::ring_s(const std::string& stream) const {
  const std::lock_guard lock(mutex_);
  const auto at = rings_.find(stream);
  return std::max(options_.ring_s, at == rings_.end() ? 0 : at->second);
}

void Keeper::attach(const std::string& stream, ClipMaker& maker) {
  const std::lock_guard lock(mutex_);
  makers_[stream] = &maker;
}

void Keeper::detach(const std::string& stream) {
  const std::lock_guard lock(mutex_);
  makers_.erase(stream);
}

Result<std::string> Keeper::order_clip(const std::string& stream, ClipOrder order) {
  order.id = new_uuid();
  const std::string id = order.id;
  const std::lock_guard lock(mutex_);
  const auto at = makers_.find(stream);
  if (at == makers_.end()) {
    return refusal({ErrorCode::not_found,
                    fmt::format("make a clip: \"{}\" has no compressed pictures to make it of; films and network "
                                "cameras have, unless a mask covers a part of the picture",
                                stream)});
  }
  if (auto ordered = at->second->order(std::move(order)); !ordered) return refusal(std::move(ordered).error());
  clips_[id] = {};
  clip_ids_.push_back(id);
  if (clip_ids_.size() > kClipStatesMax) {
    clips_.erase(clip_ids_.front());
    clip_ids_.pop_front();
  }
  return id;
}

void Keeper::note_clip(const std::string& id, const Result<StoredFile>& outcome) {
  if (outcome) {
    kept_.add();
  } else {
    (void)refusal(outcome.error());
  }
  const std::lock_guard lock(mutex_);
  const auto at = clips_.find(id);
  if (at == clips_.end()) return;
  at->second.is_done = true;
  if (outcome) at->second.file = *outcome;
  if (!outcome) at->second.error = outcome.error().message;
}

std::optional<ClipState> Keeper::clip_state(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto at = clips_.find(id);
  return at == clips_.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace verge::evidence
