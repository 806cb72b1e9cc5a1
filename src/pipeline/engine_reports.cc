#include "pipeline/engine_reports.h"

namespace verge::pipeline {

void EngineReports::add(const std::string& stage, const std::string& model, const inference::EngineWish& wish,
                        const inference::OpenedSession& opened) {
  constexpr std::size_t kEntriesMax = 64;
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kEntriesMax) return;
  entries_.push_back({{"stage", stage},
                      {"model", model},
                      {"digest", opened.session->model_digest()},
                      {"engine", opened.session->engine()},
                      {"asked", {{"engine", wish.engine}, {"device", wish.device}}},
                      {"threads", wish.threads},
                      {"reason", opened.reason},
                      {"fell_back", opened.fell_back}});
}

Json EngineReports::to_json() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

}  // namespace verge::pipeline
