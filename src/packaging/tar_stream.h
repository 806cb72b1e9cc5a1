// packaging/tar_stream.h -- writes a tar archive piece by piece, without times.
//
// Source: POSIX.1-2001 ustar; a pax header goes before an entry whose path or link target is too long for it.
// Threads: one stream by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace verge::packaging {

class TarStream {
 public:
  using Sink = std::function<Status(std::string_view piece)>;
  struct Owner {
    std::uint32_t user = 0, group = 0;
  };

  explicit TarStream(Sink sink) : sink_(std::move(sink)) {}
  TarStream(Sink sink, Owner owner) : sink_(std::move(sink)), owner_(owner) {}

  /// Paths have no leading slash. Errors: the sink's; limit for a file of 8 GiB or more.
  Status folder(std::string_view path, unsigned mode);
  Status link(std::string_view path, std::string_view target);
  Status file(std::string_view path, std::string_view bytes, unsigned mode);
  /// Errors also: not_found; conflict when the file shrinks while it is read.
  Status file_from(std::string_view path, const std::filesystem::path& source, unsigned mode, std::uint64_t size_max);
  /// The two empty blocks at the end.
  Status finish();

 private:
  Status header(char kind, std::string_view path, std::string_view target, unsigned mode, std::uint64_t size);
  Status pax_header(std::string_view path, std::string_view target);
  Status padding(std::uint64_t size);

  Sink sink_;
  Owner owner_;
};

}  // namespace verge::packaging
