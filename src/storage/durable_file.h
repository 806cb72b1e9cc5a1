// storage/durable_file.h -- a small file that is replaced as a whole; internal to this part.
//
// Threads: one writer per path.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/disk.h"
#include "base/result.h"

namespace verge::storage {

/// Writes a file beside it, syncs, renames, syncs the folder: after a power cut the old or the new content is there.
/// Errors: those of the disk; the old content stays.
Status replace_file(Disk& disk, const std::filesystem::path& path, std::string_view bytes);

}  // namespace verge::storage
