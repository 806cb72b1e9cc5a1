#include "hub/images/image_store.h"

#include <algorithm>
#include <cctype>
#include <fcntl.h>
#include <fmt/core.h>
#include <fstream>
#include <system_error>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::hub {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kDigestCharacters = 71;
constexpr std::size_t kNameCharactersMax = 255, kTagCharactersMax = 128;
constexpr std::size_t kCopyBytes = 1U << 20U;

std::vector<storage::Migration> migrations() {
  return {{"images.1",
           "CREATE TABLE blobs (repository TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (repository, digest)) "
           "WITHOUT ROWID"},
          {"images.2",
           "CREATE TABLE manifests (repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL,"
           " bytes TEXT NOT NULL, PRIMARY KEY (repository, digest))"},
          {"images.3",
           "CREATE TABLE tags (repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,"
           " PRIMARY KEY (repository, tag)) WITHOUT ROWID"}};
}

Error not_found(std::string message) { return Error{ErrorCode::not_found, std::move(message)}; }

Status sync_path(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Error{ErrorCode::unavailable, fmt::format("open \"{}\" to sync it", path.string())};
  const int result = ::fsync(file);
  ::close(file);
  if (result == 0) return Done{};
  return Error{ErrorCode::unavailable, fmt::format("sync \"{}\"", path.string())};
}

Status append_file(const fs::path& target, const fs::path& piece) {
  std::ifstream in(piece, std::ios::binary);
  std::ofstream out(target, std::ios::binary | std::ios::app);
  std::string buffer(kCopyBytes, '\0');
  while (in && out) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    out.write(buffer.data(), in.gcount());
  }
  out.flush();
  if (in.eof() && out) return Done{};
  return Error{ErrorCode::limit,
               fmt::format("append to upload \"{}\": the disk took no more", target.filename().string())};
}

/// Digests that a manifest or an index names: {blobs, manifests}.
struct References {
  std::vector<std::string> blobs, manifests;
};
Result<References> references_of(std::string_view bytes) {
  VERGE_TRY(const Json json, parse_json(bytes));
  References references;
  const auto read = [](const Json& item, std::vector<std::string>& list) -> Status {
    VERGE_TRY(auto digest, string_member(item, "digest"));
    if (!is_digest(digest))
      return Error{ErrorCode::invalid_argument,
                   fmt::format("the manifest names digest \"{}\"; use sha256", digest.substr(0, 100))};
    list.push_back(std::move(digest));
    return Done{};
  };
  if (!json.is_object()) return Error{ErrorCode::invalid_argument, "the manifest is not a JSON object"};
  const Json* manifests = find_member(json, {"manifests"});
  if (manifests != nullptr && manifests->is_array()) {
    for (const Json& item : *manifests) VERGE_CHECK(read(item, references.manifests));
    return references;
  }
  const Json* config = find_member(json, {"config"});
  const Json* layers = find_member(json, {"layers"});
  if (config == nullptr || layers == nullptr || !layers->is_array()) {
    return Error{ErrorCode::invalid_argument, "the manifest has neither config and layers nor manifests"};
  }
  VERGE_CHECK(read(*config, references.blobs));
  for (const Json& layer : *layers) VERGE_CHECK(read(layer, references.blobs));
  return references;
}

}  // namespace

bool is_digest(std::string_view text) {
  return text.size() == kDigestCharacters && text.starts_with("sha256:") &&
         text.substr(7).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_repository_name(std::string_view text) {
  if (text.empty() || text.size() > kNameCharactersMax) return false;
  const auto is_separator = [](char c) { return c == '.' || c == '_' || c == '-' || c == '/'; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (std::islower(byte) != 0 || std::isdigit(byte) != 0) continue;
    if (!is_separator(text[i]) || i == 0 || i + 1 == text.size()) return false;
    if (is_separator(text[i + 1]) && (text[i] == '/' || text[i + 1] == '/' || text[i] == '.' || text[i + 1] == '.'))
      return false;
  }
  return true;
}

bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kTagCharactersMax || text[0] == '.' || text[0] == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
  });
}

ImageStore::ImageStore(fs::path folder, std::unique_ptr<storage::Database> database, const Clock& clock,
                       ImageStoreLimits limits)
    : folder_(std::move(folder)), database_(std::move(database)), clock_(clock), limits_(limits) {}

Result<std::unique_ptr<ImageStore>> ImageStore::open(const fs::path& folder, const Clock& clock,
                                                     ImageStoreLimits limits) {
  std::error_code error;
  fs::create_directories(folder, error);
  VERGE_TRY(auto database, storage::Database::open(folder / "images.db", migrations()));
  std::unique_ptr<ImageStore> store(new ImageStore(folder, std::move(database), clock, limits));
  VERGE_CHECK(store->prepare_folders());
  return store;
}

Status ImageStore::prepare_folders() {
  std::error_code error;
  fs::remove_all(spool_folder(), error);
  fs::create_directories(spool_folder(), error);
  if (!error) fs::create_directories(folder_ / "blobs" / "sha256", error);
  if (!error) return Done{};
  return Error{ErrorCode::unavailable,
               fmt::format("prepare image store \"{}\": {}", folder_.string(), error.message())};
}

fs::path ImageStore::blob_path(const std::string& digest) const {
  const std::string hex = digest.substr(7);
  return folder_ / "blobs" / "sha256" / hex.substr(0, 2) / hex;
}

fs::path ImageStore::upload_path(const std::string& upload) const { return spool_folder() / ("upload-" + upload); }

std::optional<fs::path> ImageStore::find_blob(const std::string& repository, const std::string& digest) const {
  if (!is_digest(digest)) return std::nullopt;
  const auto row =
      database_->query_one("SELECT 1 FROM blobs WHERE repository = ? AND digest = ?", {repository, digest});
  std::error_code error;
  const fs::path path = blob_path(digest);
  if (!row || !*row || !fs::exists(path, error)) return std::nullopt;
  return path;
}

Status ImageStore::keep_blob(const std::string& repository, const std::string& digest) {
  VERGE_CHECK(
      database_->execute("INSERT OR IGNORE INTO blobs (repository, digest) VALUES (?,?)", {repository, digest}));
  return Done{};
}

Status ImageStore::mount_blob(const std::string& repository, const std::string& digest, const std::string& from) {
  if (!find_blob(from, digest)) return not_found(fmt::format("repository \"{}\" has no blob {}", from, digest));
  return keep_blob(repository, digest);
}

Result<std::string> ImageStore::begin_upload(const std::string& repository) {
  VERGE_TRY(const auto free_bytes, system_disk().free_bytes(folder_));
  if (free_bytes < limits_.free_bytes_min) {
    return Error{ErrorCode::limit,
                 fmt::format("{} bytes are left on the image store's disk, at least {} must stay: make room",
                             free_bytes, limits_.free_bytes_min)};
  }
  const std::string id = new_uuid();
  const bool has_room = uploads_.with([&](Uploads& uploads) {
    if (uploads.size() >= limits_.uploads_max) return false;
    uploads[id] = {repository, 0, clock_.now_us(), false};
    return true;
  });
  if (!has_room)
    return Error{ErrorCode::limit, fmt::format("{} uploads are under way: retry later", limits_.uploads_max)};
  std::ofstream(upload_path(id), std::ios::binary);
  return id;
}

Result<ImageStore::Upload> ImageStore::take_upload(const std::string& repository, const std::string& upload) {
  return uploads_.with([&](Uploads& uploads) -> Result<Upload> {
    const auto found = uploads.find(upload);
    if (found == uploads.end() || found->second.repository != repository)
      return not_found("there is no such upload: begin it again");
    if (found->second.is_busy) return Error{ErrorCode::conflict, "another request writes to this upload"};
    found->second.is_busy = true;
    return found->second;
  });
}

void ImageStore::give_back_upload(const std::string& upload, std::uint64_t bytes) {
  uploads_.with([&](Uploads& uploads) {
    const auto found = uploads.find(upload);
    if (found == uploads.end()) return;
    found->second.bytes = bytes;
    found->second.touched_us = clock_.now_us();
    found->second.is_busy = false;
  });
}

void ImageStore::drop_upload(const std::string& upload) {
  uploads_.with([&](Uploads& uploads) { uploads.erase(upload); });
  std::error_code ignored;
  fs::remove(upload_path(upload), ignored);
}

Result<std::uint64_t> ImageStore::append_upload(const std::string& repository, const std::string& upload,
                                                const fs::path& piece, std::optional<std::uint64_t> start) {
  VERGE_TRY(const auto state, take_upload(repository, upload));
  if (start && *start != state.bytes) {
    give_back_upload(upload, state.bytes);
    return Error{ErrorCode::conflict,
                 fmt::format("the upload holds {} bytes, the piece begins at {}", state.bytes, *start)};
  }
  std::error_code error;
  const std::uint64_t piece_bytes = fs::file_size(piece, error);
  if (error || state.bytes + piece_bytes > limits_.blob_bytes_max) {
    drop_upload(upload);
    return Error{ErrorCode::limit, fmt::format("a blob of more than {} bytes", limits_.blob_bytes_max)};
  }
  if (state.bytes == 0) {
    fs::rename(piece, upload_path(upload), error);
  } else if (const auto appended = append_file(upload_path(upload), piece); !appended) {
    drop_upload(upload);  // How much was written is unknown.
    return appended.error();
  }
  if (error) {
    drop_upload(upload);
    return Error{ErrorCode::unavailable, fmt::format("take the received piece: {}", error.message())};
  }
  give_back_upload(upload, state.bytes + piece_bytes);
  return state.bytes + piece_bytes;
}

Result<std::uint64_t> ImageStore::upload_size(const std::string& repository, const std::string& upload) const {
  return uploads_.with([&](const Uploads& uploads) -> Result<std::uint64_t> {
    const auto found = uploads.find(upload);
    if (found == uploads.end() || found->second.repository != repository)
      return not_found("there is no such upload: begin it again");
    return found->second.bytes;
  });
}

Status ImageStore::cancel_upload(const std::string& repository, const std::string& upload) {
  VERGE_TRY(const auto state, take_upload(repository, upload));
  (void)state;
  drop_upload(upload);
  return Done{};
}

Status ImageStore::finish_upload(const std::string& repository, const std::string& upload, const std::string& digest) {
  VERGE_TRY(const auto state, take_upload(repository, upload));
  (void)state;
  const fs::path source = upload_path(upload);
  const auto keep = [&]() -> Status {
    VERGE_TRY(const auto actual, sha256_digest_of_file(source));
    if (actual != digest)
      return Error{ErrorCode::corrupt, fmt::format("the upload's digest is {}, not {}: send it again", actual, digest)};
    VERGE_CHECK(sync_path(source));
    const fs::path target = blob_path(digest);
    std::error_code error;
    fs::create_directories(target.parent_path(), error);
    if (!error) fs::rename(source, target, error);
    if (error) return Error{ErrorCode::unavailable, fmt::format("keep blob {}: {}", digest, error.message())};
    VERGE_CHECK(sync_path(target.parent_path()));
    return keep_blob(repository, digest);
  };
  const auto kept = keep();
  drop_upload(upload);
  return kept;
}

void ImageStore::forget_old_uploads() {
  const std::int64_t oldest_us = clock_.now_us() - limits_.upload_age_us_max;
  std::vector<std::string> old;
  uploads_.with([&](const Uploads& uploads) {
    for (const auto& [id, upload] : uploads) {
      if (!upload.is_busy && upload.touched_us < oldest_us) old.push_back(id);
    }
  });
  for (const auto& id : old) drop_upload(id);
}

Status ImageStore::check_references(const std::string& repository, std::string_view bytes) const {
  VERGE_TRY(const auto references, references_of(bytes));
  for (const auto& digest : references.blobs) {
    if (!find_blob(repository, digest))
      return not_found(fmt::format("repository \"{}\" has no blob {}: push it first", repository, digest));
  }
  for (const auto& digest : references.manifests) {
    const auto known = manifest(repository, digest);
    if (!known) return known.error();
  }
  return Done{};
}

Result<std::string> ImageStore::put_manifest(const std::string& repository, const std::string& reference,
                                             std::string_view media_type, std::string_view bytes) {
  if (bytes.size() > limits_.manifest_bytes_max) {
    return Error{ErrorCode::limit,
                 fmt::format("a manifest of {} bytes; at most {}", bytes.size(), limits_.manifest_bytes_max)};
  }
  const std::string digest = sha256_digest(bytes);
  const bool by_digest = reference.find(':') != std::string::npos;
  if (by_digest && reference != digest)
    return Error{ErrorCode::invalid_argument, fmt::format("the manifest's digest is {}, not {}", digest, reference)};
  if (!by_digest && !is_tag(reference))
    return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" is no tag", reference.substr(0, 200))};
  VERGE_CHECK(check_references(repository, bytes));
  const auto stored = database_->transaction([&]() -> Status {
    VERGE_CHECK(
        database_->execute("INSERT OR REPLACE INTO manifests (repository, digest, media_type, bytes) VALUES (?,?,?,?)",
                           {repository, digest, std::string(media_type), std::string(bytes)}));
    if (by_digest) return Done{};
    VERGE_CHECK(database_->execute("INSERT OR REPLACE INTO tags (repository, tag, digest) VALUES (?,?,?)",
                                   {repository, reference, digest}));
    return Done{};
  });
  if (!stored) return stored.error();
  return digest;
}

Result<Manifest> ImageStore::manifest(const std::string& repository, const std::string& reference) const {
  std::string digest = reference;
  if (!is_digest(reference)) {
    VERGE_TRY(const auto row, database_->query_one("SELECT digest FROM tags WHERE repository = ? AND tag = ?",
                                                   {repository, reference}));
    if (!row)
      return not_found(fmt::format("repository \"{}\" has no tag \"{}\"", repository, reference.substr(0, 200)));
    digest = row->text(0);
  }
  VERGE_TRY(const auto row,
            database_->query_one("SELECT media_type, bytes FROM manifests WHERE repository = ? AND digest = ?",
                                 {repository, digest}));
  if (!row) return not_found(fmt::format("repository \"{}\" has no manifest {}", repository, digest));
  return Manifest{digest, row->text(0), row->text(1)};
}

Result<std::vector<std::string>> ImageStore::tags(const std::string& repository) const {
  VERGE_TRY(const auto rows, database_->query("SELECT tag FROM tags WHERE repository = ? ORDER BY tag", {repository}));
  if (rows.empty()) return not_found(fmt::format("there is no repository \"{}\"", repository));
  std::vector<std::string> tags;
  for (const auto& row : rows) tags.push_back(row.text(0));
  return tags;
}

Result<std::vector<std::string>> ImageStore::repositories() const {
  VERGE_TRY(const auto rows, database_->query("SELECT DISTINCT repository FROM manifests ORDER BY repository"));
  std::vector<std::string> names;
  for (const auto& row : rows) names.push_back(row.text(0));
  return names;
}

}  // namespace verge::hub
