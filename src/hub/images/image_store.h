// hub/images/image_store.h -- the blobs, manifests and tags of container images.
//
// Source: OCI distribution specification 1.1. Blobs lie in blobs/sha256/<two digits>/<digest>, so equal content is
// stored once; a blob becomes visible only after its digest was checked and it was synced. Which repository may show
// which blob, and where tags point, is in images.db. Uploads in progress do not survive a restart. Threads: all calls
// from any thread; calls that hash or copy block for the time the disk needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "base/time.h"
#include "storage/database.h"

namespace verge::hub {

struct ImageStoreLimits {
  std::uint64_t blob_bytes_max = 4ULL << 30U;
  std::size_t manifest_bytes_max = 4U << 20U;
  std::size_t uploads_max = 64;                    ///< At one time.
  std::int64_t upload_age_us_max = 3'600'000'000;  ///< Since its last progress.
  std::uint64_t free_bytes_min = 256ULL << 20U;    ///< Left on the file system; below it uploads are refused.
};

struct Manifest {
  std::string digest, media_type, bytes;
};

class ImageStore {
 public:
  static Result<std::unique_ptr<ImageStore>> open(const std::filesystem::path& folder, const Clock& clock,
                                                  ImageStoreLimits limits = {});

  /// The blob's file, if this repository has it.
  std::optional<std::filesystem::path> find_blob(const std::string& repository, const std::string& digest) const;
  /// Makes a blob of one repository visible in another. Errors: not_found.
  Status mount_blob(const std::string& repository, const std::string& digest, const std::string& from);

  /// Returns the upload's id. Errors: limit (too many, disk).
  Result<std::string> begin_upload(const std::string& repository);
  /// Appends a received file (moved when it is the first piece). start: where the caller believes to be. Returns the
  /// new size. Errors: not_found, conflict (start is elsewhere; nothing was taken), limit.
  Result<std::uint64_t> append_upload(const std::string& repository, const std::string& upload,
                                      const std::filesystem::path& piece, std::optional<std::uint64_t> start);
  Result<std::uint64_t> upload_size(const std::string& repository, const std::string& upload) const;
  /// Checks the digest and makes the blob visible; otherwise the upload is gone. Errors: not_found, corrupt (digest).
  Status finish_upload(const std::string& repository, const std::string& upload, const std::string& digest);
  Status cancel_upload(const std::string& repository, const std::string& upload);

  /// reference: a tag or a digest. Returns the digest. Errors: invalid_argument (no manifest, or another digest),
  /// not_found (it names a blob or manifest that the repository lacks; the message names it), limit.
  Result<std::string> put_manifest(const std::string& repository, const std::string& reference,
                                   std::string_view media_type, std::string_view bytes);
  /// Errors: not_found.
  Result<Manifest> manifest(const std::string& repository, const std::string& reference) const;
  /// In the order of their names. Errors: not_found (no such repository).
  Result<std::vector<std::string>> tags(const std::string& repository) const;
  Result<std::vector<std::string>> repositories() const;

  /// Where the server spools bodies: on the same file system, so that a piece can be moved.
  std::filesystem::path spool_folder() const { return folder_ / "uploads"; }
  const ImageStoreLimits& limits() const { return limits_; }
  /// Removes uploads without progress. Call every few minutes.
  void forget_old_uploads();

 private:
  struct Upload {
    std::string repository;
    std::uint64_t bytes = 0;
    std::int64_t touched_us = 0;
    bool is_busy = false;  ///< A call is writing to it.
  };
  using Uploads = std::map<std::string, Upload>;

  ImageStore(std::filesystem::path folder, std::unique_ptr<storage::Database> database, const Clock& clock,
             ImageStoreLimits limits);
  Status prepare_folders();
  std::filesystem::path blob_path(const std::string& digest) const;
  std::filesystem::path upload_path(const std::string& upload) const;
  Result<Upload> take_upload(const std::string& repository, const std::string& upload);
  void give_back_upload(const std::string& upload, std::uint64_t bytes);
  void drop_upload(const std::string& upload);
  Status keep_blob(const std::string& repository, const std::string& digest);
  Status check_references(const std::string& repository, std::string_view bytes) const;

  const std::filesystem::path folder_;
  std::unique_ptr<storage::Database> database_;
  const Clock& clock_;
  const ImageStoreLimits limits_;
  Guarded<Uploads> uploads_;
};

/// "sha256:" and 64 lower-case hex digits.
bool is_digest(std::string_view text);
/// Lower-case path of a repository, at most 255 characters.
bool is_repository_name(std::string_view text);
bool is_tag(std::string_view text);

}  // namespace verge::hub
