// vision/teach/feature_store.h -- what was computed from pictures, kept in one file, so that teaching goes on where it
// was broken off.
//
// Rows of float32 by a key, a digest of all that the row depends on. Each add() reaches the file at once; a record that
// a power cut left half written is dropped at the next opening, with all after it.
// Threads: one.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace verge::vision {

class FeatureStore {
 public:
  static constexpr std::size_t kRowMax = std::size_t{1} << 20U;        ///< Numbers in one row.
  static constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 30U;  ///< Of the file; a larger one is begun anew.

  /// Opens or makes the file and its folder. A file that is none of ours is begun anew. Errors: unavailable.
  static Result<std::unique_ptr<FeatureStore>> open(const std::filesystem::path& file);

  /// The row, or nullptr. Valid until the store goes.
  const std::vector<float>* find(const std::string& key) const;
  /// Keeps the row, and returns it. Errors: limit (disk full, row too long), unavailable.
  Result<const std::vector<float>*> add(const std::string& key, std::vector<float> row);
  std::size_t count() const { return rows_.size(); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  FeatureStore() = default;
  std::uint64_t read(std::string_view bytes);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::unordered_map<std::string, std::vector<float>> rows_;
};

}  // namespace verge::vision
