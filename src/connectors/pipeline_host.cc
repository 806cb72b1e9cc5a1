#include "connectors/pipeline_host.h"

#include <algorithm>

#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::connectors {

using pipeline::Executor;
using pipeline::PipelineSpec;

namespace {

std::shared_ptr<evidence::Keeper> make_keeper(const PipelineSpec& spec, const pipeline::Context& context) {
  evidence::KeeperOptions options;
  options.folder = context.folder / spec.evidence.folder;
  options.days = spec.evidence.days;
  options.bytes_max = static_cast<std::uint64_t>(spec.evidence.megabytes * 1e6);
  options.ring_s = spec.evidence.ring_s;
  options.blur = pipeline::name_of(spec.privacy.blur);
  const Clock& clock = context.clock == nullptr ? system_clock() : *context.clock;
  return std::make_shared<evidence::Keeper>(std::move(options), system_disk(), clock, *context.metrics);
}

}  // namespace

PipelineHost::PipelineHost(std::filesystem::path file, const pipeline::Catalog& catalog, pipeline::Context context,
                           pipeline::ExecutorOptions options, Changed changed)
    : file_(std::move(file)),
      catalog_(catalog),
      context_(std::move(context)),
      options_(options),
      changed_(std::move(changed)) {
  if (context_.metrics == nullptr) context_.metrics = &unread_;
}

PipelineHost::~PipelineHost() { (void)stop(); }

Status PipelineHost::run_file() {
  VERGE_TRY(text_, read_file(file_, 2U << 20U));
  VERGE_TRY(const PipelineSpec spec, parse_pipeline(text_, file_.filename().string(), catalog_));
  return start(spec);
}

Status PipelineHost::apply(const Json& patch, std::int64_t version) {
  auto spec = parse_pipeline(text_, file_.filename().string(), catalog_, patch);
  Status status = spec ? switch_to(*spec) : Status(spec.error());
  const std::lock_guard lock(mutex_);
  error_ = status ? "" : status.error().message;
  desired_ = version;
  if (!status) log_error("pipeline", status.error());
  return status;
}

/// The old one ends first: two pipelines cannot share a camera or a microphone.
Status PipelineHost::switch_to(const PipelineSpec& spec) {
  if (running_ && running_->hash == spec.hash) return Done{};
  const auto before = std::move(running_);
  (void)stop_running();
  Status started = start(spec);
  if (!started && before) {
    if (auto again = start(*before); !again) log_error("pipeline", again.error());
  }
  return started;
}

Status PipelineHost::start(const PipelineSpec& spec) {
  auto keeper = make_keeper(spec, context_);
  pipeline::Context context = context_;
  context.evidence = keeper.get();
  const auto engines = std::make_shared<pipeline::EngineReports>();
  context.engines = engines.get();
  VERGE_TRY(auto made, Executor::make(spec, catalog_, std::move(context), options_));
  // Whoever still holds the executor also holds what its parts use.
  std::shared_ptr<Executor> executor(made.release(), [keeper, engines](const Executor* ended) { delete ended; });
  executor->start();
  running_ = std::make_unique<PipelineSpec>(spec);
  {
    const std::lock_guard lock(mutex_);
    evidence_ = std::move(keeper);
    engines_ = engines;
    spec_ = std::make_shared<const PipelineSpec>(spec);
    executor_ = executor;
    hash_ = spec.hash;
  }
  log_info("pipeline", "runs", {{"hash", spec.hash}, {"sources", spec.sources.size()}, {"stages", spec.stages.size()}});
  if (changed_) changed_(std::move(executor));
  return Done{};
}

Status PipelineHost::stop_running() {
  std::shared_ptr<Executor> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::move(executor_);
    executor_ = nullptr;
    evidence_ = nullptr;
    engines_ = nullptr;
    spec_ = nullptr;
  }
  if (!old) return Done{};
  {
    // A stream learns its family from its first packet; whoever asks before sees the one it had.
    const auto streams = old->streams();
    const std::lock_guard lock(mutex_);
    for (const pipeline::StreamState& stream : streams) {
      if (!stream.family.empty()) families_[stream.name] = stream.family;
    }
    std::erase_if(families_, [&](const auto& entry) {
      return std::ranges::find(streams, entry.first, &pipeline::StreamState::name) == streams.end();
    });
  }
  if (changed_) changed_(nullptr);
  old->stop();
  return old->outcome();
}

Status PipelineHost::stop() {
  running_.reset();
  return stop_running();
}

std::shared_ptr<evidence::Keeper> PipelineHost::evidence() const {
  const std::lock_guard lock(mutex_);
  return evidence_;
}

Json PipelineHost::engines() const {
  const std::lock_guard lock(mutex_);
  return engines_ ? engines_->to_json() : Json::array();
}

std::shared_ptr<const PipelineSpec> PipelineHost::spec() const {
  const std::lock_guard lock(mutex_);
  return spec_;
}

std::shared_ptr<Executor> PipelineHost::executor() const {
  const std::lock_guard lock(mutex_);
  return executor_;
}

namespace {

/// Sources and stages describe a method when it is called with {"describe": true}; what does not is left out.
Json described_methods(pipeline::Executor& executor) {
  Json methods = Json::array();
  for (const auto& name : executor.method_names()) {
    auto reply = executor.call_method(name, {{"describe", true}});
    if (reply.status != 200 || !reply.payload.is_object() || !reply.payload.contains("parameters")) continue;
    reply.payload["name"] = name;
    methods.push_back(std::move(reply.payload));
  }
  return methods;
}

/// What stages there are, in order, so that whoever changes them by the twin knows their names and what they ask for.
/// Of the options only texts that the file or the twin gave; none when the list gets too long for a twin.
Json described_stages(const PipelineSpec& spec) {
  constexpr std::size_t kStagesBytesMax = 12'000, kTextBytesMax = 1'000;
  Json full = Json::array(), brief = Json::array();
  for (std::size_t i = 0; i < spec.stages.size(); ++i) {
    const pipeline::StageSpec& stage = spec.stages[i];
    Json described = {{"name", stage.name}, {"kind", stage.kind}, {"inputs", stage.inputs}};
    brief.push_back(described);
    for (const auto& [key, value] : spec.effective["stages"][i].items()) {
      if (described.contains(key) || !value.is_string()) continue;
      if (value.get_ref<const std::string&>().size() <= kTextBytesMax) described[key] = value;
    }
    full.push_back(std::move(described));
  }
  if (verge::to_text(full).size() <= kStagesBytesMax) return full;
  return verge::to_text(brief).size() <= kStagesBytesMax ? brief : Json::array();
}

}  // namespace

Json PipelineHost::report() const {
  std::shared_ptr<Executor> executor;
  Json report = Json::object();
  std::map<std::string, std::string> families;
  {
    const std::lock_guard lock(mutex_);
    report["pipeline"] = {{"hash", hash_}, {"error", error_}, {"desired", desired_}, {"stages", Json::array()}};
    if (spec_) report["pipeline"]["stages"] = described_stages(*spec_);
    report["engines"] = engines_ ? engines_->to_json() : Json::array();
    executor = executor_;
    families = families_;
  }
  report["streams"] = Json::array();
  if (!executor) return report;
  for (const pipeline::StreamState& stream : executor->streams()) {
    report["streams"].push_back({{"name", stream.name},
                                 {"family", stream.family.empty() ? families[stream.name] : stream.family},
                                 {"kind", stream.kind},
                                 {"rate_hz", static_cast<double>(static_cast<int>(stream.rate_hz * 10 + 0.5)) / 10},
                                 {"dropped", stream.dropped},
                                 {"failed", stream.failed},
                                 {"error", stream.error}});
  }
  report["methods"] = described_methods(*executor);
  return report;
}

Json PipelineHost::structure_of(const Json& report) {
  Json structure = report;
  for (Json& stream : structure["streams"]) {
    stream.erase("rate_hz");
    stream.erase("dropped");
    stream.erase("failed");
  }
  return structure;
}

}  // namespace verge::connectors
