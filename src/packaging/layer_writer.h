// packaging/layer_writer.h -- collects files and writes them as one reproducible image layer.
//
// The same contents give the same bytes wherever and whenever they are written: entries sorted by path, times 0,
// owners and modes as given, gzip without time and name. (The compressed digest also depends on the zlib version; the
// diff_id does not.)
// Source: POSIX ustar with pax headers for long names; RFC 1952.
// Threads: one writer by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "packaging/blob_store.h"
#include "packaging/oci.h"

namespace verge::packaging {

struct Layer {
  Descriptor descriptor;  ///< Of the compressed blob.
  std::string diff_id;    ///< Digest of the tar.
  std::uint64_t tar_bytes = 0;
};

struct LayerOptions {
  std::uint32_t user = 0, group = 0;                       ///< Owner of every entry.
  int compression = 9;                                     ///< zlib's 1..9.
  std::uint64_t file_bytes_max = std::uint64_t{8} << 30U;  ///< ustar's own bound.
  std::size_t entries_max = 100'000;
};

class LayerWriter {
 public:
  explicit LayerWriter(LayerOptions options = {}) : options_(options) {}

  /// `path` is absolute in the image; parent folders are added (0755). Adding a path twice replaces the entry.
  /// Errors (all adds): invalid_argument for a path with "..", a relative or empty one; limit.
  Status add_bytes(std::string_view path, std::string bytes, unsigned mode = 0644);
  /// The file is read when the layer is written. A symbolic link is followed.
  Status add_file(std::string_view path, const std::filesystem::path& source, unsigned mode = 0644);
  Status add_folder(std::string_view path, unsigned mode = 0755);
  Status add_link(std::string_view path, std::string_view target);
  /// A folder with all below it, or one file; executable files become 0755, others 0644. Symbolic links are kept when
  /// they stay inside `source`, refused (invalid_argument) when they lead out; other kinds of file are refused.
  Status add_tree(std::string_view path, const std::filesystem::path& source);

  bool has(std::string_view path) const;
  /// Paths of files and links, sorted.
  std::vector<std::string> paths() const;
  /// Writes all into the store. Errors: not_found (a source is gone), limit, unavailable.
  Result<Layer> write(BlobStore& store) const;

 private:
  enum class Kind : std::uint8_t { folder, bytes, file, link };
  struct Entry {
    Kind kind = Kind::folder;
    unsigned mode = 0755;
    std::string content;  ///< Bytes or the link's target.
    std::filesystem::path source;
  };
  Status add(std::string_view path, Entry entry);

  LayerOptions options_;
  std::map<std::string, Entry> entries_;  ///< Without the leading slash.
};

}  // namespace verge::packaging
