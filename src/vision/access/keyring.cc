#include "vision/access/keyring.h"

#include <cstring>
#include <fmt/format.h>
#include <set>

#include "base/bytes.h"
#include "base/crypto.h"

namespace verge::vision {
namespace {

// A slot: id, key, checksum of both, zeros. An erased key is zeros below a checksum; a free slot is zeros throughout.
constexpr std::size_t kKeyAt = Keyring::kIdBytes;
constexpr std::size_t kSumAt = kKeyAt + kSealKeyBytes;
constexpr std::string_view kKeyringMagic = "VERGEKEY";
constexpr char kKeyringVersion = 1;

std::string keyring_header() {
  std::string bytes(kKeyringMagic);
  bytes += kKeyringVersion;
  bytes.resize(Keyring::kSlotBytes, '\0');
  return bytes;
}

bool is_zeros(std::string_view bytes) { return bytes.find_first_not_of('\0') == std::string_view::npos; }

std::string slot_bytes(std::string_view id, std::string_view key) {
  std::string bytes(id);
  bytes += key;
  bytes.resize(kSumAt, '\0');
  const std::uint32_t sum = crc32c(bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  bytes.resize(Keyring::kSlotBytes, '\0');
  return bytes;
}

}  // namespace

Keyring::~Keyring() {
  for (auto& [id, slot] : slots_) wipe(slot.key);
}

Result<Keyring> Keyring::open(Disk& disk, const std::filesystem::path& path, std::size_t slots_max) {
  VERGE_TRY(auto file, disk.open(path, true));
  // Before any key is in it. A disk of tests has no modes.
  std::error_code ignored;
  using std::filesystem::perms;
  std::filesystem::permissions(path, perms::owner_read | perms::owner_write, ignored);
  Keyring keyring(std::move(file), path, slots_max);
  VERGE_CHECK(keyring.read());
  VERGE_CHECK(disk.sync_folder(path.parent_path()));
  return keyring;
}

Status Keyring::read() {
  VERGE_TRY(const std::uint64_t size, file_->size_bytes());
  if (size < kSlotBytes) {
    // New, or its making was cut short: nothing was ever sealed with it.
    VERGE_CHECK(file_->write_at(0, keyring_header()));
    return file_->sync();
  }
  if (size > (slots_max_ + 1) * kSlotBytes + kSlotBytes - 1) {
    return Error{ErrorCode::limit, fmt::format("read the keyring \"{}\": it has {} bytes, more than {} people need",
                                               path_.string(), size, slots_max_)};
  }
  VERGE_TRY(std::string bytes, file_->read_at(0, static_cast<std::size_t>(size)));
  if (bytes.size() < kSlotBytes || bytes.substr(0, kSlotBytes) != keyring_header()) {
    return Error{ErrorCode::corrupt,
                 fmt::format("read the keyring \"{}\": it is none, or one of a newer version", path_.string())};
  }
  // A last slot that was cut short was never told to anybody.
  for (std::size_t at = kSlotBytes; at + kSlotBytes <= bytes.size(); at += kSlotBytes) {
    VERGE_CHECK(read_slot(at / kSlotBytes, std::string_view(bytes).substr(at, kSlotBytes)));
  }
  wipe(bytes);
  return Done{};
}

Status Keyring::read_slot(std::size_t place, std::string_view bytes) {
  if (is_zeros(bytes)) return Done{};
  const std::string_view id = bytes.substr(0, kIdBytes), key = bytes.substr(kKeyAt, kSealKeyBytes);
  if (bytes != slot_bytes(id, key)) {
    return Error{ErrorCode::corrupt, fmt::format("read the keyring \"{}\": slot {} is damaged; put keyring and "
                                                 "gallery back from a backup, or remove both and enrol anew",
                                                 path_.string(), place)};
  }
  slots_[to_hex(id)] = {place, is_zeros(key) ? std::string() : std::string(key)};
  return Done{};
}

Result<std::string> Keyring::add() {
  const std::size_t place = free_place();
  if (place > slots_max_) {
    return Error{ErrorCode::limit, fmt::format("the keyring \"{}\" has {} people, as many as it may have; remove some",
                                               path_.string(), slots_max_)};
  }
  const std::string id = to_hex(random_bytes(kIdBytes));
  const std::string key = random_bytes(kSealKeyBytes);
  VERGE_CHECK(write_slot(place, id, key));
  slots_[id] = {place, key};
  return id;
}

std::size_t Keyring::free_place() const {
  std::set<std::size_t> taken;
  for (const auto& [id, slot] : slots_) taken.insert(slot.place);
  std::size_t place = 1;  // The header is before it.
  while (taken.contains(place)) ++place;
  return place;
}

const std::string* Keyring::find(const std::string& id) const {
  const auto at = slots_.find(id);
  return at == slots_.end() || at->second.key.empty() ? nullptr : &at->second.key;
}

Status Keyring::erase_key(const std::string& id) {
  const auto at = slots_.find(id);
  if (at == slots_.end()) {
    return Error{ErrorCode::not_found, fmt::format("the keyring \"{}\" has no key {}", path_.string(), id)};
  }
  wipe(at->second.key);
  return write_slot(at->second.place, id, std::string());
}

Status Keyring::forget(const std::string& id) {
  const auto at = slots_.find(id);
  if (at == slots_.end() || !at->second.key.empty()) return Done{};
  VERGE_CHECK(file_->write_at(at->second.place * kSlotBytes, std::string(kSlotBytes, '\0')));
  VERGE_CHECK(file_->sync());
  slots_.erase(at);
  return Done{};
}

Status Keyring::write_slot(std::size_t place, const std::string& id, const std::string& key) {
  VERGE_TRY(const std::string raw_id, from_hex(id));
  std::string bytes = slot_bytes(raw_id, key);
  const Status written = file_->write_at(place * kSlotBytes, bytes);
  wipe(bytes);
  VERGE_CHECK(written);
  return file_->sync();
}

std::vector<std::string> Keyring::ids() const {
  std::vector<std::string> ids;
  for (const auto& [id, slot] : slots_) {
    if (!slot.key.empty()) ids.push_back(id);
  }
  return ids;
}

std::vector<std::string> Keyring::erased() const {
  std::vector<std::string> ids;
  for (const auto& [id, slot] : slots_) {
    if (slot.key.empty()) ids.push_back(id);
  }
  return ids;
}

}  // namespace verge::vision
