#include "packaging/layer_writer.h"

#include <algorithm>
#include <fmt/format.h>

#include "packaging/gzip.h"
#include "packaging/tar_stream.h"

namespace verge::packaging {
namespace fs = std::filesystem;
namespace {

Error refuse(std::string message) { return {ErrorCode::invalid_argument, std::move(message)}; }

/// "/usr/lib/x" → "usr/lib/x"; empty for a path that must not be in an image.
std::string plain_path(std::string_view path) {
  if (!path.starts_with('/')) return {};
  std::string plain;
  for (std::size_t start = 1; start < path.size();) {
    const auto end = std::min(path.find('/', start), path.size());
    const auto part = path.substr(start, end - start);
    if (part == "..") return {};
    if (!part.empty() && part != ".") plain += (plain.empty() ? "" : "/") + std::string(part);
    start = end + 1;
  }
  return plain;
}

bool is_executable(const fs::path& path) {
  std::error_code error;
  const auto permissions = fs::status(path, error).permissions();
  return !error && (permissions & fs::perms::owner_exec) != fs::perms::none;
}

/// True when a link at `link` with this target stays below `root`.
bool stays_inside(const fs::path& root, const fs::path& link, const fs::path& target) {
  if (target.is_absolute()) return false;
  const auto resolved = (link.parent_path() / target).lexically_normal().lexically_relative(root.lexically_normal());
  return !resolved.empty() && *resolved.begin() != "..";
}

}  // namespace

Status LayerWriter::add(std::string_view path, Entry entry) {
  const auto plain = plain_path(path);
  if (plain.empty())
    return refuse(fmt::format("\"{}\" cannot be a path in an image; write it absolute and without \"..\"", path));
  for (auto slash = plain.find('/'); slash != std::string::npos; slash = plain.find('/', slash + 1)) {
    auto& parent = entries_[plain.substr(0, slash)];
    if (parent.kind != Kind::folder) return refuse(fmt::format("\"{}\" lies below a file of this layer", path));
  }
  entries_[plain] = std::move(entry);
  if (entries_.size() > options_.entries_max)
    return Error{ErrorCode::limit, fmt::format("a layer holds at most {} entries", options_.entries_max)};
  return Done{};
}

Status LayerWriter::add_bytes(std::string_view path, std::string bytes, unsigned mode) {
  return add(path, {Kind::bytes, mode, std::move(bytes), {}});
}

Status LayerWriter::add_file(std::string_view path, const fs::path& source, unsigned mode) {
  return add(path, {Kind::file, mode, {}, source});
}

Status LayerWriter::add_folder(std::string_view path, unsigned mode) { return add(path, {Kind::folder, mode, {}, {}}); }

Status LayerWriter::add_link(std::string_view path, std::string_view target) {
  return add(path, {Kind::link, 0777, std::string(target), {}});
}

Status LayerWriter::add_tree(std::string_view path, const fs::path& source) {
  std::error_code error;
  const auto kind = fs::status(source, error).type();
  if (error || kind == fs::file_type::not_found)
    return Error{ErrorCode::not_found, fmt::format("\"{}\" is not there", source.string())};
  if (kind == fs::file_type::regular) return add_file(path, source, is_executable(source) ? 0755 : 0644);
  if (kind != fs::file_type::directory)
    return refuse(fmt::format("\"{}\" is neither file nor folder", source.string()));
  VERGE_CHECK(add_folder(path));
  for (fs::recursive_directory_iterator entry(source, error), end; !error && entry != end; entry.increment(error)) {
    const auto& found = entry->path();
    const auto target = fmt::format("{}/{}", path, found.lexically_relative(source).generic_string());
    const auto type = entry->symlink_status(error).type();
    if (type == fs::file_type::directory) {
      VERGE_CHECK(add_folder(target));
    } else if (type == fs::file_type::regular) {
      VERGE_CHECK(add_file(target, found, is_executable(found) ? 0755 : 0644));
    } else if (type == fs::file_type::symlink) {
      const auto leads_to = fs::read_symlink(found, error);
      if (error || !stays_inside(source, found, leads_to))
        return refuse(
            fmt::format("the link \"{}\" leads out of \"{}\"; copy the file instead", found.string(), source.string()));
      VERGE_CHECK(add_link(target, leads_to.generic_string()));
    } else {
      return refuse(fmt::format("\"{}\" is a device, pipe or socket and cannot be packed", found.string()));
    }
  }
  if (error)
    return Error{ErrorCode::unavailable, fmt::format("read folder \"{}\": {}", source.string(), error.message())};
  return Done{};
}

bool LayerWriter::has(std::string_view path) const { return entries_.contains(plain_path(path)); }

std::vector<std::string> LayerWriter::paths() const {
  std::vector<std::string> found;
  for (const auto& [path, entry] : entries_)
    if (entry.kind != Kind::folder) found.push_back("/" + path);
  return found;
}

Result<Layer> LayerWriter::write(BlobStore& store) const {
  VERGE_TRY(auto blob, store.writer());
  Sha256 tar_hash;
  Layer layer;
  GzipWriter gzip([&blob](std::string_view piece) { return blob.write(piece); }, options_.compression);
  TarStream tar(
      [&](std::string_view piece) {
        tar_hash.add(piece);
        layer.tar_bytes += piece.size();
        return gzip.write(piece);
      },
      TarStream::Owner{options_.user, options_.group});
  for (const auto& [path, entry] : entries_) {
    switch (entry.kind) {
      case Kind::folder:
        VERGE_CHECK(tar.folder(path, entry.mode));
        break;
      case Kind::bytes:
        VERGE_CHECK(tar.file(path, entry.content, entry.mode));
        break;
      case Kind::file:
        VERGE_CHECK(tar.file_from(path, entry.source, entry.mode, options_.file_bytes_max));
        break;
      case Kind::link:
        VERGE_CHECK(tar.link(path, entry.content));
        break;
    }
  }
  VERGE_CHECK(tar.finish());
  VERGE_CHECK(gzip.finish());
  VERGE_TRY(layer.descriptor, blob.finish());
  layer.descriptor.media_type = media_types::layer_gzip;
  layer.diff_id = tar_hash.digest();
  return layer;
}

}  // namespace verge::packaging
