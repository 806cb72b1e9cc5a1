#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <mutex>
#include <random>

#include "base/disk.h"

namespace verge {
namespace {

namespace fs = std::filesystem;

/// What one unsynced change replaced, so that it can be taken back.
struct Undo {
  std::uint64_t size_before = 0;
  std::uint64_t offset = 0;
  std::string replaced;  // the old bytes from `offset` on
};

struct Content {
  std::string bytes;
  std::vector<Undo> unsynced;
  bool is_detached = false;  // unlinked, or its machine lost power: no longer counted

  /// Remembers the bytes of [offset, end) before they change.
  void remember(std::uint64_t offset, std::uint64_t end) {
    const std::uint64_t old_end = std::min<std::uint64_t>(end, bytes.size());
    unsynced.push_back({bytes.size(), offset, offset < old_end ? bytes.substr(offset, old_end - offset) : ""});
  }
  void take_back_unsynced() {
    for (auto undo = unsynced.rbegin(); undo != unsynced.rend(); ++undo) {
      bytes.resize(undo->size_before);
      bytes.replace(undo->offset, undo->replaced.size(), undo->replaced);
    }
    unsynced.clear();
  }
  /// True when synced bytes changed and the size did not: any of the sectors may have reached the disk.
  bool is_replaced_in_place() const {
    return !unsynced.empty() && std::all_of(unsynced.begin(), unsynced.end(), [&](const Undo& undo) {
      return undo.size_before == bytes.size() && !undo.replaced.empty();
    });
  }
  /// What was appended since the last sync; empty when synced bytes changed as well.
  std::string appended() const {
    const std::uint64_t synced_size = unsynced.empty() ? bytes.size() : unsynced.front().size_before;
    const bool is_append_only =
        std::all_of(unsynced.begin(), unsynced.end(), [&](const Undo& undo) { return undo.offset >= synced_size; });
    return is_append_only && bytes.size() > synced_size ? bytes.substr(synced_size) : "";
  }
};
using ContentPointer = std::shared_ptr<Content>;
using Entries = std::map<fs::path, ContentPointer>;

constexpr std::uint64_t kSectorBytes = 512;

/// What a power cut leaves of a file: the synced bytes and perhaps a part of what was appended, or some sectors of what
/// was replaced.
ContentPointer after_power_cut(Content content, std::mt19937_64& random) {
  const std::string tail = content.appended();
  if (content.is_replaced_in_place()) {
    const std::string newer = content.bytes;
    const auto changes = content.unsynced;
    content.take_back_unsynced();
    for (const Undo& change : changes) {
      const std::uint64_t end = change.offset + change.replaced.size();
      for (std::uint64_t at = change.offset / kSectorBytes * kSectorBytes; at < end; at += kSectorBytes) {
        if (random() % 2 == 0) content.bytes.replace(at, kSectorBytes, newer, at, kSectorBytes);
      }
    }
  }
  content.take_back_unsynced();
  if (!tail.empty()) content.bytes += tail.substr(0, random() % (tail.size() + 1));
  return std::make_shared<Content>(std::move(content));
}

Error no_file(std::string_view doing, const fs::path& path) {
  return {ErrorCode::not_found, fmt::format("{} \"{}\": no such file", doing, path.string())};
}

}  // namespace

struct FaultyDisk::State {
  mutable std::mutex mutex;
  Entries entries;         // what programs see
  Entries synced_entries;  // what a power cut leaves
  std::uint64_t capacity_bytes = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t used_bytes = 0;
  std::uint64_t sync_count = 0;
  int failing_syncs = 0;

  std::uint64_t room_bytes() const { return capacity_bytes > used_bytes ? capacity_bytes - used_bytes : 0; }
  bool take_sync_failure() { return failing_syncs > 0 && failing_syncs-- > 0; }

  void resize(Content& content, std::uint64_t size_bytes) {
    if (!content.is_detached) used_bytes = used_bytes - content.bytes.size() + size_bytes;
    content.bytes.resize(size_bytes);
  }
  void detach(Content& content) {
    if (!content.is_detached) used_bytes -= content.bytes.size();
    content.is_detached = true;
  }
  void count_again() {
    used_bytes = 0;
    for (const auto& [path, content] : entries) used_bytes += content->bytes.size();
  }
};

namespace {

class MemoryFile final : public DiskFile {
 public:
  MemoryFile(std::shared_ptr<FaultyDisk::State> disk, ContentPointer content, fs::path path)
      : disk_(std::move(disk)), content_(std::move(content)), path_(std::move(path)) {}

  Status write_at(std::uint64_t offset, std::string_view bytes) override {
    const std::lock_guard lock(disk_->mutex);
    const std::uint64_t size = content_->bytes.size();
    const std::uint64_t wanted_end = offset + bytes.size();
    const std::uint64_t end_max = size + (content_->is_detached ? wanted_end : disk_->room_bytes());
    const std::uint64_t end = std::max(offset, std::min(wanted_end, end_max));
    if (end <= std::max(end_max, size)) put(offset, bytes.substr(0, end - offset));
    if (end == wanted_end && end <= std::max(end_max, size)) return Done{};
    return Error{ErrorCode::limit, fmt::format("write to \"{}\": the disk is full", path_.string())};
  }

  Result<std::string> read_at(std::uint64_t offset, std::size_t count) const override {
    const std::lock_guard lock(disk_->mutex);
    if (offset >= content_->bytes.size()) return std::string();
    return content_->bytes.substr(offset, count);
  }

  Status sync() override {
    const std::lock_guard lock(disk_->mutex);
    if (disk_->take_sync_failure()) {
      content_->take_back_unsynced();
      disk_->count_again();
      return Error{ErrorCode::unavailable, fmt::format("sync \"{}\": input/output error", path_.string())};
    }
    content_->unsynced.clear();
    ++disk_->sync_count;
    return Done{};
  }

  Status truncate(std::uint64_t size_bytes) override {
    const std::lock_guard lock(disk_->mutex);
    const std::uint64_t size = content_->bytes.size();
    if (size_bytes > size && size_bytes - size > disk_->room_bytes()) {
      return Error{ErrorCode::limit, fmt::format("truncate \"{}\": the disk is full", path_.string())};
    }
    content_->remember(std::min(size, size_bytes), size);
    disk_->resize(*content_, size_bytes);
    return Done{};
  }

  Result<std::uint64_t> size_bytes() const override {
    const std::lock_guard lock(disk_->mutex);
    return std::uint64_t(content_->bytes.size());
  }

 private:
  void put(std::uint64_t offset, std::string_view bytes) {
    if (bytes.empty()) return;
    const std::uint64_t end = offset + bytes.size();
    const std::uint64_t size = content_->bytes.size();
    content_->remember(std::min(offset, size), end);
    if (end > size) disk_->resize(*content_, end);
    content_->bytes.replace(offset, bytes.size(), bytes);
  }

  const std::shared_ptr<FaultyDisk::State> disk_;
  const ContentPointer content_;
  const fs::path path_;
};

}  // namespace

FaultyDisk::FaultyDisk() : state_(std::make_shared<State>()) {}
FaultyDisk::~FaultyDisk() = default;

Result<std::unique_ptr<DiskFile>> FaultyDisk::open(const fs::path& path, bool create) {
  const std::lock_guard lock(state_->mutex);
  const fs::path name = path.lexically_normal();
  auto found = state_->entries.find(name);
  if (found == state_->entries.end()) {
    if (!create) return no_file("open", path);
    found = state_->entries.emplace(name, std::make_shared<Content>()).first;
  }
  return std::unique_ptr<DiskFile>(std::make_unique<MemoryFile>(state_, found->second, name));
}

Status FaultyDisk::remove(const fs::path& path) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->entries.find(path.lexically_normal());
  if (found == state_->entries.end()) return no_file("remove", path);
  state_->detach(*found->second);
  state_->entries.erase(found);
  return Done{};
}

Status FaultyDisk::rename(const fs::path& from, const fs::path& to) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->entries.find(from.lexically_normal());
  if (found == state_->entries.end()) return no_file("rename", from);
  const ContentPointer content = found->second;
  auto& target = state_->entries[to.lexically_normal()];
  if (target == content) return Done{};
  if (target != nullptr) state_->detach(*target);
  target = content;
  state_->entries.erase(from.lexically_normal());
  return Done{};
}

Status FaultyDisk::sync_folder(const fs::path& folder) {
  const std::lock_guard lock(state_->mutex);
  if (state_->take_sync_failure()) {
    return Error{ErrorCode::unavailable, fmt::format("sync folder \"{}\": input/output error", folder.string())};
  }
  const fs::path parent = (folder / "x").lexically_normal().parent_path();
  std::erase_if(state_->synced_entries, [&](const auto& entry) { return entry.first.parent_path() == parent; });
  for (const auto& [path, content] : state_->entries) {
    if (path.parent_path() == parent) state_->synced_entries[path] = content;
  }
  return Done{};
}

Result<std::vector<std::string>> FaultyDisk::list(const fs::path& folder) const {
  const std::lock_guard lock(state_->mutex);
  const fs::path parent = (folder / "x").lexically_normal().parent_path();
  std::vector<std::string> names;
  for (const auto& [path, content] : state_->entries) {
    if (path.parent_path() == parent) names.push_back(path.filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::uint64_t> FaultyDisk::free_bytes(const fs::path&) const {
  const std::lock_guard lock(state_->mutex);
  return state_->room_bytes();
}

void FaultyDisk::lose_power(std::uint64_t seed) {
  const std::lock_guard lock(state_->mutex);
  std::mt19937_64 random(seed);
  Entries left;
  std::map<Content*, ContentPointer> copies;  // one content may be known by two names
  for (const auto& [path, content] : state_->synced_entries) {
    auto& copy = copies[content.get()];
    if (copy == nullptr) copy = after_power_cut(*content, random);
    copy->is_detached = false;
    left[path] = copy;
  }
  for (const auto& [path, content] : state_->entries) content->is_detached = true;
  state_->entries = left;
  state_->synced_entries = left;
  state_->count_again();
}

void FaultyDisk::set_capacity_bytes(std::uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->capacity_bytes = bytes;
}

void FaultyDisk::fail_syncs(int count) {
  const std::lock_guard lock(state_->mutex);
  state_->failing_syncs = count;
}

std::uint64_t FaultyDisk::sync_count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->sync_count;
}

}  // namespace verge
