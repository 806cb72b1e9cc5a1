// packaging/archive.h -- one tar file that a container engine loads: OCI layout and Docker's manifest.json at once.
//
// Podman reads the OCI part, older Docker engines the other; both name the same blobs. The index carries the full
// reference, because a bare name loads as localhost/NAME:latest.
// Threads: pure functions over the store.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "packaging/blob_store.h"

namespace verge::packaging {

/// Takes the archive in pieces of at most 1 MiB.
using ArchiveSink = std::function<Status(std::string_view piece)>;

/// `reference` is what the image will be called in the engine ("hub:8443/verge/vision:1").
/// Errors: not_found (a blob is missing), invalid_argument (the reference), the sink's own.
Status write_archive(const BlobStore& store, std::string_view manifest_digest, std::string_view reference,
                     const ArchiveSink& sink);
/// To a file (replaced when it exists). Returns its size in bytes.
Result<std::uint64_t> write_archive_file(const BlobStore& store, std::string_view manifest_digest,
                                         std::string_view reference, const std::filesystem::path& path);

}  // namespace verge::packaging
