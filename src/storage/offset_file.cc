#include <charconv>
#include <fmt/core.h>

#include "base/bytes.h"
#include "storage/append_log.h"
#include "storage/durable_file.h"

namespace verge::storage {
namespace {

constexpr std::string_view kMark = "verge-offset 1 ";
constexpr std::size_t kBytesMax = 64;

/// "verge-offset 1 1234 5f3a9c01\n": the number and the CRC-32C of all before the last blank.
std::string encode(std::uint64_t offset) {
  const std::string text = fmt::format("{}{}", kMark, offset);
  return fmt::format("{} {:08x}\n", text, crc32c(text));
}

}  // namespace

OffsetFile::OffsetFile(Disk& disk, std::filesystem::path path) : disk_(disk), path_(std::move(path)) {}

Result<std::uint64_t> OffsetFile::load() const {
  const auto file = disk_.open(path_, false);
  if (!file && file.error().code == ErrorCode::not_found) return std::uint64_t{0};
  if (!file) return file.error();
  VERGE_TRY(const std::string text, (*file)->read_at(0, kBytesMax));
  std::uint64_t offset = 0;
  if (text.starts_with(kMark)) std::from_chars(text.data() + kMark.size(), text.data() + text.size(), offset);
  // Written again it must be the same, which covers mark, digits and check.
  if (text == encode(offset)) return offset;
  return Error{ErrorCode::corrupt,
               fmt::format("read the position in \"{}\": the check fails; remove this file to begin "
                           "again with the oldest record",
                           path_.string())};
}

Status OffsetFile::store(std::uint64_t offset) {
  auto stored = replace_file(disk_, path_, encode(offset));
  if (!stored) return std::move(stored).error().within(fmt::format("store position {}", offset));
  return stored;
}

}  // namespace verge::storage
