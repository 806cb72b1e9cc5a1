// cli/content_digest.h -- one digest over everything a result was made from; equal inputs need no second run.
//
// Threads: one ContentDigest by one thread.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/crypto.h"
#include "base/result.h"

namespace verge::cli {

class ContentDigest {
 public:
  /// Texts are separated by their lengths: ("ab", "c") differs from ("a", "bc").
  void add(std::string_view text);
  /// A file's name in `name` and its content; a folder's files in the order of their paths, links followed.
  /// Errors: not_found naming the path, unavailable.
  Status add_tree(std::string_view name, const std::filesystem::path& path);
  /// The first 16 hex digits. Ends the digest.
  std::string short_hex();

 private:
  Sha256 hash_;
};

}  // namespace verge::cli
