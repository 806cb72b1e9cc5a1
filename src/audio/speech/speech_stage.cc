#include "audio/speech/speech_stage.h"

#include <optional>

#include "audio/transcripts/corrections.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/time.h"

namespace verge::audio {
namespace {

/// What a report learned, with the weight that it chose.
struct LearnedCorrections {
  Corrections corrections;
  CorrectionOptions options;
};

class SpeechStage final : public pipeline::Stage {
 public:
  SpeechStage(std::unique_ptr<SpeechRecognizer> recognizer, std::optional<LearnedCorrections> corrections,
              SoundWish sound, const pipeline::Context& context)
      : recognizer_(std::move(recognizer)),
        corrections_(std::move(corrections)),
        sound_(std::move(sound)),
        context_(context),
        boot_id_(boot_id()) {}

  Status process(const pipeline::Packet& packet, const pipeline::Emit& emit) override {
    const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
    sound_.hold(packet);
    if (!block || !block->is_segment) {
      emit(packet);
      return Done{};
    }
    VERGE_TRY(auto transcript, recognizer_->recognize(block->samples));
    if (!transcript.text.empty()) emit(event_packet(packet, *block, transcript));
    return Done{};
  }

 private:
  pipeline::Packet event_packet(const pipeline::Packet& packet, const pipeline::AudioBlock& block,
                                const Transcript& transcript) const {
    auto event = std::make_shared<contract::Event>();
    event->id = new_uuid();
    event->type = "speech.final";
    event->family = "audio";
    event->device = context_.device;
    event->module = context_.module;
    event->stream = context_.stream;
    event->source = context_.stream;
    event->captured_us = packet.captured_us;
    event->boot_id = boot_id_;
    event->monotonic_us = packet.monotonic_us;
    event->duration_us = static_cast<std::int64_t>(block.samples.size()) * 1'000'000 / block.rate_hz;
    event->label = corrected(transcript);
    if (event->label != transcript.text) event->extension_json = to_text(Json{{"heard", transcript.text}});
    event->score = transcript.confidence;
    event->span = contract::Span{packet.captured_us, packet.captured_us + event->duration_us};
    event->model = recognizer_->model_digest();
    event->pipeline = context_.pipeline_hash;
    *event = sound_.with_sound(std::move(*event));
    pipeline::Packet out = packet;
    out.payload = std::shared_ptr<const contract::Event>(std::move(event));
    return out;
  }

  std::string corrected(const Transcript& transcript) const {
    if (!corrections_) return transcript.text;
    Clip clip;
    clip.heard = transcript.text;
    clip.words = transcript.words;
    clip.alternatives = transcript.alternatives;
    return corrections_->corrections.corrected(clip, corrections_->options);
  }

  const std::unique_ptr<SpeechRecognizer> recognizer_;
  const std::optional<LearnedCorrections> corrections_;
  SoundWish sound_;
  const pipeline::Context context_;
  const std::string boot_id_;
};

}  // namespace

Result<std::unique_ptr<pipeline::Stage>> make_speech_stage(SpeechStageOptions options,
                                                           const pipeline::Context& context) {
  if (options.model.is_relative()) options.model = context.folder / options.model;
  VERGE_TRY(auto recognizer, SpeechRecognizer::load(options.model, options.recognizer));
  std::optional<LearnedCorrections> learned;
  if (!options.corrections.empty()) {
    if (options.corrections.is_relative()) options.corrections = context.folder / options.corrections;
    CorrectionOptions how;
    VERGE_TRY(auto corrections, Corrections::load(options.corrections, how.weight));
    learned.emplace(LearnedCorrections{std::move(corrections), how});
  }
  return std::unique_ptr<pipeline::Stage>(
      new SpeechStage(std::move(recognizer), std::move(learned), std::move(options.sound), context));
}

}  // namespace verge::audio
