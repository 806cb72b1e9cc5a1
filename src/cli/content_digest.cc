#include "cli/content_digest.h"

#include <algorithm>
#include <vector>

namespace verge::cli {
namespace {

constexpr std::size_t kDigestPrefix = std::string_view("sha256:").size();
constexpr std::size_t kShortDigits = 16;

Result<std::vector<std::filesystem::path>> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code leads_nowhere;
    if (at->is_regular_file(leads_nowhere)) files.push_back(at->path());
  }
  if (error) return Error{ErrorCode::unavailable, "read the folder " + folder.string() + ": " + error.message()};
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

void ContentDigest::add(std::string_view text) {
  hash_.add(std::to_string(text.size()) + ":");
  hash_.add(text);
}

Status ContentDigest::add_tree(std::string_view name, const std::filesystem::path& path) {
  std::error_code leads_nowhere;
  if (!std::filesystem::is_directory(path, leads_nowhere)) {
    add(name);
    VERGE_TRY(const auto digest, sha256_digest_of_file(path));
    add(digest);
    return Done{};
  }
  VERGE_TRY(const auto files, files_below(path));
  for (const auto& file : files) {
    VERGE_CHECK(add_tree((std::filesystem::path(name) / file.lexically_relative(path)).string(), file));
  }
  return Done{};
}

std::string ContentDigest::short_hex() { return hash_.digest().substr(kDigestPrefix, kShortDigits); }

}  // namespace verge::cli
