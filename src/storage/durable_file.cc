#include "storage/durable_file.h"

namespace verge::storage {
namespace {

Status write_and_sync(Disk& disk, const std::filesystem::path& path, std::string_view bytes) {
  VERGE_TRY(const auto file, disk.open(path, true));
  VERGE_CHECK(file->truncate(0));  // A former attempt may have left something.
  VERGE_CHECK(file->write_at(0, bytes));
  return file->sync();
}

}  // namespace

Status replace_file(Disk& disk, const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path fresh = path.string() + ".new";
  if (auto written = write_and_sync(disk, fresh, bytes); !written) {
    static_cast<void>(static_cast<bool>(disk.remove(fresh)));  // Best effort: the next attempt truncates it.
    return written;
  }
  VERGE_CHECK(disk.rename(fresh, path));
  return disk.sync_folder(path.parent_path());
}

}  // namespace verge::storage
