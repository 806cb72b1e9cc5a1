#include "vision/teach/marked_folder.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <sstream>

#include "base/disk.h"
#include "base/json.h"
#include "vision/teach/labelled_folder.h"

namespace verge::vision {
namespace {

using std::filesystem::path;
using Boxes = std::vector<PixelBox>;

/// [left, top, right, bottom]
std::optional<PixelBox> marked_box(const Json& json) {
  if (!json.is_array() || json.size() != 4) return std::nullopt;
  for (const Json& side : json)
    if (!side.is_number() || !(std::abs(side.get<double>()) <= 1e5)) return std::nullopt;
  const PixelBox box{json[0].get<double>(), json[1].get<double>(), json[2].get<double>(), json[3].get<double>()};
  if (!(box.right > box.left && box.bottom > box.top)) return std::nullopt;
  return box;
}

/// One line: the file's name in the folder and its boxes; otherwise what it should be.
Result<std::pair<std::string, Boxes>> marked_of(std::string_view line) {
  const auto mistake = [](std::string_view wanted) {
    return Error{ErrorCode::invalid_argument, fmt::format("must have {}", wanted)};
  };
  VERGE_TRY(const Json json, parse_json(line));
  const Json* media = find_member(json, {"media"});
  const Json* boxes = find_member(json, {"boxes"});
  if (media == nullptr || !media->is_string()) return mistake("\"media\", a picture such as \"defects/07.jpg\"");
  if (boxes == nullptr || !boxes->is_array() || boxes->size() > kBoxesMax)
    return mistake(fmt::format("\"boxes\", a list of at most {}", kBoxesMax));
  Boxes read;
  for (const Json& one : *boxes) {
    const auto box = marked_box(one);
    if (!box) return mistake(fmt::format("boxes [left, top, right, bottom] in pixels, not {}", to_text(one)));
    read.push_back(*box);
  }
  return std::pair{path(media->get<std::string>()).lexically_normal().string(), std::move(read)};
}

Result<std::map<std::string, Boxes>> read_labels(const path& file) {
  std::map<std::string, Boxes> labels;
  if (!std::filesystem::exists(file)) return labels;
  VERGE_TRY(const std::string text, read_file(file));
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto marked = marked_of(line);
    if (!marked) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("read {}: line {} {}", file.string(), number, marked.error().message)};
    }
    std::error_code leads_nowhere;  // As a name does that is longer than names may be.
    if (!std::filesystem::is_regular_file(file.parent_path() / marked->first, leads_nowhere)) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("read {}: line {} is about {}, which is not there; name pictures as seen from {}",
                               file.string(), number, marked->first, file.parent_path().string())};
    }
    labels.insert_or_assign(std::move(marked->first), std::move(marked->second));
  }
  return labels;
}

}  // namespace

path good_folder_of(const path& folder) {
  return std::filesystem::is_directory(folder / "good") ? folder / "good" : folder;
}

Result<MarkedFolder> read_marked_folder(const path& folder) {
  MarkedFolder read;
  VERGE_TRY(read.good, picture_files_in(good_folder_of(folder)));
  if (read.good.empty()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("teach from {}: there is no picture of a good part; put one into {}", folder.string(),
                             (folder / "good").string())};
  }
  std::vector<path> defects;
  if (std::filesystem::is_directory(folder / "defects")) {
    VERGE_TRY(defects, picture_files_in(folder / "defects"));
  }
  if (read.good.size() + defects.size() > kMarkedPicturesMax) {
    return Error{ErrorCode::limit,
                 fmt::format("teach from {}: it has more than {} pictures; 1 to 20 of good parts and 10 to 200 of "
                             "defects are enough",
                             folder.string(), kMarkedPicturesMax)};
  }
  VERGE_TRY(const auto labels, read_labels(folder / kLabelsFile));
  for (const auto& file : defects) {
    const auto found = labels.find((path("defects") / file.filename()).string());
    read.marked.push_back({file, found == labels.end() ? std::nullopt : std::optional(found->second)});
  }
  for (const auto& [name, boxes] : labels) {
    const path marked = name;
    const bool is_known =
        std::ranges::any_of(defects, [&](const path& file) { return path("defects") / file.filename() == marked; });
    if (is_known || boxes.empty()) continue;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("read {}: {} has boxes and is not in {}; move it there", (folder / kLabelsFile).string(),
                             name, (folder / "defects").string())};
  }
  return read;
}

}  // namespace verge::vision
