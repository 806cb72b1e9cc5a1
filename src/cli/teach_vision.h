// cli/teach_vision.h -- teaching from pictures on this machine: finds the engine and the detector, then vision/teach.
//
// Threads: calls block (minutes).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "cli/home.h"

namespace verge::vision {
struct TeachOutcome;
}

namespace verge::cli {

/// A model's folder: `name` itself when it is one, else the catalogue's model of that name, imported once. Errors:
/// not_found, saying how to fetch its files.
Result<std::filesystem::path> find_model_folder(const std::string& name, const Home& home);
/// Errors: unavailable without ONNX Runtime; says what to do.
Status find_engine();

/// What is asked for; the words are those of the command line and of solution.json.
struct VisionLesson {
  std::filesystem::path folder;
  std::string name;                       ///< Of the model; empty: the target folder's.
  std::string task;                       ///< Empty: as the folder's form says.
  std::string backbone = "nanodet-coco";  ///< A name of the catalogue, or a model folder.
  std::string objects, region = "whole", positive;
  std::string align = "auto";  ///< Of the task anomaly: auto, on, off.
  double cost_miss = 1, cost_false_alarm = 1, minutes = 30;
  std::uint64_t seed = 1;
  int side = 0;
};

/// Writes the model into `target`. Errors: unavailable (no ONNX Runtime; says what to do), not_found (the catalogue's
/// files are not there; says how to fetch them), those of vision::teach.
Result<vision::TeachOutcome> teach_vision(const VisionLesson& lesson, const std::filesystem::path& target,
                                          const Home& home, const std::function<void(const std::string& line)>& tell);

/// Members of solution.json's {"family": "vision", …} other than family, folder and record. Errors: invalid_argument
/// naming the member.
Status read_lesson(const Json& json, VisionLesson& lesson);

}  // namespace verge::cli
