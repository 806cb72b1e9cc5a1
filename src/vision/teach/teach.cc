#include "vision/teach/teach.h"

#include <algorithm>
#include <fmt/format.h>

#include "vision/teach/labelled_folder.h"
#include "vision/teach/marked_folder.h"

namespace verge::vision {

std::optional<TeachTask> find_teach_task(std::string_view name) {
  const auto* const found = std::ranges::find(kTeachTasks, name);
  if (found == kTeachTasks.end()) return std::nullopt;
  return static_cast<TeachTask>(found - kTeachTasks.begin());
}

Result<TeachTask> guess_task(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / kLabelsFile)) return TeachTask::by_template;
  VERGE_TRY(const auto files, picture_files_in(folder));
  if (!files.empty()) return TeachTask::anomaly;
  VERGE_TRY(const LabelledFolder labelled, read_labelled_folder(folder));
  if (labelled.labels.size() == 1 && labelled.labels.front() == "good") return TeachTask::anomaly;
  return TeachTask::classify;
}

Result<TeachOutcome> teach(TeachTask task, const TeachRequest& request) {
  if (!(request.minutes >= 0.01 && request.minutes <= 1440))
    return Error{ErrorCode::invalid_argument, fmt::format("{:g} minutes; give 0.01..1440", request.minutes)};
  std::error_code problem;
  std::filesystem::create_directories(request.target, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("make the folder {}: {}", request.target.string(), problem.message())};
  switch (task) {
    case TeachTask::classify:
      return teach_classifier(request);
    case TeachTask::anomaly:
      return teach_normal(request);
    case TeachTask::by_template:
      return teach_template(request);
  }
  return Error{ErrorCode::internal, "there is no such task"};
}

}  // namespace verge::vision
