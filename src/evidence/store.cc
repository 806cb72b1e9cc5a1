#include "evidence/store.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/crypto.h"
#include "base/log.h"

namespace verge::evidence {
namespace {

constexpr std::string_view kUnfinished = ".new";
constexpr std::size_t kTimeDigits = 16;
constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kPieceBytes = 256U << 10U;
constexpr std::uint64_t kRoomStepBytes = 1U << 20U;  // Between two looks at the disk's room while a file grows.
constexpr std::string_view kDigestBegin = "sha256:";

bool is_folder_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.%").find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 200 && name != "." && name != ".." && std::ranges::all_of(name, fits);
}

std::string name_of(const StoredFile& file) {
  return fmt::format("{:016}-{}-{}.{}", std::max<std::int64_t>(0, file.label.captured_us),
                     std::string_view(file.digest).substr(kDigestBegin.size()), file.label.blur, file.label.ending);
}

/// What a name says; nothing for files that are not ours.
std::optional<StoredFile> read_name(const std::string& name) {
  StoredFile file;
  const std::size_t blur_at = kTimeDigits + 1 + kHexDigits + 1;
  const std::size_t dot = name.find('.', std::min(blur_at, name.size()));
  if (dot == std::string::npos || name[kTimeDigits] != '-' || name[blur_at - 1] != '-') return std::nullopt;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + kTimeDigits, file.label.captured_us);
  if (problem != std::errc() || end != name.data() + kTimeDigits) return std::nullopt;
  const std::string hex = name.substr(kTimeDigits + 1, kHexDigits);
  if (hex.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
  file.digest = std::string(kDigestBegin) + hex;
  file.label.blur = name.substr(blur_at, dot - blur_at);
  file.label.ending = name.substr(dot + 1);
  return file;
}

Error no_such_file(const std::string& digest) {
  return Error{ErrorCode::not_found,
               fmt::format("find evidence {}: it is not here; it may have been removed by age or for room", digest)};
}

}  // namespace

Store::Store(std::filesystem::path folder, Disk& disk, const Clock& clock, Metrics& metrics)
    : folder_(std::move(folder)),
      disk_(disk),
      clock_(clock),
      metrics_(metrics),
      removed_old_(metrics.counter("verge_evidence_removed_total", "Files of evidence removed.", {{"reason", "age"}})),
      removed_room_(
          metrics.counter("verge_evidence_removed_total", "Files of evidence removed.", {{"reason", "room"}})) {}

Status Store::add_shelf(const Shelf& shelf) {
  if (!is_folder_name(shelf.name)) {
    return Error{ErrorCode::invalid_argument, fmt::format("keep evidence: \"{}\" is no folder's name", shelf.name)};
  }
  {
    const std::lock_guard lock(mutex_);
    if (find_shelf(shelf.name) != nullptr) return Done{};
  }
  auto kept = std::make_unique<Kept>();
  kept->shelf = shelf;
  kept->bytes_gauge = &metrics_.gauge("verge_evidence_bytes", "Kept evidence.", {{"shelf", shelf.name}});
  const auto folder = folder_of(shelf.name);
  VERGE_TRY(const std::vector<std::string> names, disk_.list(folder));
  for (const std::string& name : names) {
    if (name.ends_with(kUnfinished)) {
      VERGE_CHECK(disk_.remove(folder / name));
      continue;
    }
    auto file = read_name(name);
    if (!file) continue;
    file->shelf = shelf.name;
    VERGE_TRY(const auto opened, disk_.open(folder / name, false));
    VERGE_TRY(file->bytes, opened->size_bytes());
    kept->bytes += file->bytes;
    kept->files.emplace(name, *std::move(file));
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [name, file] : kept->files) by_digest_[file.digest] = {kept.get(), name};
  shelves_.push_back(std::move(kept));
  make_room(*shelves_.back());
  return Done{};
}

Store::Kept* Store::find_shelf(std::string_view name) {
  const auto at = std::ranges::find(shelves_, name, [](const auto& kept) { return kept->shelf.name; });
  return at == shelves_.end() ? nullptr : at->get();
}

Status Store::check_room(std::uint64_t bytes) const {
  std::filesystem::path there = folder_;
  auto free = disk_.free_bytes(there);
  // The folder is made with its first file.
  while (!free && free.error().code == ErrorCode::not_found && there.has_relative_path()) {
    there = there.parent_path();
    free = disk_.free_bytes(there.empty() ? "." : there);
  }
  if (!free) return std::move(free).error().within("keep evidence");
  if (*free >= bytes + kFreeMin_bytes) return Done{};
  return Error{ErrorCode::limit,
               fmt::format("keep evidence: {} MB are free on the disk of \"{}\", and {} MB of it stay "
                           "free for others; make room, or keep less",
                           *free >> 20U, folder_.string(), kFreeMin_bytes >> 20U)};
}

Result<std::unique_ptr<Store::Draft>> Store::begin(std::string_view shelf, Label label) {
  {
    const std::lock_guard lock(mutex_);
    if (find_shelf(shelf) == nullptr) {
      return Error{ErrorCode::not_found, fmt::format("keep evidence: there is no shelf \"{}\"", shelf)};
    }
  }
  VERGE_CHECK(check_room(0));
  const auto path = folder_of(shelf) / fmt::format("{}{}", ++drafts_, kUnfinished);
  VERGE_TRY(auto file, disk_.open(path, true));
  VERGE_CHECK(file->truncate(0));
  return std::make_unique<Draft>(*this, std::string(shelf), std::move(label), path, std::move(file));
}

Result<StoredFile> Store::put(std::string_view shelf, Label label, std::string_view bytes) {
  VERGE_CHECK(check_room(bytes.size()));
  VERGE_TRY(const auto draft, begin(shelf, std::move(label)));
  VERGE_CHECK(draft->write_at(0, bytes));
  return draft->finish();
}

Store::Draft::Draft(Store& store, std::string shelf, Label label, std::filesystem::path path,
                    std::unique_ptr<DiskFile> file)
    : store_(store),
      shelf_(std::move(shelf)),
      label_(std::move(label)),
      path_(std::move(path)),
      file_(std::move(file)) {}

Store::Draft::~Draft() {
  if (!file_) return;
  file_.reset();
  if (auto removed = store_.disk_.remove(path_); !removed) log_error("evidence", removed.error());
}

Status Store::Draft::write_at(std::uint64_t offset, std::string_view bytes) {
  const std::uint64_t end = offset + bytes.size();
  if (end > room_checked_bytes_ + kRoomStepBytes) {
    VERGE_CHECK(store_.check_room(bytes.size()));
    room_checked_bytes_ = end;
  }
  return file_->write_at(offset, bytes);
}

Result<StoredFile> Store::Draft::finish() {
  StoredFile file;
  file.shelf = shelf_;
  file.label = label_;
  VERGE_TRY(file.bytes, file_->size_bytes());
  Sha256 hash;
  for (std::uint64_t at = 0; at < file.bytes;) {
    VERGE_TRY(const std::string piece, file_->read_at(at, kPieceBytes));
    if (piece.empty()) return Error{ErrorCode::corrupt, fmt::format("keep evidence: \"{}\" shrank", path_.string())};
    hash.add(piece);
    at += piece.size();
  }
  file.digest = hash.digest();
  VERGE_CHECK(file_->sync());
  VERGE_TRY(StoredFile named, store_.name_draft(path_, std::move(file)));
  file_.reset();
  return named;
}

/// Under no lock while the disk works, but for the rename: whoever removes for room must not see it half there.
Result<StoredFile> Store::name_draft(const std::filesystem::path& path, StoredFile file) {
  const auto folder = folder_of(file.shelf);
  const std::string name = name_of(file);
  {
    const std::lock_guard lock(mutex_);
    Kept* kept = find_shelf(file.shelf);
    VERGE_CHECK(disk_.rename(path, folder / name));
    if (const auto known = by_digest_.find(file.digest); known != by_digest_.end()) {
      const auto [old_shelf, old_name] = known->second;
      if (old_shelf == kept && old_name != name) {
        old_shelf->bytes -= old_shelf->files.at(old_name).bytes;
        old_shelf->files.erase(old_name);
        if (auto removed = disk_.remove(folder / old_name); !removed) log_error("evidence", removed.error());
      }
    }
    if (kept->files.emplace(name, file).second) kept->bytes += file.bytes;
    by_digest_[file.digest] = {kept, name};
    make_room(*kept);
  }
  VERGE_CHECK(disk_.sync_folder(folder));
  return file;
}

void Store::remove_oldest(Kept& kept, Counter& reason) {
  const auto oldest = kept.files.begin();
  const auto path = folder_of(kept.shelf.name) / oldest->first;
  if (auto removed = disk_.remove(path); !removed && removed.error().code != ErrorCode::not_found) {
    log_error("evidence", removed.error());  // Out of the index all the same: the next start finds it again.
  }
  kept.bytes -= oldest->second.bytes;
  if (const auto known = by_digest_.find(oldest->second.digest);
      known != by_digest_.end() && known->second.second == oldest->first && known->second.first == &kept) {
    by_digest_.erase(known);
  }
  kept.files.erase(oldest);
  reason.add();
}

/// Under the lock. The newest file stays, whatever its size: its event names it already.
void Store::make_room(Kept& kept) {
  const auto oldest_us = clock_.now_us() - static_cast<std::int64_t>(kept.shelf.days * 86'400e6);
  const bool knows_date = clock_.now_us() >= kClockIsSet_us;
  while (knows_date && !kept.files.empty() && kept.files.begin()->second.label.captured_us < oldest_us) {
    remove_oldest(kept, removed_old_);
  }
  while (kept.files.size() > 1 && kept.bytes > kept.shelf.bytes_max) remove_oldest(kept, removed_room_);
  kept.bytes_gauge->set(static_cast<double>(kept.bytes));
}

void Store::expire() {
  const std::lock_guard lock(mutex_);
  for (const auto& kept : shelves_) make_room(*kept);
}

std::optional<StoredFile> Store::find(const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  const auto at = by_digest_.find(digest);
  if (at == by_digest_.end()) return std::nullopt;
  return at->second.first->files.at(at->second.second);
}

Result<std::filesystem::path> Store::path_of(const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  const auto at = by_digest_.find(digest);
  if (at == by_digest_.end()) return no_such_file(digest);
  return folder_of(at->second.first->shelf.name) / at->second.second;
}

Result<std::string> Store::read(const std::string& digest, std::uint64_t offset, std::size_t count) const {
  VERGE_TRY(const auto path, path_of(digest));
  VERGE_TRY(const auto file, disk_.open(path, false));
  return file->read_at(offset, count);
}

std::vector<StoredFile> Store::newest(std::size_t count_max) const {
  std::vector<StoredFile> files;
  const std::lock_guard lock(mutex_);
  for (const auto& kept : shelves_) {
    auto at = kept->files.rbegin();
    for (std::size_t i = 0; i < count_max && at != kept->files.rend(); ++i, ++at) files.push_back(at->second);
  }
  std::ranges::stable_sort(files, std::ranges::greater{},
                           [](const StoredFile& file) { return file.label.captured_us; });
  if (files.size() > count_max) files.resize(count_max);
  return files;
}

}  // namespace verge::evidence
