// audio/speech/voice_detector.h -- the probability that a moment of sound is speech (Silero VAD), of one stream alone.
//
// Source: Silero VAD 6. Several streams of a program share a voice_batch.h instead. Threads: one stream each; calls in
// the order of the sound.
#pragma once

#include "audio/speech/voice_batch.h"

namespace verge::audio {

class VoiceDetector {
 public:
  static constexpr std::size_t kBlockSamples = VoiceBatch::kBlockSamples;

  /// Errors: those of load_onnx; invalid_argument when the model has other inputs.
  static Result<std::unique_ptr<VoiceDetector>> load(const std::filesystem::path& model);

  /// samples: exactly 512 at 16 kHz. Returns 0..1.
  Result<float> probability(std::span<const float> samples);
  /// Forgets the sound so far.
  void reset() { voice_->reset(); }
  std::string model_digest() const { return batch_->model_digest(); }

 private:
  explicit VoiceDetector(std::shared_ptr<VoiceBatch> batch);
  const std::shared_ptr<VoiceBatch> batch_;
  const std::unique_ptr<VoiceBatch::Voice> voice_;
};

}  // namespace verge::audio
