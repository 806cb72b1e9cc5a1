// packaging/blob_store.h -- a folder of blobs named by their digest, in the form of an OCI image layout.
//
//   FOLDER/oci-layout  FOLDER/index.json  FOLDER/blobs/sha256/<hex>  FOLDER/partial/<hex>
// A blob is there whole or not at all: it is written beside, synced and renamed. Other tools that know image layouts
// read the folder as it is.
// Threads: blobs may be added and read from any thread and process; index changes from one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/result.h"
#include "packaging/oci.h"

namespace verge::packaging {

/// Takes a blob in pieces. Destroyed without finish(), it leaves nothing (or, when resumable, its partial file).
class BlobWriter {
 public:
  ~BlobWriter();
  BlobWriter(BlobWriter&&) noexcept;
  BlobWriter& operator=(BlobWriter&&) noexcept;

  /// Errors: limit (disk full, or more than `size_max` bytes), unavailable.
  Status write(std::string_view bytes);
  std::uint64_t size_bytes() const;
  /// Makes the blob durable and visible. `expected` (may be empty) is checked; on a difference (error corrupt) the
  /// bytes are thrown away. Returns digest and size; media_type stays empty.
  Result<Descriptor> finish(std::string_view expected = {});
  /// Throws away what was written, also of a resumable blob.
  void discard();

 private:
  friend class BlobStore;
  struct State;
  explicit BlobWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Held until destroyed.
class StoreLock {
 public:
  explicit StoreLock(int file) : file_(file) {}
  ~StoreLock();
  StoreLock(StoreLock&& other) noexcept : file_(other.file_) { other.file_ = -1; }
  StoreLock& operator=(StoreLock&&) = delete;

 private:
  int file_;
};

class BlobStore {
 public:
  /// Makes the folder when it is missing. Errors: unavailable, limit.
  static Result<BlobStore> open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  bool has(std::string_view digest) const;
  /// Where the blob lies (whether or not it is there). The digest must be one (is_digest).
  std::filesystem::path path_of(std::string_view digest) const;
  Result<std::uint64_t> size_of(std::string_view digest) const;

  Result<Descriptor> add(std::string_view bytes, std::string_view media_type);
  /// A new blob of unknown digest.
  Result<BlobWriter> writer(std::uint64_t size_max = UINT64_MAX);
  /// Goes on where an earlier writer of this digest stopped; size_bytes() says where.
  Result<BlobWriter> resume(std::string_view digest, std::uint64_t size_max = UINT64_MAX);
  /// The whole blob, checked against its digest. Errors: not_found, corrupt, limit.
  Result<std::string> read(std::string_view digest, std::size_t bytes_max = 16U << 20U) const;
  Status remove(std::string_view digest);
  std::vector<std::string> digests() const;
  /// Removes every blob that neither belongs to one of these images (their manifests' digests; one that is not here is
  /// passed over) nor is named in `others`. Returns the freed bytes. Who adds blobs meanwhile holds the same lock.
  /// Errors: corrupt (a manifest cannot be read: nothing was removed), unavailable.
  Result<std::uint64_t> sweep(const std::vector<std::string>& manifests, const std::set<std::string>& others = {});
  /// Removes what interrupted writers left, if nothing was written to it for so long. Returns the freed bytes.
  std::uint64_t discard_partials(std::chrono::seconds age_min);
  /// Waits until no other process has it; for work that adds blobs now and names them later, and for sweep.
  Result<StoreLock> lock() const;

  /// Names in index.json: "verge/vision:1" → manifest. Setting a name replaces it.
  Status set_reference(std::string_view name, const Descriptor& manifest);
  Status remove_reference(std::string_view name);
  Result<std::optional<Descriptor>> find_reference(std::string_view name) const;
  Result<Index> index() const;

 private:
  explicit BlobStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace verge::packaging
