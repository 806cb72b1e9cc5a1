#include "audio/speech/voice_stage.h"

#include <deque>

#include "audio/speech/voice_batch.h"

namespace verge::audio {
namespace {

constexpr int kDetectorRateHz = 16'000;
constexpr double kBlockSeconds = static_cast<double>(VoiceBatch::kBlockSamples) / kDetectorRateHz;

class VoiceStage final : public pipeline::Stage {
 public:
  VoiceStage(VoiceStageOptions options, std::unique_ptr<VoiceBatch::Voice> voice)
      : voice_(std::move(voice)),
        segmenter_(options.segments, kDetectorRateHz, VoiceBatch::kBlockSamples),
        level_(options.level, kBlockSeconds) {}

  Status process(const pipeline::Packet& packet, const pipeline::Emit& emit) override {
    const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
    if (!block) {
      emit(packet);
      return Done{};
    }
    if (block->rate_hz != kDetectorRateHz || block->samples.size() != VoiceBatch::kBlockSamples) {
      return Error{ErrorCode::invalid_argument, "voice: wants blocks of 512 samples at 16000 Hz, got " +
                                                    std::to_string(block->samples.size()) + " at " +
                                                    std::to_string(block->rate_hz) + " Hz"};
    }
    asked_.push_back({packet, level_.apply(block->samples)});
    auto known = voice_->add(asked_.back().louder);
    if (!known) {
      asked_.clear();
      return std::move(known).error();
    }
    emit_known(*known, emit);
    return Done{};
  }

  Status close(const pipeline::Emit& emit) override {
    VERGE_TRY(const auto known, voice_->finish());
    emit_known(known, emit);
    if (auto utterance = segmenter_.flush()) emit(packet_of(std::move(*utterance)));
    return Done{};
  }

 private:
  /// The utterance began so many samples before the end of the last block.
  pipeline::Packet packet_of(Utterance utterance) const {
    const std::int64_t samples_ago = samples_seen_ - utterance.begin_sample;
    const std::int64_t us_ago =
        samples_ago * 1'000'000 / kDetectorRateHz - static_cast<std::int64_t>(kBlockSeconds * 1e6);
    auto segment = std::make_shared<pipeline::AudioBlock>();
    segment->rate_hz = kDetectorRateHz;
    segment->samples = std::move(utterance.samples);
    segment->is_segment = true;
    segment->speech_probability = utterance.probability;
    pipeline::Packet packet = last_;
    packet.captured_us = last_.captured_us - us_ago;
    packet.monotonic_us = last_.monotonic_us - us_ago;
    packet.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(segment));
    return packet;
  }

  /// A block whose probability is not known yet.
  struct Asked {
    pipeline::Packet packet;
    std::vector<float> louder;
  };

  void emit_known(std::span<const float> probabilities, const pipeline::Emit& emit) {
    for (const float probability : probabilities) {
      const Asked asked = std::move(asked_.front());
      asked_.pop_front();
      last_ = asked.packet;
      auto utterance = segmenter_.add(asked.louder, probability);
      auto heard = std::make_shared<pipeline::AudioBlock>(*pipeline::payload_as<pipeline::AudioBlock>(asked.packet));
      heard->speech_probability = probability;
      pipeline::Packet out = asked.packet;
      out.payload = std::shared_ptr<const pipeline::AudioBlock>(std::move(heard));
      emit(std::move(out));
      samples_seen_ += static_cast<std::int64_t>(VoiceBatch::kBlockSamples);
      if (utterance) emit(packet_of(std::move(*utterance)));
    }
  }

  const std::unique_ptr<VoiceBatch::Voice> voice_;
  std::deque<Asked> asked_;  ///< At most two.
  VoiceSegmenter segmenter_;
  LevelControl level_;
  pipeline::Packet last_;
  std::int64_t samples_seen_ = 0;
};

}  // namespace

Result<std::unique_ptr<pipeline::Stage>> make_voice_stage(VoiceStageOptions options, const pipeline::Context& context,
                                                          VoiceBatches& batches) {
  if (options.model.is_relative()) options.model = context.folder / options.model;
  VERGE_TRY(const auto batch, batches.open(options.model));
  return std::unique_ptr<pipeline::Stage>(new VoiceStage(std::move(options), VoiceBatch::join(batch)));
}

}  // namespace verge::audio
