// base/disk.h -- the disk as an interface, so that a test can fill it, break it and drop what was not synced.
//
// Threads: a Disk may be used from any thread; a DiskFile by one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge {

class DiskFile {
 public:
  virtual ~DiskFile() = default;
  /// Writes all bytes at `offset`. Errors: limit when the disk is full, unavailable otherwise;
  /// after an error the file's content at and beyond `offset` is unknown.
  virtual Status write_at(std::uint64_t offset, std::string_view bytes) = 0;
  /// Reads up to `count` bytes; fewer only at the end of the file.
  virtual Result<std::string> read_at(std::uint64_t offset, std::size_t count) const = 0;
  /// Returns once the content is on stable storage (fdatasync). An error is final: the kernel may
  /// have dropped the pages, so never retry on the same file.
  virtual Status sync() = 0;
  virtual Status truncate(std::uint64_t size_bytes) = 0;
  virtual Result<std::uint64_t> size_bytes() const = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  /// Opens for reading and writing; creates the file and its folders when `create`.
  virtual Result<std::unique_ptr<DiskFile>> open(const std::filesystem::path& path, bool create) = 0;
  virtual Status remove(const std::filesystem::path& path) = 0;
  virtual Status rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  /// Makes a folder's entries durable (fsync of the directory).
  virtual Status sync_folder(const std::filesystem::path& folder) = 0;
  /// Names of the files in it (no paths, no folders), sorted; empty when the folder does not exist.
  virtual Result<std::vector<std::string>> list(const std::filesystem::path& folder) const = 0;
  virtual Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) const = 0;
};

/// The machine's file systems.
Disk& system_disk();

/// Whole-file helpers on the machine's disk.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max = 256U << 20U);
/// Replaces the file atomically and durably: temporary file, sync, rename, sync of the folder.
/// Errors: invalid_argument for what is there and no regular file (a device, a folder), unavailable, limit.
Status write_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0644);

/// A disk in memory that can fill up, fail, and lose power.
/// Threads: as Disk.
class FaultyDisk final : public Disk {
 public:
  FaultyDisk();
  ~FaultyDisk() override;
  Result<std::unique_ptr<DiskFile>> open(const std::filesystem::path& path, bool create) override;
  Status remove(const std::filesystem::path& path) override;
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Status sync_folder(const std::filesystem::path& folder) override;
  Result<std::vector<std::string>> list(const std::filesystem::path& folder) const override;
  Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) const override;

  /// Drops every byte and folder entry that was not synced; of an unsynced write at the file's end
  /// it may keep a prefix chosen by `seed`. Files opened before stay valid but detached.
  void lose_power(std::uint64_t seed);
  void set_capacity_bytes(std::uint64_t bytes);
  /// The next `count` syncs, of files or folders, fail; a file loses what it should have kept.
  void fail_syncs(int count);
  /// Files' syncs that succeeded.
  std::uint64_t sync_count() const;

  struct State;  ///< Shared with the files.

 private:
  std::shared_ptr<State> state_;
};

}  // namespace verge
