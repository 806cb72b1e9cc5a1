#include "telemetry/score_stage.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

#include "base/bytes.h"
#include "telemetry/window_scorer.h"

namespace verge::telemetry {
namespace {

constexpr double kHolePeriods = 10;  // A longer pause between rows empties the window, as in training.

/// Channels by contribution, most guilty first, those near the largest only.
std::vector<std::string> guilty_channels(const std::vector<std::string>& channels,
                                         const std::vector<float>& contributions) {
  std::vector<std::size_t> order(channels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return contributions[a] > contributions[b]; });
  std::vector<std::string> guilty;
  for (const std::size_t at : order) {
    if (guilty.size() < 3 && contributions[at] >= 0.5F * contributions[order.front()]) guilty.push_back(channels[at]);
  }
  return guilty;
}

class ScoreStage final : public pipeline::Stage {
 public:
  ScoreStage(ScoreStageOptions options, std::unique_ptr<WindowScorer> scorer, const pipeline::Context& context)
      : options_(std::move(options)),
        scorer_(std::move(scorer)),
        alarm_(options_.alarm),
        threshold_(scorer_->threshold() * static_cast<float>(options_.threshold_factor)),
        context_(context),
        boot_id_(boot_id()) {}

  Status process(const pipeline::Packet& packet, const pipeline::Emit& emit) override {
    const auto row = pipeline::payload_as<pipeline::SensorRow>(packet);
    if (!row) {
      emit(packet);
      return Done{};
    }
    if (last_captured_us_ != 0 &&
        static_cast<double>(packet.captured_us - last_captured_us_) / 1e6 > kHolePeriods * scorer_->period_s())
      scorer_->reset();
    last_captured_us_ = packet.captured_us;

    VERGE_TRY(const auto outcome, scorer_->add(*row));
    if (!outcome) {
      emit(packet);
      return Done{};
    }
    const auto change = alarm_.add(packet.captured_us, outcome->score, threshold_);
    auto scored = std::make_shared<pipeline::SensorRow>(*row);
    scored->score = outcome->score;
    scored->threshold = threshold_;
    scored->is_alarm = alarm_.is_raised();
    pipeline::Packet out = packet;
    out.payload = std::shared_ptr<const pipeline::SensorRow>(std::move(scored));
    emit(std::move(out));

    if (change == AlarmLogic::Change::raised) emit(alarm_event(packet, *outcome));
    if (change == AlarmLogic::Change::cleared) emit(cleared_event(packet, *outcome));
    if (packet.captured_us - last_score_us_ >= static_cast<std::int64_t>(options_.score_every_s * 1e6)) {
      last_score_us_ = packet.captured_us;
      emit(score_event(packet, *outcome));
    }
    return Done{};
  }

 private:
  std::shared_ptr<contract::Event> new_event(const pipeline::Packet& packet, std::string type,
                                             const WindowScorer::Outcome& outcome) const {
    auto event = std::make_shared<contract::Event>();
    event->id = new_uuid();
    event->type = std::move(type);
    event->family = "telemetry";
    event->device = context_.device;
    event->module = context_.module;
    event->stream = context_.stream;
    event->source = context_.stream;
    event->captured_us = packet.captured_us;
    event->boot_id = boot_id_;
    event->monotonic_us = packet.monotonic_us;
    event->score = std::round(static_cast<double>(outcome.score) * 1000) / 1000;
    event->model = scorer_->model_digest();
    event->pipeline = context_.pipeline_hash;
    event->extension_json = fmt::format("{{\"threshold\":{:.3f}}}", threshold_);
    return event;
  }

  static pipeline::Packet with(const pipeline::Packet& packet, std::shared_ptr<contract::Event> event) {
    pipeline::Packet out = packet;
    out.payload = std::shared_ptr<const contract::Event>(std::move(event));
    return out;
  }

  pipeline::Packet score_event(const pipeline::Packet& packet, const WindowScorer::Outcome& outcome) const {
    return with(packet, new_event(packet, "anomaly.score", outcome));
  }

  pipeline::Packet alarm_event(const pipeline::Packet& packet, const WindowScorer::Outcome& outcome) const {
    auto event = new_event(packet, "anomaly.alarm", outcome);
    event->severity = "alarm";
    event->label = "unusual";
    event->channels = guilty_channels(scorer_->channels(), outcome.contributions);
    event->span = contract::Span{alarm_.since_us(), packet.captured_us};
    event->rule = "score";
    event->explanation = fmt::format("{} no longer fits the other sensors: the score is {:.1f} times the limit.",
                                     fmt::join(event->channels, ", "), outcome.score / threshold_);
    return with(packet, std::move(event));
  }

  pipeline::Packet cleared_event(const pipeline::Packet& packet, const WindowScorer::Outcome& outcome) const {
    auto event = new_event(packet, "anomaly.cleared", outcome);
    event->label = "normal";
    event->rule = "score";
    event->duration_us = packet.captured_us - alarm_.since_us();
    event->explanation = "The sensors belong together again.";
    return with(packet, std::move(event));
  }

  const ScoreStageOptions options_;
  const std::unique_ptr<WindowScorer> scorer_;
  AlarmLogic alarm_;
  const float threshold_;
  const pipeline::Context context_;
  const std::string boot_id_;
  std::int64_t last_captured_us_ = 0;
  std::int64_t last_score_us_ = 0;
};

Status check_score_options(const ScoreStageOptions& options) {
  struct Range {
    const char* name;
    double value, low, high;
  };
  for (const Range& range :
       {Range{"for_s", options.alarm.for_s, 0, 3600}, Range{"clear_s", options.alarm.clear_s, 0, 3600},
        Range{"clear_share", options.alarm.clear_share, 0.1, 1},
        Range{"cool_down_s", options.alarm.cool_down_s, 0, 86'400},
        Range{"score_every_s", options.score_every_s, 0.1, 3600},
        Range{"threshold_factor", options.threshold_factor, 0.1, 10}}) {
    if (range.value >= range.low && range.value <= range.high) continue;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("score: {} is {:g}; give {:g}..{:g}", range.name, range.value, range.low, range.high)};
  }
  return Done{};
}

}  // namespace

Result<std::unique_ptr<pipeline::Stage>> make_score_stage(ScoreStageOptions options, const pipeline::Context& context) {
  VERGE_CHECK(check_score_options(options));
  if (options.model.is_relative()) options.model = context.folder / options.model;
  VERGE_TRY(auto scorer, WindowScorer::load(options.model));
  return std::unique_ptr<pipeline::Stage>(new ScoreStage(std::move(options), std::move(scorer), context));
}

}  // namespace verge::telemetry
