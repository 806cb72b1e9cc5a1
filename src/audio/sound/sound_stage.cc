#include "audio/sound/sound_stage.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/time.h"

namespace verge::audio {
namespace {

constexpr std::int64_t kGapUs = 500'000;  ///< A hole this long ends what was being heard.

/// One thing that an event can begin and end with: the anomaly, or a kind of sound.
struct Watched {
  std::string label;
  SoundAlarm alarm;
};

class SoundStage final : public pipeline::Stage {
 public:
  SoundStage(std::shared_ptr<const SoundModel> model, SoundStageOptions options, const pipeline::Context& context)
      : model_(std::move(model)),
        options_(std::move(options)),
        context_(context),
        boot_id_(boot_id()),
        judge_(model_),
        drift_(taught("middle"), taught("high"), options_.drift_hours, kLookHopSeconds) {
    if (!model_->is_classifier()) watched_.push_back({"anomaly", SoundAlarm(options_.alarm)});
    for (const auto& label : model_->labels())
      if (model_->is_classifier()) watched_.push_back({label, SoundAlarm(options_.alarm)});
  }

  Status process(const pipeline::Packet& packet, const pipeline::Emit& emit) override {
    const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
    options_.sound.hold(packet);
    if (!block || block->is_segment) {
      emit(packet);
      return Done{};
    }
    if (block->rate_hz != kLookRateHz) {
      return Error{ErrorCode::invalid_argument, fmt::format("sound: wants {} Hz, got {} Hz; let the source convert it",
                                                            kLookRateHz, block->rate_hz)};
    }
    if (expected_us_ != 0 && std::abs(packet.captured_us - expected_us_) > kGapUs) {
      judge_.reset();
      samples_seen_ = 0;
    }
    const auto length = static_cast<std::int64_t>(block->samples.size());
    expected_us_ = packet.captured_us + length * 1'000'000 / kLookRateHz;
    VERGE_TRY(const auto heard, judge_.add(block->samples));
    for (const Heard& each : heard) {
      pipeline::Packet moment = packet;
      const std::int64_t later_us = (each.end_sample - samples_seen_) * 1'000'000 / kLookRateHz;
      moment.captured_us += later_us;
      moment.monotonic_us += later_us;
      if (model_->is_classifier()) {
        hear_kinds(each, moment, emit);
      } else {
        hear_strange(each, moment, emit);
      }
    }
    samples_seen_ += length;
    auto scored = std::make_shared<pipeline::AudioBlock>(*block);
    scored->score = score_;
    if (score_)
      scored->threshold = static_cast<float>(model_->is_classifier() ? options_.probability : options_.threshold);
    scored->is_alarm =
        std::ranges::any_of(watched_, [&](const Watched& each) { return is_told(each) && each.alarm.is_on(); });
    pipeline::Packet out = packet;
    out.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(scored));
    emit(std::move(out));
    return Done{};
  }

 private:
  double taught(const char* what) const {
    const auto& metrics = model_->card().metrics;
    return metrics.is_object() && metrics.contains(what) && metrics[what].is_number() ? metrics[what].get<double>()
                                                                                      : 0.5;
  }
  bool is_told(const Watched& watched) const {
    return std::ranges::find(options_.quiet, watched.label) == options_.quiet.end();
  }

  void hear_strange(const Heard& heard, const pipeline::Packet& moment, const pipeline::Emit& emit) {
    score_ = heard.values.front();
    SoundAlarm& alarm = watched_.front().alarm;
    const AlarmChange change = alarm.add(*score_ / options_.threshold, seconds_of(moment));
    if (change == AlarmChange::begun) {
      emit(event_packet(moment, "sound.anomaly", "anomaly", *score_, "alarm",
                        fmt::format("It sounds {:.1f} times as strange as it may.", *score_ / options_.threshold)));
    } else if (change == AlarmChange::ended) {
      emit(event_packet(
          moment, "sound.normal", "normal", *score_, "info",
          fmt::format("It sounds as taught again; at most it was {:.1f} times the threshold.", alarm.peak())));
    }
    if (!alarm.is_on() && drift_.add(*score_)) {
      emit(event_packet(moment, "sound.drift", "drift", drift_.middle(), "warning",
                        "Ordinary sound has moved away from what was taught; have a look, and teach it again."));
    }
  }

  void hear_kinds(const Heard& heard, const pipeline::Packet& moment, const pipeline::Emit& emit) {
    score_.reset();
    for (std::size_t at = 0; at < watched_.size(); ++at) {
      Watched& watched = watched_[at];
      if (!is_told(watched)) continue;
      const float probability = heard.values[at];
      score_ = std::max(score_.value_or(0.0F), probability);
      if (watched.alarm.add(probability / options_.probability, seconds_of(moment)) == AlarmChange::begun)
        emit(event_packet(moment, "sound.class", watched.label, probability, "warning",
                          fmt::format("Heard: {}.", watched.label)));
    }
  }

  static double seconds_of(const pipeline::Packet& moment) { return static_cast<double>(moment.monotonic_us) * 1e-6; }

  pipeline::Packet event_packet(const pipeline::Packet& moment, std::string type, std::string label, double score,
                                std::string severity, std::string explanation) const {
    auto event = std::make_shared<contract::Event>();
    event->id = new_uuid();
    event->type = std::move(type);
    event->family = "audio";
    event->device = context_.device;
    event->module = context_.module;
    event->stream = context_.stream;
    event->source = context_.stream;
    event->captured_us = moment.captured_us;
    event->boot_id = boot_id_;
    event->monotonic_us = moment.monotonic_us;
    event->label = std::move(label);
    event->score = score;
    event->severity = std::move(severity);
    const auto heard_us =
        static_cast<std::int64_t>(1e6 * (kLookSeconds + kLookHopSeconds * (options_.alarm.looks - 1)));
    event->span = contract::Span{moment.captured_us - heard_us, moment.captured_us};
    event->duration_us = heard_us;
    event->model = model_->card().digest;
    event->pipeline = context_.pipeline_hash;
    event->explanation = std::move(explanation);
    if (event->type == "sound.anomaly" || event->type == "sound.class")
      *event = options_.sound.with_sound(std::move(*event));
    pipeline::Packet out = moment;
    out.payload = std::shared_ptr<const contract::Event>(std::move(event));
    return out;
  }

  const std::shared_ptr<const SoundModel> model_;
  SoundStageOptions options_;
  const pipeline::Context context_;
  const std::string boot_id_;
  SoundJudge judge_;
  DriftWatch drift_;
  std::vector<Watched> watched_;
  std::optional<float> score_;
  std::int64_t samples_seen_ = 0, expected_us_ = 0;
};

}  // namespace

Result<std::unique_ptr<pipeline::Stage>> make_sound_stage(SoundStageOptions options, const pipeline::Context& context) {
  if (options.model.is_relative()) options.model = context.folder / options.model;
  VERGE_TRY(auto model, SoundModel::load(options.model));
  return make_sound_stage(std::move(model), std::move(options), context);
}

Result<std::unique_ptr<pipeline::Stage>> make_sound_stage(std::shared_ptr<const SoundModel> model,
                                                          SoundStageOptions options, const pipeline::Context& context) {
  for (const auto& label : options.quiet) {
    if (std::ranges::find(model->labels(), label) != model->labels().end()) continue;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("sound: quiet names \"{}\", the model knows {}", label, fmt::join(model->labels(), ", "))};
  }
  return std::unique_ptr<pipeline::Stage>(new SoundStage(std::move(model), std::move(options), context));
}

}  // namespace verge::audio
