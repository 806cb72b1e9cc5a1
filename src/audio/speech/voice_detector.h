// audio/speech/voice_detector.h -- the probability that a moment of sound is speech (Silero VAD).
//
// Source: Silero VAD 6, ONNX: input [batch, 64 + 512] = 64 samples of context and 512 new ones at 16 kHz, state [2,
// batch, 128]. Threads: one stream each; calls in the order of the sound.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "inference/session.h"

namespace verge::audio {

class VoiceDetector {
 public:
  static constexpr std::size_t kBlockSamples = 512;

  /// Errors: those of load_onnx; invalid_argument when the model has other inputs.
  static Result<std::unique_ptr<VoiceDetector>> load(const std::filesystem::path& model);

  /// samples: exactly 512 at 16 kHz. Returns 0..1.
  Result<float> probability(std::span<const float> samples);
  /// Forgets the sound so far.
  void reset();
  std::string model_digest() const { return session_->model_digest(); }

 private:
  explicit VoiceDetector(std::unique_ptr<inference::Session> session);
  std::unique_ptr<inference::Session> session_;
  inference::Tensor input_, state_, rate_;
};

}  // namespace verge::audio
