#include "cli/teach_vision.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/runtime_layers.h"
#include "connectors/camera/picture_folder.h"
#include "inference/session.h"
#include "models/catalogue.h"
#include "models/import.h"
#include "vision/teach/teach.h"

namespace verge::cli {
namespace {

using std::filesystem::path;

}  // namespace

Status find_engine() {
  find_onnxruntime();
  const auto version = inference::onnx_runtime_version();
  if (version) return Done{};
  return Error{ErrorCode::unavailable,
               fmt::format("this runs a network, and there is no ONNX Runtime for it; fetch it with tools/fetch.sh "
                           "onnxruntime, or name libonnxruntime.so.1 in VERGE_ONNXRUNTIME ({})",
                           version.error().message)};
}

Result<path> find_model_folder(const std::string& name, const Home& home) {
  if (std::filesystem::exists(name)) return path(name);
  const auto* known = models::find_in_catalogue(name);
  if (known == nullptr || known->kind != "model") {
    return Error{ErrorCode::not_found,
                 fmt::format("there is no model folder {} and no model of that name in the catalogue; `verge model "
                             "list` shows the names",
                             name)};
  }
  const auto& digest = known->sources.front().digest;
  const path target = home.models() / "catalogue" / fmt::format("{}-{}", name, digest.substr(digest.find(':') + 1, 12));
  if (std::filesystem::exists(target / "card.json")) return target;
  const path partial = target.string() + ".partial";
  std::error_code problem;
  std::filesystem::remove_all(partial, problem);
  auto made = models::import_from_catalogue(name, find_cache() / known->folder, partial);
  if (!made) {
    if (made.error().code != ErrorCode::not_found) return std::move(made).error();
    return Error{ErrorCode::not_found,
                 fmt::format("{}; fetch it with tools/fetch.sh, or set VERGE_CACHE", made.error().message)};
  }
  std::filesystem::remove_all(target, problem);
  std::filesystem::rename(partial, target, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("move {} to {}: {}", partial.string(), target.string(), problem.message())};
  return target;
}

Result<vision::TeachOutcome> teach_vision(const VisionLesson& lesson, const path& target, const Home& home,
                                          const std::function<void(const std::string& line)>& tell) {
  vision::TeachRequest request;
  request.folder = lesson.folder;
  request.target = target;
  request.name = lesson.name;
  request.seed = lesson.seed;
  request.minutes = lesson.minutes;
  request.side = lesson.side;
  request.objects = lesson.objects;
  request.positive = lesson.positive;
  request.cost_miss = lesson.cost_miss;
  request.cost_false_alarm = lesson.cost_false_alarm;
  request.read = connectors::read_picture_file;
  request.tell = tell;
  const auto region = vision::find_box_part(lesson.region);
  if (!region)
    return Error{ErrorCode::invalid_argument, fmt::format("there is no region \"{}\"; give one of: {}", lesson.region,
                                                          fmt::join(vision::kBoxParts, ", "))};
  request.region = *region;
  const auto* const align = std::ranges::find(vision::kAlignParts, std::string_view(lesson.align));
  if (align == vision::kAlignParts.end()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("align is \"{}\"; give one of: {}", lesson.align, fmt::join(vision::kAlignParts, ", "))};
  }
  request.align = static_cast<vision::AlignParts>(align - vision::kAlignParts.begin());
  auto task = vision::find_teach_task(lesson.task);
  if (!lesson.task.empty() && !task) {
    return Error{ErrorCode::invalid_argument, fmt::format("there is no task \"{}\"; give one of: {}", lesson.task,
                                                          fmt::join(vision::kTeachTasks, ", "))};
  }
  if (!task) {
    VERGE_TRY(task, vision::guess_task(lesson.folder));
  }
  if (*task != vision::TeachTask::anomaly && request.align != vision::AlignParts::automatic) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("align {} is for the task anomaly; the task here is {}", lesson.align,
                             vision::kTeachTasks[static_cast<std::size_t>(*task)])};
  }
  VERGE_CHECK(find_engine());
  if (vision::needs_backbone(*task)) {
    VERGE_TRY(request.backbone, find_model_folder(lesson.backbone, home));
  }
  return vision::teach(*task, request);
}

Status read_lesson(const Json& json, VisionLesson& lesson) {
  const auto mistake = [](std::string_view key, std::string_view wanted) {
    return Error{ErrorCode::invalid_argument, fmt::format("{}: must be {}", key, wanted)};
  };
  for (const auto& item : json.items()) {
    const std::string& key = item.key();
    const Json& value = item.value();
    const auto text = [&](std::string& target) -> Status {
      if (!value.is_string()) return mistake(key, "a text");
      target = value.get<std::string>();
      return Done{};
    };
    const auto number = [&](double& target, double low, double high) -> Status {
      if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high))
        return mistake(key, fmt::format("a number, {:g} to {:g}", low, high));
      target = value.get<double>();
      return Done{};
    };
    double whole = 0;
    if (key == "family" || key == "folder" || key == "record") continue;
    if (key == "task") {
      VERGE_CHECK(text(lesson.task));
    } else if (key == "backbone") {
      VERGE_CHECK(text(lesson.backbone));
    } else if (key == "objects") {
      VERGE_CHECK(text(lesson.objects));
    } else if (key == "region") {
      VERGE_CHECK(text(lesson.region));
    } else if (key == "align") {
      VERGE_CHECK(text(lesson.align));
    } else if (key == "positive") {
      VERGE_CHECK(text(lesson.positive));
    } else if (key == "cost_miss") {
      VERGE_CHECK(number(lesson.cost_miss, 1e-6, 1e6));
    } else if (key == "cost_false_alarm") {
      VERGE_CHECK(number(lesson.cost_false_alarm, 1e-6, 1e6));
    } else if (key == "minutes") {
      VERGE_CHECK(number(lesson.minutes, 0.01, 1440));
    } else if (key == "seed") {
      VERGE_CHECK(number(whole, 0, 1e9));
      lesson.seed = static_cast<std::uint64_t>(whole);
    } else if (key == "size") {
      VERGE_CHECK(number(whole, 32, 2048));
      lesson.side = static_cast<int>(whole);
    } else {
      return mistake(key,
                     "left out; allowed here: family, folder, record, task, backbone, objects, region, positive, "
                     "cost_miss, cost_false_alarm, minutes, seed, size");
    }
  }
  return Done{};
}

}  // namespace verge::cli
