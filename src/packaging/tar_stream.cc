#include "packaging/tar_stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace verge::packaging {
namespace {

constexpr std::size_t block_bytes = 512;
constexpr std::size_t piece_bytes = 1U << 18U;
constexpr std::uint64_t size_limit = std::uint64_t{1} << 33U;  ///< Eleven octal digits.

struct Field {
  std::size_t start, length;
};
constexpr Field name_field{0, 100}, mode_field{100, 8}, user_field{108, 8}, group_field{116, 8}, size_field{124, 12},
    time_field{136, 12}, checksum_field{148, 8}, kind_field{156, 1}, link_field{157, 100}, magic_field{257, 8},
    prefix_field{345, 155};

using Block = std::array<char, block_bytes>;

void put(Block& block, Field field, std::string_view text) {
  std::copy_n(text.begin(), std::min(text.size(), field.length),
              block.begin() + static_cast<std::ptrdiff_t>(field.start));
}

void put_octal(Block& block, Field field, std::uint64_t value) {
  put(block, field, fmt::format("{:0{}o}", value, field.length - 1));
}

/// The checksum is taken with its own field blank.
void put_checksum(Block& block) {
  put(block, checksum_field, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(block, checksum_field, fmt::format("{:06o}", sum));
  block[checksum_field.start + 6] = '\0';
}

struct SplitPath {
  std::string_view prefix, name;
};
/// ustar holds a path as prefix/name, each within its field.
std::optional<SplitPath> split(std::string_view path) {
  if (path.size() <= name_field.length) return SplitPath{"", path};
  for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
    const SplitPath parts{path.substr(0, slash), path.substr(slash + 1)};
    if (parts.prefix.size() <= prefix_field.length && parts.name.size() <= name_field.length && !parts.name.empty())
      return parts;
  }
  return std::nullopt;
}

/// "LENGTH key=value\n", where LENGTH counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (length != rest + std::to_string(length).size()) length = rest + std::to_string(length).size();
  return fmt::format("{} {}={}\n", length, key, value);
}

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (file_ >= 0) ::close(file_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return file_; }

 private:
  int file_;
};

}  // namespace

Status TarStream::pax_header(std::string_view path, std::string_view target) {
  std::string records = pax_record("path", path);
  if (!target.empty()) records += pax_record("linkpath", target);
  VERGE_CHECK(header('x', "pax", {}, 0644, records.size()));
  VERGE_CHECK(sink_(records));
  return padding(records.size());
}

Status TarStream::header(char kind, std::string_view path, std::string_view target, unsigned mode, std::uint64_t size) {
  auto parts = split(path);
  if (!parts || target.size() > link_field.length) {
    VERGE_CHECK(pax_header(path, target));
    parts = SplitPath{"", path.substr(0, name_field.length)};
  }
  Block block{};
  put(block, name_field, parts->name);
  put_octal(block, mode_field, mode);
  put_octal(block, user_field, owner_.user);
  put_octal(block, group_field, owner_.group);
  put_octal(block, size_field, size);
  put_octal(block, time_field, 0);
  block[kind_field.start] = kind;
  put(block, link_field, target);
  put(block, magic_field, std::string_view("ustar\00000", 8));
  put(block, prefix_field, parts->prefix);
  put_checksum(block);
  return sink_(std::string_view(block.data(), block.size()));
}

Status TarStream::padding(std::uint64_t size) {
  static constexpr Block zeros{};
  const std::size_t missing = (block_bytes - size % block_bytes) % block_bytes;
  if (missing == 0) return Done{};
  return sink_(std::string_view(zeros.data(), missing));
}

Status TarStream::folder(std::string_view path, unsigned mode) {
  return header('5', std::string(path) + "/", {}, mode, 0);
}

Status TarStream::link(std::string_view path, std::string_view target) { return header('2', path, target, 0777, 0); }

Status TarStream::file(std::string_view path, std::string_view bytes, unsigned mode) {
  VERGE_CHECK(header('0', path, {}, mode, bytes.size()));
  const auto size = bytes.size();
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), piece_bytes)))
    VERGE_CHECK(sink_(bytes.substr(0, piece_bytes)));
  return padding(size);
}

Status TarStream::file_from(std::string_view path, const std::filesystem::path& source, unsigned mode,
                            std::uint64_t size_max) {
  const auto doing = fmt::format("add \"{}\"", source.string());
  const OpenFile file(source);
  struct stat facts = {};
  if (file.get() < 0 || ::fstat(file.get(), &facts) != 0)
    return Error{errno == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
                 fmt::format("{}: {}", doing, std::strerror(errno))};
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  if (!S_ISREG(facts.st_mode)) return Error{ErrorCode::invalid_argument, doing + ": it is not a file"};
  if (size >= size_limit || size > size_max)
    return Error{ErrorCode::limit,
                 fmt::format("{}: it has {} bytes, at most {} fit", doing, size, std::min(size_limit - 1, size_max))};
  VERGE_CHECK(header('0', path, {}, mode, size));
  std::string buffer(piece_bytes, '\0');
  for (std::uint64_t left = size; left > 0;) {
    const auto count =
        ::read(file.get(), buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size())));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error{ErrorCode::unavailable, fmt::format("{}: {}", doing, std::strerror(errno))};
    if (count == 0) return Error{ErrorCode::conflict, doing + ": the file became shorter while it was read; try again"};
    VERGE_CHECK(sink_(std::string_view(buffer.data(), static_cast<std::size_t>(count))));
    left -= static_cast<std::uint64_t>(count);
  }
  return padding(size);
}

Status TarStream::finish() {
  static constexpr std::array<char, 2 * block_bytes> zeros{};
  return sink_(std::string_view(zeros.data(), zeros.size()));
}

}  // namespace verge::packaging
