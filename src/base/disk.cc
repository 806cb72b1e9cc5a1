#include "base/disk.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/bytes.h"

namespace verge {
namespace {

namespace fs = std::filesystem;

Error disk_error(std::string_view doing, const fs::path& path, int number) {
  ErrorCode code = ErrorCode::unavailable;
  std::string_view next_step;
  if (number == ENOSPC || number == EDQUOT || number == EFBIG) {
    code = ErrorCode::limit;
    next_step = "; free space on that disk";
  } else if (number == ENOENT || number == ENOTDIR) {
    code = ErrorCode::not_found;
  }
  return {code, fmt::format("{} \"{}\": {}{}", doing, path.string(), std::strerror(number), next_step)};
}

class SystemFile final : public DiskFile {
 public:
  SystemFile(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {}
  ~SystemFile() override { ::close(fd_); }
  SystemFile(const SystemFile&) = delete;
  SystemFile& operator=(const SystemFile&) = delete;

  Status write_at(std::uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const auto written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return disk_error("write to", path_, errno);
      bytes.remove_prefix(static_cast<std::size_t>(written));
      offset += static_cast<std::uint64_t>(written);
    }
    return Done{};
  }

  Result<std::string> read_at(std::uint64_t offset, std::size_t count) const override {
    VERGE_TRY(const std::uint64_t size, size_bytes());
    if (offset >= size) return std::string();
    // Bounded by the file's size: a damaged length field must not make us reserve gigabytes.
    std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(count, size - offset)), '\0');
    std::size_t filled = 0;
    while (filled < bytes.size()) {
      const auto got = ::pread(fd_, bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(offset + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return disk_error("read from", path_, errno);
      if (got == 0) break;
      filled += static_cast<std::size_t>(got);
    }
    bytes.resize(filled);
    return bytes;
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return disk_error("sync", path_, errno);
    return Done{};
  }

  Status truncate(std::uint64_t size_bytes) override {
    while (::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) {
      if (errno != EINTR) return disk_error("truncate", path_, errno);
    }
    return Done{};
  }

  Result<std::uint64_t> size_bytes() const override {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) return disk_error("ask the size of", path_, errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  const int fd_;
  const fs::path path_;
};

Status make_folders(const fs::path& folder) {
  std::error_code error;
  if (!folder.empty()) fs::create_directories(folder, error);
  if (error) return disk_error("make folder", folder, error.value());
  return Done{};
}

Status sync_folder_entries(const fs::path& folder) {
  const fs::path path = folder.empty() ? "." : folder;
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return disk_error("open folder", path, errno);
  const int number = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (number != 0) return disk_error("sync folder", path, number);
  return Done{};
}

class SystemDisk final : public Disk {
 public:
  Result<std::unique_ptr<DiskFile>> open(const fs::path& path, bool create) override {
    if (create) VERGE_CHECK(make_folders(path.parent_path()));
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0640);
    if (fd < 0) return disk_error("open", path, errno);
    return std::unique_ptr<DiskFile>(std::make_unique<SystemFile>(fd, path));
  }

  Status remove(const fs::path& path) override {
    if (::unlink(path.c_str()) != 0) return disk_error("remove", path, errno);
    return Done{};
  }

  Status rename(const fs::path& from, const fs::path& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) return disk_error("rename", from, errno);
    return Done{};
  }

  Status sync_folder(const fs::path& folder) override { return sync_folder_entries(folder); }

  Result<std::vector<std::string>> list(const fs::path& folder) const override {
    std::vector<std::string> names;
    std::error_code error;
    fs::directory_iterator at(folder, error);
    if (error == std::errc::no_such_file_or_directory) return names;
    for (; !error && at != fs::directory_iterator(); at.increment(error)) {
      std::error_code ignored;
      if (!at->is_directory(ignored)) names.push_back(at->path().filename().string());
    }
    if (error) return disk_error("list folder", folder, error.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::uint64_t> free_bytes(const fs::path& folder) const override {
    std::error_code ignored;
    fs::path existing = fs::absolute(folder, ignored);
    while (!fs::exists(existing, ignored) && existing.has_relative_path()) existing = existing.parent_path();
    struct statvfs status {};
    if (::statvfs(existing.c_str(), &status) != 0) return disk_error("ask for free space at", folder, errno);
    return std::uint64_t(status.f_bavail) * status.f_frsize;
  }
};

/// Removes the file unless told that it got its final name.
class TemporaryFile {
 public:
  explicit TemporaryFile(fs::path path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    if (!is_kept_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const fs::path& path() const { return path_; }
  void keep() { is_kept_ = true; }

 private:
  fs::path path_;
  bool is_kept_ = false;
};

}  // namespace

Disk& system_disk() {
  static SystemDisk disk;
  return disk;
}

Result<std::string> read_file(const fs::path& path, std::size_t bytes_max) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return disk_error("read", path, errno);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(::fdopen(fd, "rb"), &std::fclose);
  std::string content;
  std::string piece(64U << 10U, '\0');
  while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), file.get())) {
    content.append(piece, 0, got);
    if (content.size() > bytes_max) {
      return Error{ErrorCode::limit, fmt::format("read \"{}\": it is larger than {} bytes", path.string(), bytes_max)};
    }
  }
  if (std::ferror(file.get()) != 0) return disk_error("read", path, errno);
  return content;
}

Status write_file(const fs::path& path, std::string_view bytes, unsigned mode) {
  std::error_code ignored;
  if (const auto there = fs::status(path, ignored); fs::exists(there) && !fs::is_regular_file(there)) {
    // The rename would replace a device or a pipe, for everybody.
    return Error{ErrorCode::invalid_argument,
                 fmt::format("write \"{}\": it is no regular file; name a file", path.string())};
  }
  VERGE_CHECK(make_folders(path.parent_path()));
  TemporaryFile temporary(path.parent_path() /
                          fmt::format(".{}.{}", path.filename().string(), to_hex(random_bytes(6))));
  // Never wider than wanted, not even for a moment: the content may be a key.
  const int fd = ::open(temporary.path().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return disk_error("write", path, errno);
  SystemFile file(fd, path);
  VERGE_CHECK(file.write_at(0, bytes));
  if (::fchmod(fd, mode) != 0) return disk_error("set the mode of", path, errno);
  VERGE_CHECK(file.sync());
  if (std::rename(temporary.path().c_str(), path.c_str()) != 0) return disk_error("write", path, errno);
  temporary.keep();
  return sync_folder_entries(path.parent_path());
}

}  // namespace verge
