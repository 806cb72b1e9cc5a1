// base/powered_disk.h -- a disk for tests that loses its power in the middle of the work.
//
// Everything goes to a FaultyDisk until the chosen operation (open, write, truncate, sync, rename, remove, sync of a
// folder) is reached. That one and all after it fail; what was not synced by then is gone from the FaultyDisk, which
// stays usable for the next life.
// Threads: any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"

namespace verge {

class PoweredDisk final : public Disk {
 public:
  explicit PoweredDisk(FaultyDisk& disk) : disk_(disk) {}

  /// The power goes at the operation with this number, from 1; seed as in FaultyDisk::lose_power.
  void cut_after(std::uint64_t operations, std::uint64_t seed) {
    const std::lock_guard lock(mutex_);
    operations_left_ = operations;
    seed_ = seed;
  }
  bool has_power() const {
    const std::lock_guard lock(mutex_);
    return operations_left_ > 0;
  }
  /// Syncs of files wait until they are let go.
  void hold_syncs(bool held) {
    const std::lock_guard lock(mutex_);
    is_held_ = held;
    changed_.notify_all();
  }

  Result<std::unique_ptr<DiskFile>> open(const std::filesystem::path& path, bool create) override {
    const std::lock_guard lock(mutex_);
    VERGE_CHECK(step());
    VERGE_TRY(auto file, disk_.open(path, create));
    return std::unique_ptr<DiskFile>(std::make_unique<File>(*this, std::move(file)));
  }
  Status remove(const std::filesystem::path& path) override {
    return after_step([&] { return disk_.remove(path); });
  }
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    return after_step([&] { return disk_.rename(from, to); });
  }
  Status sync_folder(const std::filesystem::path& folder) override {
    return after_step([&] { return disk_.sync_folder(folder); });
  }
  Result<std::vector<std::string>> list(const std::filesystem::path& folder) const override {
    return disk_.list(folder);
  }
  Result<std::uint64_t> free_bytes(const std::filesystem::path& folder) const override {
    return disk_.free_bytes(folder);
  }

 private:
  class File final : public DiskFile {
   public:
    File(PoweredDisk& disk, std::unique_ptr<DiskFile> file) : disk_(disk), file_(std::move(file)) {}
    Status write_at(std::uint64_t offset, std::string_view bytes) override {
      return disk_.after_step([&] { return file_->write_at(offset, bytes); });
    }
    Result<std::string> read_at(std::uint64_t offset, std::size_t count) const override {
      return file_->read_at(offset, count);
    }
    Status sync() override {
      disk_.wait_while_held();
      return disk_.after_step([&] { return file_->sync(); });
    }
    Status truncate(std::uint64_t size_bytes) override {
      return disk_.after_step([&] { return file_->truncate(size_bytes); });
    }
    Result<std::uint64_t> size_bytes() const override { return file_->size_bytes(); }

   private:
    PoweredDisk& disk_;
    std::unique_ptr<DiskFile> file_;
  };

  /// One at a time: the power must not go between the count and the operation of another thread, whose sync would
  /// then succeed on a file that is gone.
  template <class Operation>
  Status after_step(Operation operation) {
    const std::lock_guard lock(mutex_);
    VERGE_CHECK(step());
    return operation();
  }
  /// Under the lock.
  Status step() {
    if (operations_left_ == 0) return Error{ErrorCode::unavailable, "no power"};
    if (--operations_left_ > 0) return Done{};
    disk_.lose_power(seed_);
    return Error{ErrorCode::unavailable, "no power"};
  }
  void wait_while_held() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !is_held_; });
  }

  FaultyDisk& disk_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t operations_left_ = ~std::uint64_t{0};
  std::uint64_t seed_ = 0;
  bool is_held_ = false;
};

}  // namespace verge
