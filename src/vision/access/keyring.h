// vision/access/keyring.h -- the keys of a gallery's records, one for each person, in a file apart from them.
//
// Removing a person is overwriting his key where it lies: the file is never replaced, so that no older copy of it stays
// on the disk, and what was sealed with the key is lost wherever a copy of it may be. Each change is on stable storage
// when the call returns. What a flash disk does with the cells that it maps out is beyond a program: docs/access.md.
//
// Bytes: docs/formats/gallery.md. A slot is 64 bytes and lies within one sector, so that a power cut leaves it old or
// new. Threads: one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/disk.h"

namespace verge::vision {

class Keyring {
 public:
  static constexpr std::size_t kSlotBytes = 64;
  static constexpr std::size_t kIdBytes = 16;

  /// Reads the file, or makes it when there is none (0600).
  /// slots_max  bounds file and memory
  /// Errors: corrupt for a file that is no keyring or is damaged; limit when it has more slots; those of the disk.
  static Result<Keyring> open(Disk& disk, const std::filesystem::path& path, std::size_t slots_max);

  Keyring(Keyring&&) noexcept = default;
  ~Keyring();

  /// A new key under a new id (hex). Errors: limit when all slots are taken; those of the disk.
  Result<std::string> add();
  /// Null when there is none, or its person is being removed.
  const std::string* find(const std::string& id) const;
  /// Overwrites the key; the id stays as a note that its record has to go. Errors: not_found; those of the disk, after
  /// which nobody knows what the slot holds: the keyring must be opened anew.
  Status erase_key(const std::string& id);
  /// Frees the slot of an erased key, after its record has gone.
  Status forget(const std::string& id);
  /// Ids with a key, and ids whose records have to go.
  std::vector<std::string> ids() const;
  std::vector<std::string> erased() const;

 private:
  struct Slot {
    std::size_t place = 0;
    std::string key;  ///< Empty: erased.
  };

  Keyring(std::unique_ptr<DiskFile> file, std::filesystem::path path, std::size_t slots_max)
      : file_(std::move(file)), path_(std::move(path)), slots_max_(slots_max) {}
  Status read();
  Status read_slot(std::size_t place, std::string_view bytes);
  Status write_slot(std::size_t place, const std::string& id, const std::string& key);
  std::size_t free_place() const;

  std::unique_ptr<DiskFile> file_;
  std::filesystem::path path_;
  std::size_t slots_max_ = 0;
  std::map<std::string, Slot> slots_;  ///< By id.
};

}  // namespace verge::vision
