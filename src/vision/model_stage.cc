#include "vision/model_stage.h"

#include <chrono>
#include <fmt/format.h>

#include "base/json.h"
#include "pipeline/option_checks.h"

namespace verge::vision {

using pipeline::Packet;
using pipeline::Scene;

ModelStage::ModelStage(std::string name, std::unique_ptr<SceneAnalyser> analyser, const pipeline::Context& context)
    : analyser_(std::move(analyser)),
      seconds_(context.metrics->histogram("verge_inference_seconds", "Picture to what is seen in it.",
                                          {{"stage", std::move(name)}})) {}

Status ModelStage::open() {
  thread_ = std::thread([this] {
    while (auto job = queue_.pop()) job->complete(analyse(std::move(job->packet)));
  });
  return Done{};
}

void ModelStage::submit(Packet packet, Complete complete) {
  if (!queue_.push({std::move(packet), complete})) complete(std::optional<Packet>());
}

void ModelStage::close() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

Result<std::optional<Packet>> ModelStage::analyse(Packet packet) {
  const auto scene = pipeline::payload_as<Scene>(packet);
  if (!scene || !scene->frame) return std::optional(std::move(packet));
  const auto start = std::chrono::steady_clock::now();
  auto seen = std::make_shared<Scene>(*scene);
  auto status = analyser_->analyse(packet, *seen);
  seconds_.observe_s(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (!status) return std::move(status).error();
  packet.payload = std::shared_ptr<const Scene>(std::move(seen));
  return std::optional(std::move(packet));
}

pipeline::OptionInfo model_option(std::string summary) { return {"model", "path", std::move(summary), nullptr, true}; }

pipeline::OptionInfo threads_option() { return {"threads", "integer", "Threads of one run, 1..256.", 1}; }

Result<models::LoadedModel> open_model_of(const Json& options, const char* member, const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_range(options, "threads", 1, 256));
  return models::open_model(context.folder / options[member].get<std::string>(),
                            {.threads = options["threads"].get<int>()});
}

Result<std::vector<std::string>> words_of(const Json& options, const char* member) {
  std::vector<std::string> words;
  for (const Json& word : options[member]) {
    if (!word.is_string()) return Error{ErrorCode::invalid_argument, fmt::format("{} must be words", member)};
    words.push_back(word.get<std::string>());
  }
  return words;
}

Result<std::optional<float>> threshold_option(const Json& options, const char* member) {
  if (!options.contains(member) || options[member].is_null()) return std::optional<float>();
  VERGE_CHECK(pipeline::check_range(options, member, 0, 1));
  return std::optional(options[member].get<float>());
}

}  // namespace verge::vision
