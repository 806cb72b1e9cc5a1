#include "vision/teach/labelled_folder.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

namespace verge::vision {
namespace {

using std::filesystem::path;

bool is_picture_file(const path& file) {
  std::string extension = file.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

bool is_passed_over(const path& name) {
  const std::string text = name.filename().string();
  return text.empty() || text.front() == '.' || text.front() == '_';
}

/// Sorted entries that `wanted` accepts.
template <class Wanted>
Result<std::vector<path>> entries_of(const path& folder, const Wanted& wanted) {
  std::vector<path> found;
  std::error_code problem;
  for (std::filesystem::directory_iterator entry(folder, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    if (!is_passed_over(entry->path()) && wanted(*entry)) found.push_back(entry->path());
  }
  if (problem)
    return Error{ErrorCode::not_found, fmt::format("read folder {}: {}", folder.string(), problem.message())};
  std::ranges::sort(found);
  return found;
}

}  // namespace

Result<std::vector<path>> picture_files_in(const path& folder) {
  return entries_of(folder, [](const auto& entry) {
    std::error_code leads_nowhere;
    return entry.is_regular_file(leads_nowhere) && is_picture_file(entry.path());
  });
}

Result<LabelledFolder> read_labelled_folder(const path& folder) {
  std::error_code leads_nowhere;
  VERGE_TRY(const auto below, entries_of(folder, [&](const auto& entry) { return entry.is_directory(leads_nowhere); }));
  LabelledFolder read;
  for (const auto& label_folder : below) {
    VERGE_TRY(const auto files, picture_files_in(label_folder));
    if (files.empty()) continue;
    const std::string label = label_folder.filename().string();
    if (label == "score" || label == "overlap") {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("teach from {}: a label cannot be called \"{}\", which is a threshold of every model; "
                               "give the folder another name",
                               folder.string(), label)};
    }
    if (read.labels.size() == kLabelsMax) {
      return Error{ErrorCode::limit, fmt::format("teach from {}: it has more than {} folders with pictures",
                                                 folder.string(), kLabelsMax)};
    }
    for (const auto& file : files) read.pictures.push_back({file, static_cast<int>(read.labels.size())});
    read.labels.push_back(label);
    if (read.pictures.size() > kTaughtPicturesMax) {
      return Error{ErrorCode::limit, fmt::format("teach from {}: it has more than {} pictures; 5 to 50 of each label "
                                                 "are enough",
                                                 folder.string(), kTaughtPicturesMax)};
    }
  }
  if (read.labels.empty()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("teach from {}: it has no folders with .jpg or .png pictures; make one folder for each "
                             "label, such as {}/open and {}/shut",
                             folder.string(), folder.string(), folder.string())};
  }
  return read;
}

}  // namespace verge::vision
