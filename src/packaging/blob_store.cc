#include "packaging/blob_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/json.h"

namespace verge::packaging {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view reference_annotation = "org.opencontainers.image.ref.name";

Error from_errno(std::string_view doing, const fs::path& path) {
  const auto code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::limit
                    : errno == ENOENT                  ? ErrorCode::not_found
                                                       : ErrorCode::unavailable;
  return {code, fmt::format("{} \"{}\": {}", doing, path.string(), std::strerror(errno))};
}

std::string hex_of(std::string_view digest) { return std::string(digest.substr(digest.find(':') + 1)); }

/// The name of an index entry; other tools may leave it out.
std::string name_of(const Descriptor& manifest) {
  const auto found = manifest.annotations.find(std::string(reference_annotation));
  return found == manifest.annotations.end() ? std::string() : found->second;
}

Status make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return Done{};
  return Error{error == std::errc::no_space_on_device ? ErrorCode::limit : ErrorCode::unavailable,
               fmt::format("make folder \"{}\": {}", folder.string(), error.message())};
}

Status hash_file(int file, Sha256& hash) {
  std::string buffer(1U << 16U, '\0');
  for (;;) {
    const auto count = ::read(file, buffer.data(), buffer.size());
    if (count == 0) return Done{};
    if (count < 0) return from_errno("read", "partial blob");
    hash.add(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
  }
}

}  // namespace

struct BlobWriter::State {
  fs::path store, path;
  int file = -1;
  bool is_resumable = false;
  std::uint64_t size = 0, size_max = 0;
  Sha256 hash;

  ~State() {
    if (file < 0) return;
    ::close(file);
    std::error_code ignored;
    if (!is_resumable) fs::remove(path, ignored);
  }
};

BlobWriter::BlobWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlobWriter::~BlobWriter() = default;
BlobWriter::BlobWriter(BlobWriter&&) noexcept = default;
BlobWriter& BlobWriter::operator=(BlobWriter&&) noexcept = default;

std::uint64_t BlobWriter::size_bytes() const { return state_->size; }

void BlobWriter::discard() {
  state_->is_resumable = false;
  state_.reset();
}

Status BlobWriter::write(std::string_view bytes) {
  if (bytes.size() > state_->size_max - state_->size)
    return Error{ErrorCode::limit, fmt::format("the blob is larger than the {} bytes announced", state_->size_max)};
  state_->hash.add(bytes);
  state_->size += bytes.size();
  while (!bytes.empty()) {
    const auto written = ::write(state_->file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return from_errno("write", state_->path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return Done{};
}

Result<Descriptor> BlobWriter::finish(std::string_view expected) {
  Descriptor descriptor{{}, state_->hash.digest(), state_->size, {}, {}};
  state_->is_resumable = false;
  if (!expected.empty() && descriptor.digest != expected)
    return Error{ErrorCode::corrupt,
                 fmt::format("the blob should be {}, what came is {} ({} bytes); it was thrown away", expected,
                             descriptor.digest, descriptor.size_bytes)};
  if (::fsync(state_->file) != 0) return from_errno("sync", state_->path);
  const auto target = state_->store / "blobs" / "sha256" / hex_of(descriptor.digest);
  if (::rename(state_->path.c_str(), target.c_str()) != 0) return from_errno("store blob", target);
  ::close(state_->file);
  state_->file = -1;
  VERGE_CHECK(system_disk().sync_folder(target.parent_path()));
  return descriptor;
}

Result<BlobStore> BlobStore::open(const fs::path& folder) {
  VERGE_CHECK(make_folder(folder / "blobs" / "sha256"));
  VERGE_CHECK(make_folder(folder / "partial"));
  std::error_code ignored;
  if (!fs::exists(folder / "oci-layout", ignored))
    VERGE_CHECK(write_file(folder / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  if (!fs::exists(folder / "index.json", ignored))
    VERGE_CHECK(write_file(folder / "index.json", to_text(to_json(Index{}))));
  return BlobStore(folder);
}

fs::path BlobStore::path_of(std::string_view digest) const {
  VERGE_ASSERT(is_digest(digest));
  return folder_ / "blobs" / "sha256" / hex_of(digest);
}

bool BlobStore::has(std::string_view digest) const {
  std::error_code ignored;
  return is_digest(digest) && fs::is_regular_file(path_of(digest), ignored);
}

Result<std::uint64_t> BlobStore::size_of(std::string_view digest) const {
  if (!is_digest(digest))
    return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" is not a sha256 digest", digest)};
  std::error_code error;
  const auto size = fs::file_size(path_of(digest), error);
  if (error) return Error{ErrorCode::not_found, fmt::format("blob {} is not in the store", digest)};
  return static_cast<std::uint64_t>(size);
}

Result<Descriptor> BlobStore::add(std::string_view bytes, std::string_view media_type) {
  const auto digest = sha256_digest(bytes);
  if (!has(digest)) {
    VERGE_TRY(auto blob, writer());
    VERGE_CHECK(blob.write(bytes));
    VERGE_CHECK(blob.finish(digest));
  }
  return Descriptor{std::string(media_type), digest, bytes.size(), {}, {}};
}

Result<BlobWriter> BlobStore::writer(std::uint64_t size_max) {
  auto state = std::make_unique<BlobWriter::State>();
  state->store = folder_;
  state->path = folder_ / "partial" / new_uuid();
  state->size_max = size_max;
  state->file = ::open(state->path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (state->file < 0) return from_errno("create", state->path);
  return BlobWriter(std::move(state));
}

Result<BlobWriter> BlobStore::resume(std::string_view digest, std::uint64_t size_max) {
  if (!is_digest(digest))
    return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" is not a sha256 digest", digest)};
  auto state = std::make_unique<BlobWriter::State>();
  state->store = folder_;
  state->path = folder_ / "partial" / hex_of(digest);
  state->size_max = size_max;
  state->is_resumable = true;
  state->file = ::open(state->path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (state->file < 0) return from_errno("create", state->path);
  if (::flock(state->file, LOCK_EX | LOCK_NB) != 0)
    return Error{ErrorCode::conflict, fmt::format("blob {} is being fetched by another process", digest)};
  struct stat facts = {};
  if (::fstat(state->file, &facts) != 0) return from_errno("examine", state->path);
  if (static_cast<std::uint64_t>(facts.st_size) > size_max && ::ftruncate(state->file, 0) != 0)
    return from_errno("empty", state->path);
  VERGE_CHECK(hash_file(state->file, state->hash));
  const auto end = ::lseek(state->file, 0, SEEK_END);
  if (end < 0) return from_errno("examine", state->path);
  state->size = static_cast<std::uint64_t>(end);
  return BlobWriter(std::move(state));
}

Result<std::string> BlobStore::read(std::string_view digest, std::size_t bytes_max) const {
  VERGE_CHECK(size_of(digest));
  VERGE_TRY(auto bytes, read_file(path_of(digest), bytes_max));
  if (sha256_digest(bytes) != digest)
    return Error{ErrorCode::corrupt,
                 fmt::format("blob {} has been changed on disk; remove it and fetch it again", digest)};
  return bytes;
}

Status BlobStore::remove(std::string_view digest) {
  VERGE_CHECK(size_of(digest));
  if (::unlink(path_of(digest).c_str()) != 0) return from_errno("remove", path_of(digest));
  return Done{};
}

std::vector<std::string> BlobStore::digests() const {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder_ / "blobs" / "sha256", error), end; !error && entry != end;
       entry.increment(error)) {
    auto digest = "sha256:" + entry->path().filename().string();
    if (is_digest(digest)) found.push_back(std::move(digest));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::uint64_t> BlobStore::sweep(const std::vector<std::string>& manifests, const std::set<std::string>& others) {
  std::set<std::string> needed = others;
  for (const auto& digest : manifests) {
    if (!has(digest)) continue;
    auto text = read(digest, document_bytes_max);
    auto manifest = text ? parse_manifest(*text) : Result<Manifest>(text.error());
    if (!manifest) return std::move(manifest).error().within(fmt::format("sweep images: manifest {}", digest));
    needed.insert(digest);
    needed.insert(manifest->config.digest);
    for (const auto& layer : manifest->layers) needed.insert(layer.digest);
  }
  std::uint64_t freed_bytes = 0;
  for (const auto& digest : digests()) {
    if (needed.contains(digest)) continue;
    VERGE_TRY(const auto bytes, size_of(digest));
    VERGE_CHECK(remove(digest));
    freed_bytes += bytes;
  }
  return freed_bytes;
}

std::uint64_t BlobStore::discard_partials(std::chrono::seconds age_min) {
  std::uint64_t freed_bytes = 0;
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator entry(folder_ / "partial", error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    const auto written = fs::last_write_time(entry->path(), gone);
    const auto bytes = fs::file_size(entry->path(), gone);
    if (gone || now - written < age_min) continue;
    if (fs::remove(entry->path(), gone)) freed_bytes += bytes;
  }
  return freed_bytes;
}

StoreLock::~StoreLock() {
  if (file_ >= 0) ::close(file_);
}

Result<StoreLock> BlobStore::lock() const {
  const auto path = folder_ / "lock";
  const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (file < 0) return from_errno("create", path);
  StoreLock held(file);
  while (::flock(file, LOCK_EX) != 0)
    if (errno != EINTR) return from_errno("lock", path);
  return held;
}

Result<Index> BlobStore::index() const {
  VERGE_TRY(const auto text, read_file(folder_ / "index.json"));
  auto index = parse_index(text);
  if (!index) return std::move(index).error().within(fmt::format("read \"{}\"", (folder_ / "index.json").string()));
  return index;
}

Result<std::optional<Descriptor>> BlobStore::find_reference(std::string_view name) const {
  VERGE_TRY(const auto all, index());
  for (const auto& manifest : all.manifests)
    if (name_of(manifest) == name) return std::optional(manifest);
  return std::optional<Descriptor>();
}

Status BlobStore::remove_reference(std::string_view name) {
  VERGE_TRY(auto all, index());
  std::erase_if(all.manifests, [&](const Descriptor& manifest) { return name_of(manifest) == name; });
  return write_file(folder_ / "index.json", to_text(to_json(all)));
}

Status BlobStore::set_reference(std::string_view name, const Descriptor& manifest) {
  VERGE_CHECK(remove_reference(name));
  VERGE_TRY(auto all, index());
  all.manifests.push_back(manifest);
  all.manifests.back().annotations[std::string(reference_annotation)] = name;
  std::sort(all.manifests.begin(), all.manifests.end(),
            [](const Descriptor& a, const Descriptor& b) { return name_of(a) < name_of(b); });
  return write_file(folder_ / "index.json", to_text(to_json(all)));
}

}  // namespace verge::packaging
