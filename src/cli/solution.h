// cli/solution.h -- a ready pipeline + models + manifest in one folder: solution.json read and checked.
//
//   {"name": "first-light",
//    "models": {NAME: {"catalogue": {"name", "files"}}            a model that comes with the product, from its fetched
//    files
//                     {"import": {"from", "card"}}                a model file; card: an object, or a JSON file's path
//                     {"copy": [FILE, …]}                         files that are used as they are
//                     {"train": {"family": "telemetry", "record": {"pipeline"}, "false_alarms_per_week", "window_s"}}
//                     {"train": {"family": "vision", "folder" or "record": {"pipeline"}, "task", "objects", "region",
//                                "align", "positive", "cost_miss", "cost_false_alarm", "backbone", "size", "seed",
//                                "minutes"}}
//                     {"train": {"family": "audio", "folder" or "simulated": [SOUND, …], "false_alarms_per_day",
//                                "seed"}}},  simulated: of one sound three minutes, of several twelve clips of each
//    "images": {NAME: {"pipeline", "models": {PATH: MODEL}, "files": {PATH: FILE}, "layers": ["media"]}},
//    "manifest": "deployment.json"}
//
// FILE is relative to the folder, or "cache:…" for what set-up fetched. PATH is beside the pipeline in the image. In
// the manifest
// "${image:NAME}" stands for the full reference of an image.
// Threads: values and pure functions.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audio/teach/teach_sound.h"
#include "base/json.h"
#include "base/result.h"
#include "cli/teach_vision.h"

namespace verge::cli {

struct ModelRecipe {
  enum class Kind : std::uint8_t { catalogue, import, copy, train };
  std::string name;
  Kind kind = Kind::copy;
  std::string catalogue_name;  ///< catalogue
  std::vector<std::filesystem::path>
      files;  ///< copy: the files; import: the one; catalogue: the folder; train: the pipeline, or the pictures.
  Json card = Json::object();                       ///< import
  double false_alarms_per_week = 1, window_s = 24;  ///< train telemetry
  std::optional<VisionLesson> lesson;               ///< train vision
  std::optional<audio::TeachSoundRequest> sound;    ///< train audio
  std::vector<std::string> simulated;               ///< train audio: sounds that are made for it; empty: a folder.
  bool is_recorded = false;                         ///< train: files is a pipeline that makes what is learned from.
  Json original;                                    ///< As written.
};

struct ImageRecipe {
  std::string name;
  std::filesystem::path pipeline;
  std::map<std::string, std::string> models;           ///< Path in the image → name of a model.
  std::map<std::string, std::filesystem::path> files;  ///< Path in the image → source.
  std::vector<std::string> layers;                     ///< Optional runtime layers.
};

struct Solution {
  std::filesystem::path folder;
  std::string name;  ///< Also the images' repository: lower-case letters, digits, '-', '.', '_'.
  std::vector<ModelRecipe> models;
  std::vector<ImageRecipe> images;
  Json manifest;
};

/// Errors: not_found (a file is missing: says which and what to run), invalid_argument: "FOLDER/solution.json:
/// /images/vision: …".
Result<Solution> load_solution(const std::filesystem::path& folder, const std::filesystem::path& cache);
/// Replaces every "${image:NAME}" in the manifest's texts. Errors: invalid_argument naming an image that is not there.
Result<Json> fill_manifest(const Json& manifest, const std::map<std::string, std::string>& references);

}  // namespace verge::cli
