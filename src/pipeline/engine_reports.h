// pipeline/engine_reports.h -- what runs the models of a pipeline, for whoever asks the module.
//
// Threads: use from anywhere. Bound: 64 entries; later ones are not kept.
#pragma once

#include <mutex>
#include <string>

#include "base/json.h"
#include "inference/open_session.h"

namespace verge::pipeline {

class EngineReports {
 public:
  /// stage  its kind; model: as the pipeline file names it
  void add(const std::string& stage, const std::string& model, const inference::EngineWish& wish,
           const inference::OpenedSession& opened);
  /// [{"stage", "model", "digest", "engine", "asked": {"engine", "device"}, "threads", "reason", "fell_back"}]
  Json to_json() const;

 private:
  mutable std::mutex mutex_;
  Json entries_ = Json::array();
};

}  // namespace verge::pipeline
