// vision/teach/marked_folder.h -- pictures of good parts, and of bad ones with boxes that a person drew.
//
//   FOLDER/good/*.jpg      or FOLDER/*.jpg, at least one
//   FOLDER/defects/*.jpg   may be missing
//   FOLDER/labels.jsonl    may be missing; a line for each picture:
//                          {"media": "defects/07.jpg", "boxes": [[412, 300, 440, 322]]}
//                          left, top, right, bottom in pixels of that picture, right and bottom exclusive; no boxes:
//                          nothing in it is a defect. Other members are left alone.
// Threads: pure functions.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vision/picture/registration.h"

namespace verge::vision {

inline constexpr std::string_view kLabelsFile = "labels.jsonl";
inline constexpr std::size_t kMarkedPicturesMax = 2000;
inline constexpr std::size_t kBoxesMax = 300;  ///< Of one picture.

struct MarkedPicture {
  std::filesystem::path file;
  std::optional<std::vector<PixelBox>> boxes;  ///< Nothing: nobody drew any.
};
struct MarkedFolder {
  std::vector<std::filesystem::path> good;
  std::vector<MarkedPicture> marked;  ///< By name.
};

/// FOLDER/good when there is one, else FOLDER.
std::filesystem::path good_folder_of(const std::filesystem::path& folder);
/// Errors: not_found (no folder), invalid_argument (no good picture; a line of labels.jsonl, named by its number),
/// limit.
Result<MarkedFolder> read_marked_folder(const std::filesystem::path& folder);

}  // namespace verge::vision
