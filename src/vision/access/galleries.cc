#include "vision/access/galleries.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace verge::vision {
namespace {

/// Held until it goes.
class FolderLock {
 public:
  explicit FolderLock(int file) : file_(file) {}
  ~FolderLock() { ::close(file_); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  static Result<std::unique_ptr<FolderLock>> take(const std::filesystem::path& folder) {
    const std::string path = folder.string() + ".lock";
    std::error_code ignored;
    std::filesystem::create_directories(folder.parent_path(), ignored);
    const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) {
      return Error{ErrorCode::unavailable,
                   fmt::format("open the gallery \"{}\": \"{}\": {}; check that the folder may be written",
                               folder.string(), path, std::strerror(errno))};
    }
    auto lock = std::make_unique<FolderLock>(file);
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return lock;
    return Error{
        ErrorCode::conflict,
        fmt::format("the gallery \"{}\" is used by another program; call the methods of the module that has it, "
                    "or stop it first",
                    folder.string())};
  }

 private:
  int file_;
};

/// Keeps the lock as long as the gallery.
struct LockedGallery {
  std::unique_ptr<FolderLock> lock;
  std::unique_ptr<Gallery> gallery;
};

}  // namespace

Result<std::shared_ptr<Gallery>> Galleries::open(Gallery::Place place) {
  std::error_code ignored;
  place.folder = std::filesystem::absolute(place.folder, ignored).lexically_normal();
  if (!place.folder.has_filename()) place.folder = place.folder.parent_path();  // "people/"
  if (place.keyring.empty()) place.keyring = place.folder.string() + ".keys";
  place.keyring = std::filesystem::absolute(place.keyring, ignored).lexically_normal();
  const std::lock_guard guard(mutex_);
  if (auto known = opened_[place.folder].lock()) {
    if (known->place().keyring == place.keyring) return known;
    return Error{ErrorCode::conflict,
                 fmt::format("the gallery \"{}\" is in use with the keyring \"{}\"; name the same one",
                             place.folder.string(), known->place().keyring.string())};
  }
  VERGE_TRY(auto lock, FolderLock::take(place.folder));
  VERGE_TRY(auto gallery, Gallery::open(disk_, place));
  const auto both = std::make_shared<LockedGallery>(LockedGallery{std::move(lock), std::move(gallery)});
  std::shared_ptr<Gallery> shared(both, both->gallery.get());
  opened_[place.folder] = shared;
  return shared;
}

}  // namespace verge::vision
