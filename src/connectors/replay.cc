#include "connectors/replay.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <set>
#include <thread>

#include "base/guarded.h"

namespace verge::connectors {
namespace {

using pipeline::PipelineSpec;

/// Starts at another time of day.
class ShiftedClock final : public Clock {
 public:
  ShiftedClock(const Clock& clock, std::int64_t begin_us) : clock_(clock), shift_us_(begin_us - clock.now_us()) {}
  std::int64_t now_us() const override { return clock_.now_us() + shift_us_; }
  std::int64_t monotonic_us() const override { return clock_.monotonic_us(); }

 private:
  const Clock& clock_;
  const std::int64_t shift_us_;
};

struct ReplayResult {
  Json events = Json::array();
  std::size_t left_out = 0;
};

class ReplaySink final : public pipeline::Sink {
 public:
  ReplaySink(std::shared_ptr<Guarded<ReplayResult>> result, std::size_t events_max)
      : result_(std::move(result)), events_max_(events_max) {}
  Status write(const pipeline::Packet& packet) override {
    const auto event = pipeline::payload_as<contract::Event>(packet);
    if (!event) return Done{};
    result_->with([&](ReplayResult& result) {
      if (result.events.size() < events_max_) {
        result.events.push_back(contract::to_json(*event));
      } else {
        ++result.left_out;
      }
    });
    return Done{};
  }

 private:
  const std::shared_ptr<Guarded<ReplayResult>> result_;
  const std::size_t events_max_;
};

/// The same stages for one stream, fed by the file; what nothing feeds any more is left out.
Result<PipelineSpec> spec_for(const PipelineSpec& whole, const ReplayRequest& request) {
  const auto source = std::ranges::find(whole.sources, request.stream, &pipeline::SourceSpec::name);
  if (source == whole.sources.end()) {
    return Error{ErrorCode::not_found, fmt::format("replay: there is no stream \"{}\"", request.stream)};
  }
  if (source->kind != "camera") {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("replay: \"{}\" is a source of kind {}; only cameras' clips are replayed", request.stream,
                             source->kind)};
  }
  PipelineSpec spec = whole;
  spec.sources = {*source};
  Json& options = spec.sources[0].options;
  options["url"] = request.file.string();
  options["pace"] = options["loop"] = false;
  for (const char* live : {"evidence_url", "record"}) options.erase(live);
  std::set<std::string> fed{request.stream};
  for (bool has_grown = true; has_grown;) {
    has_grown = false;
    for (const pipeline::StageSpec& stage : whole.stages) {
      const bool is_fed = std::ranges::any_of(stage.inputs, [&](const auto& input) { return fed.contains(input); });
      if (is_fed && fed.insert(stage.name).second) has_grown = true;
    }
  }
  std::erase_if(spec.stages, [&](const pipeline::StageSpec& stage) { return !fed.contains(stage.name); });
  for (pipeline::StageSpec& stage : spec.stages) {
    std::erase_if(stage.inputs, [&](const std::string& input) { return !fed.contains(input); });
    if (stage.options.contains("evidence")) stage.options["evidence"] = "none";
  }
  spec.sinks = {{"replay", "replay", {}, Json::object()}};
  return spec;
}

}  // namespace

Result<Json> replay(const PipelineSpec& whole, const pipeline::Catalog& catalog, const pipeline::Context& running,
                    const ReplayRequest& request) {
  VERGE_TRY(const PipelineSpec spec, spec_for(whole, request));
  const auto result = std::make_shared<Guarded<ReplayResult>>();
  pipeline::Catalog with_sink = catalog;
  pipeline::Kind<pipeline::Sink> kind;
  kind.name = "replay";
  kind.make = [&](const Json&, const pipeline::Context&) -> Result<std::unique_ptr<pipeline::Sink>> {
    return std::unique_ptr<pipeline::Sink>(std::make_unique<ReplaySink>(result, request.events_max));
  };
  with_sink.add(std::move(kind));
  const Clock& clock = running.clock == nullptr ? system_clock() : *running.clock;
  const ShiftedClock shifted(clock, request.captured_us);
  Metrics unread;
  pipeline::Context context = running;
  context.clock = &shifted;
  context.metrics = &unread;
  context.evidence = nullptr;
  VERGE_TRY(const auto executor, pipeline::Executor::make(spec, with_sink, context, {}));
  const auto begin = std::chrono::steady_clock::now();
  const auto lasted_s = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  executor->start();
  while (!executor->has_ended() && lasted_s() < request.limit_s)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const bool is_whole = executor->has_ended();
  executor->stop();
  if (auto outcome = executor->outcome(); !outcome) return std::move(outcome).error().within("replay");
  const auto streams = executor->streams();
  return result->with([&](const ReplayResult& found) {
    return Json{{"events", found.events},
                {"left_out", found.left_out},
                {"pictures", streams.empty() ? 0 : streams.front().packets},
                {"seconds", static_cast<double>(static_cast<int>(lasted_s() * 100)) / 100},
                {"is_whole", is_whole}};
  });
}

}  // namespace verge::connectors
