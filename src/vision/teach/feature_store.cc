#include "vision/teach/feature_store.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>

#include "base/crypto.h"
#include "base/disk.h"

namespace verge::vision {
namespace {

constexpr std::string_view kMagic = "VERGEFS1";
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kCheckBytes = 4;

template <class T>
void append_raw(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Key, count, numbers, and the first bytes of their hash.
std::string record_of(std::string_view key, const std::vector<float>& row) {
  std::string record(key);
  append_raw(record, static_cast<std::uint32_t>(row.size()));
  record.append(reinterpret_cast<const char*>(row.data()), row.size() * sizeof(float));
  record += sha256(record).substr(0, kCheckBytes);
  return record;
}

Error store_failure(const std::filesystem::path& path, int problem) {
  return {problem == ENOSPC ? ErrorCode::limit : ErrorCode::unavailable,
          fmt::format("keep features in {}: {}", path.string(), std::strerror(problem))};
}

}  // namespace

Result<std::unique_ptr<FeatureStore>> FeatureStore::open(const std::filesystem::path& file) {
  auto store = std::unique_ptr<FeatureStore>(new FeatureStore());
  store->path_ = file;
  std::error_code problem;
  std::filesystem::create_directories(file.parent_path(), problem);
  std::uint64_t good = 0;
  if (const auto bytes = std::filesystem::file_size(file, problem); !problem && bytes <= kBytesMax) {
    VERGE_TRY(const std::string content, read_file(file, kBytesMax));
    good = store->read(content);
  }
  if (good > 0) std::filesystem::resize_file(file, good, problem);
  store->file_.reset(std::fopen(file.c_str(), good > 0 && !problem ? "ab" : "wb"));
  if (!store->file_) return store_failure(file, errno);
  if (good == 0 && (std::fwrite(kMagic.data(), 1, kMagic.size(), store->file_.get()) != kMagic.size() ||
                    std::fflush(store->file_.get()) != 0))
    return store_failure(file, errno);
  return store;
}

/// Returns how many bytes from the beginning are whole records; 0 for another kind of file.
std::uint64_t FeatureStore::read(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return 0;
  std::size_t at = kMagic.size();
  for (;;) {
    const std::string_view rest = bytes.substr(at);
    std::uint32_t count = 0;
    if (rest.size() < kKeyBytes + sizeof count + kCheckBytes) return at;
    std::memcpy(&count, rest.data() + kKeyBytes, sizeof count);
    const std::size_t body = kKeyBytes + sizeof count + std::size_t{count} * sizeof(float);
    if (count > kRowMax || rest.size() < body + kCheckBytes) return at;
    if (sha256(rest.substr(0, body)).substr(0, kCheckBytes) != rest.substr(body, kCheckBytes)) return at;
    std::vector<float> row(count);
    std::memcpy(row.data(), rest.data() + kKeyBytes + sizeof count, std::size_t{count} * sizeof(float));
    rows_[std::string(rest.substr(0, kKeyBytes))] = std::move(row);
    at += body + kCheckBytes;
  }
}

const std::vector<float>* FeatureStore::find(const std::string& key) const {
  const auto found = rows_.find(sha256(key));
  return found == rows_.end() ? nullptr : &found->second;
}

Result<const std::vector<float>*> FeatureStore::add(const std::string& key, std::vector<float> row) {
  if (row.size() > kRowMax)
    return Error{ErrorCode::limit, fmt::format("keep features: a row of {} numbers; at most {}", row.size(), kRowMax)};
  const std::string name = sha256(key);
  const std::string record = record_of(name, row);
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() || std::fflush(file_.get()) != 0)
    return store_failure(path_, errno);
  return &(rows_[name] = std::move(row));
}

}  // namespace verge::vision
