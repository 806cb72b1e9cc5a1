#include "vision/recognition/model_stage.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <sched.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/log.h"
#include "pipeline/engine_reports.h"
#include "pipeline/option_checks.h"

namespace verge::vision {

using pipeline::Packet;
using pipeline::Scene;

namespace {

void tell_engine(const char* stage, const std::string& model, const inference::EngineWish& wish,
                 const inference::OpenedSession& opened, const pipeline::Context& context) {
  const std::string engine = opened.session->engine();
  context.metrics
      ->gauge(
          "verge_inference_engine_info", "What runs a model; always 1.",
          {{"stage", stage}, {"model", model}, {"engine", engine}, {"fell_back", opened.fell_back ? "true" : "false"}})
      .set(1);
  log_line(opened.fell_back ? LogLevel::warning : LogLevel::info, "inference",
           opened.fell_back ? "runs on the CPU instead of what was asked for" : "runs",
           {{"stage", stage}, {"model", model}, {"engine", engine}, {"reason", opened.reason}});
  if (context.engines != nullptr) context.engines->add(stage, model, wish, opened);
}

}  // namespace

ModelStage::ModelStage(std::string name, std::unique_ptr<SceneAnalyser> analyser, const pipeline::Context& context,
                       std::size_t runs_max)
    : analyser_(std::move(analyser)),
      seconds_(context.metrics->histogram("verge_inference_seconds", "Picture to what is seen in it.",
                                          {{"stage", std::move(name)}})),
      runs_max_(analyser_->allows_many_threads() ? std::max<std::size_t>(1, runs_max) : 1) {}

Status ModelStage::open() {
  threads_.emplace_back([this] { work(); });
  return Done{};
}

void ModelStage::submit(Packet packet, Complete complete) {
  const std::lock_guard lock(mutex_);
  VERGE_ASSERT(!is_closed_);
  jobs_.push_back({std::move(packet), std::move(complete)});
  std::set<const std::string*> startable;
  for (const Job& job : jobs_) {
    if (!at_work_.contains(job.packet.stream.get())) startable.insert(job.packet.stream.get());
  }
  const std::size_t free_threads = threads_.size() - at_work_.size();
  if (startable.size() > free_threads && threads_.size() < runs_max_) threads_.emplace_back([this] { work(); });
  changed_.notify_one();
}

/// The first job of a stream that nobody works for; the end when there is none.
std::deque<ModelStage::Job>::iterator ModelStage::next_job() {
  return std::ranges::find_if(jobs_, [this](const Job& job) { return !at_work_.contains(job.packet.stream.get()); });
}

void ModelStage::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return next_job() != jobs_.end() || (is_closed_ && jobs_.empty()); });
    const auto at = next_job();
    if (at == jobs_.end()) return;
    Job job = std::move(*at);
    jobs_.erase(at);
    const auto stream = job.packet.stream;
    at_work_.insert(stream.get());
    lock.unlock();
    job.complete(analyse(std::move(job.packet)));
    lock.lock();
    at_work_.erase(stream.get());
    changed_.notify_all();  // Its next one may begin.
  }
}

void ModelStage::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
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

std::vector<pipeline::OptionInfo> with_engine_options(std::vector<pipeline::OptionInfo> options) {
  options.push_back({"engine", "text",
                     "What runs the model: auto (the fastest here that gives the same numbers), "
                     "onnxruntime or openvino.",
                     "auto"});
  options.push_back({"device", "text", "auto, cpu, gpu, npu or cuda.", "auto"});
  options.push_back({"fallback", "flag",
                     "An engine or device that is not here is replaced by ONNX Runtime on the CPU, "
                     "and that is reported; else it is an error.",
                     false});
  options.push_back({"threads", "integer", "Threads of one run, 1..256.", 1});
  return options;
}

std::size_t runs_of(const Json& options) {
  constexpr std::size_t kRunsMax = 16;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const bool is_known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
  const auto processors = is_known ? static_cast<std::size_t>(CPU_COUNT(&allowed)) : std::size_t{1};
  return std::clamp(processors / options["threads"].get<std::size_t>(), std::size_t{1}, kRunsMax);
}

Result<models::LoadedModel> open_model_of(const Json& options, const char* member, const char* stage,
                                          const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_range(options, "threads", 1, 256));
  inference::EngineWish wish;
  wish.engine = options.value("engine", "auto");
  wish.device = options.value("device", "auto");
  wish.may_fall_back = options.value("fallback", false);
  wish.threads = options["threads"].get<int>();
  if (const char* file = std::getenv("VERGE_ENGINE_TRIALS")) wish.memory = file;
  const auto model = options[member].get<std::string>();
  VERGE_TRY(auto chosen, models::open_model(context.folder / model, wish));
  tell_engine(stage, model, wish, chosen.opened, context);
  return std::move(chosen.model);
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
