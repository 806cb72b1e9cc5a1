// vision/teach/labelled_folder.h -- pictures sorted into folders by a person: FOLDER/LABEL/picture.jpg.
//
// Threads: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace verge::vision {

inline constexpr std::size_t kLabelsMax = 50;
inline constexpr std::size_t kTaughtPicturesMax = 4000;  ///< Of all labels: each is compared with each.

struct LabelledPicture {
  std::filesystem::path file;
  int label = 0;
};

struct LabelledFolder {
  std::vector<std::string> labels;        ///< Names of the folders, sorted.
  std::vector<LabelledPicture> pictures;  ///< By label, then by name.
};

/// .jpg, .jpeg and .png files right below FOLDER/LABEL; names that begin with '.' or '_' are passed over. Errors:
/// not_found (no folder), invalid_argument (no folders with pictures in it; a label that cards cannot have), limit.
Result<LabelledFolder> read_labelled_folder(const std::filesystem::path& folder);

/// The picture files right in `folder`, sorted. Errors: not_found.
Result<std::vector<std::filesystem::path>> picture_files_in(const std::filesystem::path& folder);

}  // namespace verge::vision
