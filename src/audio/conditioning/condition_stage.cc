#include "audio/conditioning/condition_stage.h"

#include <cmath>
#include <fmt/format.h>

#include "audio/conditioning/profile.h"
#include "base/bytes.h"
#include "base/guarded.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/time.h"
#include "pipeline/option_checks.h"

namespace verge::audio {
namespace {

constexpr double kSaveEvery_s = 300;
constexpr double kReportEvery_s = 1;

struct StreamShape {
  int rate_hz = 0;
  std::size_t block_samples = 0;
  bool operator==(const StreamShape&) const = default;
};

Json facts_to_json(const ConditionFacts& facts, bool is_dead, bool is_clipping) {
  const auto rounded = [](double value) { return std::round(value * 100) / 100; };
  return {{"background_db", rounded(facts.background_db)},
          {"snr_db", rounded(facts.snr_db)},
          {"gain_db", rounded(facts.gain_db)},
          {"hum_hz", rounded(facts.hum_hz)},
          {"speech_s", rounded(facts.speech_s)},
          {"is_dead", is_dead},
          {"is_clipping", is_clipping}};
}

class ConditionStage final : public pipeline::Stage {
 public:
  ConditionStage(ConditionStageOptions options, std::optional<LearnedMicrophone> learned,
                 const pipeline::Context& context)
      : options_(std::move(options)),
        learned_(learned),
        context_(context),
        boot_id_(boot_id()),
        background_(gauge("verge_microphone_background_db", "Background, decibels relative to full scale.")),
        snr_(gauge("verge_microphone_snr_db", "Speech above the background, decibels.")),
        gain_(gauge("verge_microphone_gain_db", "Gain that brings speech to its level, decibels.")),
        fault_(gauge("verge_microphone_fault", "1 while the microphone is dead or overdriven.")) {
    if (!context_.add_method) return;
    context_.add_method("microphone", [this](const Json& parameters) {
      if (parameters.value("describe", false))
        return pipeline::MethodReply{200, {{"title", "How the microphone does"}, {"parameters", Json::array()}}};
      return pipeline::MethodReply{200, report_.with([](const Json& report) { return report; })};
    });
  }

  Status process(const pipeline::Packet& packet, const pipeline::Emit& emit) override {
    const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
    if (!block || block->is_segment) {
      emit(packet);
      return Done{};
    }
    VERGE_CHECK(fit({block->rate_hz, block->samples.size()}));
    watch_->add(block->samples, [&](const FaultChange& change) { emit(event_packet(packet, change)); });

    auto conditioned = std::make_shared<pipeline::AudioBlock>(*block);
    conditioner_->process(block->samples, conditioned->samples);
    pipeline::Packet out = packet;
    const auto late_us = static_cast<std::int64_t>(conditioner_->latency_samples()) * 1'000'000 /
                         static_cast<std::int64_t>(block->rate_hz);
    out.captured_us -= late_us;
    out.monotonic_us -= late_us;
    out.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(conditioned));
    emit(std::move(out));
    keep_books(static_cast<double>(block->samples.size()) / block->rate_hz);
    return Done{};
  }

  Status close(const pipeline::Emit&) override { return save(); }

 private:
  Gauge& gauge(std::string_view name, std::string_view help) {
    return context_.metrics->gauge(name, help, {{"stream", context_.stream}});
  }

  /// Begins again, with what was learned, when the source changes its rate or block size.
  Status fit(const StreamShape& shape) {
    if (shape == shape_) return Done{};
    if (shape.rate_hz < 8000 || shape.rate_hz > 96'000 || shape.block_samples < 32 || shape.block_samples > 8192) {
      return Error{
          ErrorCode::invalid_argument,
          fmt::format("condition: a block of {} samples at {} Hz; it takes 32 to 8192 samples at 8000 to 96000 Hz",
                      shape.block_samples, shape.rate_hz)};
    }
    if (conditioner_) learned_ = conditioner_->learned();
    shape_ = shape;
    conditioner_.emplace(options_.conditioner, shape.rate_hz, shape.block_samples, learned_);
    watch_.emplace(options_.faults, static_cast<double>(shape.block_samples) / shape.rate_hz);
    return Done{};
  }

  void keep_books(double block_s) {
    heard_s_ += block_s;
    since_report_s_ += block_s;
    since_save_s_ += block_s;
    if (since_report_s_ >= kReportEvery_s) {
      since_report_s_ = 0;
      const auto facts = conditioner_->facts();
      background_.set(facts.background_db);
      snr_.set(facts.snr_db);
      gain_.set(facts.gain_db);
      fault_.set(watch_->is_dead() || watch_->is_clipping() ? 1 : 0);
      report_.with([&](Json& report) { report = facts_to_json(facts, watch_->is_dead(), watch_->is_clipping()); });
    }
    if (since_save_s_ < kSaveEvery_s) return;
    since_save_s_ = 0;
    if (const auto status = save(); !status) log_warning("condition", status.error().message);
  }

  Status save() const {
    if (options_.state.empty() || !conditioner_) return Done{};
    const auto facts = conditioner_->facts();
    MicrophoneProfile profile;
    profile.rate_hz = shape_.rate_hz;
    profile.heard_s = heard_s_;
    profile.background_db = facts.background_db;
    profile.snr_db = facts.snr_db;
    profile.hum_hz = facts.hum_hz;
    profile.hum_db = facts.hum_db;
    profile.background_bands_db = facts.background_bands_db;
    profile.learned = conditioner_->learned();
    return save_profile(options_.state, profile);
  }

  pipeline::Packet event_packet(const pipeline::Packet& packet, const FaultChange& change) const {
    auto event = std::make_shared<contract::Event>();
    const bool is_dead = change.fault == MicrophoneFault::dead;
    event->id = new_uuid();
    event->type = is_dead ? (change.is_over ? "microphone.alive" : "microphone.dead")
                          : (change.is_over ? "microphone.clear" : "microphone.clipping");
    event->family = "audio";
    event->device = context_.device;
    event->module = context_.module;
    event->stream = event->source = context_.stream;
    event->captured_us = packet.captured_us;
    event->boot_id = boot_id_;
    event->monotonic_us = packet.monotonic_us;
    event->duration_us = static_cast<std::int64_t>(change.lasted_s * 1e6);
    event->label = is_dead ? "dead" : "clipping";
    event->severity = change.is_over ? "info" : "warning";
    event->score = is_dead ? 1 : change.clipped_share;
    event->explanation = explain(change);
    event->pipeline = context_.pipeline_hash;
    pipeline::Packet out = packet;
    out.payload = std::shared_ptr<const contract::Event>(std::move(event));
    return out;
  }

  static std::string explain(const FaultChange& change) {
    if (change.fault == MicrophoneFault::dead) {
      if (change.is_over) return fmt::format("The microphone gives sound again, after {:.0f} s.", change.lasted_s);
      return std::abs(change.stuck_at) < 0.001F
                 ? fmt::format("The microphone has given digital silence for {:.0f} s.", change.lasted_s)
                 : fmt::format("The microphone has been stuck at {:.3f} for {:.0f} s.", change.stuck_at,
                               change.lasted_s);
    }
    if (change.is_over) return "The sound is no longer cut off.";
    return fmt::format("{:.0f} % of the sound is cut off at the top: turn the microphone's gain down.",
                       change.clipped_share * 100);
  }

  const ConditionStageOptions options_;
  std::optional<LearnedMicrophone> learned_;
  const pipeline::Context context_;
  const std::string boot_id_;
  Gauge &background_, &snr_, &gain_, &fault_;
  StreamShape shape_;
  std::optional<Conditioner> conditioner_;
  std::optional<FaultWatch> watch_;
  double heard_s_ = 0, since_report_s_ = 0, since_save_s_ = 0;
  Guarded<Json> report_{Json::object()};
};

/// What was kept, else the calibration, else nothing.
Result<std::optional<LearnedMicrophone>> what_is_known(const ConditionStageOptions& options) {
  if (!options.state.empty() && std::filesystem::exists(options.state)) {
    const auto kept = load_profile(options.state);
    if (kept) return std::optional(kept->learned);
    log_warning("condition", kept.error().message + "; it begins anew");
  }
  if (options.profile.empty()) return std::optional<LearnedMicrophone>();
  VERGE_TRY(const auto profile, load_profile(options.profile));
  return std::optional(profile.learned);
}

Result<ConditionStageOptions> read_options(const Json& json, const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_range(json, "equalizer_db", 0, 20));
  VERGE_CHECK(pipeline::check_range(json, "suppression_db", 0, 20));
  VERGE_CHECK(pipeline::check_range(json, "target_db", -40, -10));
  VERGE_CHECK(pipeline::check_range(json, "dead_s", 0, 3600));
  ConditionStageOptions options;
  auto& conditioner = options.conditioner;
  VERGE_TRY(conditioner.removes_hum, bool_member(json, "hum", conditioner.removes_hum));
  VERGE_TRY(conditioner.sets_level, bool_member(json, "level", conditioner.sets_level));
  VERGE_TRY(const double equalizer, number_member(json, "equalizer_db", conditioner.equalizer_db_max));
  VERGE_TRY(const double suppression, number_member(json, "suppression_db", conditioner.suppression_db));
  VERGE_TRY(const double target, number_member(json, "target_db", conditioner.level.target_db));
  VERGE_TRY(options.faults.dead_s, number_member(json, "dead_s", options.faults.dead_s));
  conditioner.equalizer_db_max = static_cast<float>(equalizer);
  conditioner.suppression_db = static_cast<float>(suppression);
  conditioner.level.target_db = static_cast<float>(target);
  VERGE_TRY(const auto profile, string_member(json, "profile"));
  VERGE_TRY(const auto state, string_member(json, "state"));
  if (!profile.empty()) options.profile = context.folder / profile;
  if (!state.empty()) options.state = context.folder / state;
  return options;
}

}  // namespace

Result<std::unique_ptr<pipeline::Stage>> make_condition_stage(ConditionStageOptions options,
                                                              const pipeline::Context& context) {
  VERGE_TRY(const auto learned, what_is_known(options));
  return std::unique_ptr<pipeline::Stage>(new ConditionStage(std::move(options), learned, context));
}

pipeline::Kind<pipeline::Stage> condition_kind() {
  const ConditionStageOptions defaults;
  return {
      .name = "condition",
      .where = "audio/conditioning/condition_stage.h",
      .summary = "Makes the microphone irrelevant: offset, hum, colour, level; tells when it is dead or overdriven.",
      .options = {{"hum", "flag", "Find the hum of the mains and take it out", defaults.conditioner.removes_hum},
                  {"equalizer_db", "number", "Colour is corrected by at most this, decibels, 0..20; 0: not at all",
                   defaults.conditioner.equalizer_db_max},
                  {"suppression_db", "number", "The background gets at most so much quieter, decibels, 0..20",
                   defaults.conditioner.suppression_db},
                  {"level", "flag", "Bring what stands out of the background to target_db",
                   defaults.conditioner.sets_level},
                  {"target_db", "number", "Level of speech, decibels relative to full scale, -40..-10",
                   defaults.conditioner.level.target_db},
                  {"dead_s", "number",
                   "So long without any movement the microphone is dead, seconds, 0..3600; 0: "
                   "not looked for",
                   defaults.faults.dead_s},
                  {"profile", "path",
                   "Begins with what such a stage kept as its state elsewhere; default: it learns by itself", ""},
                  {"state", "path", "File that keeps what it learned across restarts; default: nothing is kept", ""}},
      .make = [](const Json& json, const pipeline::Context& context) -> Result<std::unique_ptr<pipeline::Stage>> {
        auto options = read_options(json, context);
        if (!options) return options.error().within("condition");
        return make_condition_stage(std::move(*options), context);
      }};
}

}  // namespace verge::audio
